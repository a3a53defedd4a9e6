package segment

import (
	"context"
	"io/fs"
	"sync/atomic"
	"time"

	"samepage/internal/fault"
	"samepage/internal/sys/waker"
	"samepage/layout"
)

// Candidate is one of several things to wait for. Nobody may call WaitFirst of its Handle.
type Candidate struct {
	Handle    *Handle
	Condition Condition
}

// WaitAny waits until one of any is available, takes that one, and returns its index. Of
// several it takes the first.
//
// Few threads sleep: one for as many candidates as the system lets it (waker.SleepsOnAtMost).
// The first ones are slept on by the caller, the others by a goroutine for each such group.
// A candidate whose handle has another goroutine asleep has a goroutine of its own, which
// queues behind that one. Only the caller takes: so no two are ever taken.
//
// Errors: those of Wait.
func WaitAny(ctx context.Context, any []Candidate) (int, error) {
	w := &anyWait{ctx: ctx, any: any}
	if i, ok, err := w.try(); ok || err != nil {
		return i, err
	}
	if w.spin() {
		if i, ok, err := w.try(); ok || err != nil {
			return i, err
		}
	}
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	if err := w.begin(); err != nil {
		return -1, err
	}
	defer w.end()
	return w.wait()
}

// anyWait is one call of WaitAny.
type anyWait struct {
	ctx context.Context
	any []Candidate

	own    ownWatch        // of all members
	others context.Context // of the goroutines that sleep for the caller
	cancel context.CancelFunc
	stop   func() bool
	first  group     // what the caller sleeps on
	rest   []*group  // what goroutines sleep on
	news   chan news // that such a goroutine has ended
	out    int       // how many there are
}

// news is the end of a goroutine that slept for the caller: something may be available.
type news struct {
	sleep func() error // to go on
	err   error
}

// try takes the first that is available. The index is -1 when nothing was taken.
func (w *anyWait) try() (int, bool, error) {
	for i, c := range w.any {
		if c.Handle.Closed() {
			return -1, false, fs.ErrClosed
		}
		if ok, err := c.Condition.Try(); ok || err != nil {
			return i, ok, err
		}
	}
	return -1, false, nil
}

// spin looks in a loop for a while, and says whether something is available.
func (w *anyWait) spin() bool {
	if !Spins() {
		return false
	}
	for begun := time.Now(); time.Since(begun) < SpinTime; waker.Pause(8) {
		for _, c := range w.any {
			if c.Condition.Holds() {
				return true
			}
		}
	}
	return false
}

// begin divides the candidates among those who sleep.
func (w *anyWait) begin() error {
	var err error
	w.first.w = w
	if w.first.bell, err = waker.NewBell(); err != nil {
		return err
	}
	w.news = make(chan news, len(w.any))
	w.others, w.cancel = context.WithCancel(w.ctx)
	w.stop = context.AfterFunc(w.ctx, w.first.bell.Ring)
	most := waker.SleepsOnAtMost()
	g := &w.first
	for i := range w.any {
		if len(g.members) == most && most > 0 {
			bell, err := waker.NewBell()
			if err != nil {
				w.end()
				return err
			}
			g = &group{w: w, bell: bell}
			w.rest = append(w.rest, g)
		}
		if most == 0 || !g.enter(i) {
			c := w.any[i]
			w.send(func() error { return c.Handle.Wait(w.others, peek{c.Condition}) })
		}
	}
	for _, g := range w.rest {
		w.send(g.sleep)
	}
	return nil
}

// send has a goroutine sleep for the caller.
func (w *anyWait) send(sleep func() error) {
	w.out++
	go func() {
		w.news <- news{sleep, sleep()}
		w.first.bell.Ring()
	}()
}

