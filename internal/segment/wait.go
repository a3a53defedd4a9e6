package segment

import (
	"context"
	"errors"
	"io/fs"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"samepage/internal/fault"
	"samepage/internal/object"
	"samepage/internal/sys/waker"
	"samepage/layout"
)

// Condition is what a goroutine waits for. Its methods only touch words of the
// segment, and may be called concurrently.
type Condition interface {
	// Try takes what is waited for, if it is to be had.
	Try() (bool, error)
	// Holds says whether it is to be had, without taking it.
	Holds() bool
	// DependsOn names the members that must act before it is to be had, one after
	// the other for k from 0; the zero Owner when there are no more.
	DependsOn(k int) layout.Owner
	// NeedsName says whether the wait makes no sense without the object's name:
	// nobody who has the object open now will let c hold, as far as one can tell, or
	// whoever comes by the name would not be heeded. It is asked only once the name is
	// gone.
	NeedsName() bool
}

// SpinTime is how long a waiter tries before it sleeps: longer than a wake costs,
// or both sides of an exchange come to sleep.
const SpinTime = 30 * time.Microsecond

// Spins says whether trying in a loop makes sense: not when only one processor is
// usable.
func Spins() bool { return runtime.GOMAXPROCS(0) > 1 && runtime.NumCPU() > 1 }

// Wait waits until c was taken.
//
// Errors: those of c, fs.ErrClosed, object.ErrNameGone, the error of ctx.
func (h *Handle) Wait(ctx context.Context, c Condition) error { return h.wait(ctx, c, false) }

// Sleep is Wait without trying in a loop first: for those who have done so
// themselves.
func (h *Handle) Sleep(ctx context.Context, c Condition) error { return h.block(ctx, c, false) }

// WaitFirst is Wait for a goroutine that others of this handle wait for: a sleeper
// of the handle makes way for it, or both would wait for ever.
func (h *Handle) WaitFirst(ctx context.Context, c Condition) error { return h.wait(ctx, c, true) }

// errYield says that the sleeper is to make way for another goroutine of the
// handle.
var errYield = errors.New("another goroutine of the handle goes first")

func (h *Handle) wait(ctx context.Context, c Condition, first bool) error {
	if ok, err := h.spin(c); ok || err != nil {
		return err
	}
	return h.block(ctx, c, first)
}

func (h *Handle) block(ctx context.Context, c Condition, first bool) error {
	for {
		if ok, err := h.takeTurn(ctx, c, first); ok || err != nil {
			return err
		}
		if err := h.sleep(ctx, c, first); err != errYield {
			return err
		}
	}
}

// takeTurn makes this goroutine the sleeper of the handle. It is true when c was
// taken instead.
func (h *Handle) takeTurn(ctx context.Context, c Condition, first bool) (taken bool, err error) {
	if first {
		h.first.Add(1)
		h.ringSelf()
		defer h.first.Add(-1)
	}
	select {
	case h.turn <- struct{}{}:
		return false, nil
	case <-ctx.Done():
	}
	if ok, err := c.Try(); ok || err != nil {
		return ok, err
	}
	return false, ctx.Err()
}

func (h *Handle) spin(c Condition) (bool, error) {
	if ok, err := c.Try(); ok || err != nil {
		return ok, err
	}
	if !Spins() {
		return false, nil
	}
	for begun := time.Now(); time.Since(begun) < SpinTime; {
		for range 16 {
			waker.Pause(8)
			if c.Holds() {
				if ok, err := c.Try(); ok || err != nil {
					return ok, err
				}
			}
		}
	}
	return false, nil
}

// sleep is the part of Wait that one goroutine of a handle is in at a time, its
// turn. S1 to S6 are the steps of docs/protocol/waker.md.
//
// Preconditions:
//   - The caller has the turn (takeTurn); sleep gives it back.
func (h *Handle) sleep(ctx context.Context, c Condition, first bool) error {
	defer func() { <-h.turn }()
	h.cancel.by(ctx, h)
	h.own.watch().add(h, c)
	defer h.own.watch().remove(&h.watched)
	err := h.sleepUntil(ctx, c, first)
	if !h.broadcast && c.Holds() { // S6
		h.Wake(1)
	}
	if h.suspect.Swap(false) {
		_ = h.ReapAsleep() // lest the next ring goes to the dead as well; whoever meets a bad word tells of it
	}
	return err
}

// cancel has the sleeper of a handle rung when a context ends. It stays in place
// for the next sleep, which most often has the same context.
type cancel struct {
	done <-chan struct{}
	stop func() bool
}

