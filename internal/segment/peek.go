package segment

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"samepage/internal/object"
	"samepage/internal/sys/process"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Seen describes a member as a process sees it that has not joined.
type Seen struct {
	Who
	Alive bool // it holds its lock byte
	// Foreign: PID belongs to another pid namespace. Ended: the process has ended, and a
	// descendant has inherited the descriptor that carries the lock.
	Foreign, Ended bool
	Asleep         bool      // its bit in Sleepers is set
	Since          time.Time // when its wait began; zero: it does not wait, or that is not known
}

// Member has the facts that all kinds report about a member. Package samepage says what the
// fields mean.
type Member struct {
	PID                          int
	Name                         string
	Joined                       time.Time
	Alive, Foreign, Ended, Waits bool
	Since                        time.Time
}

// Member has the facts that all kinds report about the member.
func (s *Seen) Member() Member {
	return Member{PID: int(s.PID), Name: s.Name, Joined: s.Joined, Alive: s.Alive, Foreign: s.Foreign, Ended: s.Ended, Waits: s.Asleep, Since: s.Since}
}

// Peek reads the segment in o without joining it, and ends one use of o. While f runs, the Handle
// can be used to read live words, and for nothing else.
//
// Errors: those of Open, except object.ErrTooManyMembers.
func Peek(o *object.Object, kind layout.Kind, liveSize int, f func(h *Handle, members []Seen)) error {
	defer o.Release()
	hd, err := header(o, kind, liveSize)
	if err != nil {
		return o.Damaged(err)
	}
	m, err := o.Map(0, int(control(hd)), layout.ReadOnly)
	if err != nil {
		return err
	}
	defer func() { _ = o.Unmap(m) }()
	locks, err := o.Sys.OpenLocks()
	if err != nil {
		return err
	}
	defer locks.Close()
	h := New(m.At(0, int(control(hd))), hd, locks, nil)
	bad := object.Guarded(m, func() {
		var members []Seen
		members, err = h.look(locks.Held)
		f(h, members)
	})
	return errors.Join(err, o.Damaged(bad))
}

// PeekDead is Peek for a segment that nobody uses any more. r has its bytes, and size is their
// number. All members in it are dead.
//
// Errors: those of r and of layout.ParseSegment.
func PeekDead(r io.ReaderAt, kind layout.Kind, size int64, f func(h *Handle, members []Seen)) error {
	head := make([]byte, layout.SegmentHeaderSize)
	if _, err := r.ReadAt(head, 0); err != nil {
		return err
	}
	hd, err := layout.ParseSegment(head, kind, size)
	if err == nil && hd.LiveSize < layout.LockWordsSize {
		err = tooFewWords(hd, kind, layout.LockWordsSize)
	}
	if err != nil {
		return err
	}
	// Only the first live words are needed, so only a little is copied.
	is := *hd
	is.Live, is.LiveSize = layout.SegmentHeaderSize, layout.LockWordsSize
	is.Table, is.SchemaSize = is.Live+is.LiveSize, 0
	b := words(int(control(&is)))
	_, err = r.ReadAt(b[is.Live:is.Table], int64(hd.Live))
	if err == nil {
		_, err = r.ReadAt(b[is.Table:], int64(hd.Table))
	}
	if err != nil {
		return err
	}
	h := New(b, &is, nil, nil)
	members, err := h.look(func(int) (bool, error) { return false, nil })
	f(h, members)
	return err
}

// look describes all members that have a slot in use. held says whether a lock byte is held.
func (h *Handle) look(held func(int) (bool, error)) (all []Seen, err error) {
	for i := range h.n {
		id := atomic.LoadUint64(h.identity(i))
		if id&inUse == 0 {
			continue
		}
		alive, herr := held(i)
		err = errors.Join(err, herr)
		s := Seen{Who: h.who(i, layout.OwnerOf(i, uint32(id>>32))), Alive: alive, Asleep: h.bit(i)}
		if ns := atomic.LoadUint64(h.since(i)); s.Asleep && ns != 0 {
			s.Since = time.Unix(0, int64(ns))
		}
		s.Foreign, s.Ended = process.Whereabouts(layout.Process{PID: s.PID, Start: s.Start}, s.Space)
		s.Ended = s.Ended && alive // a dead member has ended anyway
		s.Foreign = s.Foreign && (alive || s.Space != 0)
		all = append(all, s)
	}
	return all, err
}

// header reads and checks the header of a segment. An object with an exact name may come from
// another program, so it can be of another kind. Any other object of another kind is damaged.
func header(o *object.Object, kind layout.Kind, liveSize int) (*layout.SegmentHeader, error) {
	head := make([]byte, min(layout.SegmentHeaderSize, o.Sys.Size))
	if err := o.ReadAt(head, 0); err != nil {
		return nil, err
	}
	hd, err := layout.ParseSegment(head, kind, o.Sys.Size)
	if errors.Is(err, layout.ErrKindMismatch) && !o.Sys.Exact {
		err = fmt.Errorf("%w, but its name is the name of a %v: %w", syserr.OnlyNumber(err), kind, layout.ErrCorrupt)
	}
	if err == nil && hd.LiveSize < uint64(liveSize) {
		err = tooFewWords(hd, kind, liveSize)
	}
	return hd, err
}

func tooFewWords(hd *layout.SegmentHeader, kind layout.Kind, want int) error {
	return fmt.Errorf("segment has %d bytes of live words, want %d for a %v: %w", hd.LiveSize, want, kind, layout.ErrCorrupt)
}
