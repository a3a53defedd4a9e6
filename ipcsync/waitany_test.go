package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

func TestWaitAny(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	other := openMutex(t, "m")
	ipctest.NoErr(t, other.Lock(bg))
	s, err := ipcsync.CreateSemaphore("s", 0, 5, nil)
	ipctest.NoErr(t, err)
	defer s.Close()
	e := newEvent(t, "e", nil)
	want := func(i int, err error) {
		t.Helper()
		got, werr := ipcsync.WaitAny(bg, m, s, e)
		if got != i || !errors.Is(werr, err) {
			t.Errorf("WaitAny is %d, %v, want %d, %v", got, werr, i, err)
		}
	}
	ipctest.NoErr(t, e.Set())
	want(2, nil)
	ipctest.NoErr(t, s.Release(1))
	ipctest.NoErr(t, e.Set())
	want(1, nil) // the first of several, and only that
	if !try(t, e) {
		t.Error("WaitAny has taken two")
	}
	for i, wake := range []func() error{other.Unlock, func() error { return s.Release(1) }, e.Set} {
		woke := make(chan error, 1)
		go func() {
			time.Sleep(5 * time.Millisecond)
			woke <- wake()
		}()
		want(i, nil)
		ipctest.NoErr(t, <-woke)
	}
	ipctest.NoErr(t, m.Unlock())
	ipctest.NoErr(t, other.Lock(bg))
	ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
	defer cancel()
	i, err := ipcsync.WaitAny(ctx, m, s, e)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
	if i != -1 {
		t.Errorf("index %d with an error, want -1", i)
	}
	ipctest.NoErr(t, other.Unlock())

	// A mutex of the dead.
	c := ipctest.Start(t, "mutex", "m", "hold")
	if l := c.Line(); l != "held" {
		t.Fatal(l)
	}
	go func() {
		time.Sleep(5 * time.Millisecond)
		c.Kill()
	}()
	want(0, samepage.ErrOwnerDied)
	ipctest.NoErr(t, m.Consistent())
	ipctest.NoErr(t, m.Unlock())

	ipctest.NoErr(t, other.Lock(bg))
	closed := make(chan error, 1)
	go func() {
		time.Sleep(5 * time.Millisecond)
		closed <- e.Close()
	}()
	_, err = ipcsync.WaitAny(bg, m, s, e)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	ipctest.NoErr(t, <-closed)
	ipctest.NoErr(t, other.Unlock())
}

// Many that wait for any of several events: each set passes exactly one.
func TestWaitAnyTakesOne(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const events, waiters, sets = 3, 4, 300
	var es [events]*ipcsync.Event
	for i := range es {
		es[i] = newEvent(t, fmt.Sprint(i), nil)
	}
	ctx, cancel := context.WithCancel(bg)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range waiters {
		var mine []ipcsync.Waiter
		for i := range es {
			e, err := ipcsync.OpenEvent(fmt.Sprint(i), nil)
			ipctest.NoErr(t, err)
			defer e.Close()
			mine = append(mine, e)
		}
		wg.Go(func() {
			for {
				if _, err := ipcsync.WaitAny(ctx, mine...); err != nil {
					ipctest.WantErr(t, err, context.Canceled)
					return
				}
				passed.Add(1)
			}
		})
	}
	for n := range sets {
		ipctest.NoErr(t, es[n%events].Set())
		for deadline := time.Now().Add(ipctest.Patience); passed.Load() != int64(n+1); {
			if time.Now().After(deadline) {
				t.Fatalf("%d sets have passed %d", n+1, passed.Load())
			}
			time.Sleep(20 * time.Microsecond)
		}
	}
	cancel()
	wg.Wait()
	if n := passed.Load(); n != sets {
		t.Errorf("%d sets passed %d", sets, n)
	}
}
