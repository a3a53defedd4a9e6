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
	"samepage/internal/sys/store"
	"samepage/ipcsync"
)

func TestMain(m *testing.M) {
	store.RemovalWait = ipctest.Patience // however long somebody takes who is at a name
	ipctest.Main(m, map[string]func([]string){
		"agent": agent.Run, "locker": locker, "waiter": waiter, "mutex": mutexHelper, "rw": rwHelper, "worker": worker,
		"maker": maker, "idler": idler, "record": recordWriter, "base": base, "algorithm": algorithm,
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

// 003-03: a Set stays pending while nobody waits; two Sets wake once.
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

// 003-03: one Set wakes exactly one waiter, also in other processes.
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

// 002-32: another process sets and resets a manual-reset event.
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

// A cancelled context ends its own wait, and takes no wake from another waiter.
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

// Sleepers are killed, and setters are killed at any moment. No survivor sleeps for ever.
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

// Open refuses an event whose bytes were written by a hostile process or by another program.
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

// 002-31: a named event wakes another process, and is not the system's event of the same name.
func TestMission002_31_NamedEvent(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	name := fmt.Sprintf("samepage-test-%d", os.Getpid())
	e := newEvent(t, name, nil)
	systems := newEvent(t, name, &ipcsync.EventOptions{Exact: true})
	if runtime.GOOS == "linux" {
		defer func() { _ = samepage.Remove(name, &samepage.Options{Exact: true}) }()
	}
	ipctest.NoErr(t, systems.Set())
	if try(t, e) {
		t.Error("ours is the system's")
	}
	c := ipctest.Start(t, "agent")
	c.Want("ok", "event open %s", name)
	c.Send("wait %s %v", name, ipctest.Patience)
	ipctest.NoErr(t, e.Set())
	if l := c.Line(); l != "ok" {
		t.Errorf("the other process's wait ends with %q", l)
	}
	woken := make(chan error, 1)
	go func() { woken <- e.Wait(bg) }()
	c.Want("ok", "set %s", name)
	ipctest.NoErr(t, <-woken)
	if !try(t, systems) {
		t.Error("the system's was ours")
	}
}

// 002-32: an auto-reset event: both processes set and reset it, and one of them passes.
func TestMission002_32_SetResetWait(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		e := newEvent(t, name, &ipcsync.EventOptions{Exact: exact})
		c := ipctest.Start(t, "agent")
		c.Want("ok", "event open %s %s", name, map[bool]string{true: "exact"}[exact])
		ipctest.NoErr(t, e.Set())
		c.Want("ok true", "trywait %s", name)
		if try(t, e) {
			t.Error("both processes pass one set")
		}
		c.Want("ok", "set %s", name)
		ipctest.NoErr(t, e.Reset())
		c.Want("ok false", "trywait %s", name)
		ipctest.NoErr(t, e.Set())
		c.Want("ok", "reset %s", name)
		if try(t, e) {
			t.Error("the other process's reset leaves the event set")
		}
		c.Want("ok", "set %s", name)
		ipctest.NoErr(t, e.Wait(bg))
	})
}

// 003-16: the rights to wait, set and reset are enough to do all three with an event. With fewer
// rights Open fails, and not a later Reset.
func TestMission003_16_LeastRights(t *testing.T) {
	ipctest.NeedNames(t)
	if runtime.GOOS == "linux" && os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	for _, c := range []struct {
		name string
		sddl string // SYNCHRONIZE is 0x100000, EVENT_MODIFY_STATE 2
		perm fs.FileMode
		ok   bool
	}{
		{"enough", "D:(A;;0x100002;;;WD)", 0o666, true},
		{"only waiting", "D:(A;;0x100000;;;WD)", 0o444, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ipctest.Store(t)
			name := fmt.Sprintf("samepage-test-%d", os.Getpid())
			newEvent(t, name, &ipcsync.EventOptions{Exact: true, SecurityDescriptor: c.sddl, Perm: c.perm})
			if runtime.GOOS == "linux" {
				defer func() { _ = samepage.Remove(name, &samepage.Options{Exact: true}) }()
			}
			a := ipctest.Start(t, "agent")
			if runtime.GOOS == "linux" {
				a.Want("ok", "user 65534")
			}
			got := a.Ask("event open %s exact owner=*", name)
			if !c.ok {
				if !strings.HasPrefix(got, "err ErrPermission") {
					t.Errorf("opening says %q, want ErrPermission", got)
				}
				return
			}
			if got != "ok" {
				t.Fatalf("opening says %q", got)
			}
			a.Want("ok", "set %s", name)
			a.Want("ok", "wait %s 1s", name)
			a.Want("ok", "set %s", name)
			a.Want("ok", "reset %s", name)
			a.Want("ok false", "trywait %s", name)
		})
	}
}
