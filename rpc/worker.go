package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"samepage"
	"samepage/internal/call"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/layout"
)

// Worker answers calls of a service.
type Worker struct{ worker }

// worker is the common part of a Worker and a WorkerOf.
type worker struct {
	*service
	guard   forgotten.Guard
	serving uses // calls of Serve that run
}

// CreateWorker creates the service, and becomes one of its workers.
//
// Errors: those of CreateClient.
func CreateWorker(name string, opts *Options) (*Worker, error) {
	w := new(Worker)
	_, err := w.start(segment.ToCreate, name, opts, nil)
	return segment.OrNil(w, err)
}

// OpenWorker opens a service that exists and becomes one of its workers. It uses only Scope, Owner
// and Schema of opts; if any other option is set, it returns an error.
//
// Errors: those of OpenClient.
func OpenWorker(name string, opts *Options) (*Worker, error) {
	w := new(Worker)
	_, err := w.start(segment.ToOpen, name, opts, nil)
	return segment.OrNil(w, err)
}

// OpenOrCreateWorker opens the service of that name, or creates it, and becomes one of its workers.
// If the service existed, it keeps the options that it was created with. Only Request and Response
// are compared with them, if they are set.
//
// Errors: those of OpenOrCreateClient.
func OpenOrCreateWorker(name string, opts *Options) (w *Worker, existed bool, err error) {
	w = new(Worker)
	existed, err = w.start(segment.ToOpenOrCreate, name, opts, nil)
	w, err = segment.OrNil(w, err)
	return w, existed, err
}

// AwaitWorker waits until the service exists, and then opens it like OpenWorker. If the call does
// not have to wait, it ignores ctx.
//
// Errors: those of OpenWorker except fs.ErrNotExist, and the error of ctx.
func AwaitWorker(ctx context.Context, name string, opts *Options) (*Worker, error) {
	return await(ctx, name, func() (*Worker, error) { return OpenWorker(name, opts) })
}

// start is the common part of all constructors. Precondition: w is the zero value.
func (w *worker) start(way segment.Way, name string, opts *Options, ty *layout.Type) (existed bool, err error) {
	w.service, existed, err = join(way, name, opts, ty, layout.RoleWorker)
	if err != nil {
		return false, wrap("open a worker of", name, err)
	}
	w.guard = forgotten.Watch(w, "worker of service", name, giveBack, w.service)
	return existed, nil
}

// Handler answers one call. It reads Job.Request, and writes the response into Job.Response. An
// error that it returns is the error of the call; see Error. A Job and its bytes are good until the
// Handler returns.
type Handler func(j *Job) error

// Func is the Handler that calls f with the request, in place, and copies the response that f
// returns.
func Func(f func(ctx context.Context, req []byte) ([]byte, error)) Handler {
	return func(j *Job) error {
		b, err := f(j.Context(), j.Request())
		if err != nil {
			return err
		}
		room, err := j.Response(len(b))
		copy(room, b)
		return err
	}
}

// Serve answers one call after the other, until ctx ends. Then it answers the call that it has
// begun, and returns; other workers take the calls that are not begun. Several goroutines may call
// Serve: then the Worker answers as many calls at a time. If h panics, its call ends with an Error.
//
// Errors: samepage.ErrClosed; samepage.ErrNameGone (there is no client, and the name no longer
// leads to this service, so no client can come); the error of ctx.
func (w *Worker) Serve(ctx context.Context, h Handler) error { return w.serve(ctx, h) }

func (w *worker) serve(ctx context.Context, h Handler) error {
	if !w.serving.begin() {
		return w.wrap("serve", samepage.ErrClosed)
	}
	defer w.serving.done()
	s := &server{service: w.service, w: w.set.NewWorker(w.me()), ctx: ctx}
	s.job.s = s
	defer s.broken()
	err := s.serve(h)
	runtime.KeepAlive(w)
	return w.wrap("serve", err)
}

// server is one call of Serve.
type server struct {
	*service
	w   *call.Worker
	ctx context.Context
	job Job
	// running: the handler has begun, and has not returned.
	running bool
}

// broken ends the call of a handler that has not returned: it has panicked, or it has ended its
// goroutine.
func (s *server) broken() {
	if !s.running {
		return
	}
	s.job.fail(errBroken, false)
	s.job.done()
	if c := &s.job.call; !s.w.Unbind(c) {
		s.giveBack(c)
	}
}

