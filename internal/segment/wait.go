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
	"samepage/internal/sys/syserr"
	"samepage/internal/sys/waker"
	"samepage/layout"
)

// Condition is what a goroutine waits for. Its methods touch only words of the segment, and may
// be called concurrently.
type Condition interface {
	// Try takes what the goroutine waits for, if it is available.
	Try() (bool, error)
	// Holds says whether it is available, without taking it.
	Holds() bool
	// DependsOn names the members that must act before it is available, one for each k from 0.
	// After the last one it is the zero Owner.
	DependsOn(k int) layout.Owner
	// NeedsName says whether the wait is useless without the object's name. That is so if nobody
	// who has the object open now will make the condition hold, as far as is known. It is also so
	// if the condition would not take account of a process that opens the name from now on.
	// NeedsName is called only after the name is gone.
	NeedsName() bool
}

// SpinTime is how long a waiter tries before it sleeps. It is longer than a wake takes; otherwise
// both sides of an exchange would sleep.
const SpinTime = 30 * time.Microsecond

// Spins says whether trying in a loop is useful. It is not if only one processor is usable.
func Spins() bool { return runtime.GOMAXPROCS(0) > 1 && runtime.NumCPU() > 1 }

// Wait waits until it has taken c. Several goroutines may wait with one handle, each for another
// condition.
//
// Errors: those of c, fs.ErrClosed, syserr.ErrNameGone, the error of ctx.
func (h *Handle) Wait(ctx context.Context, c Condition) error {
	if ok, err := h.spin(c); ok || err != nil {
		return err
	}
	return h.Sleep(ctx, c)
}

// Spin calls ready in a loop until it returns true, for SpinTime at the most. It looks more often
// than Wait, for those whose partner looks, too.
func Spin(ready func() bool) bool {
	if ready() {
		return true
	}
	if !Spins() {
		return false
	}
	const often = 32 // about a microsecond; then the clock is read
	for range often {
		waker.Pause(1)
		if ready() {
			return true
		}
	}
	for begun := time.Now(); time.Since(begun) < SpinTime; {
		for range often {
			waker.Pause(1)
			if ready() {
				return true
			}
		}
	}
	return false
}

// Sleep is Wait without spinning first: for a caller that has tried in a loop already.
func (h *Handle) Sleep(ctx context.Context, c Condition) error {
	select {
	case h.turn <- struct{}{}:
	default:
		if leads, err := h.follow(ctx, c); !leads {
			return err
		}
	}
	return h.sleep(ctx, c)
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

// sleep is the part of Wait in which only one goroutine of a handle can be at a time: the leader,
// which has the turn. S1 to S6 are the steps of docs/protocol/waker.md.
//
// Preconditions:
//   - The caller has the turn; sleep gives it back.
func (h *Handle) sleep(ctx context.Context, c Condition) error {
	defer func() { <-h.turn }()
	h.waits()
	h.cancel.by(ctx, h)
	h.own.watch().add(h, c)
	defer h.own.watch().remove(&h.watched)
	err := h.sleepUntil(ctx, c)
	h.pass(c)
	return err
}

// pass is S6, for a leader and for a follower.
func (h *Handle) pass(c Condition) {
	if !h.broadcast && c.Holds() {
		h.Wake(1)
	}
	if h.suspect.Swap(false) {
		// So the next ring does not go to a dead sleeper. The error is not lost: each waiter that
		// meets a bad word returns it.
		_ = h.ReapAsleep()
	}
}

// cancel rings the sleeper of a handle when a context ends. It stays in place for the next sleep,
// which usually has the same context.
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

func (h *Handle) sleepUntil(ctx context.Context, c Condition) error {
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
		if ok || err != nil {
			h.clearBit(h.slot)
			return err
		}
		if h.followers.tell() {
			Yield(c.Holds) // what they wait for has happened, and c can wait
		}
		if !h.closed.Load() {
			h.waker.Sleep(v) // S4
		}
		fault.At(fault.SleepWoken)
		h.clearBit(h.slot) // S5
	}
}

// announce is S2, for a sleeper of one condition and of many. It is a full fence, which pairs
// with the fence of the process that changes the condition.
func (h *Handle) announce() {
	h.setBit()
	fault.At(fault.SleepBit)
}

// waits says that a wait begins now.
func (h *Handle) waits() { atomic.StoreUint64(h.since(h.slot), uint64(time.Now().UnixNano())) }

// unblock is the end of S3, for a sleeper of one condition and of many. It repairs the dead
// members that block c, and returns an error if c can never hold.
func (h *Handle) unblock(c Condition) error {
	if err := h.reapBlockers(c); err != nil || c.Holds() {
		return err
	}
	return h.nameGone(c)
}

// reapBlockers repairs the dead members on which c depends. A repair rings this member's waker,
// so the next Sleep returns at once. If the watch has seen that a ring was lost, reapBlockers
// also looks for other dead sleepers.
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

// nameGone is an error if the watch has found that the name is gone, and c needs the name.
func (h *Handle) nameGone(c Condition) error {
	if gone := h.gone.Load(); gone != nil && c.NeedsName() {
		return *gone
	}
	return nil
}

