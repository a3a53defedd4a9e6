package rpc

import (
	"errors"
	"fmt"
	"slices"

	"samepage"
	"samepage/internal/call"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/internal/sys"
	"samepage/layout"
)

// State is the state of a service at one moment, as its members have written it into shared memory.
type State struct {
	Kind samepage.Kind `json:"kind"`
	Type string        `json:"type"` // type of the calls: "func(T) U", or "bytes"
	// Fingerprint is the fingerprint of the type, in hexadecimal. It is empty for bytes.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Schema tells the fields of the type, see docs/layout.md. It is empty for bytes.
	Schema      string   `json:"schema,omitempty"`
	MaxRequest  int      `json:"max_request"`  // bytes
	MaxResponse int      `json:"max_response"` // bytes
	Parts       int      `json:"parts"`        // of a streamed response that may wait
	Calls       int      `json:"calls"`        // the largest number of calls at a time
	InFlight    int      `json:"in_flight"`    // calls that were asked and not answered
	Waiting     int      `json:"waiting"`      // of these: calls that no worker has taken
	Members     []Member `json:"members"`      // clients and workers in all processes
	Room        int      `json:"room"`         // the largest number of members
}

// Member is one client or worker of a service.
type Member struct {
	samepage.Member
	Worker bool `json:"worker,omitempty"`
	// Calls is the number of calls in flight that a client has asked, or that a worker has taken.
	Calls int `json:"calls,omitempty"`
	// Awaits are the workers that have taken calls of a client: indices of State.Members.
	Awaits []int `json:"awaits,omitempty"`
	// Expected: a client sleeps until this worker answers.
	Expected bool `json:"expected,omitempty"`
}

// Inspect returns the state of a service. It does not become a member of the service.
//
// Errors: fs.ErrNotExist, samepage.ErrCorrupt, and those of samepage.Open.
func Inspect(name string, opts *samepage.InspectOptions) (*State, error) {
	st, err := inspect(name, opts)
	if err != nil {
		return nil, wrap("inspect", name, err)
	}
	return st, nil
}

func inspect(name string, opts *samepage.InspectOptions) (*State, error) {
	o := object.Spec{Name: name, Kind: layout.Service, Access: layout.ReadOnly}
	if opts != nil {
		o.Scope, o.Owner = layout.Scope(opts.Scope), opts.Owner
	}
	obj, err := object.Open(&o)
	if err != nil {
		return nil, err
	}
	st := &State{Kind: samepage.KindService, Members: []Member{}}
	var bad error
	err = segment.Peek(obj, layout.Service, layout.ServiceLiveSize, func(h *segment.Handle, members []segment.Seen) {
		hd := h.Header()
		st.Room = h.Members()
		ty, err := h.Type()
		if err != nil {
			bad = err
			return
		}
		st.Type, st.Fingerprint, st.Schema = ty.Name, ty.Fingerprint, ty.Schema
		m, err := obj.Map(int64(hd.Payload), int(hd.PayloadSize), layout.ReadOnly)
		if err != nil {
			bad = err
			return
		}
		defer func() { bad = errors.Join(bad, obj.Unmap(m)) }()
		set, err := call.Open(h.Live(), m.At(int64(hd.Payload), int(hd.PayloadSize)))
		if err != nil {
			bad = err
			return
		}
		// A slot without space faults if there is no more (only while the service is made).
		if !sys.Guard(m.Bytes, func() { st.look(set, members) }) {
			bad = fmt.Errorf("the call slots cannot be read: %w", samepage.ErrCorrupt)
		}
	})
	return st, errors.Join(err, obj.Damaged(bad))
}

func (st *State) look(set *call.Set, members []segment.Seen) {
	st.MaxRequest, st.MaxResponse = int(set.C.Request), int(set.C.Response)
	st.Parts, st.Calls = int(set.C.Parts), set.Calls()
	for _, m := range members {
		st.Members = append(st.Members, Member{Member: samepage.Member(m.Member()), Worker: m.Role == layout.RoleWorker})
	}
	find := func(o layout.Owner) (int, *Member) {
		for i, m := range members {
			if o.Names(layout.OwnerOf(m.Slot, m.Incarnation)) {
				return i, &st.Members[i]
			}
		}
		return 0, nil
	}
	for slot := range set.Calls() {
		s := set.StateOf(slot)
		_, client := find(set.OwnerOf(slot))
		switch {
		case set.Idle(slot):
			continue
		case s.Phase() == layout.CallAsked:
			st.Waiting++
		case s.Phase() == layout.CallTaken:
			if i, w := find(s.Worker()); w != nil {
				w.Calls++
				w.Expected = w.Expected || client != nil && client.Waits
				if client != nil && !slices.Contains(client.Awaits, i) {
					client.Awaits = append(client.Awaits, i)
				}
			}
		}
		st.InFlight++
		if client != nil {
			client.Calls++
		}
	}
}
