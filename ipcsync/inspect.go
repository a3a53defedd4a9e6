package ipcsync

import (
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// State is what a lock or an event looks like from outside, at one moment. What it
// tells of members was written by them.
type State struct {
	Kind    samepage.Kind `json:"kind"`
	Members []Member      `json:"members"` // handles, in all processes
	Room    int           `json:"room"`    // for how many
	// Dirty: an owner died holding it, and nobody has called Consistent since. Died
	// tells who.
	Dirty  bool            `json:"dirty,omitempty"`
	Died   *OwnerDiedError `json:"died,omitempty"`
	Set    bool            `json:"set,omitempty"`    // of an event
	Manual bool            `json:"manual,omitempty"` // of an event
	Units  uint32          `json:"units,omitempty"`  // of a semaphore
	Max    uint32          `json:"max,omitempty"`    // of a semaphore
}

// Member is one handle on a lock or an event.
type Member struct {
	PID    int       `json:"pid"`
	Name   string    `json:"name"` // of the program
	Joined time.Time `json:"joined"`
	Alive  bool      `json:"alive"` // else the next one to need it repairs what it left
	// Foreign: PID is one of another pid namespace, such as a container's; here it names
	// another process or none.
	Foreign bool `json:"other_pid_namespace,omitempty"`
	// Ended: the process has ended, and a descendant still has its descriptor, and so its
	// place.
	Ended bool `json:"ended,omitempty"`
	// Owner: it has the mutex, or the write lock, or waits for the readers to leave.
	Owner bool   `json:"owner,omitempty"`
	Reads uint64 `json:"reads,omitempty"` // read locks that it has
	Waits bool   `json:"waits,omitempty"` // it is asleep
}

// Inspect tells the state of the object of that kind and name, without becoming a
// member of it. Errors: fs.ErrInvalid (plain memory), and those of samepage.Open.
func Inspect(kind samepage.Kind, name string, opts *Options) (*State, error) {
	st, err := inspect(kind, name, opts)
	return st, wrapNew("inspect", kind, name, err)
}

func inspect(kind samepage.Kind, name string, opts *Options) (*State, error) {
	if kind == samepage.KindMemory {
		return nil, fmt.Errorf("plain memory has no state: %w", fs.ErrInvalid)
	}
	spec, err := opts.spec(kind, name)
	if err != nil {
		return nil, err
	}
	spec.Access = layout.ReadOnly
	o, err := object.Open(spec)
	if err != nil {
		return nil, err
	}
	st := &State{Kind: kind}
	err = segment.Peek(o, kind, layout.LockWordsSize, st.look)
	return st, err
}

func (st *State) look(h *segment.Handle, members []segment.Seen) {
	state := atomic.LoadUint64(h.Live64(layout.LockStateOffset))
	st.Room = h.Members()
	var owner layout.Owner
	switch st.Kind {
	case samepage.KindEvent:
		st.Set, st.Manual = state&1 != 0, h.Flags()&layout.EventManual != 0
	case samepage.KindSemaphore:
		st.Units, st.Max = uint32(state), h.Flags()
	default:
		owner = layout.Owner(state)
		if owner&layout.Dirty != 0 {
			st.Dirty, st.Died = true, whoDied(h)
		}
	}
	for _, s := range members {
		st.Members = append(st.Members, Member{
			PID: int(s.PID), Name: s.Name, Joined: s.Joined, Alive: s.Alive, Foreign: s.Foreign, Ended: s.Ended, Reads: s.Held, Waits: s.Asleep,
			Owner: !owner.Free() && owner.Names(layout.OwnerOf(s.Slot, s.Incarnation)),
		})
	}
}