// wait is the caller's part.
func (w *anyWait) wait() (int, error) {
	for {
		rung := w.first.bell.State()
		if i, ok, err := w.try(); ok || err != nil {
			return i, err
		}
		if err := w.ctx.Err(); err != nil {
			return -1, err
		}
		for len(w.news) > 0 {
			n := <-w.news
			w.out--
			if n.err != nil {
				return -1, n.err
			}
			w.send(n.sleep)
		}
		found, err := w.first.look()
		if err != nil {
			return -1, err
		}
		if !found {
			w.first.sleepOnce(rung)
		}
	}
}

// end takes all back. Whoever was rung for something that was then not taken passes the
// ring on (S6).
func (w *anyWait) end() {
	w.stop()
	w.cancel()
	for ; w.out > 0; w.out-- {
		<-w.news
	}
	w.first.leave()
	for _, g := range w.rest {
		g.leave()
	}
	for _, c := range w.any {
		if !c.Handle.broadcast && c.Condition.Holds() {
			c.Handle.Wake(1)
		}
	}
}

// group is what one thread sleeps on: candidates whose handles' turns it has, and a bell.
type group struct {
	w       *anyWait
	members []int // indices of candidates
	wakers  []*waker.Waker
	old     []uint32 // what their words were
	bell    *waker.Bell
}

// enter makes the group the sleeper of a candidate's handle, unless there is one.
func (g *group) enter(i int) bool {
	c := g.w.any[i]
	h := c.Handle
	w, ok := h.waker.(*waker.Waker)
	if !ok { // a test's
		return false
	}
	select {
	case h.turn <- struct{}{}:
	default:
		return false
	}
	g.w.own.watch().add(h, c.Condition)
	g.members, g.wakers = append(g.members, i), append(g.wakers, w)
	// So the first look is at all of them.
	g.old = append(g.old, atomic.LoadUint32(h.wakerWord(h.slot))-1)
	return true
}

// look looks at those members whose words have changed, and says whether one is
// available.
func (g *group) look() (found bool, err error) {
	for k, i := range g.members {
		c := g.w.any[i]
		h := c.Handle
		v := atomic.LoadUint32(h.wakerWord(h.slot)) // S1
		if v == g.old[k] {
			continue
		}
		g.old[k] = v
		h.announce() // S2
		switch {
		case h.Closed():
			return false, fs.ErrClosed
		case c.Condition.Holds(): // S3; only the caller of WaitAny takes it
			found = true
			g.old[k] = v - 1 // if somebody else takes it
			continue
		}
		if err := h.unblock(c.Condition); err != nil {
			return false, err
		}
	}
	return found, nil
}

// sleepOnce is S4.
func (g *group) sleepOnce(rung uint32) {
	waker.SleepAny(g.wakers, g.old, g.bell, rung)
	fault.At(fault.SleepWoken)
}

// sleep is what a goroutine does for the caller: it returns when a member is available or
// has an error, or when the caller needs it no more.
func (g *group) sleep() error {
	defer context.AfterFunc(g.w.others, g.bell.Ring)()
	for {
		rung := g.bell.State()
		if err := g.w.others.Err(); err != nil {
			return err
		}
		found, err := g.look()
		if found || err != nil {
			return err
		}
		g.sleepOnce(rung)
	}
}

// leave gives the turns of all members' handles back.
func (g *group) leave() {
	for _, i := range g.members {
		h := g.w.any[i].Handle
		h.clearBit(h.slot) // S5
		g.w.own.watch().remove(&h.watched)
		if h.suspect.Swap(false) {
			_ = h.ReapAsleep()
		}
		<-h.turn
	}
	_ = g.bell.Close()
}

// peek is a condition that is seen and not taken.
type peek struct{ c Condition }

func (p peek) Try() (bool, error)           { return p.c.Holds(), nil }
func (p peek) Holds() bool                  { return p.c.Holds() }
func (p peek) DependsOn(k int) layout.Owner { return p.c.DependsOn(k) }
func (p peek) NeedsName() bool              { return p.c.NeedsName() }
