package lane

import (
	"math"
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/layout"
)

// Reader is one member's place in a lane. Only one goroutine at a time may call its methods,
// except Ready.
type Reader struct {
	part
	set      *Set
	lane     int
	member   int
	reliable bool
	evicts   bool

	next uint64 // number of the next message to take
	i    uint32 // next mod N
	// slot is where the next message is expected, and at is the Generation of this slot. If nothing
	// is known, slot is noSlot, and at is a word that is always 0.
	slot uint32
	at   *uint64
	none *uint64
	// only: the Set has no other lane, so Pin[0] is for this lane alone. pinned is the slot that it
	// names.
	only   bool
	pinned uint32

	// dirty: the shared cursor is behind, or was last stored without a fence. The reader stores
	// it every stride messages, or earlier if somebody needs it.
	dirty  bool
	stored uint64
	stride uint64
	missed uint64

	cursor, waits, pin *uint64
}

// Message is a message that may be read in place: until the reader's next LetGo, or while a pin
// names its slot.
type Message struct {
	Seq    uint64
	Missed uint64 // messages that were lost just before this one
	Slot   uint32
	Len    uint32
}

// These values say where a reader begins. Any other value is the number of a message. If this
// message and others after it do not exist any more, the reader has missed them.
const (
	Oldest = math.MaxUint64 - 2 // with the oldest message that exists
	Now    = math.MaxUint64     // with the next message
	Newest = math.MaxUint64 - 1 // with the newest message that exists, if there is one
)

// NewReader begins to read a lane for member me. The caller must call Settle next, and ring the
// writer if Settle returns true.
//
// Preconditions:
//   - me has its slot of the member table, and has no other reliable Reader of the lane.
func NewReader(s *Set, lane int, me layout.Owner, reliable bool, from uint64) *Reader {
	m := me.Slot()
	r := &Reader{
		part: s.part(lane), set: s, lane: lane, member: m, reliable: reliable,
		evicts: reliable && s.C.EvictAfter > 0,
		only:   s.C.Lanes == 1, pinned: noSlot, none: new(uint64),
		cursor: s.cursor(lane, m), waits: s.waits(lane), pin: s.pin(m, 0),
	}
	// A writer may be N messages ahead. The reader uses a part of them without storing its
	// cursor.
	r.stride = min(max(uint64(r.n)/16, 1), 16)
	head := newest(&r.part) + 1
	oldest := uint64(1)
	if n := uint64(r.n); head > n {
		oldest = head - n
	}
	wanted := from
	switch from {
	case Oldest:
		from = oldest
	case Now:
		from = head
	case Newest:
		from = max(head-1, 1)
	}
	from = min(max(from, oldest), head)
	if reliable { // J1
		atomic.StoreUint64(s.incarnation(lane, m), uint64(me.Incarnation()))
		atomic.StoreUint64(r.cursor, from)
		fault.At(fault.LaneJoining)
		s.EdgeRelease(EdgeReaders)
		// A full fence: pairs with W1.
		atomic.OrUint64(s.readers(lane, m/64), 1<<(m%64))
		// J2. A larger limit is impossible, so it comes from a damaged lane.
		if l := atomic.LoadUint64(s.limit(lane)); l > uint64(r.n) && l < maxSequence {
			// A look that is interrupted may find fewer messages than the look before.
			head = max(head, newest(&r.part)+1)
			from = min(max(from, l-uint64(r.n)), head)
		}
		atomic.StoreUint64(r.cursor, from)
		r.dirty = true // so Settle checks Waits
		fault.At(fault.LaneJoined)
	}
	if wanted < Oldest && wanted < from {
		r.missed = from - max(wanted, 1)
	}
	r.seek(from)
	return r
}

// seek moves the reader to a message whose predecessor it has not taken.
func (r *Reader) seek(to uint64) {
	r.next = to
	r.i = uint32(to % uint64(r.n))
	r.extend() // so that the slot of the message before is known
	r.expect(r.predicted(to))
}

// expect says in which slot the next message is expected.
func (r *Reader) expect(slot uint32) {
	if slot >= r.slotsN {
		r.expectNew(slot)
		return
	}
	r.slot, r.at = slot, r.generation(slot)
}

// expectNew is expect for a slot that the reader does not know yet. Without it expect is small
// enough to be inlined.
func (r *Reader) expectNew(slot uint32) {
	r.slot, r.at = noSlot, r.none
	if r.extend(); slot < r.slotsN {
		r.slot, r.at = slot, r.generation(slot)
	}
}

