package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/layout"
)

var bg = context.Background()

func newMutex(t testing.TB, name string, o *ipcsync.Options) *ipcsync.Mutex {
	t.Helper()
	m, err := ipcsync.CreateMutex(name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func openMutex(t testing.TB, name string) *ipcsync.Mutex {
	t.Helper()
	m, err := ipcsync.OpenMutex(name, nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestMutexBasics(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := ipcsync.OpenMutex("m", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	m := newMutex(t, "m", nil)
	_, err = ipcsync.CreateMutex("m", nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	ipctest.WantErr(t, m.Unlock(), samepage.ErrNotLocked)
	ipctest.WantErr(t, m.Consistent(), samepage.ErrNotLocked)
	ipctest.NoErr(t, m.Lock(bg))
	o := openMutex(t, "m")
	for _, x := range []*ipcsync.Mutex{m, o} {
		if ok, err := x.TryLock(); ok || err != nil {
			t.Errorf("TryLock of a locked mutex is %v, %v", ok, err)
		}
	}
	ipctest.WantErr(t, o.Unlock(), samepage.ErrNotLocked)
	ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, o.Lock(ctx), os.ErrDeadlineExceeded)
	ipctest.WantErr(t, m.Lock(ctx), context.DeadlineExceeded) // its own goroutines exclude each other as well
	ipctest.WantErr(t, m.Close(), samepage.ErrUnreleased)
	done := make(chan error, 1)
	go func() { done <- o.Lock(bg) }()
	time.Sleep(5 * time.Millisecond)
	ipctest.NoErr(t, m.Unlock())
	ipctest.NoErr(t, <-done)
	ipctest.NoErr(t, o.Unlock())
	ipctest.NoErr(t, o.Close())
	ipctest.NoErr(t, o.Close())
	ipctest.WantErr(t, o.Lock(bg), samepage.ErrClosed)
	ipctest.WantErr(t, o.Unlock(), samepage.ErrClosed)
	_, err = o.TryLock()
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = ipcsync.OpenEvent("m", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist) // kinds have names of their own
}

// Close wakes the waiters of its handle.
func TestMutexCloseWhileWaiting(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	ipctest.NoErr(t, m.Lock(bg))
	o := openMutex(t, "m")
	done := make(chan error, 3)
	for range 3 {
		go func() { done <- o.Lock(bg) }()
	}
	time.Sleep(10 * time.Millisecond)
	ipctest.NoErr(t, o.Close())
	for range 3 {
		ipctest.WantErr(t, <-done, samepage.ErrClosed)
	}
	ipctest.NoErr(t, m.Unlock())
}

// 002-21: many goroutines through several handles; clean under the race detector.
func TestMutexGoroutines(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ms := []*ipcsync.Mutex{newMutex(t, "m", nil), openMutex(t, "m"), openMutex(t, "m")}
	// What a lock in a mapping guards is in a mapping, too: the race detector, which
	// does not see the lock, does not see it either.
	data, err := samepage.CreateUnnamed(8, nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, data.Close()) })
	v, err := data.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer v.Close()
	n := v.Bytes()
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			m := ms[i%len(ms)]
			for range 5000 {
				if err := m.Lock(bg); err != nil {
					t.Error(err)
					return
				}
				setWord(n, 0, word(n, 0)+1)
				if err := m.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c := word(n, 0); c != 30_000 {
		t.Errorf("30000 increments count %d", c)
	}
}

func TestMutexTooManyMembers(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	newMutex(t, "m", &ipcsync.Options{Members: 3})
	openMutex(t, "m")
	o := openMutex(t, "m")
	_, err := ipcsync.OpenMutex("m", nil)
	ipctest.WantErr(t, err, samepage.ErrTooManyMembers, fmt.Sprintf("process %d (", os.Getpid()))
	ipctest.NoErr(t, o.Close())
	openMutex(t, "m")
	_, err = ipcsync.CreateMutex("x", &ipcsync.Options{Members: 1025})
	ipctest.WantErr(t, err, fs.ErrInvalid)
}

// 002-20: the owner is killed. The next one gets the lock in time, and learns who died, until
// somebody declares the data consistent.
func TestMutexOwnerDies(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	for _, waiting := range []bool{false, true} {
		c := ipctest.Start(t, "mutex", "m", "hold")
		if l := c.Line(); l != "held" {
			t.Fatal(l)
		}
		got := make(chan error, 1)
		if waiting {
			go func() { got <- m.Lock(bg) }()
			time.Sleep(20 * time.Millisecond)
		}
		c.Kill()
		killed := time.Now()
		if !waiting {
			got <- m.Lock(bg)
		}
		err := <-got
		t.Logf("waiting %v: %v after the child was reaped", waiting, time.Since(killed))
		ipctest.WantErr(t, err, samepage.ErrOwnerDied)
		var died *ipcsync.OwnerDiedError
		if !errors.As(err, &died) || died.PID != c.PID() && os.PathSeparator == '/' || time.Since(died.At) > time.Minute || died.Name == "" {
			t.Errorf("who died is %+v, want process %d", died, c.PID())
		}
		ipctest.NoErr(t, m.Unlock())
		ipctest.WantErr(t, m.Lock(bg), samepage.ErrOwnerDied) // never declared consistent
		ipctest.NoErr(t, m.Consistent())
		ipctest.NoErr(t, m.Unlock())
		ipctest.NoErr(t, m.Lock(bg))
		ipctest.NoErr(t, m.Unlock())
	}
}

func mutexHelper(args []string) {
	m, err := ipcsync.OpenMutex(args[0], nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Lock(bg); err != nil && !errors.Is(err, samepage.ErrOwnerDied) {
		fmt.Println(err)
		return
	}
	fmt.Println("held")
	time.Sleep(ipctest.Patience)
}

// maker makes a mutex, locks it, and stays.
func maker(args []string) {
	m, err := ipcsync.CreateMutex(args[0], nil)
	if err == nil {
		err = m.Lock(bg)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("made")
	time.Sleep(10 * ipctest.Patience)
}

func BenchmarkMutex(b *testing.B) {
	ipctest.Store(b)
	m := newMutex(b, "m", nil)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Lock(bg)
		_ = m.Unlock()
	}
}

// stateWord is the first live word of a lock.
func stateWord(t testing.TB, kind samepage.Kind, name string) *atomic.Uint64 {
	t.Helper()
	raw, err := samepage.Open(name, &samepage.Options{Kind: kind})
	ipctest.NoErr(t, err)
	v, err := raw.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, errors.Join(v.Close(), raw.Close())) })
	state, err := v.Uint64(layout.SegmentHeaderSize)
	ipctest.NoErr(t, err)
	return state
}

// A Lock that races with Close may leave an owner word that names a member that has left. It is
// repaired like the word of a dead member.
func TestMutexOwnerHasLeft(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	o := openMutex(t, "m")
	ipctest.NoErr(t, o.Lock(bg))
	state := stateWord(t, samepage.KindMutex, "m")
	owned := state.Load()
	ipctest.NoErr(t, o.Unlock())
	ipctest.NoErr(t, o.Close())
	state.Store(owned)
	ctx, cancel := context.WithTimeout(bg, ipctest.Patience)
	defer cancel()
	ipctest.WantErr(t, m.Lock(ctx), samepage.ErrOwnerDied)
	ipctest.NoErr(t, m.Consistent())
	ipctest.NoErr(t, m.Unlock())
}

// Inspect shows who holds and who waits, without joining.
func TestInspect(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", &ipcsync.Options{Members: 5})
	look := func() *ipcsync.State {
		t.Helper()
		st, err := ipcsync.InspectMutex("m", nil)
		ipctest.NoErr(t, err)
		return st
	}
	if st := look(); len(st.Members) != 1 || st.Room != 5 || st.Members[0].Owner || !st.Members[0].Alive || st.Members[0].PID != os.Getpid() {
		t.Errorf("a free mutex is %+v", st)
	}
	c := ipctest.Start(t, "mutex", "m", "hold")
	if l := c.Line(); l != "held" {
		t.Fatal(l)
	}
	got := make(chan error, 1)
	go func() { got <- m.Lock(bg) }()
	for {
		st := look()
		if len(st.Members) == 2 && st.Members[0].Waits && st.Members[1].Owner && !st.Members[1].Waits && !st.Members[0].Owner {
			break
		}
		time.Sleep(time.Millisecond)
	}
	c.Kill()
	ipctest.WantErr(t, <-got, samepage.ErrOwnerDied)
	if st := look(); len(st.Members) != 1 || !st.Dirty || st.Died == nil || st.Died.Name == "" || !st.Members[0].Owner {
		t.Errorf("after the owner's death the mutex is %+v", st)
	}
	ipctest.NoErr(t, m.Consistent())
	ipctest.NoErr(t, m.Unlock())
	_, err := ipcsync.InspectRWMutex("m", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
}

// 002-22: a holder that locks a second time waits like anybody else, and damages nothing. Read
// locks are counted.
func TestMission002_22_LockTwice(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	rw, other := newRW(t, "m", nil), openRW(t, "m")
	ended, cancel := context.WithTimeout(bg, 0)
	defer cancel()
	waits := func(lock func(context.Context) error, try func() (bool, error)) {
		t.Helper()
		ok, err := try()
		ipctest.NoErr(t, err)
		if ok {
			t.Error("what it holds is available once more")
		}
		ipctest.WantErr(t, lock(ended), os.ErrDeadlineExceeded)
	}
	ipctest.NoErr(t, m.Lock(bg))
	waits(m.Lock, m.TryLock)
	ipctest.NoErr(t, m.Unlock())
	ipctest.WantErr(t, m.Unlock(), samepage.ErrNotLocked)

	ipctest.NoErr(t, rw.Lock(bg))
	waits(rw.Lock, rw.TryLock)
	waits(rw.RLock, rw.TryRLock)
	ipctest.NoErr(t, rw.Unlock())
	ipctest.WantErr(t, rw.Unlock(), samepage.ErrNotLocked)

	ipctest.NoErr(t, rw.RLock(bg))
	ipctest.NoErr(t, rw.RLock(bg))
	waits(rw.Lock, rw.TryLock)
	ipctest.NoErr(t, rw.RUnlock())
	waits(other.Lock, other.TryLock) // one of the two is left
	ipctest.NoErr(t, rw.RUnlock())
	ipctest.WantErr(t, rw.RUnlock(), samepage.ErrNotLocked)
	ipctest.NoErr(t, other.Lock(bg))
	ipctest.NoErr(t, other.Unlock())
}
