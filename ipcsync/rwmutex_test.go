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

func newRW(t testing.TB, name string, o *ipcsync.Options) *ipcsync.RWMutex {
	t.Helper()
	m, err := ipcsync.CreateRWMutex(name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func openRW(t testing.TB, name string) *ipcsync.RWMutex {
	t.Helper()
	m, err := ipcsync.OpenRWMutex(name, nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestRWMutexBasics(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := ipcsync.OpenRWMutex("m", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	a := newRW(t, "m", nil)
	b := openRW(t, "m")
	ipctest.WantErr(t, a.RUnlock(), samepage.ErrNotLocked)
	ipctest.WantErr(t, a.Unlock(), samepage.ErrNotLocked)
	ipctest.WantErr(t, a.Consistent(), samepage.ErrNotLocked)
	ipctest.NoErr(t, a.RLock(bg))
	ipctest.NoErr(t, b.RLock(bg))
	for _, m := range []*ipcsync.RWMutex{a, b} {
		if ok, err := m.TryLock(); ok || err != nil {
			t.Errorf("TryLock beside readers is %v, %v", ok, err)
		}
		if ok, err := m.TryRLock(); !ok || err != nil {
			t.Errorf("TryRLock beside readers is %v, %v", ok, err)
		}
		ipctest.NoErr(t, m.RUnlock())
	}
	ipctest.WantErr(t, a.Close(), samepage.ErrUnreleased)
	ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, b.Lock(ctx), os.ErrDeadlineExceeded)
	ipctest.NoErr(t, a.RUnlock()) // a writer that gave up keeps nobody out
	ipctest.NoErr(t, a.RLock(bg))
	ipctest.NoErr(t, a.RUnlock())
	ipctest.NoErr(t, b.RUnlock())
	ipctest.NoErr(t, a.Lock(bg))
	ipctest.WantErr(t, a.Close(), samepage.ErrUnreleased)
	ipctest.WantErr(t, b.Unlock(), samepage.ErrNotLocked)
	if ok, err := b.TryRLock(); ok || err != nil {
		t.Errorf("TryRLock beside a writer is %v, %v", ok, err)
	}
	ipctest.WantErr(t, b.RLock(ctx), os.ErrDeadlineExceeded)
	done := make(chan error, 2)
	go func() { done <- b.RLock(bg) }()
	go func() { done <- a.RLock(bg) }()
	time.Sleep(5 * time.Millisecond)
	ipctest.NoErr(t, a.Unlock())
	ipctest.NoErr(t, <-done)
	ipctest.NoErr(t, <-done)
	ipctest.NoErr(t, a.RUnlock())
	ipctest.NoErr(t, b.RUnlock())
	if ok, err := b.TryLock(); !ok || err != nil {
		t.Errorf("TryLock of a free lock is %v, %v", ok, err)
	}
	ipctest.NoErr(t, b.Unlock())
	ipctest.NoErr(t, b.Close())
	ipctest.WantErr(t, b.RLock(bg), samepage.ErrClosed)
	ipctest.WantErr(t, b.Lock(bg), samepage.ErrClosed)
	ipctest.WantErr(t, b.RUnlock(), samepage.ErrClosed)
}

// 002-16: eight readers in eight processes hold the lock at the same time.
func TestMission002_16_EightReaders(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newRW(t, "m", nil)
	var cs []*ipctest.Child
	for range 8 {
		cs = append(cs, ipctest.Start(t, "rw", "m", "read"))
	}
	for _, c := range cs {
		if l := c.Line(); l != "held" { // none of them lets go before all hold
			t.Fatal(l)
		}
	}
	if ok, err := m.TryLock(); ok || err != nil {
		t.Errorf("a writer beside eight readers: %v, %v", ok, err)
	}
	for _, c := range cs {
		c.Kill() // readers that die hold nothing
	}
	ipctest.NoErr(t, m.Lock(bg))
	ipctest.NoErr(t, m.Unlock())
}

// 002-17 and 002-30: four processes count exactly in 100,000 write cycles. Readers between them
// never see a half-made write.
func TestMission002_17_WriteCycles(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	newRW(t, "m", nil)
	data, err := samepage.Create("data", recordSize, nil)
	ipctest.NoErr(t, err)
	defer data.Close()
	cycles := 100_000
	if testing.Short() {
		cycles = 4000
	}
	var cs []*ipctest.Child
	for range 4 {
		cs = append(cs, ipctest.Start(t, "rw", "m", "count", fmt.Sprint(cycles/4)))
	}
	for _, c := range cs {
		if l := c.Line(); l != "done" {
			t.Error(l)
		}
	}
	var b [recordSize]byte
	if _, err := data.ReadAt(b[:], 0); err != nil {
		t.Fatal(err)
	}
	if n, err := check(b[:]); err != nil || n != uint64(cycles) {
		t.Errorf("%d write cycles count %d, %v", cycles, n, err)
	}
}

// 002-18: a writer that waits keeps new readers out, so it waits for at most one hold of each
// reader that holds the lock already. 16 readers loop. The test counts and does not measure time:
// a reader that sees a writer wait, and then gets the lock before that writer, has overtaken it.
func TestMission002_18_WriterIsNotStarved(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newRW(t, "m", nil)
	owner := stateWord(t, samepage.KindRWMutex, "m")
	var writes atomic.Uint64 // changed while the writer holds
	var ended atomic.Uint64  // those of them whose Unlock has returned
	var waited, overtakes atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 16 {
		r := openRW(t, "m")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				// In this order: then the write that is seen now has not had it, and
				// is not the last one that had.
				before := writes.Load()
				waits := ended.Load() == before && !layout.Owner(owner.Load()).Free()
				if err := r.RLock(bg); err != nil {
					t.Error(err)
					return
				}
				if waits {
					waited.Add(1)
					if writes.Load() == before {
						overtakes.Add(1)
					}
				}
				time.Sleep(100 * time.Microsecond)
				if err := r.RUnlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	// Until readers have met waiting writers often enough.
	for begun := time.Now(); waited.Load() < 200 && time.Since(begun) < ipctest.Patience; {
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(bg, ipctest.Patience)
		err := w.Lock(ctx)
		cancel()
		if err != nil {
			t.Errorf("the writer has waited for %v: %v", ipctest.Patience, err)
			break
		}
		writes.Add(1)
		ipctest.NoErr(t, w.Unlock())
		ended.Add(1)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d writes, %d readers found a writer waiting", writes.Load(), waited.Load())
	if waited.Load() == 0 || overtakes.Load() != 0 {
		t.Errorf("%d of %d readers overtook a waiting writer", overtakes.Load(), waited.Load())
	}
}

func TestRWMutexWriterDies(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newRW(t, "m", nil)
	c := ipctest.Start(t, "rw", "m", "write")
	if l := c.Line(); l != "held" {
		t.Fatal(l)
	}
	got := make(chan error, 1)
	go func() { got <- m.RLock(bg) }()
	time.Sleep(10 * time.Millisecond)
	c.Kill()
	err := <-got
	ipctest.WantErr(t, err, samepage.ErrOwnerDied)
	var died *ipcsync.OwnerDiedError
	if !errors.As(err, &died) || died.Name == "" {
		t.Errorf("who died is %+v", died)
	}
	ipctest.NoErr(t, m.RUnlock())
	ok, err := m.TryRLock()
	ipctest.WantErr(t, err, samepage.ErrOwnerDied)
	if !ok {
		t.Error("a lock of the dead is not free")
	}
	ipctest.NoErr(t, m.RUnlock())
	ipctest.WantErr(t, m.Lock(bg), samepage.ErrOwnerDied)
	ipctest.NoErr(t, m.Consistent())
	ipctest.NoErr(t, m.Unlock())
	ipctest.NoErr(t, m.RLock(bg))
	ipctest.NoErr(t, m.RUnlock())
}

// A writer dies while it waits for a reader. It keeps nobody out, and damages nothing.
func TestRWMutexWaitingWriterDies(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newRW(t, "m", nil)
	ipctest.NoErr(t, m.RLock(bg))
	c := ipctest.Start(t, "rw", "m", "write")
	o := openRW(t, "m")
	for { // until the writer keeps readers out
		ok, err := o.TryRLock()
		ipctest.NoErr(t, err)
		if !ok {
			break
		}
		ipctest.NoErr(t, o.RUnlock())
		time.Sleep(time.Millisecond)
	}
	c.Kill()
	ipctest.NoErr(t, o.RLock(bg))
	ipctest.NoErr(t, o.RUnlock())
	ipctest.NoErr(t, m.RUnlock())
}

func rwHelper(args []string) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	m, err := ipcsync.OpenRWMutex(args[0], nil)
	if err != nil {
		fail(err)
	}
	switch args[1] {
	case "read":
		err = m.RLock(bg)
	case "write":
		err = m.Lock(bg)
	case "count":
		rwCount(m, args[2], fail)
		return
	}
	if err != nil {
		fail(err)
	}
	fmt.Println("held")
	time.Sleep(ipctest.Patience)
}

func rwCount(m *ipcsync.RWMutex, times string, fail func(error)) {
	var n int
	_, _ = fmt.Sscan(times, &n)
	data, err := samepage.Open("data", nil)
	if err != nil {
		fail(err)
	}
	v, err := data.View(0, 0, samepage.ReadWrite)
	if err != nil {
		fail(err)
	}
	b := v.Bytes()
	for i := range n {
		if err := m.Lock(bg); err != nil {
			fail(err)
		}
		c, err := check(b)
		if err != nil {
			fail(err)
		}
		for i := 0; i < recordSize; i += 8 {
			setWord(b, i, c+1)
		}
		if err := m.Unlock(); err != nil {
			fail(err)
		}
		if i%4 == 0 {
			if err := m.RLock(bg); err != nil {
				fail(err)
			}
			if _, err := check(b); err != nil {
				fail(err)
			}
			if err := m.RUnlock(); err != nil {
				fail(err)
			}
		}
	}
	fmt.Println("done")
}

func TestSemaphore(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := ipcsync.CreateSemaphore("s", 3, 2, nil)
	ipctest.WantErr(t, err, fs.ErrInvalid)
	_, err = ipcsync.CreateSemaphore("s", 0, 0, nil)
	ipctest.WantErr(t, err, fs.ErrInvalid)
	s, err := ipcsync.CreateSemaphore("s", 2, 5, nil)
	ipctest.NoErr(t, err)
	defer s.Close()
	o, existed, err := ipcsync.OpenOrCreateSemaphore("s", 0, 1, nil)
	ipctest.NoErr(t, err)
	defer o.Close()
	if !existed || o.Count() != 2 {
		t.Errorf("existed %v with %d units, want true with 2", existed, o.Count())
	}
	ipctest.NoErr(t, s.Acquire(bg))
	ipctest.NoErr(t, o.Acquire(bg))
	if ok, err := s.TryAcquire(); ok || err != nil {
		t.Errorf("a third unit of two: %v, %v", ok, err)
	}
	ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, s.Acquire(ctx), os.ErrDeadlineExceeded)
	ipctest.WantErr(t, s.Release(6), samepage.ErrTooLarge)
	done := make(chan error, 5)
	for i := range 5 {
		go func() { done <- []*ipcsync.Semaphore{s, o}[i%2].Acquire(bg) }()
	}
	time.Sleep(5 * time.Millisecond)
	ipctest.NoErr(t, o.Release(5))
	for range 5 {
		ipctest.NoErr(t, <-done)
	}
	ipctest.NoErr(t, o.Release(5))
	ipctest.WantErr(t, s.Release(1), samepage.ErrTooLarge)
	if s.Count() != 5 {
		t.Errorf("%d units, want 5", s.Count())
	}
	ipctest.NoErr(t, s.Close())
	ipctest.WantErr(t, s.Acquire(bg), samepage.ErrClosed)
	ipctest.WantErr(t, s.Release(1), samepage.ErrClosed)
}

func BenchmarkRWMutexRLock(b *testing.B) {
	ipctest.Store(b)
	m := newRW(b, "m", nil)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.RLock(bg)
		_ = m.RUnlock()
	}
}

func BenchmarkRWMutexLock(b *testing.B) {
	ipctest.Store(b)
	m := newRW(b, "m", nil)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Lock(bg)
		_ = m.Unlock()
	}
}

// A writer waits for readers, and a sleeper of the same handle waits for the writer. The writer
// goes first.
func TestRWMutexWriterGoesFirst(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	r := newRW(t, "m", nil)
	w, h := openRW(t, "m"), openRW(t, "m")
	rounds := ipctest.Repeat(t, 200, 30, "")
	for i := range rounds {
		ipctest.NoErr(t, r.RLock(bg))
		ctx, cancel := context.WithCancel(bg)
		gaveUp := make(chan error, 1)
		go func() { gaveUp <- w.Lock(ctx) }()
		for { // until w keeps readers out
			ok, err := r.TryRLock()
			ipctest.NoErr(t, err)
			if !ok {
				break
			}
			ipctest.NoErr(t, r.RUnlock())
		}
		read, wrote := make(chan error, 1), make(chan error, 1)
		go func() { read <- h.RLock(bg) }()
		time.Sleep(time.Millisecond)
		go func() { wrote <- h.Lock(bg) }()
		time.Sleep(time.Duration(i%20) * 5 * time.Microsecond)
		cancel()
		if err := <-gaveUp; err == nil {
			t.Fatal("a writer beside a reader")
		}
		time.Sleep(100 * time.Microsecond)
		ipctest.NoErr(t, r.RUnlock())
		for range 2 {
			select {
			case err := <-read:
				ipctest.NoErr(t, err)
				ipctest.NoErr(t, h.RUnlock())
			case err := <-wrote:
				ipctest.NoErr(t, err)
				ipctest.NoErr(t, h.Unlock())
			case <-time.After(ipctest.Patience):
				t.Fatalf("round %d: nobody holds the lock, and both wait", i)
			}
		}
	}
}
