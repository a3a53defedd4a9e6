package sharememory_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy/sharememory"
)

// 002-01, 002-33: create and open are two calls, and OpenOrCreate says which of the two it did.
func TestMission002_01_33_CreateOrOpen(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		_, _, err := sharememory.OpenOrCreateWriter(bg, "v", 0, o)
		ipctest.WantErr(t, err, samepage.ErrZeroSize)
		ipctest.WantErr(t, err, fs.ErrNotExist)
		w := newWriter(t, 100, o)
		if w.Cap() != 100 || w.Name() != "v" {
			t.Errorf("%q has room for %d", w.Name(), w.Cap())
		}
		write(t, w, "kept")
		_, err = sharememory.CreateWriter(bg, "v", 100, o)
		ipctest.WantErr(t, err, fs.ErrExist, `"v"`)

		c := startPeer(t, o)
		c.Want("ok 100 true", "create 0")
		c.Want("ok 100 true", "create 60")
		if l := c.Ask("create 101"); !strings.Contains(l, "room for 100: too large") {
			t.Errorf("more room than there is: %s", l)
		}
		_, _, err = sharememory.OpenOrCreateWriter(bg, "v", 1000, o)
		ipctest.WantErr(t, err, samepage.ErrTooLarge, "1000", "100")
		wantValue(t, newReader(t, o), "kept")
		c.Want("ok 100", "write %s", strings.Repeat("x", 100))
		wantValue(t, newReader(t, o), strings.Repeat("x", 100))
	})
}

// 002-02: a reader that comes before the block gets an error, or waits.
func TestMission002_02_ReaderFirst(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		_, err := sharememory.OpenReader("v", o)
		ipctest.WantErr(t, err, fs.ErrNotExist, `"v"`)
		short, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err = sharememory.AwaitReader(short, "v", o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)

		// A section whose header is not there yet is not there yet.
		m, err := samepage.Create(sectionName(o), 133, bareOptions())
		ipctest.NoErr(t, err)
		short, cancel = context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err = sharememory.AwaitReader(short, "v", o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		ipctest.NoErr(t, m.Close())

		waiting := make(chan *sharememory.Reader, 1)
		go func() {
			r, err := sharememory.AwaitReader(bg, "v", o)
			if err != nil {
				t.Error(err)
			}
			waiting <- r
		}()
		c := startPeer(t, o)
		c.Want("ok 100 false", "create 100")
		c.Want("ok 5", "write first")
		r := <-waiting
		wantValue(t, r, "first")
		ipctest.NoErr(t, r.Close())
	})
}

// 002-15: the names that the C++ programs know.
func TestMission002_15_Names(t *testing.T) {
	for _, c := range []struct {
		o              sharememory.Options
		section, files string
	}{
		{sharememory.Options{}, "ShareMemoryMap-v", "ShareMemoryLockedFile-v.mdb"},
		{sharememory.Options{Layout: sharememory.Head, Lock: sharememory.FileLockOptions{Boot: 1748850600}}, "SMM-v", "1748850600_SMLF-v.mdb"},
		{sharememory.Options{Layout: sharememory.Head, Lock: sharememory.FileLockOptions{Boot: sharememory.BootUnknown}}, "SMM-v", "0_SMLF-v.mdb"},
	} {
		place(t)
		c.o.Lock.Dir = ipctest.Dir(t)
		w := newWriter(t, 10, &c.o)
		write(t, w, "x")
		m, err := samepage.Open(c.section, bareOptions())
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, m.Close())
		if got, want := strings.Join(files(t, c.o.Lock.Dir), " "), c.files+".rlc "+c.files+".wlc"; got != want {
			t.Errorf("lock files %s, want %s", got, want)
		}
		st, err := w.Stat(bg)
		ipctest.NoErr(t, err)
		if st.LockFile != filepath.Join(c.o.Lock.Dir, c.files) || st.Section != c.section {
			t.Errorf("%+v", st)
		}
		ipctest.NoErr(t, w.Close())
	}
	// The two layouts' blocks of one name are two.
	place(t)
	seed := newWriter(t, 10, &sharememory.Options{})
	head := newWriter(t, 20, &sharememory.Options{Layout: sharememory.Head})
	write(t, seed, "seed")
	write(t, head, "head")
	wantValue(t, newReader(t, &sharememory.Options{}), "seed")
}

