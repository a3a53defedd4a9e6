package sharememory_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/sharememory"
)

// These tests show the rows of docs/mission/sharememory.md about the lock made of two files.

func newLock(t testing.TB, dir string) *sharememory.FileLock {
	t.Helper()
	l, err := sharememory.NewFileLock("x.mdb", &sharememory.FileLockOptions{Dir: dir})
	ipctest.NoErr(t, err)
	return l
}

// try says whether a lock is available now, for writing and for reading. It releases the lock
// again.
func try(t testing.TB, l *sharememory.FileLock) (writing, reading bool) {
	t.Helper()
	writing, err := l.TryLock()
	ipctest.NoErr(t, err)
	if writing {
		ipctest.NoErr(t, l.Unlock())
	}
	reading, err = l.TryRLock()
	ipctest.NoErr(t, err)
	if reading {
		ipctest.NoErr(t, l.RUnlock())
	}
	return writing, reading
}

func wantFree(t testing.TB, l *sharememory.FileLock, writing, reading bool) {
	t.Helper()
	if w, r := try(t, l); w != writing || r != reading {
		t.Errorf("the lock is available for writing: %v, for reading: %v, want %v and %v", w, r, writing, reading)
	}
}

// Eight readers in eight processes hold the lock at the same time, and no writer gets it meanwhile.
func TestMission002_16_ShareMemoryEightReaders(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		l, err := sharememory.NewLock("v", o)
		ipctest.NoErr(t, err)
		var all []*ipctest.Child
		for range 8 {
			c := startPeer(t, o)
			c.Want("ok", "lock")
			c.Want("ok", "hold read")
			all = append(all, c)
		}
		wantFree(t, l, false, true)
		for i, c := range all {
			c.Want("ok", "release read")
			wantFree(t, l, i == len(all)-1, true)
		}
	})
}

// Four processes count to exactly 100,000 under the write lock.
func TestMission002_17_ShareMemoryWriteCycles(t *testing.T) {
	place(t)
	o := &sharememory.Options{}
	each := 25000
	if runtime.GOOS == "windows" { // Wine takes 0.4 ms to open and close four files
		each = 2500
	}
	if testing.Short() {
		each = 1000
	}
	file := filepath.Join(ipctest.Dir(t), "n")
	m, err := samepage.MapFile(file, 4, nil)
	ipctest.NoErr(t, err)
	defer m.Close()
	var all []*ipctest.Child
	for range 4 {
		c := startPeer(t, o)
		c.Want("ok", "lock")
		all = append(all, c)
	}
	begun := time.Now()
	for _, c := range all {
		c.Send("count %s %d", file, each)
	}
	for _, c := range all {
		l := c.Line()
		for strings.HasPrefix(l, "at ") { // so that each line comes in time
			l = c.Line()
		}
		if l != "ok" {
			t.Fatal(l)
		}
	}
	var b [4]byte
	_, err = m.ReadAt(b[:], 0)
	ipctest.NoErr(t, err)
	if n := binary.LittleEndian.Uint32(b[:]); n != uint32(4*each) {
		t.Errorf("counted to %d, want %d", n, 4*each)
	}
	t.Logf("%v a cycle", time.Since(begun)/time.Duration(4*each))
}

