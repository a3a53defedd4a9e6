package ipcsync_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// hostileKinds are the objects that FuzzHostileMemory writes over, and what their
// users do meanwhile.
var hostileKinds = []struct {
	kind samepage.Kind
	open func() (run func(context.Context) error, close func() error, err error)
}{
	{samepage.KindMutex, func() (func(context.Context) error, func() error, error) {
		m, err := ipcsync.OpenMutex("x", nil)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error {
			_, terr := m.TryLock()
			return errors.Join(m.Lock(ctx), m.Consistent(), m.Unlock(), terr, m.Unlock())
		}, m.Close, nil
	}},
	{samepage.KindRWMutex, func() (func(context.Context) error, func() error, error) {
		m, err := ipcsync.OpenRWMutex("x", nil)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error {
			_, terr := m.TryLock()
			err := errors.Join(terr, m.Unlock(), m.RLock(ctx), m.RUnlock(), m.Lock(ctx), m.Consistent(), m.Unlock())
			_, terr = m.TryRLock()
			return errors.Join(err, terr, m.RUnlock())
		}, m.Close, nil
	}},
	{samepage.KindSemaphore, func() (func(context.Context) error, func() error, error) {
		s, err := ipcsync.OpenSemaphore("x", nil)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error { return errors.Join(s.Acquire(ctx), s.Release(1)) }, s.Close, nil
	}},
	{samepage.KindEvent, func() (func(context.Context) error, func() error, error) {
		e, err := ipcsync.OpenEvent("x", nil)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error { return errors.Join(e.Set(), e.Wait(ctx), e.Reset()) }, e.Close, nil
	}},
}

// FuzzHostileMemory has a peer write anything over live words and member table
// while others work, join and leave: errors, and no panic, fault or endless loop.
func FuzzHostileMemory(f *testing.F) {
	ipctest.NeedNames(f)
	f.Add(uint64(1), uint8(0))
	f.Add(uint64(2), uint8(1))
	f.Add(uint64(3), uint8(2))
	f.Add(uint64(4), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, which uint8) {
		ipctest.Store(t)
		k := hostileKinds[int(which)%len(hostileKinds)]
		o := &ipcsync.Options{Members: 4}
		var err error
		var keep interface{ Close() error }
		switch k.kind {
		case samepage.KindMutex:
			keep, err = ipcsync.CreateMutex("x", o)
		case samepage.KindRWMutex:
			keep, err = ipcsync.CreateRWMutex("x", o)
		case samepage.KindSemaphore:
			keep, err = ipcsync.CreateSemaphore("x", 1, 10, o)
		default:
			keep, err = ipcsync.CreateEvent("x", &ipcsync.EventOptions{Members: 4})
		}
		ipctest.NoErr(t, err)
		raw, err := samepage.Open("x", &samepage.Options{Kind: k.kind})
		ipctest.NoErr(t, err)
		v, err := raw.View(0, 0, samepage.ReadWrite)
		ipctest.NoErr(t, err)

		var stop atomic.Bool
		var wg sync.WaitGroup
		var mu sync.Mutex
		later := []func() error{keep.Close}
		for range 2 {
			wg.Go(func() {
				for !stop.Load() {
					run, closeIt, err := k.open()
					if err != nil {
						continue
					}
					for range 3 {
						ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
						_ = run(ctx)
						cancel()
					}
					if closeIt() != nil { // it is made believe that it holds the lock
						mu.Lock()
						later = append(later, closeIt)
						mu.Unlock()
					}
				}
			})
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		words := (v.Len() - 256) / 8
		for range 300 {
			w, err := v.Uint64(256 + 8*rnd.IntN(words))
			ipctest.NoErr(t, err)
			switch rnd.IntN(4) {
			case 0:
				w.Store(rnd.Uint64())
			case 1:
				w.Store(^uint64(0))
			case 2:
				w.Store(uint64(rnd.IntN(1 << 14)))
			default:
				w.Store(w.Load() ^ 1<<rnd.IntN(64))
			}
			time.Sleep(10 * time.Microsecond)
		}
		stop.Store(true)
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(ipctest.Patience):
			t.Fatal("somebody is caught in a loop, or asleep past its context")
		}
		clear(v.Bytes()[256:]) // now nobody holds anything
		for _, closeIt := range later {
			ipctest.NoErr(t, closeIt())
		}
		ipctest.NoErr(t, v.Close())
		ipctest.NoErr(t, raw.Close())
	})
}
