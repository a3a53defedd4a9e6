package legacy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/internal/sys/syserr"
	"samepage/ipcsync"
)

// BaseImageReceiver is the algorithm's side of BaseImage. Its methods may be called
// concurrently; Grabs go one after the other, also those of several receivers, in all
// Go programs together: each picture is had by one of them. The zero value is not
// usable.
//
// # Torn pictures
//
// The base program writes each picture over the one before, heeds nobody, and tells
// only when a picture is finished. A receiver that is slow, or late, may find it in the
// middle of the next one. So a receiver takes a picture so (docs/protocol/baseimage.md):
// when it has got the signal it marks the length in the header, by taking one from it,
// and copies the picture. The base begins each picture by writing the length, so
//
//   - a mark that is gone after the copy says that a new picture was begun: the copy is
//     thrown away, and the next signal waited for;
//   - a mark that still stands says that none was begun. Then it is left to find out
//     whether the picture was still being written when the mark was made. If so, the
//     base's next step is the signal, and then the receiver copies again; if not, it is
//     to write the length; the receiver watches for up to BaseImageOptions.Settle which
//     of both comes. If nothing does, the base rests, and the copy is whole.
//
// So a torn picture is never returned, as long as the base is not stopped for longer
// than Settle in the middle of writing one, while the signal of an earlier one has not
// been taken yet. If it dies there, that is samepage.ErrPeerDied; but who shares the
// section with other receivers does not see that, and may return such a picture.
//
// This is sound if the base writes the length before the pixels and signals after them,
// as the existing programs do, if the length of a picture follows from its sides and
// bits, and if no other program waits for the event. A receiver is killed between two
// steps without harm. Programs that read the header meanwhile miss a byte of the last
// row. The mark is taken back when the base rests.
//
// A base that writes one picture after the other without a pause may leave no time for
// a copy: then nothing is returned before the context ends.
type BaseImageReceiver struct {
	opts BaseImageOptions
	*baseReceived
	guard forgotten.Guard

	mine    chan struct{} // holds one while a call has what follows
	closing atomic.Bool
	closed  bool
	pending bool // a signal was taken, and no picture for it
	frame   frame.Frame
	buf     []byte
	count   uint64
	pause   time.Duration // between two looks
	streak  int           // pictures that came of it at this pause
}

// baseReceived is what a receiver has open.
type baseReceived struct {
	turn *ipcsync.Mutex // of all receivers that are Go programs: held during a Grab
	obj  baseObjects
}

// giveBack closes what a receiver has open that was forgotten.
func (r *baseReceived) giveBack() (kept bool) {
	_ = r.release()
	return false
}

// Pauses between two looks while a copy settles. A base that begins and ends a picture
// between two looks has shown nothing: then the pause becomes shorter, down to none. If
// that does not do, a short one comes again: where there are too few CPUs, who sleeps is
// let run when the time has come, and who never does is not.
const (
	basePause      = 500 * time.Microsecond
	baseShortPause = 30 * time.Microsecond
	basePauseStep  = 4
	baseStreak     = 64 // pictures until a pause becomes longer again
)

// OpenBaseImage opens section and event of a base program that runs.
//
// Errors: samepage.ErrPeerNotStarted when it does not; samepage.ErrCorrupt for a
// section that has no room for a header; fs.ErrInvalid; those of samepage.Open and
// ipcsync.OpenEvent, among them fs.ErrPermission and samepage.ErrKindMismatch.
func OpenBaseImage(opts *BaseImageOptions) (*BaseImageReceiver, error) {
	o, err := opts.filled()
	r := &BaseImageReceiver{opts: o, baseReceived: &baseReceived{}, pause: basePause, mine: make(chan struct{}, 1)}
	if err == nil {
		err = r.open()
	}
	if err != nil {
		return nil, fmt.Errorf("legacy: open BaseImage %q: %w", o.Name, err)
	}
	r.guard = forgotten.Watch(r, "receiver of BaseImage", o.Name, (*baseReceived).giveBack, r.baseReceived)
	return r, nil
}

