package segment

import (
	"context"
	"sync/atomic"

	"samepage/layout"
)

// These parts of the suite are about several goroutines that wait with one handle.

// flag is the Condition that bit k of the first live word is set. Try clears it.
type flag struct {
	h     *Handle
	k     int
	tries atomic.Int32
	on    layout.Owner // the member on which it depends
}

func (f *flag) word() *uint64 { return f.h.Live64(layout.LockStateOffset) }
func (f *flag) Try() (bool, error) {
	f.tries.Add(1)
	return atomic.AndUint64(f.word(), ^(uint64(1)<<f.k))>>f.k&1 != 0, nil
}
func (f *flag) Holds() bool                  { return atomic.LoadUint64(f.word())>>f.k&1 != 0 }
func (f *flag) DependsOn(k int) layout.Owner { return only(k, f.on) }
func (*flag) NeedsName() bool                { return true }

// set makes the condition hold, and rings as o.
func (f *flag) set(o *Handle) {
	atomic.OrUint64(f.word(), 1<<f.k)
	o.Ring(f.h.slot)
}

// waiter waits for a flag in a goroutine.
func (s *suite) waiter(ctx context.Context, h *Handle, k int) (*flag, chan error) {
	f, ended := &flag{h: h, k: k}, make(chan error, 1)
	go func() { ended <- h.Wait(ctx, f) }()
	return f, ended
}

func (s *suite) follow(h *Handle, n int) {
	s.Helper()
	s.until("all follow", func() bool { return int(h.followers.n.Load()) == n })
}

// followersOwnEvents: of many goroutines of one handle, each wakes for its own event, and for no
// other.
func followersOwnEvents(s *suite) {
	StopWatch(s)
	h, o := s.member(), s.member()
	leader, led := s.waiter(s.ctx, h, 0)
	s.asleep(h)
	const n = 40
	var flags [n]*flag
	var ended [n]chan error
	for k := 1; k < n; k++ {
		flags[k], ended[k] = s.waiter(s.ctx, h, k)
	}
	s.follow(h, n-1)
	for k := 1; k < n; k++ {
		s.until("each has tried as a follower", func() bool { return flags[k].tries.Load() > 1 })
	}
	var before [n]int32
	for k := 1; k < n; k++ {
		before[k] = flags[k].tries.Load()
	}
	for k := 1; k < n; k++ {
		flags[k].set(o)
		s.noErr(<-ended[k])
		for i := k + 1; i < n; i++ {
			if now := flags[i].tries.Load(); now != before[i] || len(ended[i]) != 0 {
				s.Errorf("event %d woke the goroutine that waits for event %d: it has tried %d times, before %d", k, i, now, before[i])
			}
		}
	}
	leader.set(o)
	s.noErr(<-led)
}

// followerLeads: the context of the leader ends, or the leader gets what it waits for. A follower
// is the next leader.
func followerLeads(s *suite) {
	StopWatch(s)
	h, o := s.member(), s.member()
	for round := range 50 {
		ctx, cancel := context.WithCancel(s.ctx)
		first, ended := s.waiter(ctx, h, 0)
		s.asleep(h)
		second, passed := s.waiter(s.ctx, h, 1)
		third, other := s.waiter(s.ctx, h, 2)
		if round%3 != 0 {
			s.follow(h, 2)
		}
		if round%2 == 0 {
			cancel()
			s.wantErr(<-ended, context.Canceled)
		} else {
			first.set(o)
			s.noErr(<-ended)
		}
		third.set(o)
		s.noErr(<-other)
		second.set(o)
		s.noErr(<-passed)
		cancel()
	}
}

// followerOfMany: WaitAny sleeps on two handles, and other goroutines wait with the same handles.
func followerOfMany(s *suite) {
	StopWatch(s)
	a, b, o := s.member(), s.member(), s.member()
	any := []*flag{{h: a, k: 0}, {h: b, k: 0}}
	ended := make(chan error, 1)
	go func() {
		_, err := WaitAny(s.ctx, []Candidate{{a, any[0]}, {b, any[1]}})
		ended <- err
	}()
	s.asleep(a, b)
	fa, passedA := s.waiter(s.ctx, a, 1)
	fb, passedB := s.waiter(s.ctx, b, 2)
	s.follow(a, 1)
	s.follow(b, 1)
	fa.set(o)
	s.noErr(<-passedA)
	fb.set(o)
	s.noErr(<-passedB)
	any[1].set(o)
	s.noErr(<-ended)
}

// followerOfDead: a follower repairs the dead member on which it depends. The watch tells a
// follower whose ring was lost.
func followerOfDead(s *suite) {
	h, o := s.member(), s.member()
	victim, err := s.join(nil)
	s.noErr(err)
	s.noErr(victim.Wait(s.ctx, lock{victim}))
	leader, led := s.waiter(s.ctx, h, 63) // a bit that no owner word sets
	s.asleep(h)
	passed := make(chan error, 1)
	go func() { passed <- h.Wait(s.ctx, lock{h}) }()
	s.follow(h, 1)
	victim.die(s.T)
	s.noErr(<-passed)
	lock{h}.unlock()
	f, rung := s.waiter(s.ctx, h, 1)
	s.follow(h, 1)
	atomic.OrUint64(f.word(), 1<<f.k) // and nobody rings
	s.noErr(<-rung)
	leader.set(o)
	s.noErr(<-led)
}

// hinted is a flag whose follower is told only if the hints name it.
type hinted struct{ *flag }

func (f hinted) Hint() int { return f.k }

// followersByHint: the leader tells a follower whose hint is set, and does not look at the others.
// Again tells a follower without a ring.
func followersByHint(s *suite) {
	StopWatch(s)
	h, o := s.member(), s.member()
	var hints atomic.Uint64
	h.Hints(3, func(tell func(int)) {
		set := hints.Swap(0)
		for k := range 3 {
			if set>>k&1 != 0 {
				tell(k)
			}
		}
	})
	leader, led := s.waiter(s.ctx, h, 5)
	s.asleep(h)
	var all [3]hinted
	var ended [3]chan error
	for k := range all {
		all[k], ended[k] = hinted{&flag{h: h, k: k}}, make(chan error, 1)
		go func() { ended[k] <- h.Wait(s.ctx, all[k]) }()
		s.follow(h, k+1)
		s.until("it has tried as a follower", func() bool { return all[k].tries.Load() > 1 })
	}
	atomic.OrUint64(all[0].word(), 1<<0|1<<1|1<<2)
	hints.Store(1 << 1)
	o.Ring(h.slot)
	s.noErr(<-ended[1])
	if len(ended[0]) != 0 || len(ended[2]) != 0 {
		s.Error("a follower was told without a hint")
	}
	h.Again(0)
	s.noErr(<-ended[0])
	hints.Store(1 << 2)
	o.Ring(h.slot)
	s.noErr(<-ended[2])
	leader.set(o)
	s.noErr(<-led)
}
