package stream

import (
	"sync/atomic"

	"samepage"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// State is the state of a listener at one moment, as its members have written it into shared
// memory.
type State struct {
	Kind        samepage.Kind `json:"kind"`
	Connections int           `json:"connections"` // the largest number
	Buffer      int           `json:"buffer"`      // bytes of each direction of a connection
	Open        int           `json:"open"`        // accepted connections
	Asked       int           `json:"asked"`       // connections that wait for Accept
	Members     []Member      `json:"members"`     // processes that listen or dial
	Room        int           `json:"room"`        // the largest number of members
}

// Member is one member of a listener: a Listener, or all connections that a process has dialed.
type Member struct {
	samepage.Member
	Listener    bool `json:"listener,omitempty"` // it accepts connections, or has accepted some
	Listens     bool `json:"listens,omitempty"`  // it accepts connections now
	Connections int  `json:"connections"`
	Asked       int  `json:"asked,omitempty"` // of its connections: those that wait for Accept
}

// Inspect returns the state of a listener. It does not become a member of it.
//
// Errors: fs.ErrNotExist, samepage.ErrCorrupt, and those of samepage.Open.
func Inspect(name string, opts *samepage.InspectOptions) (*State, error) {
	if opts == nil {
		opts = &samepage.InspectOptions{}
	}
	o := &Options{Scope: opts.Scope, Owner: opts.Owner}
	st, err := o.inspect(name)
	return st, wrap("inspect", o.addr(name), err)
}

func (o *Options) inspect(name string) (*State, error) {
	spec := o.spec(name)
	spec.Access = layout.ReadOnly
	obj, err := object.Open(spec)
	if err != nil {
		return nil, err
	}
	st := &State{Kind: samepage.KindListener, Members: []Member{}}
	var bad error
	err = segment.Peek(obj, layout.Listener, layout.ListenerWordsSize+layout.ConnWordsSize, func(h *segment.Handle, all []segment.Seen) {
		bad = st.look(h, all)
	})
	if bad != nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (st *State) look(h *segment.Handle, all []segment.Seen) error {
	n, ring, err := layout.ListenerConns(h.Header())
	if err != nil {
		return err
	}
	st.Connections, st.Buffer, st.Room = n, int(ring), h.Members()
	listens := h.Owner()
	conns, asked := make(map[int]int), make(map[int]int) // by slot
	t := table{h}
	for k := range n {
		s := t.load(k)
		dialer := layout.Owner(atomic.LoadUint64(t.dialer(k)))
		switch s.Phase() {
		case layout.ConnAsked:
			st.Asked++
			conns[dialer.Slot()]++
			asked[dialer.Slot()]++
		case layout.ConnOpen:
			st.Open++
			if s&layout.ConnDialerLeft == 0 {
				conns[dialer.Slot()]++
			}
			if s&layout.ConnAcceptorLeft == 0 {
				conns[s.Member().Slot()]++
			}
		}
	}
	for _, m := range all {
		st.Members = append(st.Members, Member{
			Member: samepage.Member(m.Member()), Listener: m.Role == layout.RoleListener,
			Listens:     !listens.Free() && listens.Names(layout.OwnerOf(m.Slot, m.Incarnation)),
			Connections: conns[m.Slot], Asked: asked[m.Slot],
		})
	}
	return nil
}