func (c *cancel) by(ctx context.Context, h *Handle) {
	if done := ctx.Done(); done != c.done {
		c.drop()
		if done != nil {
			c.done, c.stop = done, context.AfterFunc(ctx, h.ringSelf)
		}
	}
}

func (c *cancel) drop() {
	if c.stop != nil {
		c.stop()
	}
	c.done, c.stop = nil, nil
}

func (h *Handle) sleepUntil(ctx context.Context, c Condition, first bool) error {
	word := h.wakerWord(h.slot)
	for {
		if h.closed.Load() {
			return fs.ErrClosed
		}
		v := atomic.LoadUint32(word) // S1
		h.announce()                 // S2
		ok, err := c.Try()           // S3
		if !ok && err == nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if !ok && err == nil {
			err = h.unblock(c)
		}
		if !ok && err == nil && !first && h.first.Load() > 0 {
			err = errYield
		}
		if ok || err != nil {
			h.clearBit(h.slot)
			return err
		}
		if !h.closed.Load() {
			h.waker.Sleep(v) // S4
		}
		fault.At(fault.SleepWoken)
		h.clearBit(h.slot) // S5
	}
}

// announce is S2, for a sleeper of one condition and for one of many: a full fence, which
// pairs with the one of the process that changes the condition.
func (h *Handle) announce() {
	h.setBit()
	fault.At(fault.SleepBit)
}

// unblock is the end of S3, for a sleeper of one condition and for one of many: it repairs what
// c is blocked by, and returns an error when c can never hold.
func (h *Handle) unblock(c Condition) error {
	if err := h.reapBlockers(c); err != nil || c.Holds() {
		return err
	}
	return h.nameGone(c)
}

// reapBlockers repairs those members that c depends on and that are dead. Then the
// own waker has been rung, so the next Sleep does not sleep. When the watch has
// seen that a ring was lost it looks for other dead sleepers as well.
func (h *Handle) reapBlockers(c Condition) error {
	for k := 0; k < h.n; k++ {
		o := c.DependsOn(k)
		if o.Free() {
			break
		}
		if _, err := h.Reap(o); err != nil {
			return err
		}
	}
	if h.suspect.Swap(false) {
		return h.ReapAsleep()
	}
	return nil
}

// nameGone is an error when the watch has found that the name is gone, and c needs it.
func (h *Handle) nameGone(c Condition) error {
	if gone := h.gone.Load(); gone != nil && c.NeedsName() {
		return *gone
	}
	return nil
}

// CheckName looks whether the name still leads to this segment. Errors:
// object.ErrNameGone, fs.ErrClosed; others say that it cannot be told.
func (h *Handle) CheckName() error {
	if h.obj == nil {
		return nil
	}
	h.lockMu.Lock() // of this handle's use of obj, which lasts until Close has had the mutex
	defer h.lockMu.Unlock()
	if h.closed.Load() {
		return fs.ErrClosed
	}
	return h.obj.Sys.CheckName()
}

// lookAtName is CheckName for the watch.
func (h *Handle) lookAtName() {
	if h.gone.Load() != nil {
		return
	}
	if err := h.CheckName(); errors.Is(err, object.ErrNameGone) {
		h.gone.Store(&err)
	}
}

// Others says whether another member lives for which is says yes. asleep is whether it
// sleeps just now.
func (h *Handle) Others(is func(role uint32, asleep bool) bool) bool {
	for i := range h.n {
		id := atomic.LoadUint64(h.identity(i))
		if i == h.slot || id&inUse == 0 || !is(h.Role(i), h.bit(i)) {
			continue
		}
		if dead, err := h.dead(layout.OwnerOf(i, uint32(id>>32))); !dead && err == nil {
			return true
		}
	}
	return false
}

// Wake rings up to k members that sleep: the next ones after this, round the
// table (R2, R3).
//
// Preconditions:
//   - The caller has changed the condition, with a full fence (R1).
//   - The handle has joined.
func (h *Handle) Wake(k int) {
	words := (h.n + 63) / 64
	first := h.slot + 1
	for step := range words + 1 {
		w := (first/64 + step) % words
		set := atomic.LoadUint64(h.sleepers(w))
		switch step {
		case 0:
			set &= ^uint64(0) << (first % 64)
		case words:
			set &= 1<<(first%64) - 1
		}
		for ; set != 0 && k > 0; set &= set - 1 {
			if i := w*64 + bits.TrailingZeros64(set); i < h.n {
				h.ring(i)
				k--
			}
		}
	}
}