// extend learns of slots that writers use now.
func (r *Reader) extend() { r.slotsN = r.set.refresh(r.lane) }

// predicted is the slot in which message q is expected: the Next of message q - 1, and slot 0 for
// message 1. It is noSlot or another number that is too large if message q - 1 is gone; then
// message q has an entry.
//
// All readers and the next writer must expect a message in the same slot, because it depends on
// this whether the last message of a dead writer was published (O3). So there is no other guess.
func (p *part) predicted(q uint64) uint32 {
	if q <= 1 {
		return 0
	}
	i := uint32((q - 1) % uint64(p.n))
	if atomic.LoadUint64(p.sequence(i)) != q-1 {
		return noSlot
	}
	slot := atomic.LoadUint32(p.slotOf(i))
	if slot >= p.slotsN {
		return noSlot
	}
	return atomic.LoadUint32(p.after(slot))
}

// Back makes the message that was taken last the next one again. It is for a reader that has only
// looked at it.
//
// Preconditions:
//   - LetGo was not called since.
func (r *Reader) Back(m *Message) {
	r.seek(m.Seq)
	r.missed = m.Missed
}

// Next is the number of the next message to take.
func (r *Reader) Next() uint64 { return r.next }

// Lane is the number of the reader's lane.
func (r *Reader) Lane() int { return r.lane }

// TryExpected takes the next message if it is where it is expected. It does not touch the entry, so
// the writer keeps its cache line.
//
// Preconditions:
//   - LetGo was called for the message that was taken before.
//
// Errors: layout.ErrCorrupt, layout.ErrEvicted.
func (r *Reader) TryExpected(m *Message) (bool, error) {
	// ACQUIRE: the payload is complete. Pairs with P3. (T1, B1)
	if atomic.LoadUint64(r.at) != r.next ||
		!r.reliable && (r.pinned != r.slot || !r.only) && !r.pinFound() {
		return false, nil
	}
	return r.take(m)
}

// TryEntry takes the next message by its entry. It is for a message that is not where it was
// expected. The preconditions and errors are those of TryExpected.
func (r *Reader) TryEntry(m *Message) (bool, error) {
	if ok, err := r.find(); !ok {
		return false, err
	}
	return r.take(m)
}

// Try takes the next message, if there is one. The preconditions and errors are those of
// TryExpected.
func (r *Reader) Try(m *Message) (bool, error) {
	if ok, err := r.TryExpected(m); ok || err != nil {
		return ok, err
	}
	return r.TryEntry(m)
}

// take takes the next message, which is in r.slot, and for a best-effort reader pinned.
func (r *Reader) take(m *Message) (bool, error) {
	if r.evicts && r.Evicted() {
		return false, layout.ErrEvicted
	}
	slot := r.slot
	n := atomic.LoadUint32(r.length(slot))
	if n > r.max {
		return false, r.set.corrupt("lane %d: message %d in slot %d has %d bytes, want at most %d", r.lane, r.next, slot, n, r.max)
	}
	r.set.took(r.lane, slot)
	m.Seq, m.Slot, m.Len, m.Missed = r.next, slot, n, r.missed
	r.missed = 0
	r.next++
	if r.i++; r.i == r.n {
		r.i = 0
	}
	r.expect(atomic.LoadUint32(r.after(slot)))
	fault.At(fault.LaneRead)
	return true, nil
}

// pinFound pins the slot of the next message, which was found in r.slot (B3, B4). It returns false
// if the message was overwritten meanwhile.
func (r *Reader) pinFound() bool {
	r.pinSlot()
	return atomic.LoadUint64(r.at) == r.next
}

// pinSlot is B3: a full fence. Pairs with F2.
func (r *Reader) pinSlot() {
	r.pinned = r.slot
	atomic.StoreUint64(r.pin, r.set.number(r.lane, r.slot)+1)
	fault.At(fault.LanePinned)
}

