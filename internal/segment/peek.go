package segment

import (
	"errors"
	"fmt"
	"sync/atomic"

	"samepage"
	"samepage/internal/sys"
	"samepage/layout"
)

// Seen is a member as somebody sees it who is none.
type Seen struct {
	Who
	Alive bool // it holds its lock byte
	// Foreign: its PID is not one of this pid namespace. Ended: its process has ended, and
	// a descendant has the descriptor that carries the lock.
	Foreign, Ended bool
	Asleep         bool // its bit stands in Sleepers
}

// Peek looks at the segment in m, which it takes over, without joining. While f
// runs the Handle is good for reading live words, and for nothing else.
//
// Errors: those of Open, but for samepage.ErrTooManyMembers.
func Peek(m *samepage.Memory, kind layout.Kind, liveSize int, f func(h *Handle, members []Seen)) error {
	defer m.Close()
	hd, err := header(m, kind, liveSize)
	if err != nil {
		return Damaged(m, err)
	}
	o := sys.ObjectOf(m)
	b, err := o.Map(0, int(control(hd)), layout.ReadOnly)
	if err != nil {
		return err
	}
	defer func() { _ = o.Unmap(b) }()
	locks, err := o.OpenLocks()
	if err != nil {
		return err
	}
	defer locks.Close()
	h := New(b, hd, locks, nil)
	var all []Seen
	for i := range h.n {
		id := atomic.LoadUint64(h.identity(i))
		if id&inUse == 0 {
			continue
		}
		alive, herr := locks.Held(i)
		err = errors.Join(err, herr)
		s := Seen{Who: h.who(i, layout.OwnerOf(i, uint32(id>>32))), Alive: alive, Asleep: h.bit(i)}
		s.Foreign, s.Ended = sys.Whereabouts(sys.Process{PID: s.PID, Start: s.Start}, s.Space)
		s.Ended = s.Ended && alive // else it is dead, as can be expected
		s.Foreign = s.Foreign && (alive || s.Space != 0)
		all = append(all, s)
	}
	f(h, all)
	return err
}

// header reads and checks the header of a segment. Only what has a bare name, which
// others may have given, can be of another kind; else it is damaged.
func header(m *samepage.Memory, kind layout.Kind, liveSize int) (*layout.SegmentHeader, error) {
	head := make([]byte, min(layout.SegmentHeaderSize, m.Size()))
	if _, err := m.ReadAt(head, 0); err != nil {
		return nil, err
	}
	hd, err := layout.ParseSegment(head, kind, m.Size())
	if errors.Is(err, samepage.ErrKindMismatch) && !sys.ObjectOf(m).Exact {
		err = fmt.Errorf("%w, and its name is that of a %v: %w", sys.OnlyNumber(err), kind, samepage.ErrCorrupt)
	}
	if err == nil && hd.LiveSize < uint64(liveSize) {
		err = fmt.Errorf("segment with %d bytes of live words, a %v has %d: %w", hd.LiveSize, kind, liveSize, samepage.ErrCorrupt)
	}
	return hd, err
}

// Damaged adds to samepage.ErrCorrupt the command that takes the object of m away.
func Damaged(m *samepage.Memory, err error) error {
	o := sys.ObjectOf(m)
	return sys.Damaged(err, o.Kind, o.Scope, o.Name, o.Exact)
}
