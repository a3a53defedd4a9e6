package earseimage

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

// Requester asks the worker for jobs. Do and Close may be called concurrently. There is one
// section, so jobs run one at a time. The zero value is not usable: call CreateRequester.
//
// The section has no checksum, and a job has no number. A worker that writes without being
// asked can damage an answer, and so can another program that sends the message of the
// worker. Do checks that the results are where they may be.
type Requester struct {
	*held
	guard forgotten.Guard

	ctx context.Context // ends with Close
	end context.CancelFunc

	mu     sync.Mutex
	closed bool
	once   sync.Once      // of Close
	doing  sync.WaitGroup // the calls of Do; added to under mu
}

// held has the objects that a Requester has open.
type held struct {
	role *ipcsync.Mutex
	mem  *samepage.Memory
	way  way
	turn chan struct{} // holds one while a job uses the section
	late atomic.Bool   // nobody waits for the job that uses the section
}

// way is how the two programs notify each other.
type way interface {
	// do lets the worker do the job of a request. The caller has the turn. do calls release
	// once, possibly after it has returned: when nobody writes into the section any more.
	do(ctx context.Context, request []byte, release func()) (*Answer, error)
	// leave ends the notification of this program by others.
	leave() error
	// close ends the rest. The caller has the turn.
	close() error
}

// CreateRequester makes this process the requester. It opens the section, or makes it if it
// does not exist, and makes what the worker notifies: on Windows the window UnionRectTest.
// The section stays as long as some process has it open. A C++ worker never closes it.
//
// Errors: fs.ErrExist (another requester runs), samepage.ErrCorrupt (the section that exists
// has another size), samepage.ErrKindMismatch, fs.ErrPermission, samepage.ErrNoSpace,
// errors.ErrUnsupported (the system is neither Windows nor Linux).
func CreateRequester(opts *RequesterOptions) (*Requester, error) {
	if opts == nil {
		opts = &RequesterOptions{}
	}
	r := &Requester{held: &held{turn: make(chan struct{}, 1)}}
	r.ctx, r.end = context.WithCancel(context.Background())
	if err := r.open(opts); err != nil {
		r.end()
		return nil, fmt.Errorf("earseimage: create requester: %w", err)
	}
	r.guard = forgotten.Watch(r, "EarseImage requester", requesterName, (*held).giveBack, r.held)
	return r, nil
}

func (r *Requester) open(opts *RequesterOptions) (err error) {
	if r.role, err = takeRole(requesterName); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, letGo(r.role))
		}
	}()
	o := memoryOptions()
	o.SecurityDescriptor = opts.SecurityDescriptor
	if r.mem, _, err = samepage.OpenOrCreate(sectionName, sectionSize, o); err != nil {
		return err
	}
	if err = checkSection(r.mem); err == nil {
		if window.Supported {
			r.way, err = newWindowWay(r.mem)
		} else {
			r.way, err = newEventWay(r.mem)
		}
	}
	if err != nil {
		err = errors.Join(err, r.mem.Close())
	}
	return err
}

// Do gives a job to the worker, and waits for the answer. It returns as soon as ctx ends. The
// worker does not learn of that and may still write into the section. Its late answer is
// discarded, and the next Do waits, under its own ctx, until the worker has finished. Because
// an answer is never there at once, Do does nothing if ctx has ended before.
//
// Errors: samepage.ErrName and samepage.ErrTooLarge (a text of the job, see Job),
// samepage.ErrPeerNotStarted (no worker runs), samepage.ErrPeerDied (the worker died before it
// answered), ErrJobFailed (the worker says that it failed, or has sent no answer),
// samepage.ErrCorrupt (the answer makes no sense), fs.ErrPermission (Windows: the worker has a
// higher integrity level), samepage.ErrClosed, and the error of ctx (a deadline also matches
// os.ErrDeadlineExceeded).
func (r *Requester) Do(ctx context.Context, job Job) (*Answer, error) {
	a, err := r.do(ctx, job)
	if err != nil {
		return nil, fmt.Errorf("earseimage: job for %s: %w", plain(job.Source), err)
	}
	return a, nil
}

func (r *Requester) do(caller context.Context, job Job) (*Answer, error) {
	request, err := encodeRequest(job)
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
		var a *Answer
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

// Close ends the calls of Do with samepage.ErrClosed, and closes everything. If the worker is
// still doing a job that nobody waits for, another program can become the requester only
// after that job. A second Close does nothing, and returns after the first one has.
func (r *Requester) Close() (err error) {
	r.once.Do(func() { err = r.close() })
	return err
}

func (r *Requester) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.end()
	r.doing.Wait()
	r.guard.Done()
	if err := r.leave(); err != nil {
		return fmt.Errorf("earseimage: close requester: %w", err)
	}
	return nil
}

// giveBack closes what a Requester has open that nobody refers to any more.
func (r *held) giveBack() (kept bool) {
	_ = r.leave()
	return false
}

// leave closes everything. No call of Do runs.
func (r *held) leave() error {
	err := r.way.leave()
	// A worker that has answered gives the section back at once.
	patience := time.Duration(0)
	if !r.late.Load() {
		patience = answerPatience
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

// takeTurn takes the turn, and reports whether it got it within d.
func (r *held) takeTurn(d time.Duration) bool {
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

func (r *held) finish() error {
	return errors.Join(r.way.close(), r.mem.Close(), letGo(r.role))
}

// ownWindow opens a window that must be the only one with its title. Errors: fs.ErrExist.
func ownWindow(title string, handle func(message uint32)) (*window.Window, error) {
	taken := fmt.Errorf("another program has a window with the title %q: %w", title, fs.ErrExist)
	if _, err := window.Find(title); err == nil {
		return nil, taken
	}
	w, err := window.Open(title, handle)
	if err != nil {
		return nil, err
	}
	// Programs that do not use the locks of this package look with FindWindow, as we do.
	if id, err := window.Find(title); err != nil || id != w.ID() {
		return nil, errors.Join(taken, err, w.Close())
	}
	return w, nil
}
