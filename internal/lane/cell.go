package lane

import (
	"cmp"
	"slices"
	"sync/atomic"

	"samepage/internal/edge"
	"samepage/internal/fault"
	"samepage/layout"
)

// The cell of docs/protocol/lane.md: one latest value.
//
// Current is the value's sequence in its upper 44 bits and the slot in the lower 20.
// A Generation has all 64 bits of the sequence. At 10 ns a value the 44 bits come
// round after two days; a reader would have to be stopped between C1 and C3 for
// exactly that long to take one value for the other.
const (
	cellSlotBits = 20
	cellSequence = 1<<(64-cellSlotBits) - 1
)

func (s *Set) current() *uint64 { return s.laneWord(0, layout.CellCurrentOffset) }

func (s *Set) lastWriter() *uint64 { return s.laneWord(0, layout.CellWriterOffset) }

// CellWriter writes the value, while its member holds the lease (Owner). Its methods
// are for one goroutine at a time.
type CellWriter struct {
	slots
	me   uint64
	next uint64
	slot uint32 // of the current value, noSlot: none
}

// NewCellWriter is a writer for member me.
func NewCellWriter(s *Set, me layout.Owner) *CellWriter {
	return &CellWriter{slots: newSlots(s, 0), me: uint64(me)}
}

// Begin takes a slot for the next value.
//
// Preconditions:
//   - The caller has won the lease (Owner), and holds it until it has called Commit, or
//     TakeBack and Discard.
func (w *CellWriter) Begin() (slot uint32, ok bool) {
	if atomic.LoadUint64(w.set.lastWriter()) != w.me {
		// Before any other store, so that whoever comes next finds its slots
		// anew as well.
		atomic.StoreUint64(w.set.lastWriter(), w.me)
		w.rebuild()
		fault.At(fault.LaneRebuilt)
	}
	if len(w.free) == 0 {
		w.reclaim(len(w.retired) - int(w.set.C.Step))
	}
	return w.loan()
}

// rebuild finds out what another writer has left: which slot has the value, and of the
// others which were written last.
func (w *CellWriter) rebuild() {
	w.free, w.retired, w.loans = w.free[:0], w.retired[:0], 0
	clear(w.out)
	c := atomic.LoadUint64(w.set.current())
	w.slot = noSlot
	var newest uint64
	if slot := uint32(c & (1<<cellSlotBits - 1)); c != 0 && slot < w.slotsN {
		w.slot, newest = slot, atomic.LoadUint64(w.generation(slot))
		if newest&cellSequence != c>>cellSlotBits { // no writer of ours does that
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
		if g > newest { // a value that was never published
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

// Current is what the value says, if there is one.
//
// Preconditions:
//   - The caller has the lease, and Begin was true.
func (w *CellWriter) Current() ([]byte, bool) {
	if w.slot == noSlot {
		return nil, false
	}
	n := min(atomic.LoadUint32(w.length(w.slot)), w.max)
	return w.payload(w.slot, n, n), true
}

// Payload is where the value in a slot is written.
//
// Preconditions:
//   - slot is on loan.
func (w *CellWriter) Payload(slot uint32) []byte { return w.payload(slot, w.max, w.max) }

// Commit makes n bytes in a slot the value. A full fence.
//
// Preconditions:
//   - The caller has the lease.
//   - TakeBack of the slot was true, and it was neither committed nor discarded since.
//   - n is at most the length of Payload.
func (w *CellWriter) Commit(slot, n, sum uint32, ns int64) {
	q := w.next
	if q&cellSequence == 0 {
		q++ // 0 is no value's
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

// CellReader reads the value. Its methods are for one goroutine at a time, but for
// Changed.
type CellReader struct {
	part
	set    *Set
	member int
	word   *uint64
	pin    *uint64
	// seen is the Current that was loaded last, and last what it said: the pin keeps
	// it.
	seen uint64
	last Message
}

// NewCellReader is a reader of member me.
func NewCellReader(s *Set, me layout.Owner) *CellReader {
	return &CellReader{part: s.part(0), set: s, member: me.Slot(), word: s.current(), pin: s.pin(me.Slot(), 0)}
}

// patience is how often a reader tries again: each time 32 values were written between
// two loads, so that it never comes near this.
const patience = 1 << 20

// Load finds the value, and keeps it until the next Load. It is nil when there is
// none yet. What it points to changes with the next Load.
//
// Errors: layout.ErrCorrupt.
func (r *CellReader) Load() (*Message, error) {
	// The value that was loaded last is still the latest one, and pinned.
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
			return nil, r.set.corrupt("the value is in slot %d of %d", slot, r.slotsN)
		}
		r.letGo()
		atomic.StoreUint64(r.pin, uint64(slot)+1) // C2, a full fence: pairs with F2
		fault.At(fault.LanePinned)
		if g := atomic.LoadUint64(r.generation(slot)); g&cellSequence == c>>cellSlotBits { // C3
			n := atomic.LoadUint32(r.length(slot))
			if n > r.max {
				return nil, r.set.corrupt("value %d has %d bytes in a slot of %d", g, n, r.max)
			}
			r.set.took(0, slot)
			r.seen = c
			r.last.Seq, r.last.Slot, r.last.Len = g, slot, n
			return &r.last, nil
		}
	}
	return nil, r.set.corrupt("the value's slot has another one, %d times in a row", patience)
}

// Changed says whether there is another value than the one loaded last. Others than the
// reader's goroutine may ask while that one sleeps.
func (r *CellReader) Changed() bool { return atomic.LoadUint64(r.word) != r.seen }

// Unpin lets the value go.
func (r *CellReader) Unpin() {
	r.letGo()
	atomic.StoreUint64(r.pin, 0)
}

// letGo is called before the pin is changed.
func (r *CellReader) letGo() {
	if edge.Enabled && r.seen != 0 {
		r.set.Done(0, r.last.Slot)
	}
	r.seen = 0
}

// Payload is what a value says. It is not to be written to.
//
// Preconditions:
//   - The value is safe: it was loaded last, and neither Load nor Unpin were called since,
//     or a pin names its slot since then (Hold). The same holds for Sum and Time.
func (r *CellReader) Payload(m *Message) []byte { return r.payload(m.Slot, m.Len, m.Len) }

// Sum is the checksum that came with a value.
func (r *CellReader) Sum(m *Message) uint32 { return atomic.LoadUint32(r.sum(m.Slot)) }

// Time is when a value was written, in nanoseconds since 1970.
func (r *CellReader) Time(m *Message) int64 { return int64(atomic.LoadUint64(r.time(m.Slot))) }

// Hold has pin word k of the member keep a value, until Set.Unpin.
//
// Preconditions:
//   - The value is safe now: it was loaded last.
//   - k is 1 to Pins - 1, and nothing else is kept by it: word 0 is that of Load.
func (r *CellReader) Hold(m *Message, k int) {
	atomic.StoreUint64(r.set.pin(r.member, k), uint64(m.Slot)+1)
}

// Generation is that of the latest value, 0 when there is none; its lower 44 bits where
// the payload is not mapped.
func (s *Set) Generation() uint64 {
	c := atomic.LoadUint64(s.current())
	if len(s.payload) == 0 {
		return c >> cellSlotBits
	}
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
