package lane

import (
	"math"
	"sync/atomic"
	"unsafe"

	"samepage/internal/fault"
	"samepage/layout"
)

// Writer is the writer of a lane. Its member holds the Owner word. Only one goroutine at a time
// may call its methods. HasRoom and Blocker are exceptions: others may call them while that
// goroutine sleeps.
type Writer struct {
	slots
	next  uint64   // number of the next message
	i     uint32   // next mod N
	until uint64   // messages below this number may be published without a look at the cursors
	ring  []uint32 // the slot that each entry names
	// slowest is the reader for which the writer waited last, or -1.
	slowest int

	head  *uint64
	total uint64         // the bytes of all messages, as in Bytes
	none  unsafe.Pointer // private memory, instead of the header of no slot
}

// prefetched is how many messages in advance a writer fetches its slots.
const prefetched = 3

// maxSequence is a number that no lane ever reaches.
const maxSequence = math.MaxUint64 >> 2

// NewWriter becomes the writer of a lane (O2 to O5).
//
// Preconditions:
//   - The caller has won the lane's Owner word (O1), and holds it while it uses the Writer.
//   - ReserveWriter has succeeded since then.
//   - s has a payload that may be written.
func NewWriter(s *Set, lane int) *Writer {
	w := &Writer{slots: newSlots(s, lane), ring: make([]uint32, s.C.Entries), slowest: -1, head: s.Head(lane), total: atomic.LoadUint64(s.Bytes(lane)), none: unsafe.Pointer(new(uint64))}
	atomic.StoreUint64(s.waits(lane), 0)
	newest := newest(&w.part)
	taken := make([]bool, w.slotsN)
	for i := range w.n { // O2
		w.ring[i] = noSlot
		q := atomic.LoadUint64(w.sequence(i))
		if q == 0 {
			continue
		}
		slot := atomic.LoadUint32(w.slotOf(i))
		if !belongs(q, i, w.n) || q+uint64(w.n) <= newest || slot >= w.slotsN || taken[slot] {
			atomic.StoreUint64(w.sequence(i), 0)
			continue
		}
		w.ring[i] = slot
		taken[slot] = true
	}
	w.next = newest + 1
	w.i = uint32(w.next % uint64(w.n))
	next := w.predicted(w.next)
	if next < w.slotsN && !taken[next] && atomic.LoadUint64(w.generation(next)) == w.next { // O3
		if old := w.repair(next); old != noSlot { // it had the message that is N before this one
			taken[old] = false
		}
		taken[next] = true
		next = w.predicted(w.next)
	}
	for slot := w.slotsN; slot > 0; slot-- { // O4
		if !taken[slot-1] && slot-1 != next {
			w.retire(slot - 1)
		}
	}
	if next < w.slotsN && !taken[next] {
		w.retire(next) // the last one is used first, so the readers expect the next message there
	}
	if atomic.LoadUint64(w.head) == 0 {
		// No writer has come as far as O5, so no slot was used: all are free, and Generation is 0.
		w.free, w.retired = w.retired, w.free
	}
	w.until = w.next // O5
	atomic.StoreUint64(w.head, w.next)
	s.eachReader(lane, w.finishEviction)
	fault.At(fault.LaneRebuilt)
	return w
}

// repair writes the entry of the next message, which is in slot. The writer before has published
// it, and has died before it wrote the entry. Readers may have read it. repair returns the slot
// that the entry named before.
func (w *Writer) repair(slot uint32) (old uint32) {
	atomic.StoreUint64(w.sequence(w.i), 0)
	fault.At(fault.LaneZeroed)
	atomic.StoreUint32(w.slotOf(w.i), slot)
	fault.At(fault.LaneNamed)
	atomic.StoreUint64(w.sequence(w.i), w.next)
	return w.move(slot)
}

// move goes on to the next message after one was published in slot. It returns the slot that the
// entry named before.
func (w *Writer) move(slot uint32) (old uint32) {
	i := w.i
	old, w.ring[i] = w.ring[i], slot
	w.next++
	if i++; i == w.n {
		i = 0
	}
	w.i = i
	return old
}