func (s *server) serve(h Handler) error {
	done := s.ctx.Done()
	c := &s.job.call
	for looked := false; ; looked = true { // looked: done was looked at just now
		if !s.w.Poll(c) {
			looked = false
			if err := s.next(); err != nil {
				return err
			}
		}
		if s.w.GaveBack() {
			s.ringWorker()
		}
		if err := s.ctx.Err(); !looked && err != nil {
			s.giveBack(c)
			return err
		}
		for have := true; have; {
			s.job.run(h)
			over := false
			select {
			case <-done:
				over = true
			default:
			}
			if !over && segment.Spins() {
				break // the worker goes on looking at the slot
			}
			have = !s.w.Unbind(c)
			if !over {
				continue
			}
			if have { // it was handed over meanwhile
				s.giveBack(c)
			}
			return s.ctx.Err()
		}
	}
}

// giveBack leaves a call that is not begun to another worker.
func (s *server) giveBack(c *call.Call) {
	s.w.Return(c)
	s.ringWorker()
}

// next waits for a call.
func (s *server) next() error {
	if segment.Spin(func() bool { return s.w.Poll(&s.job.call) }) {
		return nil
	}
	if !s.w.Unbind(&s.job.call) {
		return nil
	}
	s.want(wantCall, 1)
	err := s.h.Sleep(s.ctx, (*callWait)(s))
	s.want(wantCall, -1)
	if s.set.Hinted() { // the ring may have been for another worker
		s.ringWorker()
	}
	return err
}

// callWait is the segment.Condition of a worker that waits for a call.
type callWait server

func (w *callWait) Try() (bool, error) { return w.w.Scan(&w.job.call), nil }
func (w *callWait) Holds() bool        { return w.set.Waits() }

// DependsOn returns nobody, because any client may call next.
func (*callWait) DependsOn(int) layout.Owner { return 0 }

// NeedsName: only a client that has the service open can call.
func (w *callWait) NeedsName() bool {
	return !w.h.Others(func(role uint32, _ bool) bool { return role == layout.RoleClient })
}

// Job is a call that a Handler answers. Only the goroutine of the Handler may call its methods.
type Job struct {
	s      *server
	call   call.Call
	req    []byte
	length uint32 // of the part that the handler writes
	begun  bool   // Response was called for this part
	sent   uint32 // parts
	ctx    *jobContext
}

// Request is the request, in place and read-only.
func (j *Job) Request() []byte { return j.req }

// MaxResponse returns the bytes of the largest response, or of the largest part.
func (j *Job) MaxResponse() int { return j.s.MaxResponse() }

// Response sets the size of the response, and returns its n bytes, in place. They have old
// contents: the handler must set all of them. Without Response the response is empty.
//
// After Send, Response is for the next part. It waits until the client has let go of an earlier
// one.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, and after Send also the error of Context.
func (j *Job) Response(n int) ([]byte, error) {
	s := j.s
	if most := s.MaxResponse(); n < 0 || n > most {
		err := samepage.ErrTooLarge
		if n < 0 {
			err = samepage.ErrNegativeSize
		}
		return nil, fmt.Errorf("rpc: a response of %d bytes, want 0 to %d: %w", n, most, err)
	}
	if err := j.room(); err != nil {
		return nil, s.wrap("send a part to a client of", err)
	}
	j.length, j.begun = uint32(n), true
	return s.set.Response(j.call.Slot, j.sent%s.set.C.Parts)[:n:n], nil
}

// Streams says whether the client takes a response of several parts, see Send.
func (j *Job) Streams() bool { return j.call.Flags&layout.CallStream != 0 }

// Send sends what Response has returned as one part of the response. Further parts may follow. If
// the handler calls Response and returns without Send, that is the last part.
//
// Errors: errors.ErrUnsupported (the client takes one response only, see Streams).
func (j *Job) Send() error {
	if !j.Streams() {
		return j.s.wrap("send a part to a client of", fmt.Errorf("the client takes one response only: %w", errors.ErrUnsupported))
	}
	if !j.begun {
		if _, err := j.Response(0); err != nil {
			return err
		}
	}
	j.answer(0, layout.ReplyMore)
	j.sent++
	j.length, j.begun = 0, false
	return nil
}

// room waits until there is room for the next part.
func (j *Job) room() error {
	s := j.s
	if s.set.Room(j.call.Slot, j.call.N, j.sent) {
		return nil
	}
	return s.h.Wait(j.Context(), (*roomWait)(j))
}

// roomWait is the segment.Condition of a worker that waits until its client has let go of a part.
type roomWait Job

func (w *roomWait) Try() (bool, error) {
	switch {
	case w.s.set.Room(w.call.Slot, w.call.N, w.sent):
		return true, nil
	case w.s.set.Cancelled(w.call.Slot, w.call.N):
		return false, errGivenUp
	}
	return false, nil
}

func (w *roomWait) Holds() bool {
	return w.s.set.Room(w.call.Slot, w.call.N, w.sent) || w.s.set.Cancelled(w.call.Slot, w.call.N)
}

