package legacy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"samepage"
	"samepage/ipcsync"
)

// earseEvents is how programs tell each other where there are no window messages:
//
//   - event EarseImage: a job is written; event UnionRectTest: it is answered;
//   - mutex "EarseImage job": who has it has the section. The requester writes the
//     record under it, and the worker has it from reading the record until the answer
//     is written: so a requester whose job is at the worker waits, as its SendMessage
//     would;
//   - mutex "EarseImage alive": the worker has it as long as it lives. Who gets it
//     otherwise, for a moment, has seen that there is no worker.
//
// A record is pending while its status is 0. Whoever finds one that nobody waits for
// makes the status 1; a worker that begins does one that its predecessor left.
type earseEvents struct {
	written, ready *ipcsync.Event
	alive, job     *ipcsync.Mutex
}

func (e *earseEvents) open() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, e.shut())
		}
	}()
	if e.written, _, err = ipcsync.OpenOrCreateEvent(earseWorker, nil); err != nil {
		return err
	}
	if e.ready, _, err = ipcsync.OpenOrCreateEvent(earseRequester, nil); err != nil {
		return err
	}
	if e.alive, _, err = ipcsync.OpenOrCreateMutex(earseWorker+" alive", nil); err != nil {
		return err
	}
	e.job, _, err = ipcsync.OpenOrCreateMutex(earseWorker+" job", nil)
	return err
}

func (e *earseEvents) shut() error {
	var errs []error
	if e.written != nil {
		errs = append(errs, e.written.Close())
	}
	if e.ready != nil {
		errs = append(errs, e.ready.Close())
	}
	if e.alive != nil {
		errs = append(errs, e.alive.Close())
	}
	if e.job != nil {
		errs = append(errs, e.job.Close())
	}
	return errors.Join(errs...)
}

// earseEventWay is the requester's side of it.
type earseEventWay struct {
	earseEvents
	mem *samepage.Memory
}

func newEarseEventWay(mem *samepage.Memory) (*earseEventWay, error) {
	w := &earseEventWay{mem: mem}
	if err := w.open(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *earseEventWay) do(ctx context.Context, request []byte, release func()) (*EarseImageAnswer, error) {
	defer release()
	none, err := w.alive.TryLock()
	if err = earseConsistent(w.alive, err); err != nil {
		return nil, err
	}
	if none {
		if err := w.alive.Unlock(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("no worker %s runs: %w", earseWorker, samepage.ErrPeerNotStarted)
	}
	if err := w.write(ctx, request); err != nil {
		return nil, err
	}
	which, err := ipcsync.WaitAny(ctx, w.ready, w.alive)
	if which == 0 && err == nil {
		return takeEarseAnswer(w.mem)
	}
	if which == 1 {
		err = earseConsistent(w.alive, err)
		err = errors.Join(err, w.withdraw(), w.alive.Unlock())
		if err == nil {
			// It may have answered before it went, after our look at that.
			if answered, _ := w.ready.TryWait(); answered {
				return takeEarseAnswer(w.mem)
			}
			err = fmt.Errorf("worker %s: %w", earseWorker, samepage.ErrPeerDied)
		}
		return nil, err
	}
	return nil, errors.Join(err, w.withdraw())
}

// write gives a job to the worker, as soon as that has no other one.
func (w *earseEventWay) write(ctx context.Context, request []byte) error {
	if err := earseConsistent(w.job, w.job.Lock(ctx)); err != nil {
		return err
	}
	// Under the lock: no answer to an older job can come from now on.
	err := w.ready.Reset()
	if err == nil {
		_, err = w.mem.WriteAt(request, 0)
	}
	if err == nil {
		err = w.written.Set()
	}
	return errors.Join(err, w.job.Unlock())
}

// withdraw takes back a job that no worker is at.
func (w *earseEventWay) withdraw() error {
	ok, err := w.job.TryLock()
	if err = earseConsistent(w.job, err); !ok || err != nil {
		return err
	}
	return errors.Join(writeEarseInt32(w.mem, earseStatusAt, earseReceived), w.job.Unlock())
}

func (w *earseEventWay) leave() error { return nil }
func (w *earseEventWay) close() error { return w.shut() }

// serveEvents serves by events until the context ends.
func (w *earseServer) serveEvents() (err error) {
	var e earseEvents
	if err := e.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.shut()) }()
	// Requesters have it for a moment only.
	if err := earseConsistent(e.alive, e.alive.Lock(w.ctx)); err != nil {
		return w.unless(err)
	}
	defer func() { err = errors.Join(err, e.alive.Unlock()) }()
	w.begun()
	for {
		if err := w.look(&e); err != nil {
			return w.unless(err)
		}
		if err := e.written.Wait(w.ctx); err != nil {
			return w.unless(err)
		}
	}
}

// unless is err, unless it comes from the end of the context.
func (w *earseServer) unless(err error) error {
	if w.ctx.Err() != nil && errors.Is(err, w.ctx.Err()) {
		return nil
	}
	return err
}

// look does the job that is pending, if there is one. Its error is one of the locks.
func (w *earseServer) look(e *earseEvents) error {
	if err := earseConsistent(e.job, e.job.Lock(w.ctx)); err != nil {
		return err
	}
	if err := w.pending(e); err != nil {
		w.log(err)
	}
	return e.job.Unlock()
}

func (w *earseServer) pending(e *earseEvents) error {
	mem, err := samepage.Open(earseSection, memoryOptions())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no requester
	}
	if err != nil {
		return err
	}
	defer mem.Close()
	if err := checkEarseSection(mem); err != nil {
		return err
	}
	b := make([]byte, earseRecordSize)
	if _, err := mem.ReadAt(b, 0); err != nil {
		return err
	}
	if !earsePending(b) {
		return nil
	}
	// Whatever happens: who waits for it waits no longer.
	return errors.Join(w.answer(mem), e.ready.Set())
}
