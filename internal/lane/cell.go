package lane

import (
	"cmp"
	"slices"
	"sync/atomic"

	"samepage/internal/edge"
	"samepage/internal/fault"
	"samepage/layout"
)

// This file has the cell of docs/protocol/lane.md: one latest value.
//
// Current has the value's sequence in its upper 44 bits and the slot in the lower 20. A
// Generation has all 64 bits of the sequence. At one value every 10 ns, the 44 bits repeat after
// two days. A reader would have to be stopped between C1 and C3 for exactly that time to take one
// value for another.
const (
	cellSlotBits = 20
	cellSequence = 1<<(64-cellSlotBits) - 1
)

func (s *Set) current() *uint64 { return s.laneWord(0, layout.CellCurrentOffset) }

func (s *Set) lastWriter() *uint64 { return s.laneWord(0, layout.CellWriterOffset) }

// CellWriter writes the value while its member holds the lease (Owner). Only one goroutine at a
// time may call its methods.
type CellWriter struct {
	slots
	me   uint64
	next uint64
	slot uint32 // of the current value; noSlot: there is none
}

// NewCellWriter makes a writer for member me.
func NewCellWriter(s *Set, me layout.Owner) *CellWriter {
	return &CellWriter{slots: newSlots(s, 0), me: uint64(me)}
}

// Begin takes a slot for the next value.
//
// Preconditions:
//   - ReserveWriter has succeeded.
//   - The caller has won the lease (Owner), and holds it until it has called Commit, or
//     TakeBack and Discard.
func (w *CellWriter) Begin() (slot uint32, ok bool) {
	if atomic.LoadUint64(w.set.lastWriter()) != w.me {
		if w.noSpace = w.set.reserveSlots(0, w.set.usedSlots(0)); w.noSpace != nil {
			return 0, false
		}
		// This comes before any other store. So if this writer dies, the next writer also
		// rebuilds its slots.
		atomic.StoreUint64(w.set.lastWriter(), w.me)
		w.rebuild()
		fault.At(fault.LaneRebuilt)
	}
	if len(w.free) == 0 {
		w.reclaim(len(w.retired) - int(w.set.C.Step))
	}
	return w.loan()
}

// rebuild finds out what another writer has left: which slot has the value, and which of the
// other slots were written last.
func (w *CellWriter) rebuild() {
	w.slotsN = w.set.ready[0].Load()
	w.set.setUsed(0, w.slotsN)
	w.free, w.retired, w.loans = w.free[:0], w.retired[:0], 0
	clear(w.out)
	c := atomic.LoadUint64(w.set.current())
	w.slot = noSlot
	var newest uint64
	if slot := uint32(c & (1<<cellSlotBits - 1)); c != 0 && slot < w.slotsN {
		w.slot, newest = slot, atomic.LoadUint64(w.generation(slot))
		if newest&cellSequence != c>>cellSlotBits { // a writer that keeps the protocol never does that
			newest = c >> cellSlotBits
		}
	}
	type old struct {
		generation uint64
		slot       uint32
	}
	all := make([]old, 0, w.slotsN)
	for slot := range w.slotsN {
		if slot == w.slot {
			continue
		}
		g := atomic.LoadUint64(w.generation(slot))
		if g > newest { // this value was never published
			g = 0
			atomic.StoreUint64(w.generation(slot), 0)
		}
		all = append(all, old{g, slot})
	}
	slices.SortStableFunc(all, func(a, b old) int { return cmp.Compare(a.generation, b.generation) })
	for _, o := range all {
		w.retire(o.slot)
	}
	w.next = newest + 1
}

// Current returns the bytes of the current value, if there is one.
//
// Preconditions:
//   - The caller holds the lease, and Begin returned true.
func (w *CellWriter) Current() ([]byte, bool) {
	if w.slot == noSlot {
		return nil, false
	}
	n := min(atomic.LoadUint32(w.length(w.slot)), w.max)
	return w.payload(w.slot, n, n), true
}

// Payload returns where the caller writes the value of a slot.
//
// Preconditions:
//   - slot is on loan.
func (w *CellWriter) Payload(slot uint32) []byte { return w.payload(slot, w.max, w.max) }

// Commit makes the first n bytes of a slot the value. It is a full fence.
//
// Preconditions:
//   - The caller holds the lease.
//   - TakeBack of the slot returned true, and the slot was not committed or discarded since.
//   - n is at most the length of Payload.
func (w *CellWriter) Commit(slot, n, sum uint32, ns int64) {
	q := w.next
	if q&cellSequence == 0 {
		q++ // 0 is the sequence of no value
	}
	atomic.StoreUint32(w.length(slot), n)
	atomic.StoreUint32(w.sum(slot), sum)
	storeRelease(w.time(slot), uint64(ns))
	storeRelease(w.generation(slot), q)
	fault.At(fault.LaneFilled)
	w.set.published(w.lane, slot)
	atomic.StoreUint64(w.set.current(), q<<cellSlotBits|uint64(slot)) // COMMIT. Pairs with C1
	fault.At(fault.LaneCommitted)
	if w.slot != noSlot {
		w.retire(w.slot)
	}
	w.slot, w.next = slot, q+1
}

