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

// Candidate is one of the things to wait for.
type Candidate struct {
	Handle    *Handle
	Condition Condition
}

// WaitAny waits until one of any is available, takes that one, and returns its index. If several
// are available, it takes the first of them.
//
// Few threads sleep: each sleeps for as many candidates as the system allows
// (waker.SleepsOnAtMost). The caller sleeps for the first group, and one goroutine for each
// further group. If the handle of a candidate already has a leader, the candidate gets a goroutine
// of its own, which is a follower. Only the caller takes, so it never
// takes two.
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
	first  group     // the caller sleeps for this group
	rest   []*group  // goroutines sleep for these groups
	news   chan news // one message from each such goroutine that has ended
	out    int       // number of such goroutines
}

// news says that a goroutine that slept for the caller has ended: something may be available.
type news struct {
	sleep func() error // to start it again
	err   error
}

// try takes the first candidate that is available. The index is -1 if it has taken nothing.
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

// spin looks in a loop for a short time, and says whether something is available.
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

// begin divides the candidates among the sleepers.
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

// send starts a goroutine that sleeps for the caller.
func (w *anyWait) send(sleep func() error) {
	w.out++
	go func() {
		w.news <- news{sleep, sleep()}
		w.first.bell.Ring()
	}()
}

// wait is the part of the caller.
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

// end ends all sleeps. A member that was rung for something that was not taken passes the ring on
// (S6).
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

// group is what one thread sleeps for: candidates, with the turns of their handles, and a bell.
type group struct {
	w       *anyWait
	members []int // indices of candidates
	wakers  []*waker.Waker
	old     []uint32 // the values of their words before
	bell    *waker.Bell
}

// enter makes the group the leader of a candidate's handle, if that handle has no leader.
func (g *group) enter(i int) bool {
	c := g.w.any[i]
	h := c.Handle
	w, ok := h.waker.(*waker.Waker)
	if !ok { // a waker of a test
		return false
	}
	select {
	case h.turn <- struct{}{}:
	default:
		return false
	}
	h.waits()
	g.w.own.watch().add(h, c.Condition)
	g.members, g.wakers = append(g.members, i), append(g.wakers, w)
	// So the first look checks all of them.
	g.old = append(g.old, atomic.LoadUint32(h.wakerWord(h.slot))-1)
	return true
}

// look checks the members whose words have changed, and says whether one is available.
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
		h.followers.tell()
		switch {
		case h.Closed():
			return false, fs.ErrClosed
		case c.Condition.Holds(): // S3; only the caller of WaitAny takes it
			found = true
			g.old[k] = v - 1 // check it again, because another process may take it
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

// sleep runs in a goroutine for the caller. It returns when a member is available or has an
// error, or when the caller does not need it any more.
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

// leave gives back the turns of all members' handles.
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

// peek is a condition that is seen but not taken.
type peek struct{ c Condition }

func (p peek) Try() (bool, error)           { return p.c.Holds(), nil }
func (p peek) Holds() bool                  { return p.c.Holds() }
func (p peek) DependsOn(k int) layout.Owner { return p.c.DependsOn(k) }
func (p peek) NeedsName() bool              { return p.c.NeedsName() }