// 002-26: after the writer has ended, the value stays until the last reader has ended. Then the
// name is free.
func TestMission002_26_ShareMemoryLifetime(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		for _, end := range []string{"exit", "kill -9"} {
			c := startPeer(t, o)
			c.Want("ok 100 false", "create 100")
			c.Want("ok 5", "write value")
			r := newReader(t, o)
			if end == "exit" {
				c.Wait()
			} else {
				c.Kill()
			}
			wantValue(t, r, "value")
			late := newReader(t, o) // as long as anybody has it
			ipctest.NoErr(t, r.Close())
			wantValue(t, late, "value")
			ipctest.NoErr(t, late.Close())
			_, err := sharememory.OpenReader("v", o)
			ipctest.WantErr(t, err, fs.ErrNotExist)
		}
	})
}

// 002-27: a writer that opens a block keeps its content, and takes the lock before it looks.
func TestMission002_27_ShareMemoryAttachKeepsContent(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 100, o)
		r, m := newReader(t, o), sectionOf(t, o)
		write(t, w, "kept")
		for _, size := range []int{0, 1, 100} {
			c := startPeer(t, o)
			c.Want("ok 100 true", "create %d", size)
			wantValue(t, r, "kept")
			c.Kill()
			wantValue(t, r, "kept")
		}
		l, err := sharememory.NewLock("v", o)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, l.Lock(bg))
		short, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, _, err = sharememory.OpenOrCreateWriter(short, "v", 0, o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		_, err = sharememory.CreateWriter(short, "v", 10, o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		ipctest.NoErr(t, l.Unlock())

		// A content size that is out of bounds blocks nobody from writing the next value.
		spoil(t, m, 8, 1000)
		w2, err := sharememory.OpenWriter(bg, "v", o)
		ipctest.NoErr(t, err)
		write(t, w2, "again")
		wantValue(t, r, "again")
		ipctest.NoErr(t, w2.Close())
		ipctest.NoErr(t, errors.Join(w.Close(), r.Close(), m.Close()))

		// Somebody made the section and died before the header.
		for _, size := range []int{0, 50} {
			m, err := samepage.Create(sectionName(o), 133, bareOptions())
			ipctest.NoErr(t, err)
			r := newReader(t, o)
			_, err = r.Append(bg, nil)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "header is empty")
			w, existed, err := sharememory.OpenOrCreateWriter(bg, "v", size, o)
			ipctest.NoErr(t, err)
			if !existed || size > 0 && w.Cap() != size || size == 0 && w.Cap() < 100 {
				t.Errorf("asked for %d: existed %v, room for %d", size, existed, w.Cap())
			}
			wantValue(t, r, "")
			_, _, err = sharememory.OpenOrCreateWriter(bg, "v", 1<<20, o)
			ipctest.WantErr(t, err, samepage.ErrTooLarge, fmt.Sprint(w.Cap()))
			ipctest.NoErr(t, errors.Join(w.Close(), r.Close(), m.Close()))
		}
	})
}

