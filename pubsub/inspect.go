package pubsub

import (
	"fmt"
	"sync/atomic"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/layout"
)

// State is the state of a topic at one moment, as its members have written it into shared memory.
type State struct {
	Kind samepage.Kind `json:"kind"`
	Type string        `json:"type"` // type of the messages: the name of a Go type, or "bytes"
	// Fingerprint is the fingerprint of the type, in hexadecimal. It is empty for bytes.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Schema tells the fields of the type, see docs/layout.md. It is empty for bytes.
	Schema  string      `json:"schema,omitempty"`
	Options Options     `json:"options"` // with which the topic was created
	Lanes   []LaneState `json:"lanes"`   // the places of publishers, also those without one
	Members []Member    `json:"members"` // publishers and subscribers in all processes
	Room    int         `json:"room"`    // the largest number of members
	// Readers are the names of subscribers that were used in the topic, see
	// SubscriberOptions.Reader.
	Readers []NamedReader `json:"named_readers,omitempty"`
}

// NamedReader is the place of a named reader.
type NamedReader struct {
	// Key is a hash of the name, in hexadecimal: KeyOf gives it. The topic does not have the name.
	Key    string  `json:"key"`
	Reader *Member `json:"reader,omitempty"` // that reads under the name now; nil: nobody
	// Next are the numbers of the messages after those that were acknowledged, for each place of a
	// publisher. 0: none was acknowledged.
	Next []uint64 `json:"next"`
}

// KeyOf returns the NamedReader.Key of a name.
func KeyOf(name string) string { return fmt.Sprintf("%016x", layout.NameKey(name)) }

// LaneState is the state of the place of one publisher. Its index is Message.Publisher.
type LaneState struct {
	Publisher *Member `json:"publisher,omitempty"` // nil: the place has no publisher now
	// Messages is the number of messages that were published in this place, by all publishers that
	// ever had it.
	Messages uint64 `json:"messages"`
	// Bytes is the number of bytes of all these messages. In a topic with Options.Pack it includes
	// what the packs add to the messages. It may be one message behind.
	Bytes uint64 `json:"bytes"`
	Ends  uint32 `json:"ends"` // the number of publishers that called Close
	// Deaths is the number of publishers that called Abort, or died and were found dead.
	Deaths uint32 `json:"deaths"`
}

// Member is one publisher or subscriber of a topic.
type Member struct {
	samepage.Member
	Role Role `json:"role"`
	// Behind is the number of messages that a reliable subscriber has not let go yet, for each
	// place of a publisher. In a topic with Options.Pack it is the number of packs.
	Behind  []uint64 `json:"behind,omitempty"`
	Evicted bool     `json:"evicted,omitempty"` // a publisher evicted it, because it was too slow
	Holds   int      `json:"holds,omitempty"`   // messages that it keeps with Hold
}

// Role says what a member does.
type Role uint32

const (
	Joining    Role = iota // the member has not set its role yet
	Publishing             // a publisher
	Reliable               // a reliable subscriber
	BestEffort             // a best-effort subscriber
)

// The numbers are the same as in package layout. A difference stops the build.
const (
	_ = -(uint32(Publishing) ^ layout.RolePublisher)
	_ = -(uint32(Reliable) ^ layout.RoleReliable)
	_ = -(uint32(BestEffort) ^ layout.RoleBestEffort)
)

func (r Role) String() string {
	switch r {
	case Joining:
		return "joining"
	case Publishing:
		return "publisher"
	case Reliable:
		return "reliable"
	case BestEffort:
		return "best-effort"
	}
	return fmt.Sprintf("role %d", uint32(r))
}

// MarshalText returns the name of r.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (r *Role) UnmarshalText(b []byte) error {
	for _, v := range []Role{Joining, Publishing, Reliable, BestEffort} {
		if v.String() == string(b) {
			*r = v
			return nil
		}
	}
	if _, err := fmt.Sscanf(string(b), "role %d", (*uint32)(r)); err != nil {
		return fmt.Errorf("%q is not the role of a member", b)
	}
	return nil
}

// Inspect returns the state of a topic. It does not become a member of the topic.
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
	o := object.Spec{Name: name, Kind: layout.Topic, Access: layout.ReadOnly}
	if opts != nil {
		o.Scope, o.Owner = layout.Scope(opts.Scope), opts.Owner
	}
	st := &State{Kind: samepage.KindTopic, Lanes: []LaneState{}, Members: []Member{}}
	err := laneseg.Peek(&o, st.look)
	return st, err
}

func (st *State) look(seen *laneseg.Seen) {
	set, members := seen.Set, seen.Members
	st.Room, st.Type, st.Fingerprint, st.Schema, st.Options = seen.Room, seen.Type.Name, seen.Type.Fingerprint, seen.Type.Schema, optionsOf(&set.C)
	heads := make([]uint64, set.C.Lanes)
	for l := range heads {
		heads[l] = hint(set.Head(l))
	}
	for _, s := range members {
		m := Member{Member: samepage.Member(s.Member()), Role: Role(s.Role), Holds: set.Holds(s.Slot)}
		if m.Role == Reliable {
			m.lag(set, s.Slot, heads)
		}
		st.Members = append(st.Members, m)
	}
	for l, head := range heads {
		ends := atomic.LoadUint64(set.Ends(l))
		if set.C.Pack > 0 {
			head = hint(set.Number(l))
		}
		ls := LaneState{Messages: head - 1, Bytes: atomic.LoadUint64(set.Bytes(l)), Ends: uint32(ends), Deaths: uint32(ends >> 32)}
		owner := layout.Owner(atomic.LoadUint64(set.Owner(l)))
		for i, s := range members {
			if !owner.Free() && owner.Names(layout.OwnerOf(s.Slot, s.Incarnation)) {
				p := st.Members[i]
				ls.Publisher = &p
			}
		}
		st.Lanes = append(st.Lanes, ls)
	}
	for p := range int(set.C.Named) {
		key := atomic.LoadUint64(set.NamedKey(p))
		if key == 0 {
			break // places get their keys in order
		}
		r := NamedReader{Key: fmt.Sprintf("%016x", key), Next: make([]uint64, len(heads))}
		for l := range heads {
			if next := atomic.LoadUint64(set.NamedNext(p, l)); next < layout.MaxNumber {
				r.Next[l] = next
			}
		}
		owner := layout.Owner(atomic.LoadUint64(set.NamedOwner(p)))
		for i, s := range members {
			if !owner.Free() && owner.Names(layout.OwnerOf(s.Slot, s.Incarnation)) {
				m := st.Members[i]
				r.Reader = &m
			}
		}
		st.Readers = append(st.Readers, r)
	}
}

// hint returns a word that has the number of the next message, or 1 if the word is corrupt.
func hint(word *uint64) uint64 {
	h := atomic.LoadUint64(word)
	if h == 0 || h > layout.MaxNumber {
		return 1
	}
	return h
}

// lag sets how far a reliable subscriber is behind. Its cursor may be ahead of the head, because
// the head was loaded earlier. The result is at most the number of entries of a lane: only a
// corrupt cursor is further behind.
func (m *Member) lag(set *lane.Set, slot int, heads []uint64) {
	m.Behind = make([]uint64, len(heads))
	for l, head := range heads {
		cursor, yes, evicted := set.Reliable(l, slot)
		m.Evicted = m.Evicted || evicted
		if yes && !evicted && cursor > 0 && cursor < head {
			m.Behind[l] = min(head-cursor, uint64(set.C.Entries))
		}
	}
}