// find looks for the next message by its entry, because the slot in which it was expected does not
// have it. If it is there, find sets r.slot, and for a best-effort reader also the pin.
func (r *Reader) find() (bool, error) {
	r.expectFirst()
	if !r.reliable {
		return r.findPinned()
	}
	q := atomic.LoadUint64(r.sequence(r.i)) // ACQUIRE. Pairs with P5. (T2)
	slot, found := uint32(0), false
	if q == r.next {
		slot = atomic.LoadUint32(r.slotOf(r.i))
		r.expect(slot)
		found = atomic.LoadUint64(r.at) == q
	}
	switch {
	case r.Evicted():
		return false, layout.ErrEvicted
	case q > r.next:
		return false, r.set.corrupt("lane %d: entry %d of %d has message %d, but a reliable reader is at message %d", r.lane, r.i, r.n, q, r.next)
	case q == r.next && !found:
		return false, r.set.corrupt("lane %d: message %d is in slot %d, want a slot below %d that has this message", r.lane, q, slot, r.slotsN)
	}
	return found, nil
}

// findPinned is find of a best-effort reader. It goes on past messages that are gone.
func (r *Reader) findPinned() (bool, error) {
	q := atomic.LoadUint64(r.sequence(r.i)) // ACQUIRE. Pairs with P5. (B2)
	for range 16 {                          // a writer may overtake the reader each time
		if q < r.next {
			return false, nil
		}
		if q > r.next {
			if !belongs(q, r.i, r.n) {
				return false, r.set.corrupt("lane %d: entry %d of %d has message %d, which belongs to another entry", r.lane, r.i, r.n, q)
			}
			r.jump(q)
			q = atomic.LoadUint64(r.sequence(r.i))
			continue
		}
		slot := atomic.LoadUint32(r.slotOf(r.i))
		r.expect(slot)
		if r.slot == noSlot {
			return false, r.set.corrupt("lane %d: message %d is in slot %d, want a slot below %d", r.lane, q, slot, r.slotsN)
		}
		if r.pinFound() {
			return true, nil
		}
		if again := atomic.LoadUint64(r.sequence(r.i)); again != q {
			q = again
			continue
		}
		// The entry still has q, but its slot does not. The writer is about to change the entry,
		// or it died before it did.
		r.skip()
		q = atomic.LoadUint64(r.sequence(r.i))
	}
	return false, nil
}

// jump moves the reader past messages that are gone: the entry of the next message has q.
func (r *Reader) jump(q uint64) {
	n := uint64(r.n)
	to := q
	if h := atomic.LoadUint64(r.set.Head(r.lane)); h > q+n/2 && h <= q+n {
		to = h - n/2
	}
	r.missed += to - r.next
	r.seek(to)
}

func (r *Reader) skip() {
	r.missed++
	r.seek(r.next + 1)
}

// Lost checks whether the next message is gone although its entry has no message, and moves the
// reader past it. It is for a best-effort reader that is about to wait.
func (r *Reader) Lost() bool {
	if r.reliable || atomic.LoadUint64(r.sequence(r.i)) != 0 {
		return false
	}
	i := r.i + 1
	if i == r.n {
		i = 0
	}
	if q := atomic.LoadUint64(r.sequence(i)); q <= r.next || !belongs(q, i, r.n) {
		return false
	}
	r.skip()
	return true
}

// Ready says whether Try would find something. Other goroutines may call it while the reader's
// goroutine sleeps.
func (r *Reader) Ready() bool {
	return atomic.LoadUint64(r.at) == r.next || atomic.LoadUint64(r.sequence(r.i)) >= r.next
}

// Look is Ready for the reader's goroutine. It also finds message 1 of a lane that had no writer
// when the reader looked the last time.
func (r *Reader) Look() bool {
	r.expectFirst()
	return r.Ready()
}

// expectFirst expects message 1 in slot 0, since that has space: a lane without a writer has no
// space for any slot.
func (r *Reader) expectFirst() {
	if r.next == 1 && r.slot == noSlot {
		r.expect(0)
	}
}

// Poll checks for the next message in a loop of about n pauses, and then once by its entry.
//
// Preconditions:
//   - Try has just returned false, so the reader looks at no message.
func (r *Reader) Poll(n uint32) bool {
	if !r.reliable && r.only && r.pinned != r.slot && r.slot != noSlot {
		r.pinSlot() // now instead of when the message is there
	}
	return poll(r.at, r.next, n) || atomic.LoadUint64(r.sequence(r.i)) >= r.next
}

