package earseimage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"samepage"
	"samepage/ipcsync"
)

// events is how the two programs notify each other where there are no window messages:
//
//   - Event EarseImage: a job is written. Event UnionRectTest: it is answered.
//   - Mutex "EarseImage job": its owner has the section. The requester writes the record
//     under it. The worker holds it from reading the record until the answer is written, so a
//     requester whose job is at the worker waits, as its SendMessage would on Windows.
//   - Mutex "EarseImage alive": the worker holds it as long as it lives. A program that gets
//     it for a moment has found out that there is no worker.
//
// A record is pending while its status is 0. Whoever finds a pending record that nobody
// waits for sets the status to 1. A worker that starts does the job that an earlier worker
// has left.
type events struct {
	written, ready *ipcsync.Event
	alive, job     *ipcsync.Mutex
}

func (e *events) open() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, e.shut())
		}
	}()
	if e.written, _, err = ipcsync.OpenOrCreateEvent(workerName, nil); err != nil {
		return err
	}
	if e.ready, _, err = ipcsync.OpenOrCreateEvent(requesterName, nil); err != nil {
		return err
	}
	if e.alive, _, err = ipcsync.OpenOrCreateMutex(workerName+" alive", nil); err != nil {
		return err
	}
	e.job, _, err = ipcsync.OpenOrCreateMutex(workerName+" job", nil)
	return err
}

func (e *events) shut() error {
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

// eventWay is the requester's side of events.
type eventWay struct {
	events
	mem *samepage.Memory
}

func newEventWay(mem *samepage.Memory) (*eventWay, error) {
	w := &eventWay{mem: mem}
	if err := w.open(); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *eventWay) do(ctx context.Context, request []byte, release func()) (*Answer, error) {
	defer release()
	none, err := w.alive.TryLock()
	if err = consistent(w.alive, err); err != nil {
		return nil, err
	}
	if none {
		if err := w.alive.Unlock(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("no worker %s runs: %w", workerName, samepage.ErrPeerNotStarted)
	}
	if err := w.write(ctx, request); err != nil {
		return nil, err
	}
	which, err := ipcsync.WaitAny(ctx, w.ready, w.alive)
	if which == 0 && err == nil {
		return takeAnswer(w.mem)
	}
	if which == 1 {
		err = consistent(w.alive, err)
		err = errors.Join(err, w.withdraw(), w.alive.Unlock())
		if err == nil {
			// It may have answered just before it died.
			if answered, _ := w.ready.TryWait(); answered {
				return takeAnswer(w.mem)
			}
			err = fmt.Errorf("worker %s: %w", workerName, samepage.ErrPeerDied)
		}
		return nil, err
	}
	return nil, errors.Join(err, w.withdraw())
}

// write gives a job to the worker as soon as the worker has no other one.
func (w *eventWay) write(ctx context.Context, request []byte) error {
	if err := consistent(w.job, w.job.Lock(ctx)); err != nil {
		return err
	}
	// The lock is held, so no answer to an older job can come from now on.
	err := w.ready.Reset()
	if err == nil {
		_, err = w.mem.WriteAt(request, 0)
	}
	if err == nil {
		err = w.written.Set()
	}
	return errors.Join(err, w.job.Unlock())
}

// withdraw takes back a job that no worker is doing.
func (w *eventWay) withdraw() error {
	ok, err := w.job.TryLock()
	if err = consistent(w.job, err); !ok || err != nil {
		return err
	}
	return errors.Join(writeInt32(w.mem, statusAt, statusReceived), w.job.Unlock())
}

func (w *eventWay) leave() error { return nil }
func (w *eventWay) close() error { return w.shut() }

// serveEvents serves with events until the context ends.
func (w *server) serveEvents() (err error) {
	var e events
	if err := e.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.shut()) }()
	// Requesters hold it only for a moment.
	if err := consistent(e.alive, e.alive.Lock(w.ctx)); err != nil {
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

// unless returns err, or nil if it is the error of the context of Serve.
func (w *server) unless(err error) error {
	if w.ctx.Err() != nil && errors.Is(err, w.ctx.Err()) {
		return nil
	}
	return err
}

// look does the pending job, if there is one. It returns only errors of locks.
func (w *server) look(e *events) error {
	if err := consistent(e.job, e.job.Lock(w.ctx)); err != nil {
		return err
	}
	if err := w.pending(e); err != nil {
		w.log(err)
	}
	return e.job.Unlock()
}

func (w *server) pending(e *events) error {
	mem, err := samepage.Open(sectionName, memoryOptions())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no requester
	}
	if err != nil {
		return err
	}
	defer mem.Close()
	if err := checkSection(mem); err != nil {
		return err
	}
	b := make([]byte, recordSize)
	if _, err := mem.ReadAt(b, 0); err != nil {
		return err
	}
	if !isPending(b) {
		return nil
	}
	// Wake the requester whatever happens.
	return errors.Join(w.answer(mem), e.ready.Set())
}
