package ipcsync_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/ipctest/agent"
	"samepage/internal/sys"
	"samepage/ipcsync"
)

func TestMain(m *testing.M) {
	sys.RemovalWait = ipctest.Patience // however long somebody takes who is at a name
	ipctest.Main(m, map[string]func([]string){
		"agent": agent.Run, "locker": locker, "waiter": waiter, "mutex": mutexHelper, "rw": rwHelper, "worker": worker,
		"none": func([]string) {}, "maker": maker, "idler": idler, "record": recordWriter, "base": base, "algorithm": algorithm,
		"forget": holdAndForget,
	})
}

func newEvent(t testing.TB, name string, o *ipcsync.EventOptions) *ipcsync.Event {
	t.Helper()
	e, err := ipcsync.CreateEvent(name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func try(t testing.TB, e *ipcsync.Event) bool {
	t.Helper()
	ok, err := e.TryWait()
	ipctest.NoErr(t, err)
	return ok
}

// each runs f with an event of our own and with an exact one, which on Windows
// is the kernel's.
func each(t *testing.T, f func(t *testing.T, name string, exact bool)) {
	ipctest.NeedNames(t)
	for _, exact := range []bool{false, true} {
		t.Run(fmt.Sprintf("exact=%v", exact), func(t *testing.T) {
			ipctest.Store(t)
			name := fmt.Sprintf("samepage-test-%d", os.Getpid())
			f(t, name, exact)
			if exact && runtime.GOOS == "linux" {
				_ = samepage.Remove(name, &samepage.Options{Exact: true})
			}
		})
	}
}

// 003-03: set with nobody waiting stays pending; two sets are one wake.
func TestMission003_03_AutoReset(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		e := newEvent(t, name, &ipcsync.EventOptions{Exact: exact})
		if try(t, e) {
			t.Error("a new event is set")
		}
		ipctest.NoErr(t, e.Set())
		ipctest.NoErr(t, e.Set())
		ipctest.NoErr(t, e.Wait(context.Background()))
		if try(t, e) {
			t.Error("two sets are two wakes")
		}
		ipctest.NoErr(t, e.Set())
		ipctest.NoErr(t, e.Reset())
		ipctest.NoErr(t, e.Reset())
		if try(t, e) {
			t.Error("Reset leaves the event set")
		}
	})
}

// 003-03: one Set wakes exactly one waiter, in other processes as well.
func TestMission003_03_OneWaiter(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		e := newEvent(t, name, &ipcsync.EventOptions{Exact: exact})
		opt := ""
		if exact {
			opt = "exact"
		}
		const n = 4
		woken := make(chan int, n)
		for i := range n {
			c := ipctest.Start(t, "waiter", name, opt)
			if l := c.Line(); l != "ready" {
				t.Fatal(l)
			}
			go func() {
				if c.Line() == "woken" {
					woken <- i
				}
			}()
		}
		time.Sleep(20 * time.Millisecond) // let them sleep; right without it, too
		for i := range n {
			ipctest.NoErr(t, e.Set())
			select {
			case <-woken:
			case <-time.After(ipctest.Patience):
				t.Fatalf("set %d wakes nobody", i+1)
			}
			select {
			case k := <-woken:
				t.Fatalf("set %d wakes waiter %d as well", i+1, k)
			case <-time.After(120 * time.Millisecond):
			}
			if try(t, e) {
				t.Error("the event stays set behind the waiter")
			}
		}
	})
}

func waiter(args []string) {
	e, err := ipcsync.OpenEvent(args[0], &ipcsync.EventOptions{Exact: args[1] != ""})
	fmt.Println("ready")
	if err == nil {
		err = e.Wait(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("woken")
}

// 002-32: a manual-reset event, of which the other process sets and resets.
func TestManualReset(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		e := newEvent(t, name, &ipcsync.EventOptions{Manual: true, Exact: exact})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := e.Wait(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		c := ipctest.Start(t, "agent")
		opt := ""
		if exact {
			opt = "exact"
		}
		c.Want("ok", "event open %s %s", name, opt)
		c.Want("ok", "set %s", name)
		wg.Wait()
		for range 2 {
			if !try(t, e) {
				t.Error("a manual-reset event does not stay set")
			}
		}
		c.Want("ok", "reset %s", name)
		if try(t, e) {
			t.Error("Reset leaves the event set")
		}
	})
}

func TestEventInitiallySet(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		e := newEvent(t, name, &ipcsync.EventOptions{Set: true, Exact: exact})
		if !try(t, e) || try(t, e) {
			t.Error("an auto-reset event that begins set does not pass exactly one")
		}
	})
}

