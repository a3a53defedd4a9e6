package cell_test

import (
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/layout"
)

func TestMission002_06_Capacity(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, size := range []int{1, 63, 64, 65, 4096, 1 << 20} {
		w := newWriter(t, "c", size, nil)
		r := newReader(t, "c")
		if w.Cap() != size || r.Cap() != size {
			t.Errorf("room for %d and %d bytes, want %d", w.Cap(), r.Cap(), size)
		}
		ipctest.NoErr(t, w.Set(bg, make([]byte, size)))
		ipctest.WantErr(t, w.Set(bg, make([]byte, size+1)), samepage.ErrTooLarge)
		_, _, err := cell.OpenOrCreateWriter("c", size+1, nil)
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		ipctest.NoErr(t, r.Close())
		ipctest.NoErr(t, w.Close())
	}
}

// A value has the length with which it was written. A new cell has no value. That is not the same
// as a value of 0 bytes.
func TestMission002_07_Length(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 64, nil)
	r := newReader(t, "c")
	if _, ok, err := r.Load(); ok || err != nil {
		t.Error("a new cell has a value", err)
	}
	for i := range 300 {
		n := i * 37 % 65
		ipctest.NoErr(t, w.Set(bg, make([]byte, n)))
		v, ok, err := r.Load()
		if !ok || err != nil || v.Bytes() == nil || len(v.Bytes()) != n {
			t.Fatalf("a value of %d bytes has %d; %v, %v", n, len(v.Bytes()), ok, err)
		}
	}
}

// A value that is too large is refused, and nothing changes. If a copy is cut, there is an error.
func TestMission002_08_Truncation(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 8, nil)
	r := newReader(t, "c")
	ipctest.NoErr(t, w.Set(bg, []byte("12345678")))
	ipctest.WantErr(t, w.Set(bg, []byte("abcdefghi")), samepage.ErrTooLarge)
	buf := make([]byte, 3)
	n, g, ok, err := r.ReadInto(buf)
	ipctest.WantErr(t, err, samepage.ErrTruncated)
	if n != 3 || g != 1 || !ok || string(buf) != "123" {
		t.Error(n, g, ok, string(buf))
	}
	l, err := w.Loan(bg, 8)
	ipctest.NoErr(t, err)
	copy(l.Bytes(), "abcdefgh")
	ipctest.NoErr(t, l.Truncate(2))
	ipctest.NoErr(t, l.Commit())
	if v, _, _ := r.Load(); string(v.Bytes()) != "ab" {
		t.Errorf("value %q", v.Bytes())
	}
}

func TestMission002_09_Errors(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 8, nil)
	_, negative := w.Loan(bg, -1)
	_, large := w.Loan(bg, 9)
	l, err := w.Loan(bg, 8)
	ipctest.NoErr(t, err)
	_, many := w.Loan(bg, 8)
	l.Discard()
	lost := l.Commit()
	_, zero := cell.CreateWriter("d", 0, nil)
	all := []error{samepage.ErrNegativeSize, samepage.ErrTooLarge, samepage.ErrTooManyHolds, samepage.ErrClosed, samepage.ErrZeroSize}
	for i, err := range []error{negative, large, many, lost, zero} {
		for k, want := range all {
			if errors.Is(err, want) != (i == k) {
				t.Errorf("is %v a %v: %v", err, want, i != k)
			}
		}
	}
}

// 002-29, 002-30: four writers write SAMEPAGE_VALUES values with checksums, and four readers read
// all the time. No value is torn.
func TestMission002_29_30_SoakValues(t *testing.T) {
	n := 200000
	if testing.Short() {
		n = 20000
	}
	if v, err := strconv.ParseFloat(os.Getenv("SAMEPAGE_VALUES"), 64); err == nil {
		n = int(v)
	}
	soak(t, 4, n)
}

func soak(t *testing.T, several, values int) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	newWriter(t, "c", 128, &cell.Options{Checksums: true})
	var writers, readers sync.WaitGroup
	var stop atomic.Bool
	var looked atomic.Uint64
	for i := range several {
		r := newReader(t, "c")
		readers.Go(func() {
			for last := uint64(0); !stop.Load(); {
				v, ok, err := r.Load()
				if err == nil && ok {
					_, err = check(v.Bytes())
					if g := v.Generation(); g < last {
						t.Errorf("value %d after %d", g, last)
						return
					}
					last = v.Generation()
				}
				if err != nil {
					t.Error(err)
					return
				}
				looked.Add(1)
			}
		})
		w := newWriter(t, "c", 128, nil)
		writers.Go(func() {
			b := make([]byte, 128)
			for n := range values / several {
				fill(b, uint64(i)<<32+uint64(n))
				if err := w.Set(bg, b[:8+n%16*8]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
	t.Logf("%d values, looked at %d times", values, looked.Load())
}

func TestMission002_12_NoAllocations(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 64, &cell.Options{Checksums: true, Times: true})
	r := newReader(t, "c")
	in, out := make([]byte, 64), make([]byte, 64)
	if n := testing.AllocsPerRun(200, func() {
		_ = w.Set(bg, in)
		_, _, _, _ = r.ReadInto(out)
		v, _, _ := r.Load()
		_, _ = v.Bytes(), v.Age()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// If a writer opens an existing cell, the cell keeps its value.
func TestMission002_27_AttachKeepsContent(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 8, nil)
	r := newReader(t, "c")
	ipctest.NoErr(t, w.Set(bg, []byte("kept")))
	ipctest.NoErr(t, w.Close())
	w = newWriter(t, "c", 4, nil)
	v, ok, err := r.Load()
	if !ok || err != nil || string(v.Bytes()) != "kept" || r.Generation() != 1 {
		t.Errorf("%q, %v, %v, generation %d", v.Bytes(), ok, err, r.Generation())
	}
	ipctest.NoErr(t, w.Set(bg, []byte("new")))
	if v, _, _ := r.Load(); string(v.Bytes()) != "new" || v.Generation() != 2 {
		t.Errorf("%q, generation %d", v.Bytes(), v.Generation())
	}
}

// A reader gets the size of the cell, of the largest value and of the value. It reads in place: if
// the shared memory changes, the value changes.
func TestMission002_35_Accessors(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 1000, nil)
	r := newReader(t, "c")
	view, slot := cellMap(t)
	if all, err := (*cell.Options)(nil).Size(1000); err != nil || all < int64(len(view.Bytes())) || all-int64(len(view.Bytes())) > layout.PayloadAlign {
		t.Errorf("the cell is said to have %d bytes, has %d, %v", all, len(view.Bytes()), err)
	}
	ipctest.NoErr(t, w.Set(bg, []byte("0123456789")))
	v, ok, err := r.Load()
	if !ok || err != nil || r.Cap() != 1000 || string(v.Bytes()) != "0123456789" {
		t.Errorf("%q of up to %d bytes, %v, %v", v.Bytes(), r.Cap(), ok, err)
	}
	view.Bytes()[slot(-1)+layout.SlotHeaderSize+5] = 'x'
	if string(v.Bytes()) != "01234x6789" {
		t.Errorf("the value %q is a copy", v.Bytes())
	}
	l, err := w.Loan(bg, 2) // who has the lease sees the same bytes
	ipctest.NoErr(t, err)
	if b, ok := l.Latest(); !ok || string(b) != "01234x6789" {
		t.Errorf("during a loan the value is %q, %v", b, ok)
	}
	l.Discard()
	_, _, err = r.Load()
	ipctest.NoErr(t, err)
	if v.Bytes() != nil {
		t.Error("a value that was let go still has bytes")
	}
}