// LetGo says that the caller does not read the last taken message any more (T4). If ring is true,
// the writer waits and the caller must ring it.
func (r *Reader) LetGo() (ring bool) {
	if !r.reliable {
		return false
	}
	if r.evicts {
		// A full fence: pairs with E1.
		atomic.StoreUint64(r.cursor, r.next)
		return atomic.LoadUint64(r.waits) != 0
	}
	r.dirty = true
	if r.next-r.stored < r.stride && atomic.LoadUint64(r.waits) == 0 {
		return false
	}
	r.stored = r.next
	storeRelease(r.cursor, r.next)
	fault.At(fault.LaneLetGo)
	if atomic.LoadUint64(r.waits) != 0 { // T5
		return r.Settle()
	}
	return false
}

// Settle stores the cursor with a full fence, if that is due. ring is as in LetGo.
//
// The caller must call Settle before it sleeps, after it has looked without success, and before
// it closes. Otherwise the writer waits for a message that nobody reads any more.
func (r *Reader) Settle() (ring bool) {
	if !r.dirty {
		return false
	}
	r.dirty, r.stored = false, r.next
	atomic.StoreUint64(r.cursor, r.next)
	return atomic.LoadUint64(r.waits) != 0
}

// Evicted says whether the writer has evicted the reader.
func (r *Reader) Evicted() bool { return r.evicts && r.set.isEvicted(r.lane, r.member) }

// Leave ends the reading. ring is as in LetGo.
func (r *Reader) Leave() (ring bool) {
	r.set.EdgeRelease(EdgeReaders)
	r.set.leave(r.lane, r.member)
	fault.At(fault.LaneLeft)
	return r.reliable && atomic.LoadUint64(r.waits) != 0
}

func (s *Set) leave(lane, m int) {
	atomic.AndUint64(s.readers(lane, m/64), ^(uint64(1) << (m % 64)))
	atomic.StoreUint64(s.cursor(lane, m), 0)
}

// Payload returns the bytes of a message. They must not be written.
//
// Preconditions:
//   - The message is safe. Either it was taken last and not released since; or a pin has named its
//     slot since then (Hold). This also applies to Sum and Time.
func (r *Reader) Payload(m *Message) []byte { return r.payload(m.Slot, m.Len, m.Len) }

// Sum returns the checksum that came with a message.
func (r *Reader) Sum(m *Message) uint32 { return atomic.LoadUint32(r.sum(m.Slot)) }

// Time returns when a message was published, in nanoseconds since 1970.
func (r *Reader) Time(m *Message) int64 { return int64(atomic.LoadUint64(r.time(m.Slot))) }

// Hold makes pin word k of the member keep a message, until Unpin.
//
// Preconditions:
//   - The message is safe now: it was taken last, and neither LetGo nor another Try was called
//     since.
//   - k is 1 to Pins - 1 (Try uses word 0), and word k keeps nothing else.
func (r *Reader) Hold(m *Message, k int) {
	// A full fence. Pairs with F2, or with the writer's load of the cursor that still keeps the
	// message.
	atomic.StoreUint64(r.set.pin(r.member, k), r.set.number(r.lane, m.Slot)+1)
}

// Unpin clears a pin word of a member. RELEASE: the reads of the message are done.
//
// Preconditions:
//   - The caller is the member, or holds its lock byte.
func (s *Set) Unpin(member, k int) { atomic.StoreUint64(s.pin(member, k), 0) }

// Reap clears what a dead member has left in all lanes, except Owner: its pins, its cursors, its
// bits, and what it may keep.
//
// Preconditions:
//   - The caller holds the member's lock byte.
func (s *Set) Reap(member int) {
	for l := range int(s.C.Lanes) {
		s.leave(l, member)
	}
	for k := range int(s.C.Pins) {
		s.Unpin(member, k)
	}
	for l := range s.ready {
		s.Release(l, member)
	}
}

// reads says whether the bit of a member is set: then the member is a reliable reader.
func (s *Set) reads(lane, member int) bool {
	return atomic.LoadUint64(s.readers(lane, member/64))>>(member%64)&1 != 0
}

// Holds is the number of messages or values that a member keeps with Hold.
func (s *Set) Holds(member int) (n int) {
	for k := 1; k < int(s.C.Pins); k++ {
		if atomic.LoadUint64(s.pin(member, k)) != 0 {
			n++
		}
	}
	return n
}

// Reliable says whether a member reads a lane reliably, at which message it is, and whether it
// was evicted.
func (s *Set) Reliable(lane, member int) (cursor uint64, yes, evicted bool) {
	yes = s.reads(lane, member)
	return atomic.LoadUint64(s.cursor(lane, member)), yes, yes && s.isEvicted(lane, member)
}