// AwaitBaseImage is OpenBaseImage, but waits for the base program to start.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: the error of ctx (a deadline matches os.ErrDeadlineExceeded too); those of
// OpenBaseImage, but for samepage.ErrPeerNotStarted.
func AwaitBaseImage(ctx context.Context, opts *BaseImageOptions) (*BaseImageReceiver, error) {
	var r *BaseImageReceiver
	var err error
	ended := segment.Until(ctx, func() (bool, error) {
		r, err = OpenBaseImage(opts)
		return !errors.Is(err, samepage.ErrPeerNotStarted), nil
	})
	if ended != nil {
		// What is missing has not failed, the time has.
		err = fmt.Errorf("%w: %w", syserr.OnlyNumber(err), segment.Deadline(ended))
	}
	return r, err
}

func (r *BaseImageReceiver) open() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, r.release())
		}
	}()
	missing := func(what, name string, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the base program has made no %s %q: %w", what, name, samepage.ErrPeerNotStarted)
		}
		return err
	}
	if r.obj.mem, err = samepage.Open(r.opts.Name, memoryOptions()); err != nil {
		return missing("section", r.opts.Name, err)
	}
	if r.obj.event, err = ipcsync.OpenEvent(r.opts.Event, baseEventOptions()); err != nil {
		return missing("event", r.opts.Event, err)
	}
	if err := r.obj.mapped(); err != nil {
		return err
	}
	r.turn, _, err = ipcsync.OpenOrCreateMutex(r.opts.Name+".receiver", nil)
	return err
}

func (r *baseReceived) release() error {
	var errs []error
	if r.obj.mem != nil {
		errs = append(errs, r.obj.close())
	}
	if r.turn != nil {
		errs = append(errs, r.turn.Close())
	}
	return errors.Join(errs...)
}

// Close gives section and event up; a Grab that waits returns. The frame that was
// grabbed last stays as it is. A second Close does nothing.
func (r *BaseImageReceiver) Close() error {
	// A Grab sees that at its next look. A turn that is held is let go of by its Grab.
	r.closing.Store(true)
	_ = r.turn.Close()
	r.mine <- struct{}{}
	defer func() { <-r.mine }()
	if r.closed {
		return nil
	}
	r.closed = true
	r.guard.Done()
	if err := r.release(); err != nil {
		return fmt.Errorf("legacy: close BaseImage %q: %w", r.opts.Name, err)
	}
	return nil
}

// Grab waits for the next picture and copies it. Frame.Seq counts what was grabbed. The
// frame is the receiver's own: it is good until the next Grab or TryGrab, which uses its
// bytes again. The bytes are made anew for a picture that is larger than all before; for
// others, when there is a signal already, nothing is allocated.
//
// Pixels of 32 bits with all alpha zero, as programs write them that know no alpha, are
// opaque: their alpha is set to 255.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrPeerDied when no other program has the section open any more, for
// which Grab looks every 50 ms: a base program that is started anew has the same section
// as long as the receiver is open, so one may go on with Grab. samepage.ErrCorrupt for
// a header that describes no picture, with what it has; the next one may be good.
// samepage.ErrClosed. The error of ctx (a deadline matches os.ErrDeadlineExceeded too),
// together with samepage.ErrBusy if the base has written over each picture before it
// was copied.
func (r *BaseImageReceiver) Grab(ctx context.Context) (*frame.Frame, error) {
	if err := takeMine(ctx, r.mine); err != nil {
		return nil, r.wrap(err)
	}
	defer func() { <-r.mine }()
	err := r.check(r.turn.Lock(ctx))
	if err == nil {
		err = r.grab(ctx)
		err = errors.Join(err, r.pass(), r.turn.Unlock())
	}
	if err != nil {
		return nil, r.wrap(err)
	}
	return &r.frame, nil
}

// TryGrab takes a picture whose signal is there already. It is false when there is
// none, when another receiver is at work, or when the picture was written over while it
// was copied; it waits only for the copy to settle. See Grab.
func (r *BaseImageReceiver) TryGrab() (*frame.Frame, bool, error) {
	select {
	case r.mine <- struct{}{}:
	default:
		return nil, false, nil
	}
	defer func() { <-r.mine }()
	mine, err := r.turn.TryLock()
	got := false
	if err = r.check(err); mine && err == nil {
		got, err = r.tryGrab()
		err = errors.Join(err, r.pass(), r.turn.Unlock())
	}
	if !got || err != nil {
		return nil, false, r.wrap(err)
	}
	return &r.frame, true, nil
}