// CheckName checks whether the name still leads to this segment. Errors: syserr.ErrNameGone,
// fs.ErrClosed. Any other error means that the check was not possible.
func (h *Handle) CheckName() error {
	if h.obj == nil {
		return nil
	}
	h.lockMu.Lock() // keeps this handle's use of obj: Close needs the mutex before it ends the use
	defer h.lockMu.Unlock()
	if h.closed.Load() {
		return fs.ErrClosed
	}
	return h.obj.Sys.CheckName()
}

// LookAtName is CheckName for the watch. After it, waits that need the name end at once if the name
// is gone.
func (h *Handle) LookAtName() {
	if h.gone.Load() != nil {
		return
	}
	if err := h.CheckName(); errors.Is(err, syserr.ErrNameGone) {
		h.gone.Store(&err)
	}
}

// Others says whether another member lives for which is returns true. asleep says whether that
// member sleeps now.
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

// Living returns the number of living members that have a role.
func (h *Handle) Living(role uint32) (n int) {
	for k := range h.n {
		o := h.WithRole(role, k)
		if o.Free() {
			break
		}
		if dead, err := h.dead(o); !dead && err == nil {
			n++
		}
	}
	return n
}

// Wake rings up to k members that sleep. It begins after this member's slot and goes round the
// table (R2, R3).
//
// Preconditions:
//   - The caller has changed the condition, with a full fence (R1).
//   - The handle has joined.
func (h *Handle) Wake(k int) { h.wake(k, 0) }

// WakeFor is Wake for the members whose Held has a bit of want.
func (h *Handle) WakeFor(want uint64, k int) { h.wake(k, want) }

func (h *Handle) wake(k int, want uint64) {
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
			if i := w*64 + bits.TrailingZeros64(set); i < h.n && (want == 0 || atomic.LoadUint64(h.held(i))&want != 0) {
				h.ring(i)
				k--
			}
		}
	}
}

// WakeAll rings all members that sleep. Its preconditions are those of Wake.
func (h *Handle) WakeAll() { h.Wake(h.n) }

// Asleep says whether any member sleeps (R2). If none does, no ring is needed.
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

// Ring rings one member, if it sleeps. It ignores a slot that does not exist.
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

// ringSelf makes this handle's sleeper look again.
func (h *Handle) ringSelf() {
	atomic.AddUint32(h.wakerWord(h.slot), 1)
	h.ringer.Ring(h.slot, h.inc, h.wakerWord(h.slot))
}

// watchEvery is the period of the death watch, the only timed wait in the package.
const watchEvery = 50 * time.Millisecond

// nameEvery: at each tenth look the watch also checks the names, so twice a second.
const nameEvery = 10

// deathWatch watches all sleepers of this process, as docs/protocol/waker.md says. It runs while
// there are sleepers.
type deathWatch struct {
	mu      sync.Mutex
	all     map[looker]struct{}
	running bool
	looks   uint // number of looks so far
}

// looker is a sleeper that the watch watches. look is called with the mutex of the watch locked.
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
	*w = watched{} // a handle that refers to itself would never be collected
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

// look rings a sleeper if its condition holds, if its condition depends on a dead member, or if
// its name is gone. The sleeper then does what is necessary. The followers are told in the same
// way.
func (w *watched) look(atName bool) {
	if atName {
		w.h.LookAtName()
	}
	var alive layout.Owner
	switch w.h.needs(w.c, &alive) {
	case toTry:
		w.h.suspect.Store(true)
		w.h.ringSelf()
	case toCheck:
		w.h.ringSelf()
	}
	w.h.followers.look(w.h)
}

// Until looks as often as the death watch for so many looks, a second. Then it looks half as often
// for so many, four seconds more, and then a fifth as often.
const soon, later = 20, 60

// Until calls try now, then as often as the death watch looks, and after a while less often (see
// soon and later), until try returns true or an error. It is for conditions that no member can
// ring for, such as a name that does not exist yet. It has a timer of its own: that costs a third
// of being woken by the goroutine of the watch.
func Until(ctx context.Context, try func() (bool, error)) error {
	var looks *time.Ticker
	for n := 0; ; n++ {
		if ok, err := try(); ok || err != nil {
			return err
		}
		switch n {
		case 0:
			looks = time.NewTicker(watchEvery)
			defer looks.Stop()
		case soon:
			looks.Reset(2 * watchEvery)
		case later:
			looks.Reset(5 * watchEvery)
		}
		select {
		case <-looks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Look calls look at each look of the death watch, until stop is called. look must not block, and
// must not call stop.
func Look(look func()) (stop func()) {
	d := new(ownWatch).watch()
	l := looking{look}
	d.mu.Lock()
	d.put(&l)
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		delete(d.all, looker(&l))
		d.mu.Unlock()
	}
}

type looking struct{ f func() }

func (l *looking) look(bool) { l.f() }

// Pause tells the processor n times that this loop waits.
func Pause(n uint32) { waker.Pause(n) }

// GiveWay lets other threads run that wait for this processor. A loop that spins for longer than
// SpinTime calls it often, so that it takes no time from those that have work to do.
func GiveWay() { waker.GiveWay() }
