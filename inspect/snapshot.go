package inspect

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/internal/sys"
	"samepage/ipcsync"
	"samepage/layout"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// State is what Snapshot has seen.
type State struct {
	At        time.Time           `json:"at"`
	Objects   []Object            `json:"objects"`   // that somebody uses, or that persist
	Leftovers []samepage.Leftover `json:"leftovers"` // that samepage.Clean would remove
	Memory    Memory              `json:"memory"`
	// Cycles are processes that wait for one another in a circle. This can be a deadlock. Often it
	// is none: a process can have other goroutines that go on.
	Cycles [][]Step `json:"cycles"`
}

// MarshalJSON gives the fields, and for each of the cycles a sentence, as "circles".
func (s *State) MarshalJSON() ([]byte, error) {
	type fields State
	return json.Marshal(struct {
		*fields
		Circles []string `json:"circles"`
	}{(*fields)(s), s.Circles()})
}

// Memory is the memory of all objects, each counted once.
type Memory struct {
	Size      int64 `json:"size"`      // bytes, as the objects were created
	Allocated int64 `json:"allocated"` // bytes that they take now, including leftovers
	Leftover  int64 `json:"leftover"`  // of these: bytes that leftovers take
}

// Object is an object that somebody uses or that persists.
type Object struct {
	samepage.Info
	Detail *Detail // nil for plain memory, and if Err is not nil
	Legacy *Legacy // of a section of an existing C++ program, see LegacyOf; else nil
	// Err says why the object could not be inspected. It may differ from Info.Err: only Of finds
	// a header that makes no sense.
	Err  error
	Rate *Rate // what State.Since has found; nil if nothing is known

	at time.Time // when Snapshot looked
	// Shares are the parts of the processes that have mapped the object, if Options.Shares is set.
	// It is nil if that is not known.
	Shares []Share
}

// Rate is what happened to an object between two snapshots.
type Rate struct {
	Seconds   float64 `json:"seconds"`    // between the snapshots
	Count     uint64  `json:"count"`      // messages of a topic, or values of a cell
	PerSecond float64 `json:"per_second"` // the same in a second
	// Bytes are those of the messages of a topic. In a topic with packs they include what the packs
	// add. If programs of an older version publish, their bytes are missing.
	Bytes          uint64  `json:"bytes,omitempty"`
	BytesPerSecond float64 `json:"bytes_per_second,omitempty"`
}

// Share is the part of an object that a process has mapped.
type Share struct {
	PID      int    `json:"pid"`
	Name     string `json:"name"`     // of the program
	Resident int64  `json:"resident"` // bytes that it has used lately: they are in its page table
	// Proportional is Resident, but each page counts only in part: half if two processes have it. So
	// the sum of all processes is the memory that the object takes for them, counted once.
	Proportional int64 `json:"proportional"`
}

// Options say what Snapshot looks at. nil means everything.
type Options struct {
	// Match says whether Snapshot looks at an object. Cycles are those of these objects only. nil
	// means all objects.
	Match func(*samepage.Info) bool
	// Shares sets Object.Shares (Linux). For this the system walks the page tables of the processes
	// that have mapped an object. Meanwhile they may wait when they map memory.
	Shares bool
}

// Snapshot describes the objects of both scopes. An object that goes during the call is left out.
//
// Errors: those of samepage.List. The error of one object is in Object.Err or Leftover.Err.
func Snapshot(opts *Options) (*State, error) {
	if opts == nil {
		opts = &Options{}
	}
	wanted := opts.Match
	if wanted == nil {
		wanted = func(*samepage.Info) bool { return true }
	}
	infos, err := samepage.List()
	if err != nil {
		return nil, err
	}
	left, err := samepage.Leftovers()
	if err != nil {
		return nil, err
	}
	s := &State{At: time.Now(), Objects: []Object{}, Leftovers: []samepage.Leftover{}, Cycles: [][]Step{}}
	commands := map[int][]string{}
	for _, i := range append(infos, legacySections()...) {
		if !wanted(&i) {
			continue
		}
		o := Object{Info: i, Err: i.Err, Legacy: LegacyOf(i), at: s.At}
		if o.Err == nil && HasMembers(i.Kind) {
			o.Detail, o.Err = detailOf(i, commands)
		}
		if errors.Is(o.Err, fs.ErrNotExist) || o.Legacy != nil && errors.Is(o.Legacy.Err, fs.ErrNotExist) {
			continue
		}
		s.Memory.Size += i.Size
		s.Memory.Allocated += i.Allocated
		s.Objects = append(s.Objects, o)
	}
	for _, l := range left {
		if wanted(&l.Info) {
			s.Memory.Allocated += l.Allocated
			s.Memory.Leftover += l.Allocated
			s.Leftovers = append(s.Leftovers, l)
		}
	}
	slices.SortStableFunc(s.Objects, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	if opts.Shares {
		s.share()
	}
	s.Cycles = append(s.Cycles, findCycles(s.Objects)...)
	return s, nil
}

// SharesOf returns the Shares of one object.
//
// Errors: errors.ErrUnsupported (only Linux tells them).
func SharesOf(i samepage.Info) ([]Share, error) {
	all, err := sys.Shares(func(id layout.ID) bool { return id == layout.ID(i.ID) })
	return shares(all[layout.ID(i.ID)]), err
}

func shares(all []sys.Share) (s []Share) {
	for _, a := range all {
		s = append(s, Share(a))
	}
	slices.SortFunc(s, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Proportional, a.Proportional), cmp.Compare(a.PID, b.PID))
	})
	return s
}

