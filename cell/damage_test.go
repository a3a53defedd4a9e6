package cell_test

import (
	"errors"
	"hash/crc32"
	"io/fs"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/layout"
)

// Inspect says how often a cell was written, whether somebody writes now, and what is wrong with
// its header.
func TestMission002_14_Health(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := cell.OpenReader("c", nil)
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
	for _, bad := range ipctest.BadHeaders {
		v.Bytes()[bad.Offset] ^= 0x40
		_, err = cell.Inspect("c", nil)
		ipctest.WantErr(t, err, bad.Want)
		_, err = cell.OpenReader("c", nil)
		ipctest.WantErr(t, err, bad.Want)
		_, _, err = cell.OpenOrCreateWriter("c", 8, nil)
		ipctest.WantErr(t, err, bad.Want)
		v.Bytes()[bad.Offset] ^= 0x40
	}
	newReader(t, "c")
}

func TestMission002_10_Checksum(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), crc32.MakeTable(crc32.Castagnoli)); got != 0xe3069283 {
		t.Errorf("the check value of CRC-32C is %#x", got)
	}
	soak(t, 4, 20000)
}

// cellMap has the bytes of a cell, as a hostile member sees them.
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
