// Package facts collects what can be known about the objects of this machine without using them.
// It joins nothing, changes nothing, and writes no text for people. The commands ls, stat,
// doctor, clean and hz write the text.
package facts

import (
	"errors"
	"fmt"
	"io/fs"

	"samepage"
	"samepage/cell"
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
	Calls   int      `json:"calls,omitempty"`       // in flight, of a member of a service
	Conns   int      `json:"connections,omitempty"` // of a member of a listener
}

// State describes an object with members as it is now.
type State struct {
	// Of is the state that the package of its kind returns: *ipcsync.State, *pubsub.State,
	// *cell.State, *rpc.State or *stream.State.
	Of      any
	Room    int // number of places for members
	Members []Member

	// Dirty: an owner died while holding the lock, and nobody has called Consistent since. Died
	// says which owner, if that is known.
	Dirty bool
	Died  *ipcsync.OwnerDiedError

	// Blockers are the living members for which others wait now.
	Blockers []Member
}

// Waiting is the number of members that sleep.
func (st *State) Waiting() (n int) {
	for _, m := range st.Members {
		if m.Waits {
			n++
		}
	}
	return n
}

// Dead are the members whose processes have died.
func (st *State) Dead() (dead []Member) {
	for _, m := range st.Members {
		if !m.Alive {
			dead = append(dead, m)
		}
	}
	return dead
}

// Full says whether nobody else can join, because living members have all places.
func (st *State) Full() bool { return len(st.Members) >= st.Room && len(st.Dead()) == 0 }

// inspectors inspect an object of each kind that has members.
var inspectors = map[samepage.Kind]func(name string, o *samepage.InspectOptions) (*State, error){
	samepage.KindEvent:     lockState(ipcsync.InspectEvent),
	samepage.KindMutex:     lockState(ipcsync.InspectMutex),
	samepage.KindRWMutex:   lockState(ipcsync.InspectRWMutex),
	samepage.KindSemaphore: lockState(ipcsync.InspectSemaphore),
	samepage.KindTopic:     topicState,
	samepage.KindCell:      cellState,
	samepage.KindService:   serviceState,
	samepage.KindListener:  listenerState,
}

// HasMembers says whether objects of that kind have a table of their members.
func HasMembers(k samepage.Kind) bool { return layout.Kind(k).HasMembers() }

// Of returns the state of an object with members, whoever owns it.
//
// Errors: fs.ErrInvalid (a kind without members), and those of the Inspect function of the kind.
func Of(i samepage.Info) (*State, error) {
	inspect := inspectors[i.Kind]
	if inspect == nil {
		return nil, fmt.Errorf("a %v has no members: %w", i.Kind, fs.ErrInvalid)
	}
	return inspect(i.Name, &samepage.InspectOptions{Scope: i.Scope, Owner: "*"})
}

// Object is an object that somebody uses or that persists.
type Object struct {
	samepage.Info
	State *State // nil for plain memory, and if Err is not nil
	// Err says why the object could not be inspected. It may differ from Info.Err: only Of finds
	// a header that makes no sense.
	Err error
}

// Objects are all objects that somebody uses or that persist, with their states. An object that
// goes during the call is left out.
//
// Errors: those of samepage.List.
func Objects() ([]Object, error) {
	infos, err := samepage.List()
	var all []Object
	for _, i := range infos {
		o := Object{Info: i, Err: i.Err}
		if o.Err == nil && HasMembers(i.Kind) {
			o.State, o.Err = Of(i)
		}
		if !errors.Is(o.Err, fs.ErrNotExist) {
			all = append(all, o)
		}
	}
	return all, err
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

func lockState(inspect func(string, *samepage.InspectOptions) (*ipcsync.State, error)) func(string, *samepage.InspectOptions) (*State, error) {
	return func(name string, o *samepage.InspectOptions) (*State, error) {
		st, err := inspect(name, o)
		if err != nil {
			return nil, err
		}
		s := &State{Of: st, Room: st.Room, Dirty: st.Dirty, Died: st.Died}
		for _, m := range st.Members {
			mine := Member{Member: m}
			s.Members = append(s.Members, mine)
			if m.Alive && (m.Owner || m.Reads > 0) {
				s.Blockers = append(s.Blockers, mine)
			}
		}
		if s.Waiting() == 0 {
			s.Blockers = nil
		}
		return s, nil
	}
}

func topicState(name string, o *samepage.InspectOptions) (*State, error) {
	st, err := pubsub.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	s := &State{Of: st, Room: st.Room}
	for _, m := range st.Members {
		mine := Member{
			Member: ipcsync.Member{Member: m.Member},
			Role:   m.Role.String(), Behind: m.Behind, Evicted: m.Evicted,
			Packs: st.Options.Pack > 0 && len(m.Behind) > 0,
		}
		s.Members = append(s.Members, mine)
		for l, n := range m.Behind {
			if p := st.Lanes[l].Publisher; m.Alive && p != nil && p.Waits && n >= uint64(st.Options.Depth) {
				s.Blockers = append(s.Blockers, mine)
				break
			}
		}
	}
	return s, nil
}

func cellState(name string, o *samepage.InspectOptions) (*State, error) {
	st, err := cell.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	s := &State{Of: st, Room: st.Room}
	for _, m := range st.Members {
		mine := Member{Member: ipcsync.Member{Member: m.Member}, Role: layout.Cell.Role(layout.RoleReader)}
		if m.Writer {
			mine.Role = layout.Cell.Role(layout.RoleWriter)
		}
		if m.Writing && m.Alive {
			s.Blockers = append(s.Blockers, mine)
		}
		s.Members = append(s.Members, mine)
	}
	return s, nil
}

func serviceState(name string, o *samepage.InspectOptions) (*State, error) {
	st, err := rpc.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	s := &State{Of: st, Room: st.Room}
	for _, m := range st.Members {
		mine := Member{Member: ipcsync.Member{Member: m.Member}, Role: layout.Service.Role(layout.RoleClient), Calls: m.Calls}
		if m.Worker {
			mine.Role = layout.Service.Role(layout.RoleWorker)
		}
		if m.Expected && m.Alive {
			s.Blockers = append(s.Blockers, mine)
		}
		s.Members = append(s.Members, mine)
	}
	return s, nil
}

func listenerState(name string, o *samepage.InspectOptions) (*State, error) {
	st, err := stream.Inspect(name, o)
	if err != nil {
		return nil, err
	}
	s := &State{Of: st, Room: st.Room}
	for _, m := range st.Members {
		mine := Member{Member: ipcsync.Member{Member: m.Member}, Role: layout.Listener.Role(layout.RoleDialer), Conns: m.Connections}
		if m.Listener {
			mine.Role = layout.Listener.Role(layout.RoleListener)
		}
		if m.Listens && m.Alive && st.Asked > 0 {
			s.Blockers = append(s.Blockers, mine)
		}
		s.Members = append(s.Members, mine)
	}
	return s, nil
}