// A reader that comes after a waiting writer does not get the lock before the writer. So the writer
// waits only until the present readers have released their locks once.
func TestMission002_18_ShareMemoryWriterIsNotStarved(t *testing.T) {
	place(t)
	dir := ipctest.Dir(t)
	holder, writer := newLock(t, dir), newLock(t, dir)
	ipctest.NoErr(t, holder.RLock(bg))
	locked := make(chan error, 1)
	go func() { locked <- writer.Lock(bg) }()
	late := newLock(t, dir)
	for begun := time.Now(); ; { // until the writer has come as far as to wait
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("readers come in beside a writer that waits")
		}
		ok, err := late.TryRLock()
		ipctest.NoErr(t, err)
		if !ok {
			break
		}
		ipctest.NoErr(t, late.RUnlock())
		time.Sleep(time.Millisecond)
	}
	wantFree(t, late, false, false)
	wantFree(t, holder, false, false) // not even for who has it already
	ipctest.NoErr(t, holder.RUnlock())
	ipctest.NoErr(t, <-locked)
	ipctest.NoErr(t, writer.Unlock())
	wantFree(t, late, true, true)

	// Sixteen readers that come again and again leave room for a writer each time.
	var stop atomic.Bool
	var wait sync.WaitGroup
	for range 16 {
		l := newLock(t, dir)
		wait.Go(func() {
			for !stop.Load() {
				if err := l.RLock(bg); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(5 * time.Millisecond)
				_ = l.RUnlock()
			}
		})
	}
	var longest time.Duration
	for range 20 {
		begun := time.Now()
		ipctest.NoErr(t, writer.Lock(bg))
		longest = max(longest, time.Since(begun))
		ipctest.NoErr(t, writer.Unlock())
	}
	stop.Store(true)
	wait.Wait()
	t.Logf("among 16 readers that hold it for 5 ms each, a writer waited %v at most", longest)
}

// The cost of a handover between two processes that cannot ring each other.
func TestMission002_19_ShareMemoryHandover(t *testing.T) {
	place(t)
	dir := ipctest.Dir(t)
	a, b := newLock(t, dir), newLock(t, dir) // as two processes: each has files of its own
	var waits []time.Duration
	for range 50 {
		ipctest.NoErr(t, a.Lock(bg))
		begin, wait := gotIn(t, func() error { return b.Lock(bg) })
		time.Sleep(2 * time.Millisecond)
		begin()
		ipctest.NoErr(t, a.Unlock())
		waits = append(waits, wait())
		ipctest.NoErr(t, b.Unlock())
	}
	slices.Sort(waits)
	t.Logf("after a hold of 2 ms the next one got it within %v, the slowest within %v", waits[len(waits)/2], waits[len(waits)-1])
}

// If the holder of a read or write lock is killed, the next process gets the lock.
func TestMission002_20_ShareMemoryHolderKilled(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		l, err := sharememory.NewLock("v", o)
		ipctest.NoErr(t, err)
		for _, held := range []string{"read", "write"} {
			c := startPeer(t, o)
			c.Want("ok", "lock")
			c.Want("ok", "hold %s", held)
			wantFree(t, l, false, held == "read")
			begin, wait := gotIn(t, func() error { return l.Lock(bg) })
			time.Sleep(50 * time.Millisecond)
			begin()
			c.Kill()
			t.Logf("%v lock: the next one got in %v after kill -9", held, wait())
			ipctest.NoErr(t, l.Unlock())
		}
	})
}

