package lane

import (
	"math"
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/layout"
)

// Reader is one member's place in a lane. Its methods are for one goroutine at a
// time, but for Ready.
type Reader struct {
	part
	set      *Set
	lane     int
	member   int
	reliable bool
	evicts   bool

	next uint64 // the message that is wanted
	i    uint32 // next mod N
	hint uint32 // the slot that is likely to hold it
	// dirty: the shared cursor is behind, or was last stored without a fence. It is stored
	// each stride messages, or sooner when somebody needs it.
	dirty  bool
	stored uint64
	stride uint64
	missed uint64

	cursor, waits, pin *uint64
}

// Message is a message that may be read in place: until the reader's next LetGo, or
// for as long as a pin names its slot.
type Message struct {
	Seq    uint64
	Missed uint64 // messages lost just before it
	Slot   uint32
	Len    uint32
}

// Where a reader begins.
const (
	Oldest = 1                  // with the oldest message that is there
	Now    = math.MaxUint64     // with the next one
	Newest = math.MaxUint64 - 1 // with the newest one that is there, if there is one
)

// NewReader begins to read a lane for member me.
//
// Preconditions:
//   - me has its slot of the member table, and reads the lane with no other reliable Reader.
//
// The caller calls Settle next, and rings the writer if that says so.
func NewReader(s *Set, lane int, me layout.Owner, reliable bool, from uint64) *Reader {
	m := me.Slot()
	r := &Reader{
		part: s.part(lane), set: s, lane: lane, member: m, reliable: reliable,
		evicts: reliable && s.C.EvictAfter > 0,
		cursor: s.cursor(lane, m), waits: s.waits(lane), pin: s.pin(m, 0),
	}
	// Of the messages that a writer may get ahead a reader uses up a part unseen.
	r.stride = min(max(uint64(r.n)/16, 1), 16)
	head := newest(&r.part) + 1
	oldest := uint64(1)
	if n := uint64(r.n); head > n {
		oldest = head - n
	}
	switch from {
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
		// J2. A limit beyond what there can be is no lane's.
		if l := atomic.LoadUint64(s.limit(lane)); l > uint64(r.n) && l < maxSequence {
			// A look that is interrupted may find less than the one before.
			head = max(head, newest(&r.part)+1)
			from = min(max(from, l-uint64(r.n)), head)
		}
		atomic.StoreUint64(r.cursor, from)
		r.dirty = true // Settle looks at Waits
		fault.At(fault.LaneJoined)
	}
	r.seek(from)
	return r
}

func (r *Reader) seek(to uint64) {
	r.next = to
	r.i = uint32(to % uint64(r.n))
}

// Next is the number of the message that is wanted.
func (r *Reader) Next() uint64 { return r.next }

// Lane is the number of the reader's lane.
func (r *Reader) Lane() int { return r.lane }

// Try takes the next message, if it is there.
//
// Preconditions:
//   - LetGo was called for the message that was taken before.
//
// Errors: layout.ErrCorrupt, layout.ErrEvicted.
func (r *Reader) Try(m *Message) (bool, error) {
	// ACQUIRE: the payload is there. Pairs with P5. (T1, B1)
	q := atomic.LoadUint64(r.sequence(r.i))
	if q != r.next && (q < r.next || r.reliable) {
		if r.Evicted() {
			return false, layout.ErrEvicted
		}
		if r.reliable && q > r.next {
			return false, r.set.corrupt("lane %d: entry %d of %d tells of message %d, a reliable reader has come to %d", r.lane, r.i, r.n, q, r.next)
		}
		return false, nil
	}
	if !r.reliable {
		return r.tryPinned(q, m)
	}
	place := atomic.LoadUint64(r.place(r.i)) // T2
	slot, n := uint32(place), uint32(place>>32)
	if r.evicts && r.Evicted() {
		return false, layout.ErrEvicted
	}
	if slot >= r.slotsN || n > r.max {
		return false, r.set.corrupt("lane %d: message %d has %d bytes in slot %d, there are %d slots of %d", r.lane, q, n, slot, r.slotsN, r.max)
	}
	r.took(m, slot, n)
	return true, nil
}

// took goes on behind the message at next.
func (r *Reader) took(m *Message, slot, n uint32) {
	r.set.took(r.lane, slot)
	r.hint = min(atomic.LoadUint32(r.nextSlot(r.i)), r.slotsN-1)
	m.Seq, m.Slot, m.Len, m.Missed = r.next, slot, n, r.missed
	r.missed = 0
	r.next++
	if r.i++; r.i == r.n {
		r.i = 0
	}
	fault.At(fault.LaneRead)
}

