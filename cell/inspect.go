package cell

import (
	"sync/atomic"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/layout"
)

// State is the state of a cell at one moment, as its members have written it into shared memory.
type State struct {
	Kind samepage.Kind `json:"kind"`
	Type string        `json:"type"` // type of the values: the name of a Go type, or "bytes"
	// Fingerprint is the fingerprint of the type, in hexadecimal. It is empty for bytes.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Schema tells the fields of the type, see docs/layout.md. It is empty for bytes.
	Schema string `json:"schema,omitempty"`
	Cap    int    `json:"cap"` // bytes of the largest value
	// Generation has the lower 44 bits of the generation of the latest value. It is 0 if there is
	// no value.
	Generation uint64   `json:"generation"`
	Checksums  bool     `json:"checksums,omitempty"`
	Times      bool     `json:"times,omitempty"`
	Members    []Member `json:"members"` // writers and readers in all processes
	Room       int      `json:"room"`    // the largest number of members
}

// Member is one writer or reader of a cell.
type Member struct {
	samepage.Member
	Writer  bool `json:"writer,omitempty"`
	Writing bool `json:"writing,omitempty"` // it has the turn
	Holds   int  `json:"holds,omitempty"`   // values that it keeps with Hold
}

// Inspect returns the state of a cell. It does not become a member of the cell.
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
	o := object.Spec{Name: name, Kind: layout.Cell, Access: layout.ReadOnly}
	if opts != nil {
		o.Scope, o.Owner = layout.Scope(opts.Scope), opts.Owner
	}
	st := &State{Kind: samepage.KindCell, Members: []Member{}}
	err := laneseg.Peek(&o, st.look)
	return st, err
}

func (st *State) look(s *laneseg.Seen) {
	set := s.Set
	st.Room, st.Type, st.Fingerprint, st.Schema = s.Room, s.Type.Name, s.Type.Fingerprint, s.Type.Schema
	st.Cap, st.Generation = int(set.C.MaxSize), set.Generation()
	st.Checksums, st.Times = set.C.Flags&layout.LaneChecksum != 0, set.C.Flags&layout.LaneTime != 0
	owner := layout.Owner(atomic.LoadUint64(set.Owner(0)))
	for _, m := range s.Members {
		st.Members = append(st.Members, Member{
			Member: samepage.Member(m.Member()), Writer: m.Role == layout.RoleWriter,
			Holds:   s.Set.Holds(m.Slot),
			Writing: !owner.Free() && owner.Names(layout.OwnerOf(m.Slot, m.Incarnation)),
		})
	}
}
