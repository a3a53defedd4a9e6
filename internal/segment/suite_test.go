package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/object"
	"samepage/layout"
)

// This is one suite for segments in every medium. No result depends on time: a member whose wake is
// lost sleeps until the test's patience ends.
func TestSuite(t *testing.T) {
	for _, m := range media {
		t.Run(m.name, func(t *testing.T) {
			if m.name != "heap" {
				ipctest.NeedNames(t)
			}
			for _, c := range []struct {
				name    string
				members int
				f       func(*suite)
			}{
				{"JoinLeave", 4, joinLeave},
				{"FullTable", 4, fullTable},
				{"ReaperAtTheLast", 4, reaperAtTheLast},
				{"Churn", 5, churn},
				{"WaitAndWake", 80, waitAndWake}, // beyond the first word of Sleepers
				{"WakeAsMany", 70, wakeAsMany},
				{"RungBeforeSleep", 4, rungBeforeSleep},
				{"ReapedOnce", 16, reapedOnce},
				{"FormerMember", 4, formerMember},
				{"DeadSleeper", 4, deadSleeper},
				{"Cancel", 4, cancels},
				{"CloseWhileWaiting", 4, closeWhileWaiting},
				{"Followers", 4, followersOwnEvents},
				{"FollowersByHint", 4, followersByHint},
				{"FollowerLeads", 4, followerLeads},
				{"FollowerOfMany", 4, followerOfMany},
				{"FollowerOfDead", 4, followerOfDead},
				{"NoSuchMember", 4, noSuchMember},
			} {
				t.Run(c.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
					defer cancel()
					s := &suite{T: t, ctx: ctx}
					var err error
					if s.join, err = m.lay(t, blank(c.members)); err == nil {
						var h *Handle
						if h, err = s.join(nil); err == nil {
							err = h.Close()
						}
					}
					if errors.Is(err, errors.ErrUnsupported) && runtime.GOOS == "windows" && (m.name == "unnamed" || m.name == "file") {
						t.Skip("members lock bytes of the record file, which only names have here")
					}
					if err != nil {
						t.Fatal(err)
					}
					c.f(s)
				})
			}
		})
	}
}

type suite struct {
	*testing.T
	ctx  context.Context
	join func(Repair) (*Handle, error)

	inUse     atomic.Int32 // reapers at work
	mu        sync.Mutex
	freed     []layout.Owner // whose lock a reaper has freed
	meanwhile func()         // called by the first reaper, at its work
}

// member joins until the end of the test. It repairs as a lock does.
func (s *suite) member() *Handle {
	s.Helper()
	h, err := s.join(s.repair)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := h.Close(); err != nil {
			s.Error(err)
		}
	})
	return h
}

func (s *suite) members(n int) (hs []*Handle) {
	for range n {
		hs = append(hs, s.member())
	}
	return hs
}

func (s *suite) repair(h *Handle, dead layout.Owner, who Who) {
	if s.inUse.Add(1) != 1 {
		s.Error("two reapers at one slot")
	}
	defer s.inUse.Add(-1)
	s.mu.Lock()
	f := s.meanwhile
	s.meanwhile = nil
	s.mu.Unlock()
	if f != nil {
		f()
	}
	if who.Slot != dead.Slot() || who.Name == "" {
		s.Errorf("the reaper of %#x is told of %+v", dead, who)
	}
	if atomic.CompareAndSwapUint64(h.Live64(layout.LockStateOffset), uint64(dead), 0) {
		s.mu.Lock()
		s.freed = append(s.freed, dead)
		s.mu.Unlock()
	}
}

func (s *suite) noErr(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantErr(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("error is %v, want %v", err, want)
	}
}

// until waits until ok is true.
func (s *suite) until(what string, f func() bool) {
	s.Helper()
	for !f() {
		if s.ctx.Err() != nil {
			s.Fatalf("never: %s", what)
		}
		time.Sleep(50 * time.Microsecond)
	}
}

func (s *suite) asleep(hs ...*Handle) {
	s.Helper()
	for _, h := range hs {
		s.until(fmt.Sprintf("member %d sleeps", h.slot), func() bool { return h.bit(h.slot) })
	}
}

// lock is the Condition of a mutex in the first live word, without the dirty bit.
type lock struct{ h *Handle }

func (l lock) word() *uint64 { return l.h.Live64(layout.LockStateOffset) }
func (l lock) Try() (bool, error) {
	return atomic.CompareAndSwapUint64(l.word(), 0, uint64(l.h.Me())), nil
}
func (l lock) Holds() bool                  { return atomic.LoadUint64(l.word()) == 0 }
func (l lock) owner() layout.Owner          { return layout.Owner(atomic.LoadUint64(l.word())) }
func (l lock) DependsOn(k int) layout.Owner { return only(k, l.owner()) }
func (lock) NeedsName() bool                { return true }