// pass gives a signal that was taken, and no picture for it, to whoever has the turn
// next: that one takes it before it marks anything.
func (r *BaseImageReceiver) pass() error {
	if !r.pending {
		return nil
	}
	r.pending = false
	return r.obj.event.Set()
}

// stopped is why a Grab is to end.
func (r *BaseImageReceiver) stopped(ctx context.Context) error {
	if r.closing.Load() {
		return samepage.ErrClosed
	}
	return ctx.Err()
}

// check judges the error of locking the turn. A receiver that died with it has left
// at most its mark.
func (r *BaseImageReceiver) check(err error) error {
	switch {
	case r.closed:
		return samepage.ErrClosed
	case errors.Is(err, samepage.ErrOwnerDied):
		return r.turn.Consistent()
	}
	return err
}

func (r *BaseImageReceiver) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("legacy: grab BaseImage %q: %w", r.opts.Name, segment.Deadline(err))
	}
	return nil
}

func (r *BaseImageReceiver) tryGrab() (bool, error) {
	if !r.pending {
		set, err := r.signalled()
		if !set || err != nil {
			return false, err
		}
	}
	r.pending = false
	return r.take(context.Background())
}

func (r *BaseImageReceiver) grab(ctx context.Context) error {
	for lost := 0; ; lost++ {
		if !r.pending {
			if err := r.await(ctx); err != nil {
				return r.tell(err, ctx, lost)
			}
		}
		r.pending = false
		if whole, err := r.take(ctx); whole || err != nil {
			return r.tell(err, ctx, lost)
		}
	}
}

// tell adds to the error of a context how many pictures were lost.
func (r *BaseImageReceiver) tell(err error, ctx context.Context, lost int) error {
	if err != nil && lost > 0 && ctx.Err() != nil {
		return fmt.Errorf("pictures written over before they were copied: %d: %w: %w", lost, samepage.ErrBusy, segment.Deadline(err))
	}
	return err
}

// signalled says whether the event was set, and unsets it. The Reset is for a
// manual-reset event; of an auto-reset one it may take a signal that has come since,
// which is as if both had come before. Whoever calls it looks at the header afterwards.
func (r *BaseImageReceiver) signalled() (bool, error) {
	set, err := r.obj.event.TryWait()
	if set && err == nil {
		err = r.obj.event.Reset()
	}
	return set, err
}

