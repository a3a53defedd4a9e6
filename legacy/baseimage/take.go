package baseimage

import (
	"context"
	"errors"
	"runtime"
	"time"

	"samepage/frame"
)

// The pauses between two looks at the header while a copy settles. If the base starts and
// finishes a picture between two looks, the looks have shown nothing: then the pause becomes
// shorter, down to none. If no pause does not help either, a short one follows: if there are
// too few CPUs, the system runs a goroutine that has slept, but not one that never sleeps.
const (
	longPause  = 500 * time.Microsecond
	shortPause = 30 * time.Microsecond
	pauseStep  = 4
	longStreak = 64 // pictures until a pause becomes longer again
)

// look is what the header says about a mark.
type look int

const (
	standing look = iota // the mark is there, beside the same sides
	gone                 // the base has written the length
	changed              // the mark is there, beside other sides
)

// lookAt looks at the header: after everything that was read before, and before everything
// that is read afterwards.
func (r *Receiver) lookAt(s *shape) look {
	mark := uint32(s.length - 1)
	// A compare-and-swap also keeps the loads of the copy before it.
	if !r.obj.words.length.CompareAndSwap(mark, mark) {
		return gone
	}
	width, height, bits := r.obj.words.sides()
	if int(width) != s.width || int(height) != s.height || formatOf(bits) != s.format {
		return changed
	}
	return standing
}

// take takes the signalled picture, and reports whether it got it. If not, the signal of a
// later picture is pending, or will come. The steps have the names that
// docs/protocol/baseimage.md gives them.
func (r *Receiver) take(ctx context.Context) (bool, error) {
	s, err := r.mark(ctx)
	if s.length != 0 {
		defer r.unmark(&s)
	}
	if err != nil {
		return false, err
	}
	if err := r.copy(&s); err != nil {
		return false, err
	}
	if r.lookAt(&s) != standing { // C
		return false, nil
	}
	whole, err := r.settle(ctx, &s)
	if whole {
		r.finish()
	}
	return whole, err
}

// unmark writes the true length if the mark is still there.
func (r *Receiver) unmark(s *shape) {
	if r.lookAt(s) == standing {
		r.obj.words.length.CompareAndSwap(uint32(s.length-1), uint32(s.length))
	}
}

// mark reads the header and marks it, at a time after which no signal has come. So if the
// base is writing a picture, its signal will still come.
func (r *Receiver) mark(ctx context.Context) (shape, error) {
	var bad time.Time // when the header stopped describing a picture
	var mine shape
	length := r.obj.words.length
	for first := true; ; first = false {
		// What is available is taken even if ctx has ended: the first look comes before that.
		if err := r.stopped(ctx); err != nil && (!first || r.closing.Load()) {
			r.pending = true
			return mine, err
		}
		h := r.obj.words.load() // H
		s, err := h.shape(r.obj.view.Len() - headerSize)
		if mine.length != 0 && h.length == mine.length-1 && h.bits == int32(mine.format.Bits()) &&
			int(h.width) == mine.width && int(h.height) == mine.height {
			// This call has marked it before. The marked length may be right for such a picture,
			// too.
			s, err = mine, nil
			s.marked = true
		}
		if err != nil {
			// The base may be in the middle of writing it.
			if bad.IsZero() {
				bad = time.Now()
			} else if time.Since(bad) > max(r.opts.Settle, longPause) {
				return mine, errors.Join(err, r.peer())
			}
			r.rest()
			continue
		}
		bad = time.Time{}
		if mark := uint32(s.length - 1); s.marked { // M
			if !length.CompareAndSwap(mark, mark) {
				continue
			}
		} else if !length.CompareAndSwap(uint32(s.length), mark) {
			continue
		}
		mine = s
		if set, err := r.signalled(); err != nil { // D
			return s, err
		} else if !set {
			return s, nil
		}
	}
}