// DependsOn returns nobody: if the client dies, the context of the Job ends.
func (*roomWait) DependsOn(int) layout.Owner { return 0 }
func (*roomWait) NeedsName() bool            { return false }

// answer makes a part visible, and rings the client.
func (j *Job) answer(code uint32, status layout.CallReply) {
	j.s.w.Answer(&j.call, j.sent, j.length, code, status)
	if j.s.h.Asleep() {
		j.s.h.Ring(j.s.set.ClientOf(j.call.Slot))
	}
}

// Idempotent says whether the client has marked the call as idempotent.
func (j *Job) Idempotent() bool { return j.call.Flags&layout.CallIdempotent != 0 }

// run calls the handler and answers. A request that makes no sense fails, and the worker goes on:
// the error is its client's.
func (j *Job) run(h Handler) {
	s := j.s
	j.length, j.begun, j.sent = 0, false, 0
	s.w.Begin(&j.call)
	req, err := s.w.RequestOf(&j.call)
	if err == nil {
		j.req = req
		s.running = true
		err = h(j)
		s.running = false
	}
	switch {
	case err != nil:
		j.fail(err, true)
	case j.begun || j.sent == 0:
		j.answer(0, layout.ReplyDone)
	default:
		j.answer(0, layout.ReplyEnd)
	}
	j.done()
}

// done ends what the handler could use.
func (j *Job) done() {
	j.req = nil
	if j.ctx != nil {
		j.ctx.end()
		j.ctx = nil
	}
}

// fail answers with an error. If it must not wait for room, or the context of the Job ends, it
// answers without the error.
func (j *Job) fail(err error, wait bool) {
	if wait && j.room() != nil || !j.s.set.Room(j.call.Slot, j.call.N, j.sent) {
		j.answer(0, layout.ReplyCut)
		return
	}
	e := answerOf(err)
	room := j.s.set.Response(j.call.Slot, j.sent%j.s.set.C.Parts)
	j.length = uint32(copy(room, layout.CutText(e.Text, len(room))))
	j.answer(e.Code, layout.ReplyFailed)
}

// Context is a context for what the handler does. It ends when the client gives the call up or
// dies, when the context of Serve ends, and when the handler returns. Its deadline is that of the
// client: it also ends a little later, up to 100 ms, if the client has not given up by then.
func (j *Job) Context() context.Context {
	if j.ctx == nil {
		j.ctx = newJobContext(j)
	}
	return j.ctx
}

// jobContext is the context of a Job.
type jobContext struct {
	context.Context
	cancel   context.CancelCauseFunc
	stop     func()
	deadline int64
}

// afterDeadline is how long a handler goes on after the deadline of a client that has not given up.
// A client that waits gives up itself: it must not get the error of a handler whose context has
// ended, instead of its own.
const afterDeadline = int64(50 * time.Millisecond)

func newJobContext(j *Job) *jobContext {
	s, slot, n := j.s.service, j.call.Slot, j.call.N
	c := &jobContext{deadline: j.call.Deadline}
	c.Context, c.cancel = context.WithCancelCause(j.s.ctx)
	owner := s.set.OwnerOf(slot)
	c.stop = segment.Look(func() {
		gone, err := s.h.Gone(owner)
		switch {
		case s.set.Cancelled(slot, n):
			c.cancel(errGivenUp)
		case gone && err == nil:
			c.cancel(errClientGone)
		case c.deadline != 0 && now()-afterDeadline > c.deadline:
			c.cancel(context.DeadlineExceeded)
		}
	})
	return c
}

var (
	errGivenUp    = errors.New("rpc: the client has given up the call")
	errClientGone = fmt.Errorf("rpc: the client is gone: %w", samepage.ErrPeerDied)
)

// Deadline is the deadline of the client, or that of the context of Serve if that is earlier.
func (c *jobContext) Deadline() (time.Time, bool) {
	d, ok := c.Context.Deadline()
	if own := time.Unix(0, c.deadline); c.deadline != 0 && (!ok || own.Before(d)) {
		return own, true
	}
	return d, ok
}

func (c *jobContext) end() {
	c.stop()
	c.cancel(nil)
}

// Close leaves the service. A second Close does nothing.
//
// Errors: samepage.ErrUnreleased, while Serve runs: end its context first.
func (w *worker) Close() error {
	if w.h.Closed() {
		return nil
	}
	if w.serving.end() > 0 {
		return w.wrap("close a worker of", fmt.Errorf("it serves: %w", samepage.ErrUnreleased))
	}
	w.guard.Done()
	return w.wrap("close a worker of", w.service.close())
}