func only(k int, o layout.Owner) layout.Owner {
	if k > 0 {
		return 0
	}
	return o
}

func (l lock) unlock() {
	atomic.StoreUint64(l.word(), 0)
	l.h.Wake(1)
}

// units is the Condition of a semaphore in the first live word.
type units struct{ h *Handle }

func (u units) word() *uint64 { return u.h.Live64(layout.LockStateOffset) }
func (u units) Try() (bool, error) {
	for {
		n := atomic.LoadUint64(u.word())
		if n == 0 {
			return false, nil
		}
		if atomic.CompareAndSwapUint64(u.word(), n, n-1) {
			return true, nil
		}
	}
}
func (u units) Holds() bool              { return atomic.LoadUint64(u.word()) != 0 }
func (units) DependsOn(int) layout.Owner { return 0 }
func (units) NeedsName() bool            { return true }

func (u units) release(n int) {
	atomic.AddUint64(u.word(), uint64(n))
	u.h.Wake(n)
}

func joinLeave(s *suite) {
	a, b, c := s.member(), s.member(), s.member()
	if a.slot == b.slot || b.slot == c.slot || a.slot == c.slot || len(a.List()) != 3 {
		s.Errorf("members at %d, %d, %d; the table shows %+v", a.slot, b.slot, c.slot, a.List())
	}
	former := b.Me()
	if dead, err := a.dead(former); dead || err != nil {
		s.Errorf("a living member is dead: %v, %v", dead, err)
	}
	s.noErr(b.Close())
	s.noErr(b.Close())
	if dead, err := a.dead(former); !dead || err != nil {
		s.Errorf("one that has left is not dead: %v, %v", dead, err)
	}
	if l := a.List(); len(l) != 2 {
		s.Errorf("after one has left the table shows %+v", l)
	}
	d := s.member()
	if d.slot != former.Slot() || d.Me() == former {
		s.Errorf("the next one is %#x, want the slot of %#x, and another incarnation", d.Me(), former)
	}
	if dead, err := a.dead(former); !dead || err != nil {
		s.Errorf("the former user of a slot is taken for the new one: %v, %v", dead, err)
	}
}

func fullTable(s *suite) {
	hs := s.members(3)
	victim, err := s.join(nil)
	s.noErr(err)
	_, err = s.join(nil)
	s.wantErr(err, object.ErrTooManyMembers)
	*lock{victim}.word() = uint64(victim.Me())
	victim.die(s.T)
	heir := s.member()
	if heir.slot != victim.slot || heir.inc != victim.inc+1 || len(s.freed) != 1 || s.freed[0] != victim.Me() {
		s.Errorf("the dead one was %#x, the next in is %#x, freed was %v", victim.Me(), heir.Me(), s.freed)
	}
	_, err = s.join(nil)
	s.wantErr(err, object.ErrTooManyMembers)
	s.noErr(hs[1].Close())
	s.member()
}

// The last slot belongs to a dead member, and a reaper is repairing it. The joiner gets this slot.
func reaperAtTheLast(s *suite) {
	defer func(n int) { joinLooks = n }(joinLooks)
	joinLooks = int(ipctest.Patience / watchEvery) // however long the reaper takes here
	hs := s.members(3)
	victim, err := s.join(nil)
	s.noErr(err)
	victim.die(s.T)
	type joined struct {
		h   *Handle
		err error
	}
	came := make(chan joined, 1)
	s.meanwhile = func() {
		go func() {
			h, err := s.join(s.repair)
			came <- joined{h, err}
		}()
		time.Sleep(10 * time.Millisecond) // it has looked by now, or has less to show
	}
	if _, err := hs[0].Reap(victim.Me()); err != nil {
		s.Fatal(err)
	}
	j := <-came
	s.noErr(j.err)
	if j.h.slot != victim.slot {
		s.Errorf("the dead one was at %d, the next in is at %d", victim.slot, j.h.slot)
	}
	s.noErr(j.h.Close())
}