// copy copies the pixels that s describes.
func (r *Receiver) copy(s *shape) error {
	spec := frame.Spec{Format: s.format, Width: s.width, Height: s.height, Stride: s.stride, Seq: r.count + 1}
	if n := int(spec.Size()); len(r.buf) < n {
		r.frame = frame.Frame{} // so that the old bytes can be freed
		r.buf = make([]byte, n)
	}
	if err := r.frame.Reset(r.buf, spec); err != nil {
		return err
	}
	_, err := r.obj.view.ReadAt(r.frame.Pix(0)[:s.pixels()], headerSize)
	return err
}

// settle finds out whether the picture was complete when it was marked, and copies it again
// if it was not. It reports false if it cannot know.
func (r *Receiver) settle(ctx context.Context, s *shape) (bool, error) {
	begun := time.Now()
	watched := begun
	var died error
	for {
		// S0, before the looks: the time must be over when they are made.
		expired := time.Since(begun) > r.opts.Settle
		at := r.lookAt(s)           // S1
		set, err := r.signalled()   // S2
		if err == nil && !expired { // at the end of Settle the picture is taken
			err = r.stopped(ctx)
		}
		switch {
		case err != nil:
			r.pending = true // for the next Grab: this one has not taken the picture
			return false, err
		case set:
			return r.signalledAgain(s)
		case at == gone:
			// The base has started a picture, and has finished none since the mark. So it
			// rested when the mark was made.
			r.settled()
			return true, nil
		case at == changed:
			return false, nil
		case died != nil:
			return false, died
		case expired:
			if r.opts.Settle > 0 { // S4
				err = r.peer()
			}
			return err == nil, err
		}
		if now := time.Now(); r.opts.Settle > 0 && now.Sub(watched) > watchEvery { // S5
			watched = now
			if died = r.peer(); died != nil {
				continue // what it did before its end has arrived by now
			}
		}
		r.rest()
	}
}

// signalledAgain goes on after a signal that came after the mark. If the mark is still
// there, it is the signal of the picture that the base was writing when the mark was made,
// and the base rests now.
func (r *Receiver) signalledAgain(s *shape) (bool, error) {
	if r.lookAt(s) != standing { // S3
		// Started and finished, or finished and started: nobody can know.
		r.hurry()
		r.pending = true
		return false, nil
	}
	if err := r.copy(s); err != nil {
		return false, err
	}
	if r.lookAt(s) != standing {
		return false, nil
	}
	set, err := r.signalled() // E: the signal of a picture that was started since
	r.pending = set
	return !set && err == nil, err
}

// rest is a pause between two looks.
func (r *Receiver) rest() {
	if r.pause == 0 {
		runtime.Gosched()
		return
	}
	time.Sleep(r.pause)
}

// hurry makes the pauses shorter, and settled makes them longer after many pictures.
func (r *Receiver) hurry() {
	switch {
	case r.pause == 0:
		r.pause = shortPause
	case r.pause <= shortPause:
		r.pause = 0
	default:
		r.pause = max(r.pause/pauseStep, shortPause)
	}
	r.streak = 0
}

func (r *Receiver) settled() {
	if r.streak++; r.streak >= longStreak {
		r.streak = 0
		r.pause = min(max(r.pause*pauseStep, shortPause), longPause)
	}
}

// finish counts a picture, and makes it opaque if all its alpha values are zero.
func (r *Receiver) finish() {
	r.count++
	if r.frame.Format() != frame.BGRA {
		return
	}
	row, rows := r.frame.Plane(0)
	pix, stride := r.frame.Pix(0), r.frame.Stride(0)
	for y := range rows {
		for b := pix[y*stride:][:row]; len(b) >= 4; b = b[4:] {
			if b[3] != 0 {
				return
			}
		}
	}
	for y := range rows {
		for b := pix[y*stride:][:row]; len(b) >= 4; b = b[4:] {
			b[3] = 255
		}
	}
}
