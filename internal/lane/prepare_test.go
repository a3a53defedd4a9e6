package lane

import (
	"sync/atomic"
	"testing"

	"samepage/layout"
)

// Prepare gives the system the memory of the writer's own lane, up to a limit.
func TestPrepare(t *testing.T) {
	s := heap(t, Settings{Lanes: 2, Depth: 4, MaxSize: 100, Readers: 4, Loans: 1})
	for lane := range 2 {
		w := NewWriter(s, lane)
		var got [][]byte
		w.Prepare(func(b []byte) { got = append(got, b) })
		entries, slots := s.payload[lane*int(s.o.Entries):], s.payload[int(s.o.Slots)+lane*int(s.o.Lane):]
		if len(got) != 2 || len(got[0]) != int(s.o.Entries) || &got[0][0] != &entries[0] || len(got[1]) != int(s.o.Lane) || &got[1][0] != &slots[0] {
			t.Errorf("lane %d of %d and %d bytes: %d parts, or of wrong sizes, or at wrong places", lane, s.o.Entries, s.o.Lane, len(got))
		}
		if len(w.retired) != 0 || len(w.free) != int(w.slotsN) {
			t.Errorf("%d slots are free and %d retired, want all %d free", len(w.free), len(w.retired), w.slotsN)
		}
	}
	large := heap(t, Settings{Lanes: 1, Depth: 4, MaxSize: 16 << 20, Readers: 1, Loans: 1})
	NewWriter(large, 0).Prepare(func(b []byte) {
		if n := len(b); n != 64<<20 && n != int(large.o.Entries) {
			t.Errorf("%d bytes of a lane of %d, want 64 MiB", n, large.o.Lane)
		}
	})
}

// The slots of a new lane are free at once. A later writer makes sure that no free slot has the
// number of a message, and leaves those alone that readers have pinned.
func TestPrepareLaterWriter(t *testing.T) {
	s := heap(t, Settings{Lanes: 1, Depth: 2, MaxSize: 100, Readers: 4, Holds: 1, Loans: 1})
	w := NewWriter(s, 0)
	w.Prepare(func([]byte) {})
	for range 20 {
		send(w, 100)
	}
	r := NewReader(s, 0, layout.OwnerOf(0, 1), true, Oldest)
	var m Message
	if ok, err := r.Try(&m); !ok {
		t.Fatal("no message", err)
	}
	r.Hold(&m, 1)
	r.LetGo()
	r.Leave()
	for range 3 {
		send(w, 100) // the ring names the slot no more
	}
	for range 3 { // none of these publishes anything
		w = NewWriter(s, 0)
		w.Prepare(func([]byte) {})
		for _, slot := range w.free {
			if g := atomic.LoadUint64(w.generation(slot)); g != 0 {
				t.Errorf("slot %d is free and has message %d", slot, g)
			}
			if slot == m.Slot {
				t.Errorf("slot %d is free, but a reader holds it", slot)
			}
		}
		if n := len(w.free) + len(w.retired) + int(w.n); n != int(w.slotsN) || len(w.retired) != 1 {
			t.Errorf("%d slots are free, %d retired, %d in the ring; there are %d, of which a reader holds 1", len(w.free), len(w.retired), w.n, w.slotsN)
		}
	}
}
