// Package inspect tells what can be known about the objects of this machine without using them:
// what there is, who has it open, who waits for whom, and what dead processes left.
//
// It becomes a member of nothing, takes no lock and changes no word: it maps what it reads
// read-only. No process notices that somebody looks. So what a snapshot says about an object is not
// exactly of one moment: members go on while it is read.
//
// What it says about a member was written by the process of that member, which may be wrong or
// hostile. A damaged object has an error, and does not disturb the others.
//
// All functions may be called concurrently.
package inspect

import (
	"fmt"
	"io/fs"
	"reflect"

	"samepage"
	"samepage/cell"
	"samepage/internal/sys/process"
	"samepage/ipcsync"
	"samepage/layout"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// Member is a member of an object of any kind. No kind uses all fields.
type Member struct {
	ipcsync.Member
	Role    string   `json:"role,omitempty"`   // of a member of a topic, a cell, a service or a listener
	Behind  []uint64 `json:"behind,omitempty"` // of a reliable subscriber: messages, for each publisher
	Packs   bool     `json:"packs,omitempty"`  // Behind counts packs of messages
	Evicted bool     `json:"evicted,omitempty"`
	Holds   int      `json:"holds,omitempty"`       // messages or values that it keeps with Hold
	Calls   int      `json:"calls,omitempty"`       // in flight, of a member of a service
	Conns   int      `json:"connections,omitempty"` // of a member of a listener
	// Stopped: a signal or a debugger has stopped the process (Linux). It is known only of members
	// for which others wait.
	Stopped bool `json:"stopped,omitempty"`
	// Command is the command line of the process. It is empty if it is not known, if this process
	// may not read it, or if PID belongs to another pid namespace.
	Command []string `json:"command,omitempty"`
}

// Detail describes an object with members as it is now.
type Detail struct {
	// Of is the state that the package of its kind returns: *ipcsync.State, *pubsub.State,
	// *cell.State, *rpc.State or *stream.State.
	Of      any
	Room    int // number of places for members
	Members []Member
	Waits   []Wait // one for each member that sleeps

	// Dirty: an owner died while holding the lock, and nobody has called Consistent since. Died
	// says which owner, if that is known.
	Dirty bool
	Died  *ipcsync.OwnerDiedError

	// Blockers are the living members for which others wait now, and the members that write a cell.
	Blockers []Member
}

// Waiting is the number of members that sleep.
func (d *Detail) Waiting() int { return len(d.Waits) }

// Blocked is the number of members that wait for certain others, see Wait.On.
func (d *Detail) Blocked() (n int) {
	for _, w := range d.Waits {
		if len(w.On) > 0 {
			n++
		}
	}
	return n
}

// Dead are the members whose processes have died.
func (d *Detail) Dead() (dead []Member) {
	for _, m := range d.Members {
		if !m.Alive {
			dead = append(dead, m)
		}
	}
	return dead
}

// Full says whether nobody else can join, because living members have all places.
func (d *Detail) Full() bool { return len(d.Members) >= d.Room && len(d.Dead()) == 0 }

// inspectors inspect an object of each kind that has members.
var inspectors = map[samepage.Kind]func(name string, o *samepage.InspectOptions) (*Detail, error){
	samepage.KindEvent:     lockDetail(ipcsync.InspectEvent),
	samepage.KindMutex:     lockDetail(ipcsync.InspectMutex),
	samepage.KindRWMutex:   lockDetail(ipcsync.InspectRWMutex),
	samepage.KindSemaphore: lockDetail(ipcsync.InspectSemaphore),
	samepage.KindTopic:     topicDetail,
	samepage.KindCell:      cellDetail,
	samepage.KindService:   serviceDetail,
	samepage.KindListener:  listenerDetail,
}

// HasMembers says whether objects of that kind have a table of their members.
func HasMembers(k samepage.Kind) bool { return layout.Kind(k).HasMembers() }

// Of returns the details of one object with members, whoever owns it.
//
// Errors: fs.ErrInvalid (a kind without members), and those of the Inspect function of the kind.
func Of(i samepage.Info) (*Detail, error) { return detailOf(i, map[int][]string{}) }

// detailOf is Of. commands has the command lines that are known, by process.
func detailOf(i samepage.Info, commands map[int][]string) (*Detail, error) {
	inspect := inspectors[i.Kind]
	if inspect == nil {
		return nil, fmt.Errorf("a %v has no members: %w", i.Kind, fs.ErrInvalid)
	}
	d, err := inspect(i.Name, &samepage.InspectOptions{Scope: i.Scope, Owner: "*"})
	if err != nil {
		return nil, err
	}
	d.findBlockers()
	for i := range d.Members {
		if m := &d.Members[i]; m.Alive && !m.Foreign && !m.Ended {
			c, ok := commands[m.PID]
			if !ok {
				c = process.Command(m.PID)
				commands[m.PID] = c
			}
			m.Command = c
		}
	}
	for i := range d.Waits {
		w := &d.Waits[i]
		w.Since = d.Members[w.Member].Since
		w.Exact = !w.Since.IsZero()
	}
	return d, nil
}

// findBlockers sets Blockers, and which of them are stopped.
func (d *Detail) findBlockers() {
	blocks := make([]bool, len(d.Members))
	for _, w := range d.Waits {
		for _, i := range w.On {
			blocks[i] = true
		}
	}
	if st, ok := d.Of.(*cell.State); ok {
		for i, m := range st.Members {
			blocks[i] = m.Writing
		}
	}
	for i := range d.Members {
		m := &d.Members[i]
		if !blocks[i] || !m.Alive {
			continue
		}
		m.Stopped = !m.Foreign && !m.Ended && process.Stopped(m.PID)
		d.Blockers = append(d.Blockers, *m)
	}
}

// Died returns the members of a leftover as Members.
func Died(l *samepage.Leftover) (all []Member) {
	for _, m := range l.Members {
		all = append(all, Member{
			Member: ipcsync.Member{Member: m.Member, Owner: m.Owner, Reads: m.Reads},
			Role:   m.Role,
		})
	}
	return all
}

func lockDetail(inspect func(string, *samepage.InspectOptions) (*ipcsync.State, error)) func(string, *samepage.InspectOptions) (*Detail, error) {
	return func(name string, o *samepage.InspectOptions) (*Detail, error) {
		st, err := inspect(name, o)
		if err != nil {
			return nil, err
		}
		d := &Detail{Of: st, Room: st.Room, Dirty: st.Dirty, Died: st.Died}
		for _, m := range st.Members {
			d.Members = append(d.Members, Member{Member: m})
		}
		switch st.Kind {
		case samepage.KindEvent:
			d.wait(ForEvent, nil)
		case samepage.KindSemaphore:
			d.wait(ForUnit, nil)
		default:
			var holders []int
			for i, m := range d.Members {
				if m.Alive && (m.Owner || m.Reads > 0) {
					holders = append(holders, i)
				}
			}
			d.wait(ForLock, holders)
		}
		return d, nil
	}
}

func topicDetail(name string, o *samepage.InspectOptions) (*Detail, error) {
	st, err := pubsub.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	d := &Detail{Of: st, Room: st.Room}
	for _, m := range st.Members {
		d.Members = append(d.Members, Member{
			Member: ipcsync.Member{Member: m.Member},
			Role:   m.Role.String(), Behind: m.Behind, Evicted: m.Evicted, Holds: m.Holds,
			Packs: st.Options.Pack > 0 && len(m.Behind) > 0,
		})
	}
	messages, seen := uint64(0), map[int]bool{}
	for l, lane := range st.Lanes {
		messages += lane.Messages
		if lane.Publisher == nil || !lane.Publisher.Waits {
			continue
		}
		p := 0 // a process that publishes twice has two members, which may look the same
		for p < len(st.Members) && (seen[p] || !reflect.DeepEqual(st.Members[p], *lane.Publisher)) {
			p++
		}
		if p == len(st.Members) {
			continue
		}
		seen[p] = true
		w := Wait{Member: p, For: ForSubscriber, progress: lane.Messages}
		for i, m := range st.Members {
			if m.Alive && l < len(m.Behind) && m.Behind[l] >= uint64(st.Options.Depth) {
				w.For, w.On = ForSpace, append(w.On, i)
			}
		}
		d.Waits = append(d.Waits, w)
	}
	for i, m := range d.Members {
		if m.Waits && st.Members[i].Role != pubsub.Publishing {
			d.Waits = append(d.Waits, Wait{Member: i, For: ForMessage, progress: messages})
		}
	}
	return d, nil
}

func cellDetail(name string, o *samepage.InspectOptions) (*Detail, error) {
	st, err := cell.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	d := &Detail{Of: st, Room: st.Room}
	var writing []int
	for i, m := range st.Members {
		mine := Member{Member: ipcsync.Member{Member: m.Member}, Role: layout.Cell.Role(layout.RoleReader), Holds: m.Holds}
		if m.Writer {
			mine.Role = layout.Cell.Role(layout.RoleWriter)
		}
		if m.Writing {
			writing = append(writing, i)
		}
		d.Members = append(d.Members, mine)
	}
	for i, m := range st.Members {
		switch {
		case m.Waits && m.Writer:
			d.Waits = append(d.Waits, Wait{Member: i, For: ForTurn, On: writing, progress: st.Generation})
		case m.Waits:
			d.Waits = append(d.Waits, Wait{Member: i, For: ForValue, progress: st.Generation})
		}
	}
	return d, nil
}

func serviceDetail(name string, o *samepage.InspectOptions) (*Detail, error) {
	st, err := rpc.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	d := &Detail{Of: st, Room: st.Room}
	for _, m := range st.Members {
		mine := Member{Member: ipcsync.Member{Member: m.Member}, Role: layout.Service.Role(layout.RoleClient), Calls: m.Calls}
		if m.Worker {
			mine.Role = layout.Service.Role(layout.RoleWorker)
		}
		d.Members = append(d.Members, mine)
	}
	for i, m := range st.Members {
		switch {
		case !m.Waits:
		case m.Worker:
			d.Waits = append(d.Waits, Wait{Member: i, For: ForCall})
		case len(m.Awaits) > 0:
			d.Waits = append(d.Waits, Wait{Member: i, For: ForAnswer, On: m.Awaits})
		default:
			d.Waits = append(d.Waits, Wait{Member: i, For: ForWorker})
		}
	}
	return d, nil
}

func listenerDetail(name string, o *samepage.InspectOptions) (*Detail, error) {
	st, err := stream.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	d := &Detail{Of: st, Room: st.Room}
	var listens []int
	for i, m := range st.Members {
		mine := Member{Member: ipcsync.Member{Member: m.Member}, Role: layout.Listener.Role(layout.RoleDialer), Conns: m.Connections}
		if m.Listener {
			mine.Role = layout.Listener.Role(layout.RoleListener)
		}
		if m.Listens {
			listens = append(listens, i)
		}
		d.Members = append(d.Members, mine)
	}
	for i, m := range st.Members {
		switch {
		case !m.Waits:
		case m.Asked > 0:
			d.Waits = append(d.Waits, Wait{Member: i, For: ForAccept, On: listens})
		default:
			d.Waits = append(d.Waits, Wait{Member: i, For: ForData})
		}
	}
	return d, nil
}