func TestEventCreateAndOpen(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		o := &ipcsync.EventOptions{Exact: exact}
		_, err := ipcsync.OpenEvent(name, o)
		ipctest.WantErr(t, err, fs.ErrNotExist)
		e, existed, err := ipcsync.OpenOrCreateEvent(name, o)
		ipctest.NoErr(t, err)
		if existed {
			t.Error("a new event existed")
		}
		_, err = ipcsync.CreateEvent(name, o)
		ipctest.WantErr(t, err, fs.ErrExist)
		e2, existed, err := ipcsync.OpenOrCreateEvent(name, o)
		ipctest.NoErr(t, err)
		if !existed {
			t.Error("an event that exists is new")
		}
		ipctest.NoErr(t, e.Set())
		if !try(t, e2) {
			t.Error("two handles on one event are two events")
		}
		ipctest.NoErr(t, e.Close())
		ipctest.NoErr(t, e.Close())
		ipctest.WantErr(t, e.Set(), samepage.ErrClosed)
		ipctest.WantErr(t, e.Reset(), samepage.ErrClosed)
		ipctest.WantErr(t, e.Wait(context.Background()), samepage.ErrClosed)
		_, err = e.TryWait()
		ipctest.WantErr(t, err, samepage.ErrClosed)
		ipctest.NoErr(t, e2.Close())
		if !exact {
			_, err = ipcsync.OpenEvent(name, o)
			ipctest.WantErr(t, err, fs.ErrNotExist)
		}
	})
}

func TestEventCancel(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		e := newEvent(t, name, &ipcsync.EventOptions{Exact: exact})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Wait(ctx) }()
		time.Sleep(10 * time.Millisecond)
		cancel()
		ipctest.WantErr(t, <-done, context.Canceled)
		ipctest.WantErr(t, e.Wait(ctx), context.Canceled)
		ctx, cancel = context.WithTimeout(context.Background(), 5*time.Millisecond)
		defer cancel()
		ipctest.WantErr(t, e.Wait(ctx), os.ErrDeadlineExceeded)
		ipctest.NoErr(t, e.Set())
		ipctest.NoErr(t, e.Wait(ctx)) // what is there is had, also with an ended context
		go func() { done <- e.Wait(context.Background()) }()
		time.Sleep(10 * time.Millisecond)
		ipctest.NoErr(t, e.Close())
		ipctest.WantErr(t, <-done, samepage.ErrClosed)
	})
}

// A cancellation wakes the canceller's wait and costs no other a wake.
func TestEventCancelDisturbsNobody(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	e := newEvent(t, "e", nil)
	got := make(chan error, 1)
	go func() { got <- e.Wait(context.Background()) }()
	for range 200 {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- e.Wait(ctx) }()
		cancel()
		ipctest.WantErr(t, <-done, context.Canceled)
	}
	select {
	case err := <-got:
		t.Fatalf("a waiter passed an event that was never set: %v", err)
	default:
	}
	ipctest.NoErr(t, e.Set())
	ipctest.NoErr(t, <-got)
}

// Killed sleepers, and setters killed at any moment, leave nobody asleep.
func TestEventKilledWaiters(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	e := newEvent(t, "e", nil)
	rounds := ipctest.Repeat(t, 50, 10, "")
	for i := range rounds {
		c := ipctest.Start(t, "waiter", "e", "")
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		got := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
			defer cancel()
			got <- e.Wait(ctx)
		}()
		// The one ring may go to the victim, which dies with it in its hands.
		ipctest.NoErr(t, e.Set())
		c.Kill()
		if i%2 == 0 {
			select {
			case err := <-got: // this process had it
				ipctest.NoErr(t, err)
				continue
			case <-time.After(5 * time.Millisecond):
			}
		}
		ipctest.NoErr(t, e.Set()) // the victim may have taken the first one
		ipctest.NoErr(t, <-got)
	}
}

