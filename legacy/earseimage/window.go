package earseimage

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

// Window messages: one of winuser.h, and the two of these programs.
const (
	msgNull    = 0
	msgWritten = 0x400 + 110 // WM_USER+110, to the worker
	msgReady   = 0x400 + 111 // WM_USER+111, to the requester
)

// windowWay is how the two programs notify each other on Windows: by SendMessage. The worker
// sends its message while it handles the message of the requester.
//
// Three threads take part. Do gives a job to the sender, and waits. The SendMessage of the
// sender returns when the worker has finished or died. Before that, the thread of the window
// gets the message of the worker and takes the answer.
type windowWay struct {
	mem    *samepage.Memory
	window *window.Window
	jobs   chan *windowJob // to the sender, which is free when somebody has the turn
	ended  chan struct{}   // closed when the sender has ended

	mu sync.Mutex
	at *windowJob // the job that the worker knows of; nil: its message means nothing
}

// windowJob is a job on its way. Until done is closed, its fields belong to the sender,
// except over.
type windowJob struct {
	request []byte
	release func()
	done    chan struct{}
	answer  *Answer
	err     error
	over    bool // done is closed, or nobody waits; guarded by mu
}

func newWindowWay(mem *samepage.Memory) (*windowWay, error) {
	w := &windowWay{mem: mem, jobs: make(chan *windowJob), ended: make(chan struct{})}
	var err error
	if w.window, err = ownWindow(requesterName, w.message); err != nil {
		return nil, err
	}
	go w.send()
	return w, nil
}

func (w *windowWay) do(ctx context.Context, request []byte, release func()) (*Answer, error) {
	j := &windowJob{request: request, release: release, done: make(chan struct{})}
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

// finish ends a job, unless it has ended. The caller holds mu.
func (j *windowJob) finish(a *Answer, err error) {
	if !j.over {
		j.answer, j.err, j.over = a, err, true
		close(j.done)
	}
}

// message handles the message of the worker, on the thread of the window.
func (w *windowWay) message(m uint32) {
	if m != msgReady {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if j := w.at; j != nil && !j.over {
		j.finish(takeAnswer(w.mem))
	}
}

// send is the goroutine of the sender.
func (w *windowWay) send() {
	runtime.LockOSThread() // never unlocked: the message queue of the thread ends with it
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

// deliver lets the worker do a job, and returns when it has finished. The error is for a job
// that has no answer by then.
func (w *windowWay) deliver(j *windowJob, settled *window.ID) error {
	id, err := window.Find(workerName)
	if err != nil {
		return err
	}
	if *settled != id {
		if err := w.settle(id); err != nil {
			return err
		}
		*settled = id
	} else if err := w.window.ID().Send(msgNull, 0); err != nil {
		// A late message of the worker is handled before this one.
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
	if err := id.Send(msgWritten, 0); err != nil {
		return sendError(err)
	}
	return fmt.Errorf("%w: it has taken the job and has sent no answer", ErrJobFailed)
}

// settle waits until the worker has finished with the section: it may be doing the job of a
// requester that died. The worker handles a message that does nothing after that job, or while
// it sends the answer, for it takes us for the requester of the job. Our own window handles a
// second such message after that answer.
func (w *windowWay) settle(worker window.ID) error {
	if err := worker.Send(msgNull, 0); err != nil {
		return sendError(err)
	}
	return w.window.ID().Send(msgNull, 0)
}

// sendError is for the error of a message to a worker that has been there.
func sendError(err error) error {
	if errors.Is(err, syserr.ErrPeerNotStarted) {
		return fmt.Errorf("worker %s: %w", workerName, samepage.ErrPeerDied)
	}
	return err
}

func (w *windowWay) leave() error { return w.window.Close() }

func (w *windowWay) close() error {
	close(w.jobs)
	<-w.ended
	return nil
}

// answerPatience is how long a worker waits until the requester takes an answer, and how long
// a requester that closes waits for a worker that has answered.
const answerPatience = 5 * time.Second

// maxDepth is how deep a requester may nest jobs, each sent while it handles the answer to
// the one before. Each takes some of the stack of the thread.
const maxDepth = 16

// serveWindow serves with window messages until ctx ends.
func (w *server) serveWindow() error {
	depth := 0 // of the thread of the window
	window, err := ownWindow(workerName, func(m uint32) {
		if m != msgWritten {
			return
		}
		if depth == maxDepth {
			w.log(fmt.Errorf("a requester nests jobs more than %d deep: the last one gets no answer", maxDepth))
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

// message does a job while the requester's message is handled, and sends the message of the
// answer from within that.
func (w *server) message() {
	mem, err := samepage.Open(sectionName, memoryOptions())
	if err != nil {
		w.log(err)
		return
	}
	defer mem.Close()
	if err := checkSection(mem); err != nil {
		w.log(err)
		return
	}
	if err := w.answer(mem); err != nil {
		w.log(err)
		return
	}
	requester, err := window.Find(requesterName)
	if err == nil {
		err = requester.Send(msgReady, answerPatience)
	}
	if err != nil {
		w.log(fmt.Errorf("the requester has not taken the answer: %w", err))
	}
}