// belongs says whether message q may be at index i.
func belongs(q uint64, i, n uint32) bool { return q%uint64(n) == uint64(i) && q < maxSequence }

// newest is the largest Sequence in the ring that is at its right index.
func newest(p *part) (most uint64) {
	for i := range p.n {
		if q := atomic.LoadUint64(p.sequence(i)); q > most && belongs(q, i, p.n) {
			most = q
		}
	}
	return most
}

// Next is the number of the next message.
func (w *Writer) Next() uint64 { return w.next }

// Lane is the number of the writer's lane.
func (w *Writer) Lane() int { return w.lane }

// Loans is the number of slots on loan.
func (w *Writer) Loans() int { return w.loans }

// Loan takes a slot in which the caller writes a message. It returns false if as many slots are
// on loan as the settings allow.
func (w *Writer) Loan() (slot uint32, ok bool) { return w.loan() }

// Payload returns where the caller writes the message of a slot.
//
// Preconditions:
//   - slot is on loan.
func (w *Writer) Payload(slot uint32) []byte { return w.payload(slot, w.max, w.max) }

// Describe stores the checksum and the time of a message.
//
// Preconditions:
//   - slot is on loan, or was taken back and not yet published.
func (w *Writer) Describe(slot, sum uint32, ns int64) {
	atomic.StoreUint32(w.sum(slot), sum)
	atomic.StoreUint64(w.time(slot), uint64(ns))
}

// Room says whether the next message may be published (P1).
func (w *Writer) Room() bool { return w.next < w.until || w.look() }

// look loads the cursors of all reliable readers.
func (w *Writer) look() bool {
	s, n := w.set, uint64(w.n)
	if m := w.slowest; m >= 0 {
		// The reader that was the blocker last time is probably still the blocker.
		if c, ok := w.behind(m); ok && c+n <= w.next && s.reads(w.lane, m) {
			return false
		}
		w.slowest = -1
	}
	// W1, a full fence: pairs with J1.
	atomic.StoreUint64(s.limit(w.lane), w.next+uint64(s.C.Step))
	fault.At(fault.LaneLimit)
	until := w.next + uint64(s.C.Step)
	s.eachReader(w.lane, func(m int) { // W2
		if c, ok := w.behind(m); ok && c+n < until { // W3
			until, w.slowest = c+n, m
		}
	})
	w.until = until
	if w.next < until {
		w.slowest = -1
		return true
	}
	return false
}

// Publish makes the message in a slot, of n bytes, visible (P2 to P5). With fence, a full fence
// follows: then a check for sleepers misses none.
//
// Preconditions:
//   - TakeBack of the slot returned true, and the slot was not published or discarded since.
//   - n is at most the length of Payload.
//   - Room returned true after the last Publish (P1).
func (w *Writer) Publish(slot, n uint32, fence bool) {
	q, entry := w.next, w.entry(w.i)
	old := w.move(slot)
	fault.At(fault.LaneFilled)
	if old != noSlot {
		w.set.reuse(w.lane, old)
	}
	w.set.published(w.lane, slot)
	retired := w.none
	if old != noSlot {
		retired = w.header(old)
		w.retire(old)
	}
	w.total += uint64(n)
	ahead := w.none
	if k := len(w.free) - prefetched; k >= 0 {
		ahead = w.header(w.free[k])
	}
	commit(entry, w.header(slot), retired, w.head, q, w.total, slot, n, w.likely(), fence, ahead) // P2 to P5, Head, F1
}

// Send publishes a copy of b, like a Loan, Payload, TakeBack and Publish. It returns false, and has
// done nothing, if that needs a look at the readers, or if there is no free slot.
//
// Preconditions:
//   - b is not longer than Payload, and the messages have neither checksums nor times.
func (w *Writer) Send(b []byte, fence bool) bool {
	n := len(w.free) - 1
	if n < 0 || w.loans >= w.most || w.next >= w.until {
		return false
	}
	slot := w.free[n]
	w.free = w.free[:n]
	w.set.reuse(w.lane, slot)
	copy(w.payload(slot, uint32(len(b)), w.max), b)
	w.Publish(slot, uint32(len(b)), fence)
	return true
}