// WakeAll rings all members that sleep. Its preconditions are those of Wake.
func (h *Handle) WakeAll() { h.Wake(h.n) }

// Asleep says whether anybody sleeps (R2): if nobody does, nobody need be rung.
//
// Preconditions:
//   - The caller has changed the condition, with a full fence (R1).
func (h *Handle) Asleep() bool {
	if atomic.LoadUint64(h.sleepers(0)) != 0 {
		return true
	}
	for w := 1; w < (h.n+63)/64; w++ {
		if atomic.LoadUint64(h.sleepers(w)) != 0 {
			return true
		}
	}
	return false
}

// Ring rings one member, if it sleeps. A slot that does not exist is nobody.
//
// Preconditions:
//   - The caller has changed the condition, with a full fence (R1).
func (h *Handle) Ring(slot int) {
	if slot >= 0 && slot < h.n && h.bit(slot) {
		h.ring(slot)
	}
}

func (h *Handle) ring(i int) {
	word := h.wakerWord(i)
	atomic.AddUint32(word, 1)
	fault.At(fault.RingHalf)
	h.ringer.Ring(i, uint32(atomic.LoadUint64(h.identity(i))>>32), word)
}

// ringSelf has the own sleeper look again.
func (h *Handle) ringSelf() {
	atomic.AddUint32(h.wakerWord(h.slot), 1)
	h.ringer.Ring(h.slot, h.inc, h.wakerWord(h.slot))
}

// watchEvery is how often the death watch looks: the only timed wait there is.
const watchEvery = 50 * time.Millisecond

// nameEvery is at which of its looks the watch also looks at the names: at each tenth,
// so twice a second.
const nameEvery = 10

// deathWatch looks after all sleepers of this process, as docs/protocol/waker.md
// tells. It runs while there are any.
type deathWatch struct {
	mu      sync.Mutex
	all     map[looker]struct{}
	running bool
	looks   uint // so far
}

// looker is a sleeper that the watch looks after. look is called with the
// watch's mutex held.
type looker interface{ look(atName bool) }

var watch deathWatch

type watched struct {
	h *Handle
	c Condition
}

func (d *deathWatch) add(h *Handle, c Condition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h.watched = watched{h, c}
	d.put(&h.watched)
}

func (d *deathWatch) put(l looker) {
	if d.all == nil {
		d.all = map[looker]struct{}{}
	}
	d.all[l] = struct{}{}
	if !d.running {
		d.running = true
		go d.run()
	}
}

func (d *deathWatch) remove(w *watched) {
	d.mu.Lock()
	delete(d.all, w)
	*w = watched{} // a handle that refers to itself would never be cleaned up
	d.mu.Unlock()
}

func (d *deathWatch) run() {
	for {
		waker.Doze(watchEvery)
		d.mu.Lock()
		if len(d.all) == 0 {
			d.running = false
			d.mu.Unlock()
			return
		}
		d.looks++
		for w := range d.all {
			w.look(d.looks%nameEvery == 0)
		}
		d.mu.Unlock()
	}
}

// look rings a sleeper whose condition holds, or depends on somebody dead, or whose
// name is gone. The sleeper does what is to be done.
func (w *watched) look(atName bool) {
	if w.c.Holds() {
		w.h.suspect.Store(true)
		w.h.ringSelf()
		return
	}
	if atName {
		w.h.lookAtName()
	}
	if w.h.nameGone(w.c) != nil {
		w.h.ringSelf()
		return
	}
	for k := 0; k < w.h.n; k++ {
		o := w.c.DependsOn(k)
		if o.Free() {
			return
		}
		if dead, err := w.h.dead(o); dead || err != nil {
			w.h.ringSelf()
			return
		}
	}
}

// Until calls try now, and again at each look of the death watch, until it is
// true or fails: for what no member can ring for, such as a name that is not there
// yet.
func Until(ctx context.Context, try func() (bool, error)) error {
	a := make(awaited, 1)
	d := new(ownWatch).watch()
	for waiting := false; ; waiting = true {
		if ok, err := try(); ok || err != nil {
			return err
		}
		if !waiting {
			d.mu.Lock()
			d.put(a)
			d.mu.Unlock()
			defer func() {
				d.mu.Lock()
				delete(d.all, looker(a))
				d.mu.Unlock()
			}()
		}
		select {
		case <-a:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaited is a goroutine in Until.
type awaited chan struct{}

func (a awaited) look(bool) {
	select {
	case a <- struct{}{}:
	default:
	}
}

// Pause tells the processor n times that this is a loop that waits.
func Pause(n uint32) { waker.Pause(n) }