// await waits for a signal, and makes it pending.
func (r *BaseImageReceiver) await(ctx context.Context) error {
	for {
		if r.closing.Load() {
			return samepage.ErrClosed
		}
		set, err := r.signalled()
		if set || err != nil {
			r.pending = set
			return err
		}
		wait, cancel := context.WithTimeout(ctx, baseWatch)
		err = r.obj.event.Wait(wait)
		cancel()
		switch {
		case err == nil:
			r.pending = true
			return r.obj.event.Reset()
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
		if err := r.peer(); err != nil {
			// What it has signalled before its end is there by now.
			set, terr := r.signalled()
			if set && terr == nil {
				r.pending = true
				return nil
			}
			return errors.Join(err, terr)
		}
	}
}

// peer is samepage.ErrPeerDied when nobody else has the section open.
func (r *BaseImageReceiver) peer() error {
	alone, err := r.obj.mem.Alone()
	if err == nil && alone {
		err = fmt.Errorf("no other program has the section open: %w", samepage.ErrPeerDied)
	}
	return err
}

// look is what the header shows of a mark.
type look int

const (
	standing look = iota // the mark stands, and the sides are the same
	gone                 // the length was written
	changed              // the mark stands beside other sides
)

// lookAt reads the header after all that was read before, and before all that is read
// after it.
func (r *BaseImageReceiver) lookAt(s *baseShape) look {
	mark := uint32(s.length - 1)
	// A compare-and-swap also keeps the loads of the copy before it.
	if !r.obj.words.length.CompareAndSwap(mark, mark) {
		return gone
	}
	width, height, bits := r.obj.words.sides()
	if int(width) != s.width || int(height) != s.height || baseFormat(bits) != s.format {
		return changed
	}
	return standing
}

// take takes the picture that was signalled. It is false when the picture cannot be
// had; then the signal of a later one is pending, or will come. The steps have the names
// that docs/protocol/baseimage.md gives them.
func (r *BaseImageReceiver) take(ctx context.Context) (bool, error) {
	s, err := r.mark(ctx)
	if s.length != 0 {
		defer r.giveBack(&s)
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

// giveBack writes the true length where the mark stands.
func (r *BaseImageReceiver) giveBack(s *baseShape) {
	if r.lookAt(s) == standing {
		r.obj.words.length.CompareAndSwap(uint32(s.length-1), uint32(s.length))
	}
}

// mark reads the header and marks it, at a time since which no signal has come: so if
// a picture is being written, its signal is still to come.
func (r *BaseImageReceiver) mark(ctx context.Context) (baseShape, error) {
	var bad time.Time // since when the header describes no picture
	var mine baseShape
	length := r.obj.words.length
	for first := true; ; first = false {
		if err := r.stopped(ctx); err != nil && (!first || r.closing.Load()) { // else nothing was waited for yet
			r.pending = true
			return mine, err
		}
		h := r.obj.words.load() // H
		s, err := h.shape(r.obj.view.Len() - baseHeaderSize)
		if mine.length != 0 && h.length == mine.length-1 && h.bits == int32(mine.format.Bits()) &&
			int(h.width) == mine.width && int(h.height) == mine.height {
			// Marked by this call before, also where that too is a length of such a
			// picture.
			s, err = mine, nil
			s.marked = true
		}
		if err != nil {
			// It may be in the middle of being written.
			if bad.IsZero() {
				bad = time.Now()
			} else if time.Since(bad) > max(r.opts.Settle, basePause) {
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
func (r *BaseImageReceiver) copy(s *baseShape) error {
	spec := frame.Spec{Format: s.format, Width: s.width, Height: s.height, Stride: s.stride, Seq: r.count + 1}
	if n := int(spec.Size()); len(r.buf) < n {
		r.frame = frame.Frame{} // lets the old bytes go
		r.buf = make([]byte, n)
	}
	if err := r.frame.Reset(r.buf, spec); err != nil {
		return err
	}
	_, err := r.obj.view.ReadAt(r.frame.Pix(0)[:s.pixels()], baseHeaderSize)
	return err
}

// settle finds out whether the picture was finished when it was marked, and copies it
// again if it was not. It is false when that cannot be known.
func (r *BaseImageReceiver) settle(ctx context.Context, s *baseShape) (bool, error) {
	begun := time.Now()
	watched := begun
	var died error
	for {
		// S0: before the looks: what it says must be so when they are done.
		expired := time.Since(begun) > r.opts.Settle
		at := r.lookAt(s)           // S1
		set, err := r.signalled()   // S2
		if err == nil && !expired { // one that has expired is had
			err = r.stopped(ctx)
		}
		switch {
		case err != nil:
			r.pending = true // for the next Grab: this picture was not had
			return false, err
		case set:
			return r.signalledAgain(s)
		case at == gone:
			// A picture was begun, and none was finished since the mark: when that
			// was made the base rested.
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
		if now := time.Now(); r.opts.Settle > 0 && now.Sub(watched) > baseWatch { // S5
			watched = now
			if died = r.peer(); died != nil {
				continue // what it did before its end is there by now
			}
		}
		r.rest()
	}
}

// signalledAgain goes on after a signal that came after the mark. If the mark stands,
// it is that of the picture that was being written then, and the base rests now.
func (r *BaseImageReceiver) signalledAgain(s *baseShape) (bool, error) {
	if r.lookAt(s) != standing { // S3
		// Begun and finished, or finished and begun: nobody knows.
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
	set, err := r.signalled() // E: that of a picture that was begun since
	r.pending = set
	return !set && err == nil, err
}

// rest is a pause between two looks.
func (r *BaseImageReceiver) rest() {
	if r.pause == 0 {
		runtime.Gosched()
		return
	}
	time.Sleep(r.pause)
}

// hurry makes the pauses shorter, settled makes them longer after many pictures.
func (r *BaseImageReceiver) hurry() {
	switch {
	case r.pause == 0:
		r.pause = baseShortPause
	case r.pause <= baseShortPause:
		r.pause = 0
	default:
		r.pause = max(r.pause/basePauseStep, baseShortPause)
	}
	r.streak = 0
}

func (r *BaseImageReceiver) settled() {
	if r.streak++; r.streak >= baseStreak {
		r.streak = 0
		r.pause = min(max(r.pause*basePauseStep, baseShortPause), basePause)
	}
}

// finish counts a picture, and makes one opaque that has no alpha.
func (r *BaseImageReceiver) finish() {
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