// Members come and go, more than there are slots for, while others read the table and ring.
func churn(s *suite) {
	watcher := s.member()
	var wg sync.WaitGroup
	var had atomic.Int32
	for range 6 {
		wg.Go(func() {
			for range 20 {
				h, err := s.join(s.repair)
				for errors.Is(err, object.ErrTooManyMembers) && s.ctx.Err() == nil {
					runtime.Gosched()
					h, err = s.join(s.repair)
				}
				if err == nil {
					if err = h.Wait(s.ctx, lock{h}); err == nil {
						had.Add(1)
						lock{h}.unlock()
					}
					err = errors.Join(err, h.Close())
				}
				if err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for looking := true; looking; {
		select {
		case <-done:
			looking = false
		default:
			for _, w := range watcher.List() {
				watcher.HeldOf(w.Slot)
			}
			watcher.WakeAll()
			runtime.Gosched()
		}
	}
	if had.Load() != 120 || len(watcher.List()) != 1 || len(s.freed) != 0 {
		s.Errorf("%d of 120 had the lock, the table shows %+v, freed was %v", had.Load(), watcher.List(), s.freed)
	}
}

// The lock guards a counter in the segment, with plain reads and writes. On the heap the race
// detector checks them against the words of the lock.
func waitAndWake(s *suite) {
	StopWatch(s)
	hs := s.members(70)
	const goroutines, rounds = 2, 30
	counter := func(h *Handle) []byte { return h.b[h.live+8:][:8] }
	var wg sync.WaitGroup
	for _, h := range hs {
		for range goroutines {
			wg.Go(func() {
				for range rounds {
					if err := h.Wait(s.ctx, lock{h}); err != nil {
						s.Errorf("member %d: %v", h.slot, err)
						return
					}
					c := counter(h)
					binary.LittleEndian.PutUint64(c, binary.LittleEndian.Uint64(c)+1)
					lock{h}.unlock()
				}
			})
		}
	}
	wg.Wait()
	if n := binary.LittleEndian.Uint64(counter(hs[0])); n != uint64(len(hs)*goroutines*rounds) {
		s.Errorf("%d increments count %d", len(hs)*goroutines*rounds, n)
	}
	for _, h := range hs {
		if h.bit(h.slot) {
			s.Errorf("member %d is awake, and its bit stands", h.slot)
		}
	}
}

// As many waiters pass as there are units, and all others go on sleeping.
func wakeAsMany(s *suite) {
	StopWatch(s)
	hs := s.members(68)
	ringer := s.member()
	passed := make(chan error, len(hs))
	for _, h := range hs {
		go func() { passed <- h.Wait(s.ctx, units{h}) }()
	}
	s.asleep(hs...)
	for left := len(hs); left > 0; {
		n := min(left, 7)
		units{ringer}.release(n)
		for range n {
			s.noErr(<-passed)
		}
		left -= n
		// One more may be awake for a moment, to whom a ring was passed on.
		s.until(fmt.Sprintf("%d sleep on", left), func() bool {
			bits := 0
			for _, h := range hs {
				if h.bit(h.slot) {
					bits++
				}
			}
			return bits == left
		})
		if len(passed) != 0 {
			s.Fatal("more have passed than there were units")
		}
	}
}

// A unit is released after a sleeper has looked and before it sleeps. The release wakes the
// sleeper.
func rungBeforeSleep(s *suite) {
	StopWatch(s)
	h, o := s.member(), s.member()
	for range 20 {
		s.noErr(h.Wait(s.ctx, &releasedThen{units: units{h}, by: units{o}}))
	}
}

// releasedThen are units of which one is released as soon as the sleeper has found
// none: the second try is that of the sleeper.
type releasedThen struct {
	units
	by    units
	tries int
}

func (c *releasedThen) Try() (bool, error) {
	ok, err := c.units.Try()
	if c.tries++; c.tries == 2 && !ok {
		c.by.release(1)
	}
	return ok, err
}

// The owner dies while many wait. One reaper frees its lock, once, and all get the lock in turn.
func reapedOnce(s *suite) {
	hs, bystander := s.members(8), s.member()
	victim, err := s.join(nil)
	s.noErr(err)
	s.noErr(victim.Wait(s.ctx, lock{victim}))
	victim.setBit()
	atomic.StoreUint64(victim.Held(), 3)
	var wg sync.WaitGroup
	for _, h := range hs {
		for range 2 {
			wg.Go(func() {
				if err := h.Wait(s.ctx, lock{h}); err != nil {
					s.Error(err)
					return
				}
				lock{h}.unlock()
			})
		}
	}
	s.asleep(hs...)
	if ok, err := hs[0].Reap(victim.Me()); ok || err != nil {
		s.Errorf("a living member was reaped: %v, %v", ok, err)
	}
	s.mu.Lock()
	s.meanwhile = func() { // one that does not wait for the lock
		if ok, err := bystander.Reap(victim.Me()); ok || err != nil {
			s.Errorf("a second reaper beside the first: %v, %v", ok, err)
		}
	}
	s.mu.Unlock()
	victim.die(s.T)
	for _, h := range hs { // beside the watch
		wg.Go(func() {
			if _, err := h.Reap(victim.Me()); err != nil {
				s.Error(err)
			}
		})
	}
	wg.Wait()
	if len(s.freed) != 1 || s.freed[0] != victim.Me() {
		s.Errorf("freed was %v, want %#x once", s.freed, victim.Me())
	}
	if held, o := hs[0].HeldOf(victim.slot); held != 0 || o != 0 || hs[0].bit(victim.slot) || len(hs[0].List()) != len(hs)+1 {
		s.Errorf("the dead one has left %d, %#x, bit %v, and the table shows %+v", held, o, hs[0].bit(victim.slot), hs[0].List())
	}
}

// A word names a former user of a slot. It is freed, whoever has the slot now.
func formerMember(s *suite) {
	a, b := s.member(), s.member()
	former := b.Me()
	s.noErr(b.Close())
	for _, who := range []string{"nobody", "another", "the one who looks"} {
		looks := a
		switch who {
		case "another":
			b = s.member()
		case "the one who looks":
			looks = b
		}
		atomic.StoreUint64(lock{a}.word(), uint64(former))
		s.noErr(looks.Wait(s.ctx, lock{looks}))
		lock{looks}.unlock()
		if n := len(s.freed); n == 0 || s.freed[n-1] != former {
			s.Errorf("the slot has %s: freed was %v", who, s.freed)
		}
	}
}

// A ring goes to a dead sleeper. In the end another sleeper gets it.
func deadSleeper(s *suite) {
	ringer := s.member()
	victim, err := s.join(nil)
	s.noErr(err)
	h := s.member()
	passed := make(chan error, 1)
	c := &counted{Condition: units{h}}
	go func() { passed <- h.Wait(s.ctx, c) }()
	// Not only its bit: it must not find the unit by itself.
	s.until("the sleeper has looked for the last time", func() bool { return c.tries.Load() > 1 })
	victim.setBit()
	victim.die(s.T)
	units{ringer}.release(1) // rings the victim, which is next
	s.noErr(<-passed)
	// Whoever was found beside a lost ring looks for dead sleepers before it sleeps
	// again.
	go func() { passed <- h.Wait(s.ctx, units{h}) }()
	s.until("the dead sleeper is reaped", func() bool { return !ringer.bit(victim.slot) })
	s.asleep(h)
	units{ringer}.release(1)
	s.noErr(<-passed)
}

// Contexts end while others wait, with the same handle and with other handles.
func cancels(s *suite) {
	StopWatch(s)
	h, o := s.member(), s.member()
	passed := make(chan error, 3)
	for _, h := range []*Handle{h, h, o} {
		go func() { passed <- h.Wait(s.ctx, units{h}) }()
	}
	s.asleep(h, o)
	for i := range 50 {
		ctx, cancel := context.WithCancel(s.ctx)
		ended := make(chan error, 1)
		go func() { ended <- h.Wait(ctx, units{h}) }()
		if i%2 == 0 {
			runtime.Gosched()
		}
		cancel()
		s.wantErr(<-ended, context.Canceled)
		s.wantErr(h.Wait(ctx, units{h}), context.Canceled)
	}
	if len(passed) != 0 {
		s.Fatalf("somebody passed without a unit: %v", <-passed)
	}
	units{o}.release(3)
	for range 3 {
		s.noErr(<-passed)
	}
	// What is there is had, also with an ended context.
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	units{o}.release(1)
	s.noErr(h.Wait(ctx, units{h}))
}

func closeWhileWaiting(s *suite) {
	StopWatch(s)
	h, o := s.member(), s.member()
	ended, passed := make(chan error, 4), make(chan error, 1)
	for range cap(ended) {
		go func() { ended <- h.Wait(s.ctx, units{h}) }()
	}
	go func() { passed <- o.Wait(s.ctx, units{o}) }()
	s.asleep(h, o)
	s.noErr(h.Close())
	for range cap(ended) {
		s.wantErr(<-ended, fs.ErrClosed)
	}
	s.wantErr(h.Wait(s.ctx, units{h}), fs.ErrClosed)
	if len(passed) != 0 {
		s.Fatalf("another member's sleeper was closed, too: %v", <-passed)
	}
	third := s.member()
	units{third}.release(1)
	s.noErr(<-passed)
}

// counted is a condition that counts how often it was tried: once before the turn of who
// waits, and in its turn before each sleep.
type counted struct {
	Condition
	tries atomic.Int32
}

func (c *counted) Try() (bool, error) {
	ok, err := c.Condition.Try()
	c.tries.Add(1)
	return ok, err
}

// noSuchMember: a word names a slot beyond the table, and the wait ends with an error.
func noSuchMember(s *suite) {
	h := s.member()
	atomic.StoreUint64(lock{h}.word(), uint64(layout.OwnerOf(4, 1)))
	s.wantErr(h.Wait(s.ctx, lock{h}), layout.ErrCorrupt)
	_, err := h.Reap(layout.OwnerOf(layout.MaxMembers, 1))
	s.wantErr(err, layout.ErrCorrupt)
}
