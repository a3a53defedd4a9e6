package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/call"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/layout"
)

// Client calls a service. Its methods may be called concurrently: a Client has as many calls in
// flight as goroutines call it, and as the service has call slots.
type Client struct{ client }

// client is the common part of a Client and a ClientOf.
type client struct {
	*service
	guard forgotten.Guard
	last  atomic.Int32 // the slot that was used last
	sup   atomic.Pointer[Supervisor]
	calls uses // calls of the user that have not ended
}

// CreateClient creates the service, and becomes one of its clients.
//
// Errors: fs.ErrExist (there is a service of that name), samepage.ErrNoSpace, fs.ErrInvalid
// (options out of range), and those of samepage.Create.
func CreateClient(name string, opts *Options) (*Client, error) {
	c := new(Client)
	_, err := c.start(segment.ToCreate, name, opts, nil)
	return segment.OrNil(c, err)
}

// OpenClient opens a service that exists and becomes one of its clients. It uses only Scope, Owner
// and Schema of opts; if any other option is set, it returns an error.
//
// Errors: fs.ErrNotExist (there is no service of that name; see AwaitClient),
// samepage.ErrTooManyMembers, ErrKindMismatch (the calls of the service have other types than those
// of Schema),
// fs.ErrInvalid (of opts), and those of samepage.Open.
func OpenClient(name string, opts *Options) (*Client, error) {
	c := new(Client)
	_, err := c.start(segment.ToOpen, name, opts, nil)
	return segment.OrNil(c, err)
}

// OpenOrCreateClient opens the service of that name, or creates it, and becomes one of its clients.
// If the service existed, it keeps the options that it was created with. Only Request and Response
// are compared with them, if they are set.
//
// Errors: samepage.ErrTooLarge (the service existed, and is for smaller requests or responses), and
// those of CreateClient and OpenClient except fs.ErrExist and fs.ErrNotExist.
func OpenOrCreateClient(name string, opts *Options) (c *Client, existed bool, err error) {
	c = new(Client)
	existed, err = c.start(segment.ToOpenOrCreate, name, opts, nil)
	c, err = segment.OrNil(c, err)
	return c, existed, err
}

