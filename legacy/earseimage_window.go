package legacy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"samepage"
	"samepage/internal/sys/syserr"
	"samepage/internal/sys/window"
)

// Window messages (winuser.h), and the two of these programs.
const (
	earseNull    = 0
	earseWritten = 0x400 + 110 // WM_USER+110, to the worker
	earseReady   = 0x400 + 111 // WM_USER+111, to the requester
)

// earseWindowWay is how programs on Windows tell each other: SendMessage, of which the
// worker's lies within the requester's.
//
// Three threads have a part in it. Do gives a job to the sender, and waits. The
// sender's SendMessage returns when the worker is done, or dead. The window's thread
// gets the worker's message before that, and takes the answer.
type earseWindowWay struct {
	mem    *samepage.Memory
	window *window.Window
	jobs   chan *earseJob // to the sender, which is free whenever somebody has the turn
	ended  chan struct{}  // the sender has

	mu sync.Mutex
	at *earseJob // that the worker has been told of; nil: its message means nothing
}

// earseJob is a job on its way. Its fields but for over are the sender's until done is
// closed.
type earseJob struct {
	request []byte
	release func()
	done    chan struct{}
	answer  *EarseImageAnswer
	err     error
	over    bool // done is closed, or nobody waits; under mu
}

func newEarseWindowWay(mem *samepage.Memory) (*earseWindowWay, error) {
	w := &earseWindowWay{mem: mem, jobs: make(chan *earseJob), ended: make(chan struct{})}
	var err error
	if w.window, err = ownWindow(earseRequester, w.message); err != nil {
		return nil, err
	}
	go w.send()
	return w, nil
}

func (w *earseWindowWay) do(ctx context.Context, request []byte, release func()) (*EarseImageAnswer, error) {
	j := &earseJob{request: request, release: release, done: make(chan struct{})}
	w.jobs <- j
	select {
	case <-j.done:
		return j.answer, j.err
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if j.over {
		return j.answer, j.err
	}
	j.over = true
	return nil, ctx.Err()
}

// finish ends a job, unless that has happened. Needs mu.
func (j *earseJob) finish(a *EarseImageAnswer, err error) {
	if !j.over {
		j.answer, j.err, j.over = a, err, true
		close(j.done)
	}
}

// message handles the worker's, on the window's thread.
func (w *earseWindowWay) message(m uint32) {
	if m != earseReady {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.at; j != nil && !j.over {
		j.finish(takeEarseAnswer(w.mem))
	}
}

// send is the sender.
func (w *earseWindowWay) send() {
	runtime.LockOSThread() // and never unlocked: its message queue goes with it
	defer close(w.ended)
	var settled window.ID
	for j := range w.jobs {
		err := w.deliver(j, &settled)
		w.mu.Lock()
		w.at = nil
		j.finish(nil, err)
		w.mu.Unlock()
		j.release()
	}
}

// deliver has the worker do a job, and returns when it is done with it. The error is
// that of a job that has not been answered by then.
func (w *earseWindowWay) deliver(j *earseJob, settled *window.ID) error {
	id, err := window.Find(earseWorker)
	if err != nil {
		return err
	}
	if *settled != id {
		if err := w.settle(id); err != nil {
			return err
		}
		*settled = id
	} else if err := w.window.ID().Send(earseNull, 0); err != nil { // a late message comes before it
		return err
	}
	w.mu.Lock()
	over := j.over
	w.mu.Unlock()
	if over {
		return nil
	}
	if _, err := w.mem.WriteAt(j.request, 0); err != nil {
		return err
	}
	w.mu.Lock()
	w.at = j
	w.mu.Unlock()
	if err := id.Send(earseWritten, 0); err != nil {
		return earseSendError(err)
	}
	return fmt.Errorf("%w: it took the job and sent no answer", ErrJobFailed)
}

// settle waits until a worker has let go of the section: a requester that died may have
// left it at a job. A message that does nothing is handled when it is done with that, or
// while it tells us of the answer, which it takes us for having asked for. A second
// one, to our own window, is handled after that.
func (w *earseWindowWay) settle(worker window.ID) error {
	if err := worker.Send(earseNull, 0); err != nil {
		return earseSendError(err)
	}
	return w.window.ID().Send(earseNull, 0)
}

// earseSendError is the error of a message to a worker that there was.
func earseSendError(err error) error {
	if errors.Is(err, syserr.ErrPeerNotStarted) {
		return fmt.Errorf("worker %s: %w", earseWorker, samepage.ErrPeerDied)
	}
	return err
}

func (w *earseWindowWay) leave() error { return w.window.Close() }

func (w *earseWindowWay) close() error {
	close(w.jobs)
	<-w.ended
	return nil
}

// earsePatience is how long a worker waits for a requester to take an answer, and a
// requester that closes for a worker that has answered.
const earsePatience = 5 * time.Second

// earseDepth is how many jobs a requester may nest, each sent while it is told of the
// answer to the one before. Each takes some of the thread's stack.
const earseDepth = 16

// serveWindow serves by messages until ctx ends.
func (w *earseServer) serveWindow() error {
	depth := 0 // the window's thread's
	window, err := ownWindow(earseWorker, func(m uint32) {
		if m != earseWritten {
			return
		}
		if depth == earseDepth {
			w.log(fmt.Errorf("a requester sends jobs from within each other, more than %d deep: not answered", earseDepth))
			return
		}
		depth++
		w.message()
		depth--
	})
	if err != nil {
		return err
	}
	w.begun()
	<-w.ctx.Done()
	return window.Close()
}

// message does a job within the requester's message, and tells of the answer by one
// within that.
func (w *earseServer) message() {
	mem, err := samepage.Open(earseSection, memoryOptions())
	if err != nil {
		w.log(err)
		return
	}
	defer mem.Close()
	if err := checkEarseSection(mem); err != nil {
		w.log(err)
		return
	}
	if err := w.answer(mem); err != nil {
		w.log(err)
		return
	}
	requester, err := window.Find(earseRequester)
	if err == nil {
		err = requester.Send(earseReady, earsePatience)
	}
	if err != nil {
		w.log(fmt.Errorf("an answer was not taken: %w", err))
	}
}
