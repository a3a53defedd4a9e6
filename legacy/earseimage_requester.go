package legacy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/internal/sys/window"
	"samepage/ipcsync"
)

// EarseImageRequester has a worker do jobs. Do and Close may be called concurrently;
// jobs are done one at a time, since there is one section for all. The zero value is
// not usable.
//
// The section has no checksum and no number of a job: a worker that writes when it is
// not asked to, or another program that sends the worker's message, can spoil an
// answer. What is checked is that the results lie where they may.
type EarseImageRequester struct {
	*earseHeld
	guard forgotten.Guard

	ctx context.Context // ends with Close
	end context.CancelFunc

	mu     sync.Mutex
	closed bool
	once   sync.Once      // of Close
	doing  sync.WaitGroup // the calls of Do; added to under mu
}

// earseHeld is what a requester has open.
type earseHeld struct {
	role *ipcsync.Mutex
	mem  *samepage.Memory
	way  earseWay
	turn chan struct{} // has one while a job has the section
	late atomic.Bool   // the job that has the turn is one that nobody waits for
}

// earseWay is how the two programs tell each other.
type earseWay interface {
	// do has the worker do the job of a request. It is called by who has the turn, and
	// calls release once, perhaps after it has returned: when nobody writes into the
	// section any more.
	do(ctx context.Context, request []byte, release func()) (*EarseImageAnswer, error)
	// leave ends that others can tell this program anything.
	leave() error
	// close ends the rest, with the turn.
	close() error
}

// NewEarseImageRequester makes the section, unless there is one, and what a worker
// tells its answers to: on Windows the window UnionRectTest. The section lives as long
// as somebody has it open, and a C++ worker never closes what it opens.
//
// Errors: fs.ErrExist (another requester runs), samepage.ErrCorrupt (a section of that
// name and another size), samepage.ErrKindMismatch, fs.ErrPermission,
// samepage.ErrNoSpace, errors.ErrUnsupported (neither Windows nor Linux).
func NewEarseImageRequester(opts *EarseImageOptions) (*EarseImageRequester, error) {
	if opts == nil {
		opts = &EarseImageOptions{}
	}
	r := &EarseImageRequester{earseHeld: &earseHeld{turn: make(chan struct{}, 1)}}
	r.ctx, r.end = context.WithCancel(context.Background())
	if err := r.open(opts); err != nil {
		r.end()
		return nil, fmt.Errorf("legacy: EarseImage requester: %w", err)
	}
	r.guard = forgotten.Watch(r, "EarseImage requester", earseRequester, (*earseHeld).giveBack, r.earseHeld)
	return r, nil
}

func (r *EarseImageRequester) open(opts *EarseImageOptions) (err error) {
	if r.role, err = takeEarseRole(earseRequester); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, earseLetGo(r.role))
		}
	}()
	o := memoryOptions()
	o.SecurityDescriptor = opts.SecurityDescriptor
	if r.mem, _, err = samepage.OpenOrCreate(earseSection, earseSize, o); err != nil {
		return err
	}
	if err = checkEarseSection(r.mem); err == nil {
		if window.Supported {
			r.way, err = newEarseWindowWay(r.mem)
		} else {
			r.way, err = newEarseEventWay(r.mem)
		}
	}
	if err != nil {
		err = errors.Join(err, r.mem.Close())
	}
	return err
}

// Do has the worker do a job, and waits for its answer. It returns as soon as ctx ends.
// The worker does not learn of that, and may yet write into the section: its late
// answer is discarded, and the next Do waits, under its own ctx, until the worker has
// let go. It always waits, for the answer: with a ctx that has ended it does nothing.
//
// Errors: samepage.ErrName and samepage.ErrTooLarge (a text of the job, see
// EarseImageJob), samepage.ErrPeerNotStarted (no worker runs), samepage.ErrPeerDied
// (the worker died before it answered), ErrJobFailed (it says that it could not, or
// it took the job and said nothing), samepage.ErrCorrupt (an answer that makes no
// sense), fs.ErrPermission (Windows: the worker's integrity level is higher),
// samepage.ErrClosed, and the error of ctx; a deadline matches
// os.ErrDeadlineExceeded too.
func (r *EarseImageRequester) Do(ctx context.Context, job EarseImageJob) (*EarseImageAnswer, error) {
	a, err := r.do(ctx, job)
	if err != nil {
		return nil, fmt.Errorf("legacy: EarseImage job for %s: %w", earsePlain(job.Source), err)
	}
	return a, nil
}

func (r *EarseImageRequester) do(caller context.Context, job EarseImageJob) (*EarseImageAnswer, error) {
	request, err := encodeEarseRequest(job)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, samepage.ErrClosed
	}
	r.doing.Add(1)
	r.mu.Unlock()
	defer r.doing.Done()

	ctx, cancel := context.WithCancel(caller)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	if ctx.Err() == nil {
		var a *EarseImageAnswer
		select {
		case r.turn <- struct{}{}:
			r.late.Store(false)
			turn := r.turn
			a, err = r.way.do(ctx, request, func() { <-turn })
			r.late.Store(err != nil && ctx.Err() != nil)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			return a, err
		}
	}
	if caller.Err() == nil {
		return nil, samepage.ErrClosed
	}
	return nil, segment.Deadline(caller.Err())
}

// Close ends the jobs that wait, with samepage.ErrClosed, and gives everything up. If
// the worker still has a job that nobody waits for, others can become requesters only
// when it has let go of that. A second Close does nothing, and returns when the first
// one is done.
func (r *EarseImageRequester) Close() (err error) {
	r.once.Do(func() { err = r.close() })
	return err
}

func (r *EarseImageRequester) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.doing.Wait()
	r.guard.Done()
	if err := r.leave(); err != nil {
		return fmt.Errorf("legacy: close EarseImage requester: %w", err)
	}
	return nil
}

// giveBack closes a requester that was forgotten.
func (r *earseHeld) giveBack() (kept bool) {
	_ = r.leave()
	return false
}

// leave gives everything up, when no call is under way.
func (r *earseHeld) leave() error {
	err := r.way.leave()
	// A worker that has answered lets go at once.
	patience := time.Duration(0)
	if !r.late.Load() {
		patience = earsePatience
	}
	if r.takeTurn(patience) {
		return errors.Join(err, r.finish())
	}
	go func() {
		r.turn <- struct{}{}
		_ = r.finish()
	}()
	return err
}

// takeTurn takes the turn, and says whether it came within d.
func (r *earseHeld) takeTurn(d time.Duration) bool {
	select {
	case r.turn <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case r.turn <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

func (r *earseHeld) finish() error {
	return errors.Join(r.way.close(), r.mem.Close(), earseLetGo(r.role))
}

// ownWindow opens a window that must be the only one of its title. Errors: fs.ErrExist.
func ownWindow(title string, handle func(message uint32)) (*window.Window, error) {
	taken := fmt.Errorf("a window has the title %q: %w", title, fs.ErrExist)
	if _, err := window.Find(title); err == nil {
		return nil, taken
	}
	w, err := window.Open(title, handle)
	if err != nil {
		return nil, err
	}
	// Programs that do not know of our locks look, like everybody, by FindWindow.
	if id, err := window.Find(title); err != nil || id != w.ID() {
		return nil, errors.Join(taken, err, w.Close())
	}
	return w, nil
}
