package baseimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/internal/sys/syserr"
	"samepage/ipcsync"
)

// Receiver is the algorithm's program. All methods may be called concurrently. Only one Grab runs
// at a time, in all Receivers of that name in all Go programs together. So each picture goes to
// only one of them. The zero value is not usable: call OpenReceiver or AwaitReceiver.
//
// # Torn pictures
//
// The base writes each picture over the one before. It does not wait for receivers. It signals
// after each complete picture, but not when it begins the next one. So a slow receiver may read
// while the base is writing the next picture. A Receiver takes a picture as follows
// (docs/protocol/baseimage.md). After the signal it marks the header: it subtracts one from the
// length. Then it copies the picture. The base begins each picture by writing the length. So after
// the copy there are two cases:
//
//   - The mark is gone: the base has begun a new picture. The Receiver drops the copy and waits
//     for the next signal.
//   - The mark is still there: the base has not begun a new picture since the mark. But it may
//     have been writing this picture when the Receiver made the mark. In that case the base
//     signals next, and then the Receiver copies again. Otherwise the base writes the length next,
//     and the copy is whole. The Receiver watches for up to ReceiverOptions.Settle which of the
//     two happens. If nothing happens, the base rests, and the copy is whole.
//
// So Grab never returns a torn picture, with one exception: the base is stopped for longer than
// Settle in the middle of a picture, and the signal of an earlier picture is pending. If the base
// dies at this point, Grab returns samepage.ErrPeerDied. But if other receivers have the section
// open, Grab does not notice the death and may return a torn picture.
//
// There are three conditions. The base must write the length before the pixels and signal after
// them; the existing programs do so. The length of a picture must be the one that follows from its
// sides and bits. No other program may wait for the event.
//
// If a Receiver is killed between two steps, it does no harm. If another program reads the header
// while the mark is there, it misses the last byte of the last row. The Receiver removes its mark
// when the base rests.
//
// If a base writes one picture after the other without a pause, there may be no time for a
// copy. Then Grab returns nothing until its context ends.
type Receiver struct {
	opts ReceiverOptions
	*received
	guard forgotten.Guard

	mine    chan struct{} // holds one while a call uses what follows
	closing atomic.Bool
	closed  bool
	pending bool // a signal was taken, but not its picture
	frame   frame.Frame
	buf     []byte
	count   uint64
	pause   time.Duration // between two looks
	streak  int           // pictures that were taken with this pause
}

// received has the objects that a Receiver has open.
type received struct {
	turn *ipcsync.Mutex // of all Receivers of that name: locked during a Grab
	obj  objects
}

// giveBack closes the objects of a Receiver that nobody refers to any more.
func (r *received) giveBack() (kept bool) {
	_ = r.release()
	return false
}

// watchEvery is how often a waiting Receiver checks whether the base lives: as often as the
// death watch of package ipcsync looks.
const watchEvery = 50 * time.Millisecond

// OpenReceiver opens the section and the event of a base program that runs.
//
// Errors: fs.ErrNotExist and at the same time samepage.ErrPeerNotStarted (no base program has made
// the section or the event); samepage.ErrCorrupt (the section has no room for a header); those of
// samepage.Open and ipcsync.OpenEvent, such as fs.ErrPermission and samepage.ErrKindMismatch.
func OpenReceiver(opts *ReceiverOptions) (*Receiver, error) {
	o := opts.filled()
	r := &Receiver{opts: o, received: &received{}, pause: longPause, mine: make(chan struct{}, 1)}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("baseimage: open section %q: %w", o.Name, err)
	}
	r.guard = forgotten.Watch(r, "receiver of BaseImage", o.Name, (*received).giveBack, r.received)
	return r, nil
}

// AwaitReceiver waits until a base program runs, and opens its section and event. If the call does
// not have to wait, it ignores ctx.
//
// Errors: the error of ctx (a deadline also matches os.ErrDeadlineExceeded), and those of
// OpenReceiver except fs.ErrNotExist and samepage.ErrPeerNotStarted.
func AwaitReceiver(ctx context.Context, opts *ReceiverOptions) (*Receiver, error) {
	var r *Receiver
	var err error
	ended := segment.Until(ctx, func() (bool, error) {
		r, err = OpenReceiver(opts)
		return !errors.Is(err, samepage.ErrPeerNotStarted), nil
	})
	if ended != nil {
		// The error is that the time is over, not that the base does not run.
		err = fmt.Errorf("%w: %w", syserr.OnlyNumber(err), segment.Deadline(ended))
	}
	return r, err
}

func (r *Receiver) open() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, r.release())
		}
	}()
	missing := func(what, name string, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("no base program has made the %s %q: %w: %w", what, name, samepage.ErrPeerNotStarted, fs.ErrNotExist)
		}
		return err
	}
	if r.obj.mem, err = samepage.Open(r.opts.Name, memoryOptions()); err != nil {
		return missing("section", r.opts.Name, err)
	}
	if r.obj.event, err = ipcsync.OpenEvent(r.opts.Event, eventOptions()); err != nil {
		return missing("event", r.opts.Event, err)
	}
	if err := r.obj.mapped(); err != nil {
		return err
	}
	r.turn, _, err = ipcsync.OpenOrCreateMutex(r.opts.Name+".receiver", nil)
	return err
}

