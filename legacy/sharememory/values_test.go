package sharememory_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/sharememory"
)

// 002-06, 002-07: a block has room for exactly the size with which it was made, and a value has the
// length with which it was written.
func TestMission002_06_07_ShareMemoryLength(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		for _, size := range []int{1, 64, 4063, 4064, 1 << 20} {
			w := newWriter(t, size, o)
			r := newReader(t, o)
			rc, err := r.Cap()
			if w.Cap() != size || rc != size || err != nil {
				t.Errorf("room for %d and %d bytes, want %d; %v", w.Cap(), rc, size, err)
			}
			n, err := r.Len()
			if n != 0 || err != nil {
				t.Errorf("before the first value its length is %d, %v", n, err)
			}
			wantValue(t, r, "")
			_, err = w.Write(bg, make([]byte, size+1))
			ipctest.WantErr(t, err, samepage.ErrTooLarge)
			for _, n := range []int{size, 0, 1, size / 2} {
				write(t, w, strings.Repeat("x", n))
				wl, werr := w.Len()
				rl, rerr := r.Len()
				if wl != n || rl != n || werr != nil || rerr != nil {
					t.Errorf("a value of %d bytes has %d and %d; %v, %v", n, wl, rl, werr, rerr)
				}
				wantValue(t, r, strings.Repeat("x", n))
			}
			ipctest.NoErr(t, r.Close())
			ipctest.NoErr(t, w.Close())
		}
	})
}

// 002-08: a value that is too large is refused and changes nothing, or it is cut and there is an
// error.
func TestMission002_08_ShareMemoryTruncation(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 8, o)
		r := newReader(t, o)
		write(t, w, "12345678")
		n, err := w.Write(bg, []byte("abcdefghi"))
		ipctest.WantErr(t, err, samepage.ErrTooLarge, "9 bytes", "room for 8")
		if n != 0 {
			t.Errorf("%d bytes of it are written", n)
		}
		wantValue(t, r, "12345678")

		cut := *o
		cut.Truncate = true
		tw, existed, err := sharememory.OpenOrCreateWriter(bg, "v", 8, &cut)
		ipctest.NoErr(t, err)
		defer tw.Close()
		if !existed {
			t.Error("it did not exist")
		}
		n, err = tw.Write(bg, []byte("abcdefghi"))
		ipctest.WantErr(t, err, samepage.ErrTruncated, "9 bytes", "room for 8")
		if n != 8 {
			t.Errorf("wrote %d bytes, want 8", n)
		}
		wantValue(t, r, "abcdefgh")
		if n, err := tw.Write(bg, []byte("abc")); n != 3 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}

		b := []byte("....")
		n, err = r.Read(bg, b[:2])
		ipctest.WantErr(t, err, samepage.ErrTruncated, "3 bytes", "buffer has 2")
		if n != 2 || string(b) != "ab.." {
			t.Errorf("read %d, %q", n, b)
		}
		if n, err := r.Read(bg, b); n != 3 || err != nil || string(b) != "abc." {
			t.Errorf("read %d, %q, %v", n, b, err)
		}
	})
}

// 002-09: the C++ programs return -1 in four cases. Here each has its own error: no block, no data,
// a negative size, a bad header.
func TestMission002_09_ShareMemoryErrors(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 8, o)
		r, m := newReader(t, o), sectionOf(t, o)
		_, none := sharememory.OpenReader("other", o)
		_, data := w.Write(bg, nil)
		view := r.View(bg, nil)
		_, negative := sharememory.CreateWriter(bg, "other", -1, o)
		spoil(t, m, 0, 5)
		_, bad := r.Append(bg, nil)
		all := []error{fs.ErrNotExist, fs.ErrInvalid, samepage.ErrNegativeSize, samepage.ErrCorrupt}
		for i, errs := range [][]error{{none}, {data, view}, {negative}, {bad}} {
			for _, err := range errs {
				for k, want := range all {
					if errors.Is(err, want) != (i == k) {
						t.Errorf("is %v a %v: %v", err, want, i != k)
					}
				}
			}
		}
		_, err := sharememory.CreateWriter(bg, "other", 0, o)
		ipctest.WantErr(t, err, samepage.ErrZeroSize)
		if math.MaxInt > math.MaxInt32 {
			large := math.MaxInt32
			_, err = sharememory.CreateWriter(bg, "other", large, o)
			ipctest.WantErr(t, err, samepage.ErrTooLarge)
		}
		write(t, w, "")
		ipctest.NoErr(t, r.Close())
		ipctest.NoErr(t, r.Close())
		_, err = r.Append(bg, nil)
		ipctest.WantErr(t, err, samepage.ErrClosed)
		_, err = r.Len()
		ipctest.WantErr(t, err, samepage.ErrClosed)
		ipctest.WantErr(t, r.View(bg, func([]byte) error { return nil }), samepage.ErrClosed)
	})
}

