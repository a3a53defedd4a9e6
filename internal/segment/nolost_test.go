package segment_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/segment"
	"samepage/ipcsync"
)

// The member that sets or releases wakes the sleeper, and no wake is lost. The death watch is only
// for dead members, but it would hide a lost wake. So it is stopped here, and a member whose wake
// is lost sleeps until the patience ends.

func TestEventNoLostWake(t *testing.T) {
	noLostWake(t, func(ctx context.Context, t *testing.T, rounds int, round func()) {
		for _, o := range []*ipcsync.EventOptions{{}, {Manual: true}} {
			ping, err := ipcsync.CreateEvent(fmt.Sprint("ping", o.Manual), o)
			ipctest.NoErr(t, err)
			defer ping.Close()
			pong, err := ipcsync.CreateEvent(fmt.Sprint("pong", o.Manual), o)
			ipctest.NoErr(t, err)
			defer pong.Close()
			pass := func(e, next *ipcsync.Event) error {
				if err := e.Wait(ctx); err != nil {
					return err
				}
				if o.Manual {
					if err := e.Reset(); err != nil {
						return err
					}
				}
				return next.Set()
			}
			done := make(chan error, 1)
			go func() {
				var err error
				for i := 0; i < rounds && err == nil; i++ {
					err = pass(ping, pong)
				}
				done <- err
			}()
			ipctest.NoErr(t, ping.Set())
			for range rounds {
				ipctest.NoErr(t, pass(pong, ping))
				round()
			}
			ipctest.NoErr(t, <-done)
		}
	})
}

// Each unit wakes a sleeper, also if a ringer rings one sleeper twice.
func TestSemaphoreNoLostWake(t *testing.T) {
	noLostWake(t, func(ctx context.Context, t *testing.T, rounds int, round func()) {
		s, err := ipcsync.CreateSemaphore("s", 0, 10, nil)
		ipctest.NoErr(t, err)
		defer s.Close()
		var both [2]*ipcsync.Semaphore
		for i := range both {
			both[i], err = ipcsync.OpenSemaphore("s", nil)
			ipctest.NoErr(t, err)
			defer both[i].Close()
		}
		for i := range rounds / 5 {
			done := make(chan error, 2)
			for _, o := range both {
				go func() { done <- o.Acquire(ctx) }()
			}
			for range i % 8 {
				runtime.Gosched() // let them come to sleep, or not
			}
			ipctest.NoErr(t, s.Release(1))
			ipctest.NoErr(t, s.Release(1))
			ipctest.NoErr(t, <-done)
			ipctest.NoErr(t, <-done)
			round()
		}
	})
}

// Each unlock wakes a waiter: readers and writers, and handles that have several waiters.
func TestLocksNoLostWake(t *testing.T) {
	noLostWake(t, func(ctx context.Context, t *testing.T, rounds int, round func()) {
		m, err := ipcsync.CreateMutex("m", nil)
		ipctest.NoErr(t, err)
		defer m.Close()
		rw, err := ipcsync.CreateRWMutex("rw", nil)
		ipctest.NoErr(t, err)
		defer rw.Close()
		done := make(chan error)
		const goroutines = 6
		for i := range goroutines {
			m, rw := m, rw
			if i%2 == 0 {
				m, err = ipcsync.OpenMutex("m", nil)
				ipctest.NoErr(t, err)
				defer m.Close()
				rw, err = ipcsync.OpenRWMutex("rw", nil)
				ipctest.NoErr(t, err)
				defer rw.Close()
			}
			go func() {
				for k := range rounds {
					lock, unlock := m.Lock, m.Unlock
					switch (i + k) % 3 {
					case 1:
						lock, unlock = rw.Lock, rw.Unlock
					case 2:
						lock, unlock = rw.RLock, rw.RUnlock
					}
					err := lock(ctx)
					runtime.Gosched()
					if err == nil {
						err = unlock()
					}
					if err != nil {
						done <- err
						return
					}
					round()
				}
				done <- nil
			}()
		}
		for range goroutines {
			ipctest.NoErr(t, <-done)
		}
	})
}

// noLostWake runs f without a death watch. It runs f with all processors, where most waits end
// while they spin, and with one processor, where none spins. The context ends if f has reported no
// round for as long as the patience is.
func noLostWake(t *testing.T, f func(ctx context.Context, t *testing.T, rounds int, round func())) {
	ipctest.NeedNames(t)
	for procs, rounds := range map[int]int{runtime.GOMAXPROCS(0): 5000, 1: 500} {
		t.Run(fmt.Sprintf("processors=%d", procs), func(t *testing.T) {
			ipctest.Store(t)
			segment.StopWatch(t)
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			late := time.AfterFunc(ipctest.Patience, cancel)
			defer late.Stop()
			f(ctx, t, rounds, func() { late.Reset(ipctest.Patience) })
		})
	}
}
