// Package laneseg has the segments of topics and cells: segments that contain lanes. It creates,
// joins and inspects them, takes back what their dead members held, and waits for messages and for
// room.
package laneseg

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Plan is the layout of a new segment.
type Plan struct {
	Kind    layout.Kind
	Config  *layout.LaneConfig
	Offsets *layout.LaneOffsets
	Type    *layout.Type // type of the messages or values; nil: bytes
}

// Check returns an error if no address space has room for the payload. Errors: option.ErrTooLarge.
func (p *Plan) Check() error {
	if p.Offsets.Payload > math.MaxInt/2 {
		return fmt.Errorf("a %v of %d bytes: %w", p.Kind, p.Offsets.Payload, option.ErrTooLarge)
	}
	return nil
}

// Size returns the size of the segment in bytes.
func (p *Plan) Size() int64 {
	return segment.Size(p.Type, p.Offsets.Live, int(p.Config.Readers), p.Offsets.Payload)
}

// InUse returns how many bytes of the segment have space while there are so many writers (of a
// cell: any number), and members keep so many messages of each lane.
func (p *Plan) InUse(writers, keeps int) int64 {
	if p.Config.Lanes == 0 {
		writers = 1
	}
	slots := min(p.Config.WriterSlots()+uint64(keeps), uint64(p.Config.Slots))
	return p.Size() - int64(p.Offsets.Payload-p.Offsets.Slots) + int64(uint64(writers)*slots*p.Config.SlotSize)
}

// Join creates or opens the segment of that name, and becomes a member of it that may write. If
// the segment exists, it keeps its own layout, but it must have the type of the plan; ToOpen uses
// only Kind and Type of the plan.
//
// Errors: those of segment.Spec.Get and segment.Open,
// layout.ErrKindMismatch (another type), layout.ErrCorrupt, syserr.ErrNoSpace.
func (p *Plan) Join(way segment.Way, o *object.Spec) (h *segment.Handle, set *lane.Set, existed bool, err error) {
	s := p.spec()
	n := *o
	n.Later = true
	obj, existed, err := s.Get(way, &n)
	if err != nil {
		return nil, nil, false, err
	}
	h, set, err = join(obj, p.Kind, layout.ReadWrite, func(h *layout.SegmentHeader) error { return h.CheckType(p.Type) })
	if err != nil {
		segment.Unmake(existed, o)
	}
	return h, set, existed, err
}

func (p *Plan) spec() segment.Spec {
	return segment.Spec{
		Kind: p.Kind, Members: int(p.Config.Readers), Live: lane.Live(p.Config, p.Offsets), Payload: p.Offsets.Payload, Type: p.Type,
		Role: writerRole(p.Kind),
	}
}

// writerRole is the role of those who write in a segment of that kind. Only they make one.
func writerRole(k layout.Kind) uint32 {
	if k == layout.Cell {
		return layout.RoleWriter
	}
	return layout.RolePublisher
}

// Open opens the segment of that name and of o.Kind, and becomes a member of it that reads only. If
// ty is not nil, the segment must have this type; if it is nil, any type is accepted.
//
// Errors: those of object.Open and segment.Open, layout.ErrKindMismatch (another type),
// layout.ErrCorrupt, syserr.ErrNoSpace.
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

// join becomes a member of the segment in o. If it fails, it ends one use of o.
func join(o *segment.Object, kind layout.Kind, payload layout.Access, check func(*layout.SegmentHeader) error) (_ *segment.Handle, _ *lane.Set, err error) {
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
	if _, err := h.Type(); err != nil {
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
	set.Reap(h.Me().Slot()) // clears what an earlier member of this slot has left
	if atomic.LoadUint64(set.Retired()) != 0 {
		return nil, nil, retired(h)
	}
	set.Later(func(off, n, more uint64) error { return h.Reserve(int64(off), int64(n), int64(more)) })
	if err := set.ReserveEntries(); err != nil {
		return nil, nil, err
	}
	return h, set, nil
}

// open finds the lanes of a segment. A cell must have none.
func open(h *segment.Handle, payload []byte, kind layout.Kind) (*lane.Set, error) {
	set, err := lane.Open(h.Live(), payload, h.Members())
	if err != nil {
		return nil, err
	}
	set.Edges = h.Edges
	if n := set.C.Lanes; (n == 0) != (kind == layout.Cell) {
		return nil, fmt.Errorf("a %v with %d lanes: %w", kind, n, layout.ErrCorrupt)
	}
	return set, nil
}

// repair takes back what a dead member held. Segments with lanes use it as segment.Repair.
func repair(h *segment.Handle, dead layout.Owner, _ segment.Who) {
	set, err := lane.Open(h.Live(), nil, h.Members())
	if err != nil {
		return // the next process that opens the segment gets the error
	}
	// Only if the slot still belongs to the dead member, or is free. Otherwise these are the words
	// of a new member.
	if _, o := h.HeldOf(dead.Slot()); o == dead || o.Free() {
		set.Reap(dead.Slot())
	}
	for p := range int(set.C.Named) {
		own := set.NamedOwner(p)
		if v := atomic.LoadUint64(own); layout.Owner(v).Names(dead) {
			atomic.CompareAndSwapUint64(own, v, 0)
		}
	}
	// A cell has no lanes. The lease of its writers is in the place of the Owner of lane 0.
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

// Abandon leaves a segment as if the member had died. It takes back at once what the member held.
func Abandon(h *segment.Handle) error {
	if h.Closed() {
		return nil
	}
	repair(h, h.Me(), segment.Who{})
	h.WakeAll()
	return h.Close()
}

// Seen is the state of a segment, for a process that is not a member of it.
type Seen struct {
	Set     *lane.Set    // without a payload
	Type    segment.Type // of the messages or values
	Room    int          // the largest number of members
	Members []segment.Seen
}

// Peek calls f with the state of the segment of that name and of o.Kind. f may use it only until f
// returns.
//
// Errors: those of Open except object.ErrTooManyMembers.
func Peek(o *object.Spec, f func(*Seen)) error {
	obj, err := object.Open(o)
	if err != nil {
		return err
	}
	var bad error
	err = segment.Peek(obj, o.Kind, layout.LaneWordsOffset, func(h *segment.Handle, members []segment.Seen) {
		s := &Seen{Room: h.Members(), Members: members}
		if s.Set, bad = open(h, nil, o.Kind); bad != nil {
			return
		}
		if s.Type, bad = h.Type(); bad != nil {
			return
		}
		f(s)
	})
	return errors.Join(err, obj.Damaged(bad))
}