// An event whose bytes a hostile or foreign process wrote is refused.
func TestHostileEvent(t *testing.T) {
	ipctest.NeedNames(t)
	if runtime.GOOS != "linux" {
		t.Skip("exact events are the kernel's here")
	}
	for name, want := range map[string]error{
		"plain bytes": samepage.ErrKindMismatch,
		"short":       samepage.ErrCorrupt,
		"flags":       samepage.ErrCorrupt,
		"version":     samepage.ErrVersion,
	} {
		t.Run(name, func(t *testing.T) {
			dir := ipctest.Store(t)
			e := newEvent(t, "e", &ipcsync.EventOptions{Exact: true})
			ipctest.NoErr(t, e.Close())
			path := dir + "/e"
			b, err := os.ReadFile(path)
			ipctest.NoErr(t, err)
			switch name {
			case "plain bytes":
				b = []byte(strings.Repeat("x", len(b)))
			case "short":
				b = b[:100]
			case "flags":
				b[16] ^= 0x80
			case "version":
				b[12] = 200
			}
			ipctest.NoErr(t, os.WriteFile(path, b, 0o600))
			_, err = ipcsync.OpenEvent("e", &ipcsync.EventOptions{Exact: true})
			ipctest.WantErr(t, err, want)
		})
	}
}

// 001-14: a million writes by four processes under a lock, here an auto-reset
// event that begins set, and none torn.
func TestMission001_14_WritesUnderLock(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m, err := samepage.Create("data", recordSize, nil)
	ipctest.NoErr(t, err)
	defer m.Close()
	newEvent(t, "lock", &ipcsync.EventOptions{Set: true})
	writes := 1_000_000
	if testing.Short() {
		writes = 20_000
	}
	const processes = 4
	var cs []*ipctest.Child
	for range processes {
		cs = append(cs, ipctest.Start(t, "locker", fmt.Sprint(writes/processes)))
	}
	for _, c := range cs {
		if l := c.Line(); l != "done" {
			t.Error(l)
		}
	}
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer v.Close()
	if n, err := check(v.Bytes()); err != nil || n != uint64(writes) {
		t.Errorf("after %d writes the record says %d, %v", writes, n, err)
	}
}

const recordSize = 256

// check reads a record, all of whose words are the number of the write.
func check(b []byte) (uint64, error) {
	first := word(b, 0)
	for i := 8; i < recordSize; i += 8 {
		if w := word(b, i); w != first {
			return 0, fmt.Errorf("torn: word 0 is %d, word %d is %d", first, i/8, w)
		}
	}
	return first, nil
}

func word(b []byte, i int) (w uint64) {
	for k := range 8 {
		w |= uint64(b[i+k]) << (8 * k)
	}
	return w
}

func setWord(b []byte, i int, w uint64) {
	for k := range 8 {
		b[i+k] = byte(w >> (8 * k))
	}
}

func locker(args []string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	var writes int
	_, _ = fmt.Sscan(args[0], &writes)
	m, err := samepage.Open("data", nil)
	if err != nil {
		fail(err)
	}
	v, err := m.View(0, 0, samepage.ReadWrite)
	if err != nil {
		fail(err)
	}
	lock, err := ipcsync.OpenEvent("lock", nil)
	if err != nil {
		fail(err)
	}
	const each = 50 // writes under one lock
	b := v.Bytes()
	for done := 0; done < writes; done += each {
		if err := lock.Wait(context.Background()); err != nil {
			fail(err)
		}
		for range each {
			n, err := check(b)
			if err != nil {
				fail(err)
			}
			for i := 0; i < recordSize; i += 8 {
				setWord(b, i, n+1)
			}
		}
		if err := lock.Set(); err != nil {
			fail(err)
		}
	}
	fmt.Println("done")
}

func BenchmarkEventPingPong(b *testing.B) {
	ipctest.Store(b)
	ping, pong := newEvent(b, "ping", nil), newEvent(b, "pong", nil)
	var stop atomic.Bool
	go func() {
		for !stop.Load() {
			_ = ping.Wait(context.Background())
			_ = pong.Set()
		}
	}()
	for b.Loop() {
		_ = ping.Set()
		_ = pong.Wait(context.Background())
	}
	stop.Store(true)
	_ = ping.Set()
}

func BenchmarkEventSetTryWait(b *testing.B) {
	ipctest.Store(b)
	e := newEvent(b, "e", nil)
	b.ReportAllocs()
	for b.Loop() {
		_ = e.Set()
		if ok, _ := e.TryWait(); !ok {
			b.Fatal("not set")
		}
	}
}
