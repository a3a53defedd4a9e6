package cell_test

import (
	"errors"
	"hash/crc32"
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

// The rows of docs/mission.md that are about one latest value.

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
		_, err := cell.NewWriter("c", size+1, nil)
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		ipctest.NoErr(t, r.Close())
		ipctest.NoErr(t, w.Close())
	}
}

// A value has the length that it was written with; a new cell has none, which is not the
// same as one of no bytes.
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

// What is too large is refused and changes nothing; what is cut is told.
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
	_, zero := cell.NewWriter("d", 0, nil)
	all := []error{samepage.ErrNegativeSize, samepage.ErrTooLarge, samepage.ErrTooManyHolds, samepage.ErrClosed, samepage.ErrZeroSize}
	for i, err := range []error{negative, large, many, lost, zero} {
		for k, want := range all {
			if errors.Is(err, want) != (i == k) {
				t.Errorf("is %v a %v: %v", err, want, i != k)
			}
		}
	}
}

func TestMission002_10_Checksum(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), crc32.MakeTable(crc32.Castagnoli)); got != 0xe3069283 {
		t.Errorf("the check value of CRC-32C is %#x", got)
	}
	soak(t, 4, 20000)
}

// 002-29, 002-30: values of four writers, with checksums, through four readers that look
// at them all the time: none is torn. SAMEPAGE_VALUES of them.
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

// cellMap is a cell's bytes, as somebody with bad intentions sees them.
func cellMap(t *testing.T) (*samepage.View, func(slot int) int) {
	t.Helper()
	m, err := samepage.Open("c", &samepage.Options{Kind: samepage.KindCell})
	ipctest.NoErr(t, err)
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	hd, err := layout.ParseSegment(append([]byte(nil), v.Bytes()[:layout.SegmentHeaderSize]...), layout.Cell, m.Size())
	ipctest.NoErr(t, err)
	c, o, err := layout.ParseLaneConfig(append([]byte(nil), v.Bytes()[hd.Live+layout.LaneConfigOffset:][:layout.LaneConfigSize]...))
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = errors.Join(v.Close(), m.Close()) })
	current, err := v.Uint64(int(hd.Live + o.Words + layout.CellCurrentOffset))
	ipctest.NoErr(t, err)
	return v, func(slot int) int {
		if slot < 0 {
			slot = int(current.Load() & (1<<20 - 1))
		}
		return int(hd.Payload + o.Slots + uint64(slot)*c.SlotSize)
	}
}

func TestMission002_11_FlippedByte(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 64, &cell.Options{Checksums: true})
	r := newReader(t, "c")
	v, slot := cellMap(t)
	for i := range 64 {
		b := make([]byte, 64)
		fill(b, uint64(i))
		ipctest.NoErr(t, w.Set(bg, b))
		at := slot(-1) + layout.SlotHeaderSize + i
		v.Bytes()[at] ^= 4
		val, ok, err := r.Load()
		ipctest.WantErr(t, err, samepage.ErrChecksum)
		if ok || val.Bytes() != nil {
			t.Error("there is data in spite of the checksum")
		}
		v.Bytes()[at] ^= 4
		val, ok, err = r.Load()
		if !ok || err != nil || len(val.Bytes()) != 64 {
			t.Error(ok, err)
		}
	}
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

func TestMission002_13_CorruptLength(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 64, nil)
	r := newReader(t, "c")
	v, slot := cellMap(t)
	for _, n := range []uint32{65, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		ipctest.NoErr(t, w.Set(bg, make([]byte, 64)))
		word, err := v.Uint32(slot(-1) + layout.SlotLengthOffset)
		ipctest.NoErr(t, err)
		word.Store(n)
		_, ok, err := r.Load()
		ipctest.WantErr(t, err, samepage.ErrCorrupt)
		if ok {
			t.Errorf("a value of %d bytes is there", n)
		}
	}
}

// A writer that attaches keeps the value.
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
