// Package laneseg has segments with lanes in them, which is what topics and cells are:
// how they are made, joined, looked at, and given back what their dead members had.
package laneseg

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Plan is the layout of a segment to be made.
type Plan struct {
	Kind    layout.Kind
	Config  *layout.LaneConfig
	Offsets *layout.LaneOffsets
	Type    *layout.Type // of what it carries; nil: bytes
}

// Check refuses a payload that no address space holds. Errors: object.ErrTooLarge.
func (p *Plan) Check() error {
	if p.Offsets.Payload > math.MaxInt/2 {
		return fmt.Errorf("a %v of %d bytes: %w", p.Kind, p.Offsets.Payload, object.ErrTooLarge)
	}
	return nil
}

// Size is how many bytes the segment takes.
func (p *Plan) Size() int64 {
	return segment.Size(p.Offsets.Live, int(p.Config.Readers), p.Offsets.Payload)
}

// OpenOrCreate opens the segment of that name, or makes it by the plan, and becomes a
// member of it that may write. One that exists keeps its own layout; it has to carry the
// plan's type.
//
// Errors: those of Open and of segment.Spec.OpenOrCreate.
func (p *Plan) OpenOrCreate(o *object.Spec) (h *segment.Handle, set *lane.Set, existed bool, err error) {
	s := p.spec()
	obj, existed, err := s.OpenOrCreate(o)
	if err != nil {
		return nil, nil, false, err
	}
	h, set, err = p.join(obj)
	return h, set, existed, err
}

// Create makes the segment by the plan, and becomes a member of it that may write.
//
// Errors: those of segment.Spec.Create and segment.Open.
func (p *Plan) Create(o *object.Spec) (*segment.Handle, *lane.Set, error) {
	s := p.spec()
	obj, err := s.Create(o)
	if err != nil {
		return nil, nil, err
	}
	return p.join(obj)
}

// Open becomes a member, that may write, of the segment of that name. Of the plan it heeds
// Kind and Type.
//
// Errors: those of Open.
func (p *Plan) Open(o *object.Spec) (*segment.Handle, *lane.Set, error) {
	n := *o
	n.Kind = p.Kind
	obj, err := segment.OpenObject(&n)
	if err != nil {
		return nil, nil, err
	}
	return p.join(obj)
}

func (p *Plan) join(o *object.Object) (*segment.Handle, *lane.Set, error) {
	return join(o, p.Kind, layout.ReadWrite, func(h *layout.SegmentHeader) error { return h.CheckType(p.Type) })
}

func (p *Plan) spec() segment.Spec {
	s := segment.Spec{Kind: p.Kind, Members: int(p.Config.Readers), Live: lane.Live(p.Config, p.Offsets), Payload: p.Offsets.Payload}
	if p.Type != nil {
		s.Fingerprint, s.TypeName = p.Type.Fingerprint, p.Type.Name
	}
	return s
}

// Open becomes a member, that only reads, of the segment of that name and of o.Kind.
// With a type it has to carry that one; ty nil: it may carry any.
//
// Errors: those of object.Open and segment.Open, object.ErrKindMismatch (another
// type), object.ErrCorrupt.
func Open(o *object.Spec, ty *layout.Type) (*segment.Handle, *lane.Set, error) {
	obj, err := segment.OpenObject(o)
	if err != nil {
		return nil, nil, err
	}
	return join(obj, o.Kind, layout.ReadOnly, func(h *layout.SegmentHeader) error {
		if ty == nil {
			return nil
		}
		return h.CheckType(ty)
	})
}

// join becomes a member of the segment in o, and ends one use of o when it fails.
func join(o *object.Object, kind layout.Kind, payload layout.Access, check func(*layout.SegmentHeader) error) (_ *segment.Handle, _ *lane.Set, err error) {
	h, err := segment.Open(o, kind, layout.LaneWordsOffset, repair)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(o.Damaged(err), h.Close())
		}
	}()
	if err := check(h.Header()); err != nil {
		return nil, nil, err
	}
	b, err := h.MapPayload(payload)
	if err != nil {
		return nil, nil, err
	}
	set, err := open(h, b, kind)
	if err != nil {
		return nil, nil, err
	}
	set.Reap(h.Me().Slot()) // what a former member of this slot has left
	return h, set, nil
}

// open finds the lanes, and none in a cell.
func open(h *segment.Handle, payload []byte, kind layout.Kind) (*lane.Set, error) {
	set, err := lane.Open(h.Live(), payload, h.Members())
	if err != nil {
		return nil, err
	}
	set.Edges = h.Edges
	if n := set.C.Lanes; (n == 0) != (kind == layout.Cell) {
		return nil, fmt.Errorf("a %v with %d lanes: %w", kind, n, object.ErrCorrupt)
	}
	return set, nil
}

// repair takes back what a dead member held. It is the segment.Repair of these segments.
func repair(h *segment.Handle, dead layout.Owner, _ segment.Who) {
	set, err := lane.Open(h.Live(), nil, h.Members())
	if err != nil {
		return // the next one that opens the segment gets the error
	}
	// Only while the slot is the dead member's or free: by now these may be the words of a
	// new member.
	if _, o := h.HeldOf(dead.Slot()); o == dead || o.Free() {
		set.Reap(dead.Slot())
	}
	// A cell has no lanes; the lease of its writers is where the Owner of lane 0 would be.
	n := int(set.C.Lanes)
	for l := range max(n, 1) {
		own := set.Owner(l)
		v := atomic.LoadUint64(own)
		if !layout.Owner(v).Names(dead) {
			continue
		}
		if n > 0 {
			atomic.AddUint64(set.Ends(l), 1<<32)
		}
		atomic.CompareAndSwapUint64(own, v, 0)
	}
}

// Abandon leaves a segment as if the member had died, and takes back at once what it
// held.
func Abandon(h *segment.Handle) error {
	if h.Closed() {
		return nil
	}
	repair(h, h.Me(), segment.Who{})
	h.WakeAll()
	return h.Close()
}

// Seen is a segment as it looks from outside, to a process that is no member.
type Seen struct {
	Set         *lane.Set // without a payload
	Type        string    // of what it carries, or "bytes"
	Fingerprint string    // of the type, in hexadecimal; empty: bytes
	Room        int       // for how many members
	Members     []segment.Seen
}

// Peek calls f with what the segment of that name and of o.Kind looks like; what f
// sees is good while it runs.
//
// Errors: those of Open, but for object.ErrTooManyMembers.
func Peek(o *object.Spec, f func(*Seen)) error {
	obj, err := object.Open(o)
	if err != nil {
		return err
	}
	var bad error
	err = segment.Peek(obj, o.Kind, layout.LaneWordsOffset, func(h *segment.Handle, members []segment.Seen) {
		s := &Seen{Type: "bytes", Room: h.Members(), Members: members}
		if s.Set, bad = open(h, nil, o.Kind); bad != nil {
			return
		}
		if hd := h.Header(); hd.Fingerprint != 0 {
			s.Type, s.Fingerprint = layout.Text(hd.TypeName[:]), fmt.Sprintf("%016x", hd.Fingerprint)
		}
		f(s)
	})
	return errors.Join(err, obj.Damaged(bad))
}
