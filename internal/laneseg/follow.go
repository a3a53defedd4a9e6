package laneseg

import (
	"context"
	"errors"
	"io"

	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Since says what has happened since the message before. Package samepage has the same type, and
// says there what the fields mean.
type Since struct {
	Missed                        uint64
	New, Gone, Retired            bool
	Ended, Died, Evicted, Damaged uint32
}

// Followed is an object that a follower has open. M is a message or a value.
type Followed[M any] struct {
	Handle *segment.Handle
	Take   func(context.Context) (M, error)
	Close  func() error
	// At returns the numbers of the messages that come next, and Behind how many there still are.
	// Both are nil for an object without history.
	At     func() []uint64
	Behind func() uint64
}

// Last is the object that a follower had open before. Its numbers are valid only for this object.
type Last struct {
	ID     layout.ID
	At     []uint64
	behind uint64
	over   bool // it has nothing more to give
}

// Follow calls yield with one message after the other of all objects that have a name one after the
// other, until yield returns false, or after an error that it yields. open opens the name of. If it
// opens the object of last again, it continues at last.At; with any other object it begins with
// message 1. last is nil for the first object. If news is set, Follow also yields without a message
// when something has happened.
//
// Follow waits only with the death watch and in Take. So it never spins: an object that is over is
// never opened again, and after several events without a message it waits for a look of the death
// watch before each event.
func Follow[M any](ctx context.Context, of *object.Spec, news bool, open func(last *Last) (*Followed[M], error), yield func(m M, since Since, err error) bool) {
	f := follower[M]{of: of, open: open}
	defer f.end()
	var none M
	for {
		err := f.attach(ctx)
		var m M
		if err == nil {
			m, err = f.now.Take(ctx)
		}
		if err == nil {
			f.events = 0
			since := f.since
			f.since = Since{}
			if !yield(m, since, nil) {
				return
			}
			continue
		}
		if !f.happened(err) {
			yield(none, f.since, err)
			return
		}
		if err := f.pause(ctx); err != nil {
			yield(none, f.since, err)
			return
		}
		if news {
			since := f.since
			f.since = Since{}
			if !yield(none, since, nil) {
				return
			}
		}
	}
}

// follower is a run of Follow.
type follower[M any] struct {
	of     *object.Spec // the name
	open   func(*Last) (*Followed[M], error)
	now    *Followed[M] // nil: none is open
	last   *Last
	kept   []*Followed[M] // those that are left, but the user holds messages of them
	since  Since
	events int // since the last message
}

// attach opens the name, if nothing is open.
func (f *follower[M]) attach(ctx context.Context) error {
	if f.now != nil {
		return nil
	}
	looks := 0
	return segment.Until(ctx, func() (bool, error) {
		f.close() // what the user holds no more may be in the way
		if looks++; looks > 1 && object.Absent(f.of) {
			return false, nil // cheaper than the error of open
		}
		now, err := f.open(f.last)
		switch {
		case err == nil:
			return f.opened(now), nil
		case segment.NotYet(err):
			return false, nil
		case f.last != nil && (errors.Is(err, object.ErrTooManyMembers) || errors.Is(err, syserr.ErrBusy)):
			return false, nil // others were faster; a place may become free
		}
		return false, err
	})
}

// opened returns false if the object is one that is over.
func (f *follower[M]) opened(now *Followed[M]) bool {
	if l := f.last; l != nil {
		if now.Handle.ID() != l.ID {
			f.since.New = true
			f.since.Missed += l.behind
		} else if l.over {
			_ = now.Close()
			return false
		}
	}
	f.now = now
	return true
}

// happened notes what an error of Take says. It returns false if the error ends the loop.
func (f *follower[M]) happened(err error) bool {
	s := &f.since
	switch {
	case err == io.EOF:
		s.Ended++
		f.now.Handle.LookAtName()
	case errors.Is(err, object.ErrPeerDied):
		s.Died++
		f.now.Handle.LookAtName()
	case errors.Is(err, object.ErrChecksum):
		s.Damaged++
		f.events = 0
		return true
	case errors.Is(err, layout.ErrEvicted):
		s.Evicted++
		f.leave(false)
	case errors.Is(err, layout.ErrRetired):
		s.Retired = true
		f.leave(true)
	case errors.Is(err, syserr.ErrNameGone):
		s.Gone = true
		f.leave(true)
	default:
		return false
	}
	f.events++
	return true
}

// mostEvents is how many events may come without a message and without a pause.
const mostEvents = 4

// pause waits for a look of the death watch after several events without a message.
func (f *follower[M]) pause(ctx context.Context) error {
	if err := ctx.Err(); err != nil || f.events <= mostEvents {
		return err
	}
	looked := false
	return segment.Until(ctx, func() (bool, error) {
		was := looked
		looked = true
		return was, nil
	})
}

// leave closes what is open.
func (f *follower[M]) leave(over bool) {
	l := &Last{ID: f.now.Handle.ID(), over: over}
	if f.now.At != nil {
		l.At, l.behind = f.now.At(), f.now.Behind()
	}
	f.last = l
	f.kept = append(f.kept, f.now)
	f.now = nil
	f.close()
}

// close closes all that were left. A message that the user holds keeps its object open: then the
// next close tries it again, and in the end the garbage collector closes it.
func (f *follower[M]) close() {
	held := f.kept[:0]
	for _, k := range f.kept {
		if err := k.Close(); errors.Is(err, syserr.ErrBusy) {
			held = append(held, k)
		}
	}
	f.kept = held
}

func (f *follower[M]) end() {
	if f.now != nil {
		f.kept = append(f.kept, f.now)
		f.now = nil
	}
	f.close()
}