// 002-12: values are copied to and from the caller's bytes.
func TestMission002_12_ShareMemoryBuffers(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 1<<20, o)
		r := newReader(t, o)
		write(t, w, strings.Repeat("x", 1<<20))
		buf := make([]byte, 0, 1<<20)
		before := &buf[:1][0]
		got, err := r.Append(bg, buf)
		ipctest.NoErr(t, err)
		if &got[0] != before {
			t.Error("there was room, and it is elsewhere")
		}
		count := testing.AllocsPerRun(20, func() {
			if _, err := r.Read(bg, got); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%.0f allocations a read, for the lock files", count)
		bytesPerRead := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = r.Read(bg, got)
			}
		}).AllocedBytesPerOp()
		if bytesPerRead > 1<<17 { // of a value of 1 MiB
			t.Errorf("%d bytes are allocated a read", bytesPerRead)
		}
	})
}

// 002-20: if a writer is killed in the middle of a value, the lock is free, readers get a checksum
// error, and the next value is good.
func TestMission002_20_ShareMemoryKilledInMidWrite(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 100, o)
		r := newReader(t, o)
		write(t, w, "before")
		c := startPeer(t, o)
		c.Want("ok", "lock")
		c.Want("ok", "half BEFORE")
		c.Kill()
		_, err := r.Append(bg, nil)
		ipctest.WantErr(t, err, samepage.ErrChecksum)
		write(t, w, "after")
		wantValue(t, r, "after")

		ipctest.NoErr(t, errors.Join(w.Close(), r.Close()))

		// At any moment of a real Write, of which a value of 4 MiB takes some.
		w = newWriter(t, 4<<20, o)
		r = newReader(t, o)
		write(t, w, "after")
		goods, bads := 0, 0
		for i := range 10 {
			c := startPeer(t, o)
			c.Want("ok 4194304 true", "create 0")
			c.Want("ok", "fill")
			time.Sleep(time.Duration(10+i) * time.Millisecond)
			c.Kill()
			b, err := r.Append(bg, nil)
			if err == nil && (string(b) == "after" || len(b) == 4<<20 && bytes.Count(b, b[:1]) == len(b)) {
				goods++
			} else if errors.Is(err, samepage.ErrChecksum) && len(b) == 0 {
				bads++
			} else {
				t.Errorf("after a kill: %d bytes, %v", len(b), err)
			}
			write(t, w, "after")
			wantValue(t, r, "after")
		}
		t.Logf("10 kills: %d left a good value, %d one that the checksum told", goods, bads)
	})
}

// 002-21: many goroutines use one handle on each side.
func TestMission002_21_ShareMemoryGoroutines(t *testing.T) {
	place(t)
	o := &sharememory.Options{}
	w := newWriter(t, 300, o)
	r := newReader(t, o)
	if _, err := w.Write(bg, ipctest.Numbered(0)); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 12 {
		wait.Go(func() {
			for k := range 40 {
				switch i % 4 {
				case 0:
					if _, err := w.Write(bg, ipctest.Numbered(uint32(i*1000+k))); err != nil {
						t.Error(err)
					}
				case 1:
					b, err := r.Append(bg, nil)
					if _, whole := numberOf(b); !whole || err != nil {
						t.Errorf("%d bytes, %v", len(b), err)
					}
				case 2:
					if err := r.View(bg, func(b []byte) error {
						if _, whole := numberOf(b); !whole {
							t.Errorf("a view of %d bytes", len(b))
						}
						return nil
					}); err != nil {
						t.Error(err)
					}
				default:
					if st, err := r.Stat(bg); err != nil || st.Problem != nil {
						t.Error(st.Problem, err)
					}
				}
			}
		})
	}
	wait.Wait()
}

// 002-29, 002-30: two writers in two processes write SAMEPAGE_VALUES / 10 values, and three readers
// read all the time. No value is torn.
func TestMission002_29_30_SoakShareMemory(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		n := 20000
		if testing.Short() || runtime.GOOS == "windows" { // under Wine each takes a millisecond
			n = 2000
		}
		n = values(n)
		w := newWriter(t, 300, o)
		var readers []*ipctest.Child
		for range 3 {
			c := startPeer(t, o)
			c.Want("ok", "open")
			c.Send("until 2000000000")
			readers = append(readers, c)
		}
		begun := time.Now()
		var writers []*ipctest.Child
		for range 2 {
			c := startPeer(t, o)
			c.Want("ok 300 true", "create 0")
			writers = append(writers, c)
		}
		for left := n; left > 0; left -= min(left, 2000) { // each answers in time
			part := min(left, 2000) / 2
			for _, c := range writers {
				c.Send("loop %d", part)
			}
			for _, c := range writers {
				if l := c.Line(); l != fmt.Sprint("ok ", part) {
					t.Fatal(l)
				}
			}
		}
		took := time.Since(begun)
		if _, err := w.Write(bg, ipctest.Numbered(2000000000)); err != nil { // the last one
			t.Fatal(err)
		}
		for _, c := range readers {
			l := c.Line()
			if !strings.HasPrefix(l, "ok 0 ") {
				t.Errorf("torn and different values: %s", l)
			}
			t.Logf("a reader saw %s", strings.TrimPrefix(l, "ok 0 "))
		}
		t.Logf("%d values in %v", n, took)
	})
}