// AwaitClient waits until the service exists, and then opens it like OpenClient. If the call does
// not have to wait, it ignores ctx. If a worker has made the service, it is there for calls from
// then on until it leaves or dies, also while CreateWorker has not returned.
//
// Errors: those of OpenClient except fs.ErrNotExist, and the error of ctx.
func AwaitClient(ctx context.Context, name string, opts *Options) (*Client, error) {
	return await(ctx, name, func() (*Client, error) { return OpenClient(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return wrap("wait for", name, err) })
}

// start is the common part of all constructors. Precondition: c is the zero value.
func (c *client) start(way segment.Way, name string, opts *Options, ty *layout.Type) (existed bool, err error) {
	c.service, existed, err = join(way, name, opts, ty, layout.RoleClient)
	if err != nil {
		return false, wrap("open a client of", name, err)
	}
	c.guard = forgotten.Watch(c, "client of service", name, giveBack, c.service)
	return existed, nil
}

// AwaitWorker waits until the service has a worker. With StartWith it starts one. If the call
// does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed; samepage.ErrNameGone (there is no worker, and the name no longer
// leads to this service, so no worker can come); the error of ctx.
func (c *client) AwaitWorker(ctx context.Context) error {
	var err error
	if s := c.sup.Load(); s == nil {
		err = c.h.Wait(ctx, (*workerWait)(c.service))
	} else if !c.h.Others(isWorker) {
		err = c.ensure(ctx, s)
	}
	runtime.KeepAlive(c)
	return c.wrap("wait for a worker of", err)
}

// workerWait is the segment.Condition of a client that waits for a worker.
type workerWait service

func (w *workerWait) Try() (bool, error)           { return w.Holds(), nil }
func (w *workerWait) Holds() bool                  { return w.h.Others(isWorker) }
func (*workerWait) DependsOn(int) (o layout.Owner) { return o }
func (*workerWait) NeedsName() bool                { return true }

// Call is a call in place. Its methods must be called by one goroutine at a time, and a Call must
// not be copied. The order is Request, Do, Response, Release. Release must be called in each case.
type Call struct {
	c     *client
	slot  int
	n     uint16
	flags uint32
	size  int // of the request
	asked bool
}

// Begin takes a call slot. It waits until one is free. The caller writes the request into Request,
// and then calls Do. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrNoSpace (there is no memory for a call slot that was not in use before),
// ErrClosed, the error of ctx.
func (c *Client) Begin(ctx context.Context) (Call, error) { return c.begin(ctx) }

func (c *client) begin(ctx context.Context) (Call, error) {
	if !c.calls.begin() {
		return Call{}, c.wrap("call", samepage.ErrClosed)
	}
	slot := int(c.last.Load())
	if !c.set.Claim(slot, c.me()) {
		var err error
		if slot, err = c.claim(ctx); err != nil {
			c.calls.done()
			return Call{}, c.wrap("call", err)
		}
	}
	if err := c.set.Reserve(slot); err != nil {
		if slot = c.reserved(slot); slot < 0 {
			c.calls.done()
			return Call{}, c.wrap("call", err)
		}
	}
	return Call{c: c, slot: slot}, nil
}

// reserved gives a slot back for which there is no space, and takes one that has space. It returns
// -1 if there is none.
func (c *client) reserved(slot int) int {
	c.free(slot)
	for slot := range c.set.Calls() {
		if !c.set.Used(slot) || !c.set.Claim(slot, c.me()) {
			continue
		}
		if c.set.Reserve(slot) == nil {
			c.last.Store(int32(slot))
			return slot
		}
		c.free(slot)
	}
	return -1
}

// claim takes a slot that is not the one that was used last. It waits until one is free.
func (c *client) claim(ctx context.Context) (int, error) {
	w := &slotWait{service: c.service}
	if ok, err := w.Try(); !ok && err == nil {
		c.want(wantSlot, 1)
		err = c.h.Wait(ctx, w)
		c.want(wantSlot, -1)
		if c.set.Free() { // the ring may have been for another client
			c.h.WakeFor(wantSlot, 1)
		}
		if err != nil {
			return 0, fmt.Errorf("all %d calls that the service can have at a time are in use: %w", c.set.Calls(), err)
		}
	} else if err != nil {
		return 0, err
	}
	c.last.Store(int32(w.slot))
	return w.slot, nil
}

// slotWait is the segment.Condition of a client that waits for a free call slot.
type slotWait struct {
	*service
	slot int
}

func (w *slotWait) Try() (bool, error) {
	for slot := range w.set.Calls() {
		if w.set.Claim(slot, w.me()) {
			w.slot = slot
			return true, nil
		}
	}
	for slot := range w.set.Calls() {
		ok, err := w.adopt(slot)
		if ok || err != nil {
			w.slot = slot
			return ok, err
		}
	}
	return false, nil
}

// Holds says whether a slot is free, or has an owner that has left.
func (w *slotWait) Holds() bool {
	for slot := range w.set.Calls() {
		o := w.set.OwnerOf(slot)
		if o == 0 || o != w.me() && !w.present(o) {
			return true
		}
	}
	return false
}

// present says whether the slot of the member that o names is in use by that member.
func (w *slotWait) present(o layout.Owner) bool {
	if o.Slot() < 0 || o.Slot() >= w.h.Members() {
		return false // Try returns the error
	}
	_, has := w.h.HeldOf(o.Slot())
	return has == layout.OwnerOf(o.Slot(), o.Incarnation())
}

// DependsOn returns each client that has slots once: a few clients may have all slots.
func (w *slotWait) DependsOn(k int) layout.Owner {
	var owners [layout.MaxMembers / 64]uint64
	for slot := range w.set.Calls() {
		if o := w.set.OwnerOf(slot); o != 0 && o != w.me() && w.present(o) {
			owners[o.Slot()/64] |= 1 << (o.Slot() % 64)
		}
	}
	for i, set := range owners {
		n := bits.OnesCount64(set)
		if k >= n {
			k -= n
			continue
		}
		for range k {
			set &= set - 1
		}
		_, o := w.h.HeldOf(i*64 + bits.TrailingZeros64(set))
		return o
	}
	return 0
}

func (*slotWait) NeedsName() bool { return false }

// adopt takes over a slot whose client is gone. If a worker still has the call, adopt returns
// false, and the slot will be free when the worker has finished.
func (s *service) adopt(slot int) (bool, error) {
	was := s.set.OwnerOf(slot)
	if was.Free() || was == s.me() {
		return false, nil
	}
	if gone, err := s.h.Gone(was); !gone || err != nil {
		return false, err
	}
	if !s.set.Adopt(slot, was, s.me()) {
		return false, nil
	}
	n := s.set.StateOf(slot).Number()
	if s.set.Settle(slot, n) {
		return true, nil
	}
	s.abandon(slot, n)
	return false, nil
}

// abandon leaves a call to its worker. A goroutine frees the slot when the worker has finished.
func (s *service) abandon(slot int, n uint16) {
	s.set.Cancel(slot, n)
	s.ringWorkerOf(slot) // it may wait for the client to take a part
	go func() {
		w := &answerWait{service: s, slot: slot, n: n, nobody: true}
		if err := s.h.Wait(context.Background(), w); err == nil {
			s.free(slot)
		}
	}()
}

// Request is the room for the request, in place. It has old contents. It is nil after Do.
func (c *Call) Request() []byte {
	if c.c == nil || c.asked {
		return nil
	}
	return c.c.set.Request(c.slot)
}

// MarkIdempotent says that the call does no harm if it is executed twice: if its worker dies,
// another worker executes it again. It must be called before Do.
func (c *Call) MarkIdempotent() { c.flags |= layout.CallIdempotent }

// Do asks what the first n bytes of Request say, and waits for the answer. The deadline of ctx
// travels to the worker. If ctx ends, Do returns at once, and the context of the handler ends.
//
// If ctx has ended before, Do does not ask. If the answer is there without waiting, Do ignores the
// end of ctx.
//
// Errors:
//   - *Error, if the handler returned an error.
//   - *PeerDiedError, which matches samepage.ErrPeerDied: the worker that had the call has died.
//   - samepage.ErrPeerNotStarted: the service has no worker; see AwaitWorker.
//   - samepage.ErrTooLarge, ErrNegativeSize (n is not 0 to MaxRequest), ErrClosed, ErrCorrupt.
//   - the error of ctx.
func (c *Call) Do(ctx context.Context, n int) error {
	if err := c.Start(ctx, n); err != nil {
		return err
	}
	return c.Wait(ctx)
}

// Start is the first half of Do: it asks, and does not wait. The deadline of ctx travels to the
// worker. If ctx has ended, Start does not ask.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, ErrClosed, ErrCorrupt, the error of ctx.
func (c *Call) Start(ctx context.Context, n int) error {
	if c.c == nil || c.asked {
		return fmt.Errorf("rpc: call that was made before: %w", samepage.ErrClosed)
	}
	err := ctx.Err()
	if err == nil {
		err = c.c.ask(ctx, c, n)
	}
	return c.c.wrap("call", err)
}

func (c *client) ask(ctx context.Context, k *Call, n int) error {
	if n < 0 || n > c.MaxRequest() {
		err := samepage.ErrTooLarge
		if n < 0 {
			err = samepage.ErrNegativeSize
		}
		return fmt.Errorf("a request of %d bytes, want 0 to %d: %w", n, c.MaxRequest(), err)
	}
	h := call.Header{Length: uint32(n), Client: uint32(c.me().Slot()), Flags: k.flags}
	if d, ok := ctx.Deadline(); ok {
		h.Deadline = deadlineOf(d)
	}
	num, handed, err := c.set.Ask(k.slot, &h)
	if err != nil {
		return err
	}
	k.n, k.size, k.asked = num, n, true
	if !handed {
		c.set.Hint(k.slot)
		c.ringWorker()
	}
	return nil
}

// lastDeadline is the last one that a call can carry, in the year 2262.
var lastDeadline = time.Unix(0, math.MaxInt64)

// deadlineOf is how a call carries the deadline d. A later one than lastDeadline is none.
func deadlineOf(d time.Time) int64 {
	switch {
	case d.After(lastDeadline):
		return 0
	case d.Unix() < 0:
		return 1 // it is over
	}
	return max(1, d.UnixNano())
}

// Wait is the second half of Do: it waits for the answer. Its errors are those of Do.
func (c *Call) Wait(ctx context.Context) error {
	if c.c == nil || !c.asked {
		return fmt.Errorf("rpc: wait for a call that was not made: %w", samepage.ErrClosed)
	}
	k := c.c
	err := k.answer(ctx, c)
	runtime.KeepAlive(k)
	if err != nil {
		return k.wrap("call", err)
	}
	return nil
}

func (c *client) answer(ctx context.Context, k *Call) error {
	if !segment.Spin(func() bool { return c.set.Answered(k.slot, k.n) }) {
		if err := c.sleep(ctx, k, answerWait{}); err != nil {
			return err
		}
	}
	a, err := c.set.Last(k.slot)
	if err != nil {
		return err
	}
	return errOf(&a)
}

// waits has answerWaits that are not in use: the death watch has the address of each that is.
var waits = sync.Pool{New: func() any { return new(answerWait) }}

// sleep waits for the answer, or for the part of it that of says. If there is no worker, it has the
// Supervisor start one, and asks again. After an error the call has ended.
func (c *client) sleep(ctx context.Context, k *Call, of answerWait) error {
	seen, err := c.sleepOnce(ctx, k, of)
	for s := c.sup.Load(); s != nil && err == errNoWorker; seen, err = c.sleepOnce(ctx, k, of) {
		if err := c.ensure(ctx, s); err != nil {
			return c.giveUp(k, fmt.Errorf("start a worker: %w", err))
		}
		if err := c.ask(ctx, k, k.size); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
		return c.giveUp(k, err)
	case seen == call.Abandoned:
		return c.diedDuring(ctx, k)
	}
	return nil
}

func (c *client) sleepOnce(ctx context.Context, k *Call, of answerWait) (call.Progress, error) {
	w := waits.Get().(*answerWait)
	*w = of
	w.service, w.slot, w.n = c.service, k.slot, k.n
	err := c.h.Sleep(ctx, w)
	seen := w.seen
	*w = answerWait{}
	waits.Put(w)
	return seen, err
}

// giveUp ends a call that has no answer yet, because of err.
func (c *client) giveUp(k *Call, err error) error {
	if errors.Is(err, samepage.ErrCorrupt) || c.set.Settle(k.slot, k.n) {
		return err
	}
	err = c.whoHas(k.slot, k.n, err)
	c.abandon(k.slot, k.n)
	k.end()
	return err
}

// answerWait is the segment.Condition of a client that waits for an answer.
type answerWait struct {
	*service
	slot   int
	n      uint16
	nobody bool // the call was given up
	stream bool // it waits for part k, or for the end
	k      uint32
	seen   call.Progress
}

func (w *answerWait) Try() (bool, error) {
	w.seen = call.Ended
	if w.stream && w.set.Arrived(w.slot, w.n, w.k) {
		return true, nil
	}
	p, _, err := w.set.Look(w.slot, w.n)
	w.seen = p
	if err != nil || p >= call.Ended {
		return err == nil, err
	}
	if p == call.Waiting {
		switch {
		case w.nobody: // its worker died, and it is idempotent
			return w.set.Withdraw(w.slot, w.n), nil
		case !w.h.Others(isWorker) && w.set.Withdraw(w.slot, w.n):
			return false, errNoWorker
		}
	}
	return false, nil
}

func (w *answerWait) Holds() bool {
	if w.stream && w.set.Arrived(w.slot, w.n, w.k) {
		return true
	}
	p, _, err := w.set.Look(w.slot, w.n)
	// Try gives up if there is no worker: each that leaves wakes all, and each that dies is noticed.
	return err != nil || p >= call.Ended || p == call.Waiting && w.h.WithRole(layout.RoleWorker, 0).Free()
}

// DependsOn returns the worker that has the call. If none has it, it returns all workers. The
// hint of such a call may have been lost with a worker that died, so DependsOn also sets it
// again.
func (w *answerWait) DependsOn(k int) layout.Owner {
	p, worker, _ := w.set.Look(w.slot, w.n)
	switch {
	case p == call.Working && k == 0:
		return worker
	case p == call.Waiting:
		if k == 0 && w.set.HintAgain(w.slot) {
			w.ringWorker()
		}
		return w.h.WithRole(layout.RoleWorker, k)
	}
	return 0
}

func (*answerWait) NeedsName() bool { return false }

// Response returns the response, in place. It is good until Release, and read-only. It is nil if Do
// has not returned nil.
func (c *Call) Response() []byte {
	if c.c == nil || !c.asked || !c.c.set.Answered(c.slot, c.n) {
		return nil
	}
	a, err := c.c.set.Last(c.slot)
	if err != nil || a.Failed {
		return nil
	}
	return a.Bytes
}

// Release gives the call slot back. If the call has no answer yet, it is given up. A second Release
// does nothing.
func (c *Call) Release() {
	k := c.c
	if k == nil {
		return
	}
	if c.asked && !k.set.Settle(c.slot, c.n) {
		k.abandon(c.slot, c.n)
	} else {
		k.free(c.slot)
	}
	c.end()
	runtime.KeepAlive(k)
}

func (c *Call) end() {
	c.c.calls.done()
	c.c = nil
}

// Call sends a copy of req, and returns a copy of the response.
//
// Errors: those of Begin and of Call.Do.
func (c *Client) Call(ctx context.Context, req []byte) ([]byte, error) {
	return c.call(ctx, req, nil, 0)
}

// CallIdempotent is Call for a request that does no harm if it is executed twice: if its worker
// dies, another worker executes it again.
//
// Errors: those of Call.
func (c *Client) CallIdempotent(ctx context.Context, req []byte) ([]byte, error) {
	return c.call(ctx, req, nil, layout.CallIdempotent)
}

// CallAppend is Call, but it appends the response to b.
//
// Errors: those of Call.
func (c *Client) CallAppend(ctx context.Context, b, req []byte) ([]byte, error) {
	return c.call(ctx, req, b, 0)
}

func (c *client) call(ctx context.Context, req, b []byte, flags uint32) ([]byte, error) {
	k, err := c.begin(ctx)
	if err != nil {
		return b, err
	}
	defer k.Release()
	k.flags = flags
	copy(k.Request(), req) // if it is too long, Do refuses it
	if err := k.Do(ctx, len(req)); err != nil {
		return b, err
	}
	return append(b, k.Response()...), nil
}

// Close leaves the service. A second Close does nothing.
//
// Errors: samepage.ErrUnreleased, while calls are in flight.
func (c *client) Close() error {
	if c.h.Closed() {
		return nil
	}
	if n := c.calls.end(); n > 0 {
		return c.wrap("close a client of", fmt.Errorf("calls in flight: %d: %w", n, samepage.ErrUnreleased))
	}
	c.guard.Done()
	return c.wrap("close a client of", c.service.close())
}