// 002-35: a reader gets the sizes, and the content in place.
func TestMission002_35_ShareMemoryAccessors(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 100, o)
		r, m := newReader(t, o), sectionOf(t, o)
		write(t, w, "in place")
		around := map[sharememory.Layout]int32{sharememory.Seed: 33, sharememory.Head: 32}[o.Layout]
		if st, err := r.Stat(bg); st.MemorySize != 100+around || st.ContentSize != 8 || err != nil {
			t.Errorf("%+v, %v", st, err)
		}
		l, err := sharememory.NewLock("v", o)
		ipctest.NoErr(t, err)
		wrong := errors.New("wrong")
		err = r.View(bg, func(b []byte) error {
			if string(b) != "in place" || cap(b) != len(b) {
				t.Errorf("%q, of %d bytes", b, cap(b))
			}
			// It is the memory itself, which no writer touches meanwhile.
			_, err := m.WriteAt([]byte("IN"), 32)
			ipctest.NoErr(t, err)
			if string(b) != "IN place" {
				t.Errorf("not in place: %q", b)
			}
			wantFree(t, l, false, true)
			ipctest.WantErr(t, r.Close(), samepage.ErrBusy)
			return wrong
		})
		ipctest.WantErr(t, err, wrong)
		wantFree(t, l, true, true)
		write(t, w, "")
		ipctest.NoErr(t, r.View(bg, func(b []byte) error {
			if len(b) != 0 || b == nil {
				t.Errorf("%v", b)
			}
			return nil
		}))
	})
}

// After opening, writing, reading and closing no descriptor and no mapping is left.
func TestShareMemoryLeavesNothing(t *testing.T) {
	place(t)
	o := &sharememory.Options{Layout: sharememory.Head}
	round := func() {
		w, err := sharememory.CreateWriter(bg, "v", 1000, o)
		ipctest.NoErr(t, err)
		write(t, w, "value")
		r, err := sharememory.OpenReader("v", o)
		ipctest.NoErr(t, err)
		wantValue(t, r, "value")
		ipctest.NoErr(t, r.View(bg, func([]byte) error { return nil }))
		_, _, err = sharememory.OpenOrCreateWriter(bg, "v", 1<<20, o)
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		_, err = sharememory.CreateWriter(bg, "v", 10, o)
		ipctest.WantErr(t, err, fs.ErrExist)
		_, err = sharememory.OpenReader("other", o)
		ipctest.WantErr(t, err, fs.ErrNotExist)
		ipctest.NoErr(t, errors.Join(w.Close(), r.Close()))
	}
	for range 10 {
		round()
	}
	handles, mappings, err := process.Usage()
	ipctest.NoErr(t, err)
	for range 200 {
		round()
	}
	h, m, err := process.Usage()
	ipctest.NoErr(t, err)
	if h > handles+50 || m > mappings+20 { // the runtime has some of its own
		t.Errorf("%d descriptors and %d mappings, before %d and %d", h, m, handles, mappings)
	}
}

// OpenWriter makes nothing. AwaitWriter returns as soon as there is a block.
func TestShareMemoryOpenWriter(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		_, err := sharememory.OpenWriter(bg, "v", o)
		ipctest.WantErr(t, err, fs.ErrNotExist, `"v"`)
		short, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err = sharememory.AwaitWriter(short, "v", o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded, `"v"`)
		noBlock(t, o)

		waiting := make(chan *sharememory.Writer, 1)
		go func() {
			w, err := sharememory.AwaitWriter(bg, "v", o)
			if err != nil {
				t.Error(err)
			}
			waiting <- w
		}()
		c := startPeer(t, o)
		c.Want("ok 100 false", "create 100")
		w := <-waiting
		write(t, w, "second")
		w2, err := sharememory.OpenWriter(bg, "v", o)
		ipctest.NoErr(t, err)
		if w2.Cap() != 100 {
			t.Errorf("the block has room for %d, want 100", w2.Cap())
		}
		wantValue(t, newReader(t, o), "second")
		ipctest.NoErr(t, errors.Join(w.Close(), w2.Close()))
	})
}

// noBlock fails the test if there is a block.
func noBlock(t *testing.T, o *sharememory.Options) {
	t.Helper()
	if _, err := sharememory.OpenReader("v", o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a block (%v)", err)
	}
}