func (s *State) share() {
	at := map[layout.ID]*Object{}
	for i := range s.Objects {
		at[layout.ID(s.Objects[i].ID)] = &s.Objects[i]
	}
	delete(at, layout.ID{})
	all, err := sys.Shares(func(id layout.ID) bool { return at[id] != nil })
	if err != nil {
		return // nothing is known
	}
	for id, o := range at {
		o.Shares = append([]Share{}, shares(all[id])...)
	}
}

// key says which object it is, also if another object gets its name later.
type key struct {
	samepage.Kind
	samepage.ID
	scope samepage.Scope
	name  string
}

func keyOf(o *Object) key { return key{o.Kind, o.ID, o.Scope, o.Name} }

// Since sets in s what can only be known from two snapshots: Object.Rate, and Wait.Since if it is
// not Exact. before is
// an earlier snapshot, and has itself gone through Since if there was one before it. Nobody may use
// s meanwhile.
func (s *State) Since(before *State) {
	old := map[key]*Object{}
	for i := range before.Objects {
		old[keyOf(&before.Objects[i])] = &before.Objects[i]
	}
	seconds := s.At.Sub(before.At).Seconds()
	for i := range s.Objects {
		now := &s.Objects[i]
		was := old[keyOf(now)]
		if now.Detail == nil {
			continue
		}
		if was == nil || was.Detail == nil {
			was = &Object{Detail: &Detail{}}
		}
		n, ok := now.Detail.count()
		if m, before := was.Detail.count(); ok && before && n >= m && seconds > 0 {
			now.Rate = &Rate{Seconds: seconds, Count: n - m, PerSecond: float64(n-m) / seconds}
			if b, a := now.Detail.bytes(), was.Detail.bytes(); b > a {
				now.Rate.Bytes, now.Rate.BytesPerSecond = b-a, float64(b-a)/seconds
			}
		}
		for k := range now.Detail.Waits {
			w := &now.Detail.Waits[k]
			if w.Exact {
				continue
			}
			w.Since = s.At
			for j := range was.Detail.Waits {
				v := &was.Detail.Waits[j]
				if v.sameAs(was.Detail, w, now.Detail) {
					w.Since = v.Since
					if v.Since.IsZero() {
						w.Since = before.At
					}
				}
			}
		}
	}
}

// sameAs says whether w, of an object with details d, is the wait v of the same object later.
func (w *Wait) sameAs(d *Detail, v *Wait, later *Detail) bool {
	same := func(i, k int) bool {
		a, b := d.Members[i].Member, later.Members[k].Member
		return a.PID == b.PID && a.Joined.Equal(b.Joined)
	}
	return w.For == v.For && w.progress == v.progress && same(w.Member, v.Member) && slices.EqualFunc(w.On, v.On, same)
}

// count is the number of messages or values since the object was created.
func (d *Detail) count() (n uint64, ok bool) {
	switch of := d.Of.(type) {
	case *pubsub.State:
		for _, l := range of.Lanes {
			n += l.Messages
		}
		return n, true
	case *cell.State:
		return of.Generation, true
	}
	return 0, false
}

// bytes is the number of bytes of all messages of a topic.
func (d *Detail) bytes() uint64 {
	if st, ok := d.Of.(*pubsub.State); ok {
		return topicBytes(st)
	}
	return 0
}

func topicBytes(st *pubsub.State) (n uint64) {
	for _, l := range st.Lanes {
		n += l.Bytes
	}
	return n
}

// outside has the fields of a state that stand outside of it in the JSON of an Object. Two fields
// of one name that are embedded side by side hide each other.
type outside struct {
	Room    int      `json:"room"`
	Members []Member `json:"members"`
}

// MarshalJSON gives the fields of Info as "info", and the details: "text", "members", "waits" and
// "sentences", and "state", which has what the package of its kind tells, without the members. For
// a section of an existing C++ program "legacy" is its system.
func (o Object) MarshalJSON() ([]byte, error) {
	j := struct {
		Info     samepage.Info `json:"info"`
		Text     string        `json:"text,omitempty"`   // Object.Text
		Legacy   string        `json:"legacy,omitempty"` // Legacy.System
		Room     int           `json:"room,omitempty"`
		Members  []Member      `json:"members,omitempty"`
		Waits    []Wait        `json:"waits,omitempty"`
		Says     []Sentence    `json:"sentences,omitempty"`
		State    any           `json:"state,omitempty"`
		Rate     *Rate         `json:"rate,omitempty"`
		Shares   []Share       `json:"shares,omitempty"`
		Findings []string      `json:"findings,omitempty"`
		Error    string        `json:"error,omitempty"`
	}{Info: o.Info, Text: o.Text(), Rate: o.Rate, Shares: o.Shares}
	if o.Err != nil {
		j.Error = o.Err.Error()
	}
	for _, f := range o.Findings() {
		j.Findings = append(j.Findings, f.What)
	}
	if l := o.Legacy; l != nil {
		j.Legacy, j.State = l.System, l.Of
	}
	if d := o.Detail; d != nil {
		j.Room, j.Members, j.Waits, j.Says = d.Room, d.Members, d.Waits, d.Sentences(o.at)
		switch of := d.Of.(type) {
		case *ipcsync.State:
			j.State = struct {
				*ipcsync.State
				outside
			}{State: of}
		case *pubsub.State:
			j.State = struct {
				*pubsub.State
				outside
			}{State: of}
		case *cell.State:
			j.State = struct {
				*cell.State
				outside
			}{State: of}
		case *rpc.State:
			j.State = struct {
				*rpc.State
				outside
			}{State: of}
		case *stream.State:
			j.State = struct {
				*stream.State
				outside
			}{State: of}
		}
	}
	return json.Marshal(j)
}