// Goroutines with one handle exclude each other, and each gets the lock.
func TestMission002_21_ShareMemoryLockGoroutines(t *testing.T) {
	place(t)
	l := newLock(t, ipctest.Dir(t))
	var wait sync.WaitGroup
	n, readers := 0, atomic.Int32{}
	for i := range 16 {
		wait.Go(func() {
			for range 50 {
				if i%4 != 0 {
					if err := l.RLock(bg); err != nil {
						t.Error(err)
						return
					}
					readers.Add(1)
					_ = n
					readers.Add(-1)
					if err := l.RUnlock(); err != nil {
						t.Error(err)
					}
					continue
				}
				if err := l.Lock(bg); err != nil {
					t.Error(err)
					return
				}
				n++
				if r := readers.Load(); r != 0 {
					t.Errorf("%d readers beside a writer", r)
				}
				if err := l.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if n != 200 {
		t.Errorf("counted to %d, want 200", n)
	}
}

// A second Lock waits like the one of another process. Read locks are counted. An unlock without a
// lock is an error.
func TestMission002_22_ShareMemoryLockTwice(t *testing.T) {
	place(t)
	l := newLock(t, ipctest.Dir(t))
	ipctest.WantErr(t, l.Unlock(), samepage.ErrNotLocked)
	ipctest.WantErr(t, l.RUnlock(), samepage.ErrNotLocked)
	ipctest.NoErr(t, l.Lock(bg))
	wantFree(t, l, false, false)
	short, cancel := context.WithTimeout(bg, 30*time.Millisecond)
	defer cancel()
	err := l.Lock(short)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded, "x.mdb")
	ipctest.WantErr(t, err, context.DeadlineExceeded)
	ipctest.WantErr(t, l.Close(), samepage.ErrBusy)
	ipctest.NoErr(t, l.Unlock())
	ipctest.WantErr(t, l.Unlock(), samepage.ErrNotLocked)

	ipctest.NoErr(t, l.RLock(bg))
	ipctest.NoErr(t, l.RLock(bg))
	canceled, stop := context.WithCancel(bg)
	stop()
	ipctest.WantErr(t, l.Lock(canceled), context.Canceled) // and gives what it had of the lock back
	wantFree(t, l, false, true)
	ipctest.NoErr(t, l.RUnlock())
	wantFree(t, l, false, true)
	ipctest.NoErr(t, l.RUnlock())
	wantFree(t, l, true, true)
	ipctest.WantErr(t, l.RUnlock(), samepage.ErrNotLocked)

	// Who waits returns when the handle is closed.
	other := newLock(t, filepath.Dir(l.Name()))
	ipctest.NoErr(t, other.RLock(bg))
	waits := make(chan error, 1)
	go func() { waits <- l.Lock(bg) }()
	time.Sleep(20 * time.Millisecond)
	ipctest.NoErr(t, l.Close())
	ipctest.NoErr(t, l.Close())
	ipctest.WantErr(t, <-waits, samepage.ErrClosed)
	ipctest.WantErr(t, l.RLock(bg), samepage.ErrClosed)
	_, err = l.TryLock()
	ipctest.WantErr(t, err, samepage.ErrClosed)
	wantFree(t, other, false, true)
	ipctest.NoErr(t, other.RUnlock())
	wantFree(t, other, true, true)
}

// Lock files are in the given folder, under their own names. A name that a file cannot have is
// refused, and not changed into another name.
func TestMission002_23_ShareMemoryLockFolder(t *testing.T) {
	place(t)
	dir := filepath.Join(ipctest.Dir(t), "a", "b") // both are missing
	l := newLock(t, dir)
	ipctest.NoErr(t, l.Lock(bg))
	ipctest.NoErr(t, l.Unlock())
	if got := files(t, dir); !slices.Equal(got, []string{"x.mdb.rlc", "x.mdb.wlc"}) {
		t.Errorf("files %q", got)
	}
	l, err := sharememory.NewFileLock("y.mdb", nil)
	ipctest.NoErr(t, err)
	if filepath.Base(filepath.Dir(l.Name())) != "rwfilelock" {
		t.Errorf("by default the files are %s", l.Name())
	}
	for _, bad := range []string{
		"", "a:b", `a\b`, "a/b", "..", "a*", "a?", `a"`, "<a", "a>", "a|b", "a\x00", "a\nb", "a\x7f", "a.", "a ", "CON",
		"nul.mdb", "Com1", "lpt9.x", "COM¹", "CONOUT$", "aux .txt", strings.Repeat("x", 201), "\xff",
	} {
		_, err := sharememory.NewFileLock(bad, &sharememory.FileLockOptions{Dir: dir})
		ipctest.WantErr(t, err, samepage.ErrName)
		if bad == "" || !utf8.ValidString(bad) || strings.ContainsAny(bad, ":\\/*?\"<>|\x00\n\x7f") {
			_, err = sharememory.CreateWriter(bg, bad, 10, nil)
			ipctest.WantErr(t, err, samepage.ErrName)
		}
	}
	for _, good := range []string{"a", "ä ö.mdb", "CONSOLE", "com10", "x.nul", ".hidden", "COM"} {
		_, err := sharememory.NewFileLock(good, &sharememory.FileLockOptions{Dir: dir})
		ipctest.NoErr(t, err)
	}
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	ipctest.NoErr(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Lock files of older boots are removed. Lock files that a process has open stay, whatever their
// number is, and all other files stay, too.
func TestMission002_24_LocksOfOlderBoots(t *testing.T) {
	place(t)
	dir := ipctest.Dir(t)
	const boot = 1700000000
	lock := func(boot int64, name string) *sharememory.FileLock {
		l, err := sharememory.NewFileLock(fmt.Sprintf("%d_SMLF-%s.mdb", boot, name), &sharememory.FileLockOptions{Dir: dir})
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, l.Lock(bg))
		ipctest.NoErr(t, l.Unlock())
		return l
	}
	lock(boot, "now")
	lock(boot-86400, "yesterday")
	lock(boot+1, "x") // the clock was set, and nobody lives there
	read, written := lock(boot-1, "read"), lock(boot-2, "written")
	ipctest.NoErr(t, read.RLock(bg)) // and here somebody does
	ipctest.NoErr(t, written.Lock(bg))
	for _, other := range []string{"SMLF-x.mdb.rlc", "12a_SMLF-x.mdb.rlc", "_SMLF-x.mdb.rlc", "12_x.rlc", "12_SMLF-x.mdb", "12_SMLF-x.txt", "ShareMemoryLockedFile-x.mdb.rlc"} {
		ipctest.NoErr(t, os.WriteFile(filepath.Join(dir, other), nil, 0o600))
	}
	ipctest.NoErr(t, os.Mkdir(filepath.Join(dir, "7_SMLF-dir.mdb.rlc"), 0o700))
	before := files(t, dir)

	removed, err := sharememory.CleanFileLocks(&sharememory.FileLockOptions{Dir: dir, Boot: sharememory.BootUnknown})
	if err != nil || len(removed) > 0 || !slices.Equal(files(t, dir), before) {
		t.Errorf("without a time of boot %q are removed, %v", removed, err)
	}

	o := &sharememory.Options{Layout: sharememory.Head, Lock: sharememory.FileLockOptions{Dir: dir, Boot: boot}}
	w := newWriter(t, 10, o) // which cleans
	gone := []string{
		"1699913600_SMLF-yesterday.mdb.rlc", "1699913600_SMLF-yesterday.mdb.wlc",
		"1699999999_SMLF-read.mdb.wlc", // of a lock that is only read
		"1700000001_SMLF-x.mdb.rlc", "1700000001_SMLF-x.mdb.wlc",
	}
	want := append(slices.DeleteFunc(slices.Clone(before), func(f string) bool { return slices.Contains(gone, f) }),
		"1700000000_SMLF-v.mdb.rlc", "1700000000_SMLF-v.mdb.wlc")
	slices.Sort(want)
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
	write(t, w, "x")

	// Those that lived are locks still.
	wantFree(t, newLockOf(t, dir, boot-1, "read"), false, true)
	wantFree(t, newLockOf(t, dir, boot-2, "written"), false, false)
	ipctest.NoErr(t, read.RUnlock())
	ipctest.NoErr(t, written.Unlock())
	lock(boot-1, "read")
	removed, err = sharememory.CleanFileLocks(&sharememory.FileLockOptions{Dir: dir, Boot: boot})
	ipctest.NoErr(t, err)
	if want := []string{"1699999998_SMLF-written.mdb.rlc", "1699999998_SMLF-written.mdb.wlc", "1699999999_SMLF-read.mdb.rlc", "1699999999_SMLF-read.mdb.wlc"}; !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}

	// By default it is this machine's boot.
	removed, err = sharememory.CleanFileLocks(&sharememory.FileLockOptions{Dir: dir})
	ipctest.NoErr(t, err)
	if !slices.Contains(removed, "1700000000_SMLF-now.mdb.rlc") {
		t.Errorf("removed %q", removed)
	}
	_, err = sharememory.CleanFileLocks(&sharememory.FileLockOptions{Dir: dir, Boot: -7})
	ipctest.WantErr(t, err, fs.ErrInvalid)
}

func newLockOf(t testing.TB, dir string, boot int64, name string) *sharememory.FileLock {
	t.Helper()
	l, err := sharememory.NewLock(name, &sharememory.Options{
		Layout: sharememory.Head, Lock: sharememory.FileLockOptions{Dir: dir, Boot: boot},
	})
	ipctest.NoErr(t, err)
	return l
}

// Some processes remove files while others lock them. It never happens that one process holds the
// lock of a removed file while another one holds the lock of the new file.
func TestMission002_24_CleaningBesideLocking(t *testing.T) {
	place(t)
	dir := ipctest.Dir(t)
	stop := make(chan struct{})
	var cleaner sync.WaitGroup
	cleaner.Go(func() {
		for n := 0; ; {
			select {
			case <-stop:
				t.Logf("%d files were removed meanwhile", n)
				return
			default:
			}
			removed, err := sharememory.CleanFileLocks(&sharememory.FileLockOptions{Dir: dir, Boot: 2})
			if err != nil {
				t.Error(err)
				return
			}
			n += len(removed)
		}
	})
	var users sync.WaitGroup
	var inside atomic.Int32
	for range 3 {
		l := newLockOf(t, dir, 1, "x")
		users.Go(func() {
			for range 200 {
				if err := l.Lock(bg); err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				time.Sleep(10 * time.Microsecond)
				inside.Add(-1)
				_ = l.Unlock()
			}
		})
	}
	users.Wait()
	close(stop)
	cleaner.Wait()
}

// If a lock file cannot be opened, there is an error, and never a lock.
func TestMission002_36_LockFileCannotBeOpened(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		o.Lock = sharememory.FileLockOptions{Dir: ipctest.Dir(t), Boot: 1700000000}
		base := map[string]string{"seed": "ShareMemoryLockedFile-v.mdb", "head": "1700000000_SMLF-v.mdb"}[o.Layout.String()]
		w := newWriter(t, 100, o)
		write(t, w, "first")
		r := newReader(t, o)
		l, err := sharememory.NewLock("v", o)
		ipctest.NoErr(t, err)
		for _, file := range []string{".wlc", ".rlc"} {
			path := filepath.Join(o.Lock.Dir, base+file)
			ipctest.NoErr(t, os.Remove(path))
			ipctest.NoErr(t, os.Mkdir(path, 0o700))
			ctx, cancel := context.WithTimeout(bg, ipctest.Patience)
			n, werr := w.Write(ctx, []byte("second"))
			b, rerr := r.Append(ctx, nil)
			_, serr := r.Stat(ctx)
			ok, terr := l.TryLock()
			rok, trerr := l.TryRLock()
			other, oerr := sharememory.CreateWriter(ctx, "other", 10, o)
			ipctest.NoErr(t, oerr) // whose files are others
			ipctest.NoErr(t, other.Close())
			_, aerr := sharememory.OpenWriter(ctx, "v", o)
			lerr, rlerr := l.Lock(ctx), l.RLock(ctx)
			cancel()
			if n != 0 || len(b) != 0 || ok || rok {
				t.Errorf("without a lock %d bytes are written, %q is read; locked: %v, %v", n, b, ok, rok)
			}
			for _, err := range []error{werr, rerr, serr, terr, trerr, aerr, lerr, rlerr} {
				if err == nil || errors.Is(err, samepage.ErrBusy) || errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), base+file) ||
					strings.Count(err.Error(), "sharememory: ") != 1 {
					t.Errorf("a lock file that is a directory: %v", err)
				}
			}
			ipctest.NoErr(t, os.Remove(path))
			wantFree(t, l, true, true) // and nothing is left of the attempts
			wantValue(t, r, "first")

			// One that may only be read lets readers in, and no writers.
			ipctest.NoErr(t, os.Chmod(path, 0o400))
			if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
				ipctest.NoErr(t, f.Close())
				t.Logf("this user may write to %s, whatever its mode is", file) // root, also under Wine
			} else {
				_, err := w.Write(bg, []byte("second"))
				ipctest.WantErr(t, err, fs.ErrPermission, base+file)
				wantValue(t, r, "first")
			}
			ipctest.NoErr(t, os.Chmod(path, 0o600))
		}
	})
}
