package segment

import (
	"context"
	"io/fs"
	"sync"
	"sync/atomic"

	"samepage/layout"
)

// A handle has one waker, so only one of its goroutines can sleep on it: the leader, which has
// the turn. The other goroutines of the handle that wait are followers. A follower waits in Go,
// for a message from the leader or the death watch, or for the turn. So a thousand goroutines
// that wait with one handle cost one thread.

// follower is a goroutine that waits while another goroutine of its handle is the leader.
type follower struct {
	c    Condition
	told chan struct{} // room for one
	// check is set by the watch: a blocker of c is dead, or the name is gone.
	check atomic.Bool
	at    int // its index in followers.all
	// plain is its index in followers.plain, or -1 if hint is its index in followers.hinted.
	plain, hint int
}

// Hinted is a Condition of which the handle is told quickly that it may hold now. So a leader does
// not look at a thousand followers each time it wakes; see Handle.Hints.
type Hinted interface {
	Condition
	// Hint is a number from 0 to the n of Handle.Hints - 1. No two goroutines wait with the same
	// hint at a time.
	Hint() int
}

// Hints makes the leader tell followers with a Hinted condition only if look tells their hints. The
// leader calls look at S3; look calls tell for each hint whose condition may hold now, and has
// taken back what said so before. The one that changes such a condition says so, with a full fence,
// before it looks at the bits of sleepers. The death watch looks at all conditions nevertheless.
//
// Preconditions:
//   - No goroutine waits with the handle yet.
func (h *Handle) Hints(n int, look func(tell func(hint int))) {
	h.followers.hinted = make([]*follower, n)
	h.followers.hints = look
	h.followers.byHint = h.followers.tellHint
}

// Again makes the goroutine that waits with this hint look again. It is for changes that this
// process makes itself, and not in the segment.
func (h *Handle) Again(hint int) {
	h.followers.mu.Lock()
	f := h.followers.hinted[hint]
	if f != nil {
		f.tell()
	}
	h.followers.mu.Unlock()
	if f == nil {
		h.ringSelf()
	}
}

// BetweenLooks calls f while no leader of this handle looks at hints. f must not wait.
func (h *Handle) BetweenLooks(f func()) {
	h.followers.mu.Lock()
	defer h.followers.mu.Unlock()
	f()
}

// tell makes the follower try again. It reports whether the follower was not told already.
func (f *follower) tell() bool {
	select {
	case f.told <- struct{}{}:
		return true
	default:
		return false
	}
}

// followers are the followers of one handle.
type followers struct {
	n     atomic.Int32 // len(all)
	mu    sync.Mutex
	all   []*follower
	plain []*follower // those whose condition has no hint
	spare []*follower // not in use, for the next ones

	// See Handle.Hints; set once.
	hinted []*follower // by hint
	hints  func(tell func(hint int))
	byHint func(hint int) // tellHint
	told   bool           // for tell
}

// add is a full fence: afterwards each look of a leader sees the follower.
func (l *followers) add(c Condition) *follower {
	l.mu.Lock()
	defer l.mu.Unlock()
	var f *follower
	if k := len(l.spare); k > 0 {
		f, l.spare = l.spare[k-1], l.spare[:k-1]
	} else {
		f = &follower{told: make(chan struct{}, 1)}
	}
	f.c, f.at = c, len(l.all)
	l.all = append(l.all, f)
	if h, ok := c.(Hinted); ok && l.hinted != nil {
		f.plain, f.hint = -1, h.Hint()
		l.hinted[f.hint] = f
	} else {
		f.plain = len(l.plain)
		l.plain = append(l.plain, f)
	}
	l.n.Store(int32(len(l.all)))
	return f
}

func (l *followers) remove(f *follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.all) - 1
	l.all[f.at] = l.all[last]
	l.all[f.at].at = f.at
	l.all[last] = nil
	l.all = l.all[:last]
	if f.plain < 0 {
		l.hinted[f.hint] = nil
	} else {
		last := len(l.plain) - 1
		l.plain[f.plain] = l.plain[last]
		l.plain[f.plain].plain = f.plain
		l.plain[last] = nil
		l.plain = l.plain[:last]
	}
	l.n.Store(int32(last))
	f.c = nil
	f.check.Store(false)
	select {
	case <-f.told:
	default:
	}
	l.spare = append(l.spare, f)
}

// tell is the part of S3 in which a leader looks for others: it tells those whose condition holds.
// It reports whether there was one.
func (l *followers) tell() bool {
	if l.n.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = false
	for _, f := range l.plain {
		if f.c.Holds() {
			f.tell()
			l.told = true
		}
	}
	if l.hints != nil {
		l.hints(l.byHint)
	}
	return l.told
}

func (l *followers) tellHint(hint int) {
	if f := l.hinted[hint]; f != nil && f.c.Holds() {
		f.tell()
		l.told = true
	}
}

// follow waits until it has taken c, or until the caller is the leader: then it returns true.
func (h *Handle) follow(ctx context.Context, c Condition) (leads bool, err error) {
	f := h.followers.add(c)
	leads, err = h.followUntil(ctx, f)
	h.followers.remove(f)
	if !leads {
		h.pass(c)
	}
	return leads, err
}

func (h *Handle) followUntil(ctx context.Context, f *follower) (leads bool, err error) {
	for {
		if h.closed.Load() {
			return false, fs.ErrClosed
		}
		if ok, err := f.c.Try(); ok || err != nil {
			return false, err
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if f.check.Swap(false) {
			if err := h.unblock(f.c); err != nil {
				return false, err
			}
			if f.c.Holds() {
				continue
			}
		}
		select {
		case h.turn <- struct{}{}:
			return true, nil
		case <-f.told:
		case <-ctx.Done():
		}
	}
}

// look is the look of the death watch at the followers.
func (l *followers) look(h *Handle) {
	if l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var alive layout.Owner // the last member that was found alive: many depend on the same one
	for _, f := range l.all {
		switch h.needs(f.c, &alive) {
		case toTry:
			if f.tell() {
				h.suspect.Store(true)
			}
		case toCheck:
			f.check.Store(true)
			f.tell()
		}
	}
}

// need is what a waiter has to do, as far as the death watch sees.
type need int

const (
	toWait  need = iota
	toTry        // its condition holds
	toCheck      // a blocker is dead, or the name is gone
)

// needs says what the one that waits for c has to do. alive is a member that was found alive a
// moment ago; needs changes it.
func (h *Handle) needs(c Condition, alive *layout.Owner) need {
	if c.Holds() {
		return toTry
	}
	if h.nameGone(c) != nil {
		return toCheck
	}
	for k := 0; k < h.n; k++ {
		o := c.DependsOn(k)
		if o.Free() {
			break
		}
		if o == *alive {
			continue
		}
		if dead, err := h.dead(o); dead || err != nil {
			return toCheck
		}
		*alive = o
	}
	return toWait
}
