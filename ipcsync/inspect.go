package ipcsync

import (
	"sync/atomic"

	"samepage"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// State describes a lock or an event at one moment. What it says about a member was written by
// the process of that member.
type State struct {
	Kind    samepage.Kind `json:"kind"`
	Members []Member      `json:"members"` // handles, in all processes
	Room    int           `json:"room"`    // places for members
	// Dirty: an owner died while holding the lock, and nobody has called Consistent since. Died
	// says which owner.
	Dirty  bool            `json:"dirty,omitempty"`
	Died   *OwnerDiedError `json:"died,omitempty"`
	Set    bool            `json:"set,omitempty"`    // of an event
	Manual bool            `json:"manual,omitempty"` // of an event
	Units  uint32          `json:"units,omitempty"`  // of a semaphore
	Max    uint32          `json:"max,omitempty"`    // of a semaphore
}

// Member is one handle on a lock or an event.
type Member struct {
	samepage.Member
	// Owner: it holds the mutex or the write lock, or it is the writer that waits for the readers
	// to leave.
	Owner bool   `json:"owner,omitempty"`
	Reads uint64 `json:"reads,omitempty"` // number of read locks that it holds
}

// InspectMutex returns the state of a mutex, without becoming a member of it.
//
// Errors: fs.ErrNotExist, samepage.ErrCorrupt, and those of samepage.Open.
func InspectMutex(name string, opts *samepage.InspectOptions) (*State, error) {
	return inspect(layout.Mutex, name, opts)
}

// InspectRWMutex returns the state of an RWMutex, without becoming a member of it. Errors: those
// of InspectMutex.
func InspectRWMutex(name string, opts *samepage.InspectOptions) (*State, error) {
	return inspect(layout.RWMutex, name, opts)
}

// InspectSemaphore returns the state of a semaphore, without becoming a member of it. Errors:
// those of InspectMutex.
func InspectSemaphore(name string, opts *samepage.InspectOptions) (*State, error) {
	return inspect(layout.Semaphore, name, opts)
}

// InspectEvent returns the state of an event, without becoming a member of it. Exact events of
// Windows have no members and cannot be inspected. Errors: those of InspectMutex.
func InspectEvent(name string, opts *samepage.InspectOptions) (*State, error) {
	return inspect(layout.Event, name, opts)
}

func inspect(kind layout.Kind, name string, opts *samepage.InspectOptions) (*State, error) {
	spec := object.Spec{Name: name, Kind: kind, Access: layout.ReadOnly}
	if opts != nil {
		spec.Scope, spec.Owner = layout.Scope(opts.Scope), opts.Owner
	}
	st := &State{Kind: samepage.Kind(kind)}
	o, err := object.Open(&spec)
	if err == nil {
		err = segment.Peek(o, kind, layout.LockWordsSize, st.look)
	}
	if err != nil {
		return nil, wrapNew("inspect", kind, name, err)
	}
	return st, nil
}

func (st *State) look(h *segment.Handle, members []segment.Seen) {
	state := atomic.LoadUint64(h.Live64(layout.LockStateOffset))
	st.Room = h.Members()
	owner := h.Owner()
	switch st.Kind {
	case samepage.KindEvent:
		st.Set, st.Manual = state&1 != 0, h.Flags()&layout.EventManual != 0
	case samepage.KindSemaphore:
		st.Units, st.Max = uint32(state), h.Flags()
	default:
		if owner&layout.Dirty != 0 {
			st.Dirty, st.Died = true, whoDied(h)
		}
	}
	for _, s := range members {
		st.Members = append(st.Members, Member{
			Member: samepage.Member(s.Member()), Reads: s.Held,
			Owner: !owner.Free() && owner.Names(layout.OwnerOf(s.Slot, s.Incarnation)),
		})
	}
}
