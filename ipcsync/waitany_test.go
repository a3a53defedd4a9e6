package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/waker"
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

// Many goroutines wait for any of several events. Each Set lets exactly one pass.
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

// asleepOn waits until somebody sleeps on the event of that name.
func asleepOn(t *testing.T, name string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(20 * time.Microsecond) {
		st, err := ipcsync.InspectEvent(name, nil)
		ipctest.NoErr(t, err)
		for _, m := range st.Members {
			if m.Waits {
				return
			}
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("nobody sleeps on event %s", name)
		}
	}
}

// TestWaitAnyOfMany: few goroutines wait for many events, and notice each of them.
func TestWaitAnyOfMany(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const n = 300
	var ws []ipcsync.Waiter
	var es []*ipcsync.Event
	for i := range n {
		e := newEvent(t, fmt.Sprint(i), nil)
		es, ws = append(es, e), append(ws, e)
	}
	before := runtime.NumGoroutine()
	for _, i := range []int{0, 62, 63, 126, 127, 200, n - 1} {
		got := make(chan int)
		go func() {
			i, err := ipcsync.WaitAny(bg, ws...)
			ipctest.NoErr(t, err)
			got <- i
		}()
		asleepOn(t, "0")
		asleepOn(t, fmt.Sprint(n-1))
		// One that calls, the watch, and one for each further thread's worth.
		if most := waker.SleepsOnAtMost(); most > 0 {
			more := n
			for begun := time.Now(); more > 2+(n-1)/most; more = runtime.NumGoroutine() - before {
				if time.Since(begun) > ipctest.Patience { // those of the call before have ended long since
					t.Fatalf("%d goroutines for %d events", more, n)
				}
			}
		}
		ipctest.NoErr(t, es[i].Set())
		if g := <-got; g != i {
			t.Errorf("WaitAny is %d, event %d was set", g, i)
		}
		for _, e := range es {
			if try(t, e) {
				t.Error("an event is set that WaitAny has taken")
			}
		}
	}
	ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := ipcsync.WaitAny(ctx, ws...)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
	t.Logf("a deadline of 100 ms came after %v", time.Since(begun))
}

// TestWaitAnyBesideWait: another goroutine already sleeps on the same handle.
func TestWaitAnyBesideWait(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	a, b := newEvent(t, "a", nil), newEvent(t, "b", nil)
	one := make(chan error)
	go func() { one <- a.Wait(bg) }()
	asleepOn(t, "a")
	any := make(chan int)
	wait := func() {
		i, err := ipcsync.WaitAny(bg, a, b, a)
		ipctest.NoErr(t, err)
		any <- i
	}
	go wait()
	asleepOn(t, "b")
	ipctest.NoErr(t, b.Set())
	if i := <-any; i != 1 {
		t.Errorf("WaitAny is %d, event 1 was set", i)
	}
	go wait()
	asleepOn(t, "b")
	ipctest.NoErr(t, a.Set())
	// Either of the two passes, and the other one with the next Set.
	for range 2 {
		select {
		case err := <-one:
			ipctest.NoErr(t, err)
		case i := <-any:
			if i != 0 {
				t.Errorf("WaitAny is %d, event 0 was set", i)
			}
		}
		if _, err := a.TryWait(); err != nil {
			t.Error(err)
		}
		ipctest.NoErr(t, a.Set())
	}
}
