package lane

import (
	"math/bits"
	"sync/atomic"

	"samepage/internal/fault"
)

// This is the life of a slot. Each slot is in one of four states:
//
//	                                                    entry (a cell: Commit)
//	hole
//	 | grow, and Generation = 0, F2, F3
//	 v     loan            TakeBack, Publish          a later message takes its
//	free ---------> on loan -----------------> in the ring ---------------> retired
//	^  ^               |                                                    |  |  ^
//	|  +---------------+                                                    |  +--+
//	|  TakeBack, Discard                                    a pin or Evicted names it
//	|                                                                       |
//	+-----------------------------------------------------------------------+
//	  reclaim: F1 Generation = 0, F2 fence, F3 neither a pin nor Evicted names it
//
// free: no reader reads the slot, and its Generation is 0. The slot that became free last is used
// first.
//
// on loan: the writer's caller writes the payload. Generation is 0 until Publish (a cell: until
// Commit).
//
// in the ring: an Entry (a cell: Current) names the slot, and its Generation is the number of the
// message. The writer does not touch the slot. Readers read it: those that are at this message,
// and those that pin the slot.
//
// retired: no Entry names the slot any more, but a reader may still read it. The slot that was
// retired first is reclaimed first.
//
// slots is what the writer knows about its slots. It is private memory of the writer. The next
// writer finds it again from the ring (O2 to O4). docs/protocol/lane.md gives the reasons.
type slots struct {
	part
	set  *Set
	lane int

	free    []uint32 // the last one is used first
	retired []uint32 // in the order in which they were retired
	pinned  []uint64 // one bit for each slot, used while reclaiming
	out     []uint64 // one bit for each slot: it is on loan
	lent    []uint32 // slots in the order of their loans; some may be back already
	oldest  int      // index in lent of the first one that may still be on loan
	zeroed  bool     // the Generation of all retired slots is 0
	loans   int      // number of slots on loan
	most    int      // largest number of slots on loan
	noSpace error    // the last loan failed because of it

	populate func(pages []byte) // see Prepare
}

func newSlots(s *Set, lane int) slots {
	n := int(s.C.Slots)
	return slots{
		part: s.part(lane), set: s, lane: lane,
		free: make([]uint32, 0, n), retired: make([]uint32, 0, n), pinned: make([]uint64, (n+63)/64),
		out: make([]uint64, (n+63)/64), most: int(s.C.Loans), lent: make([]uint32, 0, mostLent),
	}
}

// loan takes a free slot, and reclaims slots if there is none. It returns false if the largest
// number of slots is on loan.
//
// Preconditions:
//   - The caller holds Owner (a cell: the lease).
//   - Only one goroutine at a time calls it.
func (s *slots) loan() (uint32, bool) {
	n := len(s.free) - 1
	if s.loans >= s.most || n < 0 {
		return s.loanSlowly()
	}
	slot := s.free[n]
	s.free = s.free[:n]
	s.out[slot/64] |= 1 << (slot % 64)
	s.loans++
	if len(s.lent) == mostLent {
		s.tidy()
	}
	if len(s.lent) < mostLent {
		s.lent = append(s.lent, slot)
	}
	s.set.reuse(s.lane, slot)
	return slot, true
}

// mostLent is the largest length of lent. It is only for predictions, so it may miss loans.
const mostLent = 128

// tidy removes the slots from lent that are not on loan any more. If there are many loans, it does
// nothing, because it would be called for almost each loan.
func (s *slots) tidy() {
	if s.loans > mostLent/2 {
		return
	}
	k := mostLent
	for i := k - 1; i >= s.oldest; i-- {
		// A slot may be there twice. The bit is cleared meanwhile, so only the last one is kept.
		if slot, bit := s.lent[i], uint64(1)<<(s.lent[i]%64); s.out[slot/64]&bit != 0 {
			s.out[slot/64] &^= bit
			k--
			s.lent[k] = slot
		}
	}
	kept := s.lent[k:]
	for _, slot := range kept {
		s.out[slot/64] |= 1 << (slot % 64)
	}
	s.lent, s.oldest = s.lent[:copy(s.lent, kept)], 0
}

// TakeBack ends the loan of a slot. The caller then publishes or discards the slot. TakeBack
// returns false if the slot is not on loan, because a caller may end the same loan twice.
//
// Preconditions:
//   - slot came from a Loan of this writer.
func (s *slots) TakeBack(slot uint32) bool {
	bit := uint64(1) << (slot % 64)
	if s.out[slot/64]&bit == 0 {
		return false
	}
	s.out[slot/64] &^= bit
	if s.loans--; s.loans == 0 {
		s.lent, s.oldest = s.lent[:0], 0
	}
	return true
}

