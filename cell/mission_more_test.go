package cell_test

import (
	"errors"
	"io/fs"
	"runtime"
	"strconv"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// badHeaders are bytes of a segment's header that tell, when they change: it is no
// segment, one of a later version, a broken one.
var badHeaders = []struct {
	offset int
	want   error
}{{0, samepage.ErrCorrupt}, {12, samepage.ErrVersion}, {24, samepage.ErrCorrupt}, {124, samepage.ErrCorrupt}}

// Whether a cell is well: how often it was written, whether somebody writes now, and what
// is wrong with its header.
func TestMission002_14_Health(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := cell.NewReader("c", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	w := newWriter(t, "c", 8, nil)
	r := newReader(t, "c")
	want := func(generation uint64, writing bool) {
		t.Helper()
		st, err := cell.Inspect("c", nil)
		ipctest.NoErr(t, err)
		if m := st.Members; st.Generation != generation || len(m) != 2 || !m[0].Alive || m[0].Writing != writing || m[1].Writing {
			t.Errorf("looked at from outside: %+v", st)
		}
		if r.Generation() != generation || r.Writing() != writing || w.Generation() != generation || w.Writing() != writing {
			t.Errorf("generation %d, writing %v, want %d, %v", r.Generation(), r.Writing(), generation, writing)
		}
	}
	want(0, false)
	l, err := w.Loan(bg, 8)
	ipctest.NoErr(t, err)
	want(0, true)
	ipctest.NoErr(t, l.Commit())
	want(1, false)
	l, err = w.Loan(bg, 8)
	ipctest.NoErr(t, err)
	l.Discard()
	want(1, false)

	v, _ := cellMap(t)
	for _, bad := range badHeaders {
		v.Bytes()[bad.offset] ^= 0x40
		_, err = cell.Inspect("c", nil)
		ipctest.WantErr(t, err, bad.want)
		_, err = cell.NewReader("c", nil)
		ipctest.WantErr(t, err, bad.want)
		_, err = cell.NewWriter("c", 8, nil)
		ipctest.WantErr(t, err, bad.want)
		v.Bytes()[bad.offset] ^= 0x40
	}
	newReader(t, "c")
}

// Sizes have 64 bits: the values of a cell lie up to beyond 3 GiB. Only the ends of the
// values are touched, and on Linux the memory is sparse.
func TestMission002_28_BeyondThreeGiB(t *testing.T) {
	if strconv.IntSize < 64 {
		t.Skip("a cell is mapped whole, and a 32-bit process has 4 GiB for everything")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const size = 128 << 20
	settings := lane.Settings{MaxSize: size, Readers: 2}
	c, of, err := settings.CellConfig()
	ipctest.NoErr(t, err)
	spec := segment.Spec{Kind: layout.Cell, Members: int(c.Readers), Live: lane.Live(c, of), Payload: of.Payload}
	mem, err := spec.Create(&object.Spec{Name: "c", Sparse: runtime.GOOS == "linux"})
	if errors.Is(err, samepage.ErrNoSpace) { // Windows sets it aside
		t.Skip(err)
	}
	ipctest.NoErr(t, err)
	w := newWriter(t, "c", size, nil)
	r := newReader(t, "c")
	_, slot := cellMap(t)
	ipctest.NoErr(t, mem.Release())
	far, beyond := false, uint64(3<<30)
	for q := range 2 * int(c.Slots) { // each slot, and again
		l, err := w.Loan(bg, size-q)
		ipctest.NoErr(t, err)
		b := l.Bytes()
		copy(b, strconv.Itoa(q))
		copy(b[len(b)-4:], strconv.Itoa(1000+q))
		ipctest.NoErr(t, l.Commit())
		far = far || uint64(slot(-1)) > beyond
		v, ok, err := r.Load()
		ipctest.NoErr(t, err)
		b = v.Bytes()
		if !ok || len(b) != size-q || string(b[:len(strconv.Itoa(q))]) != strconv.Itoa(q) || string(b[len(b)-4:]) != strconv.Itoa(1000+q) {
			t.Errorf("value %d has %d bytes, begins with %q and ends with %q", q, len(b), b[:2], b[len(b)-4:])
		}
	}
	if !far {
		t.Errorf("no value lay beyond 3 GiB of %d bytes", mem.Sys.Size)
	}
}

// The sizes of all, of the room and of the content, and the content in place: what
// changes in the shared memory changes in the value.
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