// Ahead prepares the next message after a Publish: it loads the cursors and reclaims slots, so
// that the next message need not wait for that.
func (w *Writer) Ahead() {
	if w.next >= w.until || len(w.free) < 2 {
		w.goAhead()
	}
}

// goAhead is Ahead if there is something to do. Ahead alone is small enough to be inlined.
func (w *Writer) goAhead() {
	if w.next >= w.until {
		w.look()
	}
	if len(w.free) < 2 { // one for the next message, and one for its Next
		w.reclaim(len(w.retired))
	}
}

// Fence is a full fence after a Publish without one. It publishes nothing new.
func (w *Writer) Fence() { atomic.StoreUint64(w.head, w.next) }

// Waiting says whether the writer is about to wait for readers. It is a full fence.
func (w *Writer) Waiting(yes bool) {
	var v uint64
	if yes {
		v = 1
	}
	atomic.StoreUint64(w.set.waits(w.lane), v)
	fault.At(fault.LaneWaits)
}

// HasRoom says the same as Room and changes nothing.
func (w *Writer) HasRoom() bool {
	room := true
	w.blocking(func(int) { room = false })
	return room
}

// behind returns the message that a reader is at. ok says whether that is before the next
// message, and the writer has to wait for the reader.
func (w *Writer) behind(m int) (cursor uint64, ok bool) {
	// ACQUIRE: the reader's reads of earlier messages are done. Pairs with T4.
	cursor = atomic.LoadUint64(w.set.cursor(w.lane, m))
	return cursor, cursor != 0 && cursor < w.next && !w.set.isEvicted(w.lane, m)
}

// blocking calls f for the readers that block the next message.
func (w *Writer) blocking(f func(member int)) {
	w.set.eachReader(w.lane, func(m int) {
		if c, ok := w.behind(m); ok && c+uint64(w.n) <= w.next {
			f(m)
		}
	})
}

// Blocker is the k-th reader that blocks the next message, from 0. It is the zero Owner if there
// are fewer.
func (w *Writer) Blocker(k int) (o layout.Owner) {
	w.blocking(func(m int) {
		if k == 0 {
			o = layout.OwnerOf(m, uint32(atomic.LoadUint64(w.set.incarnation(w.lane, m))))
		}
		k--
	})
	return o
}

// Lag is the number of messages by which the slowest reliable reader is behind.
func (w *Writer) Lag() (lag uint64) {
	w.set.eachReader(w.lane, func(m int) {
		if c, ok := w.behind(m); ok {
			lag = max(lag, w.next-c)
		}
	})
	w.sawLag(lag)
	return lag
}

// Evict evicts all readers that block the next message, and returns their number.
//
// Preconditions:
//   - The settings have EvictAfter.
func (w *Writer) Evict() (n int) {
	w.blocking(func(m int) {
		inc := atomic.LoadUint64(w.set.incarnation(w.lane, m))
		atomic.StoreUint64(w.set.evicted(w.lane, m), inc<<32) // E1, a full fence: pairs with T4
		fault.At(fault.LaneEvicted)
		w.finishEviction(m)
		n++
	})
	return n
}

// finishEviction is E2.
func (w *Writer) finishEviction(m int) {
	s := w.set
	ev := s.evicted(w.lane, m)
	v := atomic.LoadUint64(ev)
	if v == 0 || v&(1<<32-1) != 0 || !s.isEvicted(w.lane, m) {
		return
	}
	c := atomic.LoadUint64(s.cursor(w.lane, m))
	kept := noSlot
	if c < w.next && c+uint64(w.n) >= w.next {
		if slot := w.ring[c%uint64(w.n)]; slot != noSlot {
			kept = slot + 1
		}
	}
	atomic.StoreUint64(ev, v|uint64(kept))
}

// isEvicted says whether a reader is evicted.
func (s *Set) isEvicted(lane, member int) bool {
	if s.C.EvictAfter == 0 {
		return false
	}
	v := atomic.LoadUint64(s.evicted(lane, member))
	return v != 0 && v>>32 == atomic.LoadUint64(s.incarnation(lane, member))&(1<<32-1)
}