// CellReader reads the value. Only one goroutine at a time may call its methods, except Changed.
type CellReader struct {
	part
	set    *Set
	member int
	word   *uint64
	pin    *uint64
	// seen is the Current that was loaded last. last is the value that it named; the pin keeps
	// that value.
	seen uint64
	last Message
}

// NewCellReader makes a reader for member me.
func NewCellReader(s *Set, me layout.Owner) *CellReader {
	return &CellReader{part: s.part(0), set: s, member: me.Slot(), word: s.current(), pin: s.pin(me.Slot(), 0)}
}

// patience is the number of times that a reader tries again. Each retry means that 32 values were
// written between two loads, so the number never comes near patience.
const patience = 1 << 20

// Load finds the value, and keeps it until the next Load. It returns nil if there is no value
// yet. The Message changes with the next Load.
//
// Errors: layout.ErrCorrupt.
func (r *CellReader) Load() (*Message, error) {
	// The value that was loaded last is still the latest value, and pinned.
	if c := atomic.LoadUint64(r.word); c == r.seen && c != 0 {
		return &r.last, nil
	}
	return r.load()
}

func (r *CellReader) load() (*Message, error) {
	for range patience {
		c := atomic.LoadUint64(r.word) // C1. ACQUIRE: pairs with COMMIT
		if c == 0 {
			return nil, nil
		}
		slot := uint32(c & (1<<cellSlotBits - 1))
		if slot >= r.slotsN {
			if r.slotsN = r.set.refresh(0); slot >= r.slotsN {
				return nil, r.set.corrupt("the value is in slot %d, want a slot below %d", slot, r.slotsN)
			}
		}
		r.letGo()
		atomic.StoreUint64(r.pin, uint64(slot)+1) // C2, a full fence: pairs with F2
		fault.At(fault.LanePinned)
		if g := atomic.LoadUint64(r.generation(slot)); g&cellSequence == c>>cellSlotBits { // C3
			n := atomic.LoadUint32(r.length(slot))
			if n > r.max {
				return nil, r.set.corrupt("value %d has %d bytes, want at most %d", g, n, r.max)
			}
			r.set.took(0, slot)
			r.seen = c
			r.last.Seq, r.last.Slot, r.last.Len = g, slot, n
			return &r.last, nil
		}
	}
	return nil, r.set.corrupt("the slot of the value had another value, %d times in a row", patience)
}

// Changed says whether there is a newer value than the one that was loaded last. Other goroutines
// may call it while the reader's goroutine sleeps.
func (r *CellReader) Changed() bool { return atomic.LoadUint64(r.word) != r.seen }

// Unpin releases the value.
func (r *CellReader) Unpin() {
	r.letGo()
	atomic.StoreUint64(r.pin, 0)
}

// letGo must be called before the pin changes.
func (r *CellReader) letGo() {
	if edge.Enabled && r.seen != 0 {
		r.set.Done(0, r.last.Slot)
	}
	r.seen = 0
}

// Payload returns the bytes of a value. They must not be written.
//
// Preconditions:
//   - The value is safe. Either it was loaded last, and neither Load nor Unpin was called since;
//     or a pin has named its slot since then (Hold). This also applies to Sum and Time.
func (r *CellReader) Payload(m *Message) []byte { return r.payload(m.Slot, m.Len, m.Len) }

// Sum returns the checksum that came with a value.
func (r *CellReader) Sum(m *Message) uint32 { return atomic.LoadUint32(r.sum(m.Slot)) }

// Time returns when a value was written, in nanoseconds since 1970.
func (r *CellReader) Time(m *Message) int64 { return int64(atomic.LoadUint64(r.time(m.Slot))) }

// Hold makes pin word k of the member keep a value, until Set.Unpin.
//
// Preconditions:
//   - The value is safe now: it was loaded last.
//   - k is 1 to Pins - 1 (Load uses word 0), and word k keeps nothing else.
func (r *CellReader) Hold(m *Message, k int) {
	atomic.StoreUint64(r.set.pin(r.member, k), uint64(m.Slot)+1)
}

// Generation is the generation of the latest value, or 0 if there is none. If the payload is not
// mapped, it is the lower 44 bits of the generation.
func (s *Set) Generation() uint64 {
	c := atomic.LoadUint64(s.current())
	if len(s.payload) == 0 {
		return c >> cellSlotBits
	}
	s.refresh(0)
	p := s.part(0)
	slot := uint32(c & (1<<cellSlotBits - 1))
	if c == 0 || slot >= p.slotsN {
		return 0
	}
	if g := atomic.LoadUint64(p.generation(slot)); g&cellSequence == c>>cellSlotBits {
		return g
	}
	return c >> cellSlotBits // it has just changed
}
