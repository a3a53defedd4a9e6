package pubsub_test

import (
	"strconv"
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/layout"
)

// sparse makes a Set whose slots take no memory until they are touched.
func sparse(t *testing.T, c *layout.LaneConfig, of *layout.LaneOffsets) *lane.Set {
	t.Helper()
	obj, err := object.CreateUnnamed(&object.Spec{Size: int64(of.Payload), Sparse: true})
	ipctest.NoErr(t, err)
	m, err := obj.Map(0, int(of.Payload), layout.ReadWrite)
	ipctest.NoErr(t, err)
	t.Cleanup(func() {
		ipctest.NoErr(t, obj.Unmap(m))
		ipctest.NoErr(t, obj.Release())
	})
	live := ipctest.Aligned(of.Live)
	copy(live, lane.Live(c, of))
	set, err := lane.Open(live, m.Bytes, int(c.Readers))
	ipctest.NoErr(t, err)
	return set
}

// ends writes to the ends of a message, and same compares them.
func ends(b []byte, q int) {
	copy(b, strconv.Itoa(1000+q))
	copy(b[len(b)-4:], strconv.Itoa(1000+q))
}

func same(t *testing.T, b []byte, n, q int) {
	t.Helper()
	if want := strconv.Itoa(1000 + q); len(b) != n || string(b[:4]) != want || string(b[n-4:]) != want {
		t.Errorf("message %d has %d bytes, begins with %q and ends with %q", q, len(b), b[:4], b[len(b)-4:])
	}
}

// Sizes have 64 bits: messages have 3 GiB, slots begin beyond 3 GiB, and so do values of a cell.
// The test touches only the ends of the messages.
func TestMission002_28_BeyondThreeGiB(t *testing.T) {
	if strconv.IntSize < 64 {
		t.Skip("a payload is mapped whole, and a 32-bit process has 4 GiB for everything")
	}
	ipctest.NeedNames(t)
	t.Run("topic", func(t *testing.T) {
		var most int64 = 3 << 30
		size := int(most)
		s := lane.Settings{Lanes: 1, Depth: 1, MaxSize: most, Readers: 2, Loans: 1}
		c, of, err := s.Config()
		ipctest.NoErr(t, err)
		set := sparse(t, c, of)
		w := lane.NewWriter(set, 0)
		r := lane.NewReader(set, 0, layout.OwnerOf(1, 1), true, lane.Oldest)
		for q := range 2 * int(c.Slots) { // each slot, and again
			slot, ok := w.Loan()
			if !ok || !w.Room() {
				t.Fatal("there is no slot or no room")
			}
			ends(w.Payload(slot)[:size-q], q)
			w.TakeBack(slot)
			w.Publish(slot, uint32(size-q), true)
			var m lane.Message
			if ok, err := r.Try(&m); !ok || err != nil {
				t.Fatal(ok, err)
			}
			same(t, r.Payload(&m), size-q, q)
			r.LetGo()
		}
	})
	t.Run("cell", func(t *testing.T) {
		const size = 900 << 20
		s := lane.Settings{MaxSize: size, Readers: 2}
		c, of, err := s.CellConfig()
		ipctest.NoErr(t, err)
		set := sparse(t, c, of)
		w, r := lane.NewCellWriter(set, layout.OwnerOf(0, 1)), lane.NewCellReader(set, layout.OwnerOf(1, 1))
		far := false
		for q := range 2 * int(c.Slots) {
			slot, ok := w.Begin()
			if !ok {
				t.Fatal("no slot is free")
			}
			far = far || uint64(slot)*c.SlotSize > 3<<30
			ends(w.Payload(slot)[:size-q], q)
			w.TakeBack(slot)
			w.Commit(slot, uint32(size-q), 0, 0)
			m, err := r.Load()
			ipctest.NoErr(t, err)
			same(t, r.Payload(m), size-q, q)
		}
		if !far {
			t.Errorf("no value lay beyond 3 GiB of %d bytes", of.Payload)
		}
	})
}
