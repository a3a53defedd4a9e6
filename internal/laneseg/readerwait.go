package laneseg

import (
	"context"
	"io/fs"
	"sync/atomic"
	"time"

	"samepage/internal/segment"
	"samepage/layout"
)

// This file has the waits of a Reader.

// takeWaiting waits until something happens: first it polls, then it sleeps.
func (r *Reader) takeWaiting(ctx context.Context) (bool, error) {
	if r.spin() {
		return r.again()
	}
	r.settle()
	if err := r.slow(); err != nil {
		if err == errAgain {
			return r.again()
		}
		return false, err
	}
	if err := r.h.Sleep(ctx, (*messageWait)(r)); err != nil {
		return false, err
	}
	return r.again()
}

// spin polls for a message for a while. Meanwhile it prefetches what the next Take needs. It looks
// at entries rarely, unless the last message was not where it was expected.
func (r *Reader) spin() bool {
	if !segment.Spins() {
		return false
	}
	pauses := uint32(16)
	if r.astray {
		pauses = 2
	}
	one := len(r.lanes) == 1
	if one && r.lanes[0].Poll(2*pauses) { // about a microsecond, before the clock is read
		return true
	}
	for begun := time.Now(); time.Since(begun) < segment.SpinTime; {
		for range 64 / pauses {
			if one {
				if r.lanes[0].Poll(pauses) {
					return true
				}
				continue
			}
			for _, lr := range r.lanes {
				if lr.Poll(2) {
					return true
				}
			}
		}
		r.settle()
	}
	return false
}

// messageWait is the segment.Condition of a Reader that waits. It only looks, because only the
// goroutine of the Reader may take messages.
type messageWait Reader

func (w *messageWait) Try() (bool, error) { return w.Holds(), nil }

func (w *messageWait) Holds() bool {
	r := (*Reader)(w)
	for l, lr := range r.lanes {
		if lr.Ready() || r.over(l, atomic.LoadUint64(r.set.Ends(l))) || lr.Evicted() {
			return true
		}
	}
	return atomic.LoadUint64(r.set.Retired()) != 0
}

// DependsOn returns the writers.
func (w *messageWait) DependsOn(k int) layout.Owner {
	for l := range w.lanes {
		if o := atomic.LoadUint64(w.set.Owner(l)); o != 0 {
			if k == 0 {
				return layout.Owner(o)
			}
			k--
		}
	}
	return 0
}

// NeedsName: only a writer that has the segment open can publish.
func (w *messageWait) NeedsName() bool { return (*Reader)(w).Writers() == 0 }

// WaitAny waits for n Readers, at(0) to at(n - 1). It returns the index of the first one whose next
// Take, or the TrySlowly after that, finds a message or an error. It lets go of the messages that
// they took last.
//
// Errors: syserr.ErrNameGone, as WaitSlowly; fs.ErrClosed, the error of ctx.
func WaitAny(ctx context.Context, n int, at func(i int) *Reader) (int, error) {
	for i := range n {
		at(i).Release()
	}
	var any []segment.Candidate
	for {
		for i := range n {
			r := at(i)
			if r.h.Closed() {
				return -1, fs.ErrClosed
			}
			if r.somethingToTake() {
				return i, nil
			}
		}
		if err := ctx.Err(); err != nil { // needed if a word changes to and fro all the time
			return -1, err
		}
		if any == nil {
			any = make([]segment.Candidate, n)
			for i := range any {
				any[i] = segment.Candidate{Handle: at(i).h, Condition: (*messageWait)(at(i))}
			}
		}
		if _, err := segment.WaitAny(ctx, any); err != nil {
			return -1, err
		}
	}
}

// somethingToTake says whether there is a message or an error. It takes the message or error, and
// keeps it for the next Take.
func (r *Reader) somethingToTake() bool {
	if r.ahead || r.gone != nil {
		return true
	}
	ok, err := r.Take()
	if !ok {
		ok, err = r.TrySlowly(err)
	}
	if ok {
		r.ahead = true
		return true
	}
	if err != nil && r.gone == nil {
		r.gone, r.once = err, true
	}
	return err != nil
}