func (r *received) release() error {
	var errs []error
	if r.obj.mem != nil {
		errs = append(errs, r.obj.close())
	}
	if r.turn != nil {
		errs = append(errs, r.turn.Close())
	}
	return errors.Join(errs...)
}

// Close closes the section and the event. A Grab that waits returns samepage.ErrClosed. The
// frame of the last Grab stays as it is. A second Close does nothing.
func (r *Receiver) Close() error {
	// A Grab that runs sees this at its next look, and unlocks the turn.
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
		return fmt.Errorf("baseimage: close section %q: %w", r.opts.Name, err)
	}
	return nil
}

// Grab waits for the next picture and copies it. Frame.Seq counts the pictures that this
// Receiver has taken, from 1. The frame belongs to the Receiver: it is valid until the next
// Grab or TryGrab, which uses its bytes again. Grab allocates new bytes only for a picture
// that is larger than all before. If there is a signal already, it allocates nothing else.
//
// If all alpha values of a picture with 32 bits a pixel are zero, Grab sets them to 255, because
// programs that do not use alpha write zeros. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrPeerDied (no other program has the section open; Grab checks that every
// 50 ms. As long as the Receiver is open, a new base program uses the same section, so Grab
// may be called again). samepage.ErrCorrupt (the header does not describe a picture, and the
// text says what it contains; the next one may be right). samepage.ErrClosed. The error of
// ctx (a deadline also matches os.ErrDeadlineExceeded), together with samepage.ErrBusy if the
// base has written over each picture before the copy was complete.
func (r *Receiver) Grab(ctx context.Context) (*frame.Frame, error) {
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

// TryGrab takes a picture whose signal has come already, and reports whether it got one. It
// gets none if there is no signal, if another receiver is copying, or if the base wrote over
// the picture during the copy. It waits for ReceiverOptions.Settle and for nothing else. See
// Grab.
func (r *Receiver) TryGrab() (*frame.Frame, bool, error) {
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

// pass sets the event again if a signal was taken without its picture. The receiver with the
// next turn takes that signal before it marks anything.
func (r *Receiver) pass() error {
	if !r.pending {
		return nil
	}
	r.pending = false
	return r.obj.event.Set()
}

// stopped returns why a Grab has to end, or nil.
func (r *Receiver) stopped(ctx context.Context) error {
	if r.closing.Load() {
		return samepage.ErrClosed
	}
	return ctx.Err()
}

// check judges the error of locking the turn. A receiver that died with the turn has left
// its mark at most.
func (r *Receiver) check(err error) error {
	switch {
	case r.closed:
		return samepage.ErrClosed
	case errors.Is(err, samepage.ErrOwnerDied):
		return r.turn.Consistent()
	}
	return err
}

func (r *Receiver) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("baseimage: grab from section %q: %w", r.opts.Name, segment.Deadline(err))
	}
	return nil
}

func (r *Receiver) tryGrab() (bool, error) {
	if !r.pending {
		set, err := r.signalled()
		if !set || err != nil {
			return false, err
		}
	}
	r.pending = false
	return r.take(context.Background())
}

func (r *Receiver) grab(ctx context.Context) error {
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

// tell adds the number of lost pictures to the error of a context.
func (r *Receiver) tell(err error, ctx context.Context, lost int) error {
	if err != nil && lost > 0 && ctx.Err() != nil {
		return fmt.Errorf("the base wrote over %d pictures before they were copied: %w: %w", lost, samepage.ErrBusy, segment.Deadline(err))
	}
	return err
}

// signalled reports whether the event was set, and resets it. Reset is for a manual-reset
// event. On an auto-reset event it may take a signal that has come in between: that is as if
// both had come before. Callers look at the header afterwards.
func (r *Receiver) signalled() (bool, error) {
	set, err := r.obj.event.TryWait()
	if set && err == nil {
		err = r.obj.event.Reset()
	}
	return set, err
}

// await waits for a signal, and makes it pending.
func (r *Receiver) await(ctx context.Context) error {
	for {
		if r.closing.Load() {
			return samepage.ErrClosed
		}
		set, err := r.signalled()
		if set || err != nil {
			r.pending = set
			return err
		}
		wait, cancel := context.WithTimeout(ctx, watchEvery)
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
			// A signal that it gave before its end has arrived by now.
			set, terr := r.signalled()
			if set && terr == nil {
				r.pending = true
				return nil
			}
			return errors.Join(err, terr)
		}
	}
}

// peer returns samepage.ErrPeerDied if no other program has the section open.
func (r *Receiver) peer() error {
	alone, err := r.obj.mem.Alone()
	if err == nil && alone {
		err = fmt.Errorf("no other program has the section open: %w", samepage.ErrPeerDied)
	}
	return err
}