// looks is how often the writer looks for a slot before it reports that there is no space. One look
// may count the pins of a member that leaves meanwhile and of one that comes meanwhile.
const looks = 4

func (s *slots) loanSlowly() (uint32, bool) {
	s.noSpace = nil
	if s.loans >= s.most {
		return 0, false
	}
	for range looks {
		s.reclaim(len(s.retired))
		for len(s.free) == 0 && s.grow() {
		}
		if len(s.free) > 0 {
			s.noSpace = nil
			return s.loan()
		}
	}
	return 0, false
}

// Discard makes a slot free.
//
// Preconditions:
//   - TakeBack of the slot returned true, and the slot was not published or discarded since.
func (s *slots) Discard(slot uint32) { s.free = append(s.free, slot) }

// likely is the slot that the next message will probably have: the one that is on loan for the
// longest time, or the next free one, or the one that will be reclaimed next.
func (s *slots) likely() uint32 {
	if s.loans > 0 {
		for ; s.oldest < len(s.lent); s.oldest++ {
			if slot := s.lent[s.oldest]; s.out[slot/64]>>(slot%64)&1 != 0 {
				return slot
			}
		}
	}
	if n := len(s.free); n > 0 {
		return s.free[n-1]
	}
	if n := len(s.retired); n > 0 {
		return s.retired[n-1]
	}
	return 0
}

// retire keeps a slot until no reader can read it any more.
//
// Preconditions:
//   - No Entry names the slot (a cell: Current does not name it).
func (s *slots) retire(slot uint32) { s.retired = append(s.retired, slot) }

// reclaim frees those of the first n retired slots that nobody has pinned.
//
// Preconditions:
//   - n is at most the number of retired slots.
func (s *slots) reclaim(n int) {
	if n == 0 {
		return
	}
	// F1. RELEASE, so that earlier reads of the slot are not mixed with later writes. The writer of
	// a lane has done it before, except for the slots that it found when it came.
	if !s.zeroed {
		zeroAll(s.slots, s.slotSize, s.retired[:n])
		s.zeroed = s.set.C.Lanes > 0
	}
	atomic.StoreUint64(s.generation(s.retired[n-1]), 0) // F2, a full fence: pairs with B3
	fault.At(fault.LaneReclaim)
	s.markPinned() // F3
	kept := s.retired[:0]
	// The slot that was on top before stays on top: readers were told of it (SlotHeader.Next).
	first := len(s.free)
	for i, slot := range s.retired {
		if i >= n || s.pinned[slot/64]>>(slot%64)&1 != 0 {
			kept = append(kept, slot)
			continue
		}
		s.free = append(s.free, slot)
	}
	if n := len(s.free); first > 0 && n > first {
		s.free[first-1], s.free[n-1] = s.free[n-1], s.free[first-1]
	}
	s.retired = kept
}

// markPinned loads all pins of members that may keep a message of this lane. It loads the first pin
// of each member first, because a message that is held moves from the first pin to one of the
// others.
func (s *slots) markPinned() {
	clear(s.pinned)
	first := s.set.number(s.lane, 0)
	for m := range int(s.set.C.Readers) {
		if atomic.LoadUint64(s.set.keeps(s.lane, m)) == 0 {
			continue // a pin that is set after H1 is set after F2, so B4 fails
		}
		for k := range int(s.set.C.Pins) {
			// Number 0 means none. This comparison also excludes slots of other lanes.
			if i := atomic.LoadUint64(s.set.pin(m, k)) - 1 - first; i < uint64(s.slotsN) {
				s.pinned[i/64] |= 1 << (i % 64)
			}
		}
	}
	if s.set.C.EvictAfter == 0 || s.set.C.Lanes == 0 {
		return
	}
	s.set.eachReader(s.lane, func(m int) {
		ev := atomic.LoadUint64(s.set.evicted(s.lane, m))
		if i := ev&(1<<32-1) - 1; i < uint64(s.slotsN) && s.set.isEvicted(s.lane, m) {
			s.pinned[i/64] |= 1 << (i % 64)
		}
	})
}

// eachReader calls f for each reliable reader of a lane.
func (s *Set) eachReader(lane int, f func(member int)) {
	n := int(s.C.Readers)
	for w := range (n + 63) / 64 {
		for set := atomic.LoadUint64(s.readers(lane, w)); set != 0; set &= set - 1 {
			if m := w*64 + bits.TrailingZeros64(set); m < n {
				f(m)
			}
		}
	}
}