// tryPinned is Try of a best-effort reader, where the entry was seen to tell of
// message q, not below next.
func (r *Reader) tryPinned(q uint64, m *Message) (bool, error) {
	for range 16 { // a writer that laps the reader each time
		if q < r.next {
			return false, nil
		}
		if q > r.next {
			if !belongs(q, r.i, r.n) {
				return false, r.set.corrupt("lane %d: entry %d of %d tells of message %d", r.lane, r.i, r.n, q)
			}
			r.jump(q)
			q = atomic.LoadUint64(r.sequence(r.i))
			continue
		}
		slot := uint32(atomic.LoadUint64(r.place(r.i))) // B2
		if slot >= r.slotsN {
			return false, r.set.corrupt("lane %d: message %d is in slot %d of %d", r.lane, q, slot, r.slotsN)
		}
		// B3, a full fence: pairs with F2.
		atomic.StoreUint64(r.pin, r.set.number(r.lane, slot)+1)
		fault.At(fault.LanePinned)
		if atomic.LoadUint64(r.generation(slot)) == q { // B4
			n := atomic.LoadUint32(r.length(slot)) // B5
			if n > r.max {
				return false, r.set.corrupt("lane %d: message %d has %d bytes in a slot of %d", r.lane, q, n, r.max)
			}
			r.took(m, slot, n)
			return true, nil
		}
		if again := atomic.LoadUint64(r.sequence(r.i)); again != q {
			q = again
			continue
		}
		// The entry still tells of q though its slot does not: the writer is
		// about to change the entry, or died there.
		r.skip()
		q = atomic.LoadUint64(r.sequence(r.i))
	}
	return false, nil
}

// jump goes on behind messages that are gone: the wanted one's entry tells of q.
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

// Lost looks whether the next message is gone though its entry tells nothing, and
// goes on behind it: for a best-effort reader that is about to wait.
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

// Ready says whether Try would find something. It may be called by others while
// the reader's goroutine sleeps.
func (r *Reader) Ready() bool { return atomic.LoadUint64(r.sequence(r.i)) >= r.next }

// Poll looks for the next message in a loop of about n pauses, and fetches the first
// lines of what is likely to be its slot meanwhile.
func (r *Reader) Poll(n uint32) bool { return poll(r.sequence(r.i), r.next, r.header(r.hint), n) }

// LetGo says that the message that was taken last is not looked at any more (T4). ring
// is whether the writer waits: then it is to be rung.
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
// It is itself a precondition: the caller calls it before it sleeps, when it has looked in
// vain, and before it closes. Else the writer waits for a message that nobody reads any more.
func (r *Reader) Settle() (ring bool) {
	if !r.dirty {
		return false
	}
	r.dirty, r.stored = false, r.next
	atomic.StoreUint64(r.cursor, r.next)
	return atomic.LoadUint64(r.waits) != 0
}

// Evicted says whether the writer has passed the reader over.
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

// Payload is what a message says. It is not to be written to.
//
// Preconditions:
//   - The message is safe: it was taken last and not let go, or a pin names its slot since
//     it was (Hold). The same holds for Sum and Time.
func (r *Reader) Payload(m *Message) []byte { return r.payload(m.Slot, m.Len, m.Len) }

// Sum is the checksum that came with a message.
func (r *Reader) Sum(m *Message) uint32 { return atomic.LoadUint32(r.sum(m.Slot)) }

// Time is when a message was published, in nanoseconds since 1970.
func (r *Reader) Time(m *Message) int64 { return int64(atomic.LoadUint64(r.time(m.Slot))) }

// Hold has pin word k of the member keep a message, until Unpin.
//
// Preconditions:
//   - The message is safe now: it was taken last, and LetGo or another Try come later.
//   - k is 1 to Pins - 1, and nothing else is kept by it: word 0 is that of Try.
func (r *Reader) Hold(m *Message, k int) {
	// A full fence: pairs with F2, or with the writer's look at the cursor that
	// still keeps the message.
	atomic.StoreUint64(r.set.pin(r.member, k), r.set.number(r.lane, m.Slot)+1)
}

// Unpin clears a pin word of a member. RELEASE: what was read is done with.
//
// Preconditions:
//   - The caller is the member, or has its lock byte.
func (s *Set) Unpin(member, k int) { atomic.StoreUint64(s.pin(member, k), 0) }

// Reap clears what a member that is no more has left in all lanes, but for Owner:
// its pins, its cursors, its bits.
//
// Preconditions:
//   - The caller has the member's lock byte.
func (s *Set) Reap(member int) {
	for l := range int(s.C.Lanes) {
		s.leave(l, member)
	}
	for k := range int(s.C.Pins) {
		s.Unpin(member, k)
	}
}

// reads says whether the bit of a member stands: it is a reliable reader.
func (s *Set) reads(lane, member int) bool {
	return atomic.LoadUint64(s.readers(lane, member/64))>>(member%64)&1 != 0
}

// Reliable says whether a member reads a lane reliably, and where it has come
// to.
func (s *Set) Reliable(lane, member int) (cursor uint64, yes, evicted bool) {
	yes = s.reads(lane, member)
	return atomic.LoadUint64(s.cursor(lane, member)), yes, yes && s.isEvicted(lane, member)
}
