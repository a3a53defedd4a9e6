package lane

import (
	"fmt"
	"sync/atomic"

	"samepage/internal/fault"
)

// A set that was made later has no space for its slots at first: they are holes of a file. Who
// needs slots reserves them, and gets the error if there is no space (docs/protocol/lane.md,
// Space). The rule for all: a process touches a slot only after it has itself reserved all slots up
// to that one. So no word that another process wrote makes it touch a hole.

// Later says that the payload may have no space. reserve must reserve n bytes of it at off, so that
// they can be read and written. It is also called for bytes that have space. more says how many of
// them probably have none.
//
// Preconditions:
//   - The Set is not used yet.
//   - reserve may be called by several goroutines.
func (s *Set) Later(reserve func(off, n, more uint64) error) {
	s.reserve = reserve
	for i := range s.ready {
		s.ready[i].Store(0)
	}
}

// ReserveEntries reserves the entries of all lanes. Each member must call it before it reads or
// writes. Errors: those of reserve.
func (s *Set) ReserveEntries() error {
	if s.reserve == nil || s.o.Slots == 0 {
		return nil
	}
	if err := s.reserve(0, s.o.Slots, 0); err != nil {
		return fmt.Errorf("the entries of all lanes need %d bytes (a smaller Depth needs less): %w", s.o.Slots, err)
	}
	return nil
}

// ReserveWriter reserves the slots that a writer needs.
//
// Preconditions:
//   - The caller has won the lane's Owner word. In a cell it need not.
//
// Errors: those of reserve.
func (s *Set) ReserveWriter(lane int) error {
	n := max(s.demand(lane), s.usedSlots(lane))
	if err := s.reserveSlots(lane, n); err != nil {
		return err
	}
	if s.C.Lanes > 0 {
		s.setUsed(lane, n)
	}
	fault.At(fault.LaneReserved)
	return nil
}

// Keep says that a member will keep up to n messages of a lane that are not in the ring any more,
// and reserves the slots that its writer then needs. After an error nothing has changed.
//
// Preconditions:
//   - The caller is the member.
//
// Errors: those of reserve.
func (s *Set) Keep(lane, member int, n int) error {
	word := s.keeps(lane, member)
	old := atomic.LoadUint64(word)
	// A full fence. Pairs with O1: either this member sees the writer and reserves for it, or the
	// writer sees this word.
	atomic.StoreUint64(word, uint64(n))
	fault.At(fault.LaneKeeps)
	need := s.usedSlots(lane)
	if s.C.Lanes == 0 || atomic.LoadUint64(s.Owner(lane)) != 0 {
		need = max(need, s.demand(lane))
	}
	if err := s.reserveSlots(lane, need); err != nil {
		atomic.StoreUint64(word, old)
		return err
	}
	return nil
}

// Release says that a member keeps nothing any more.
//
// Preconditions:
//   - The caller is the member, or holds its lock byte. It has no pin in the lane.
func (s *Set) Release(lane, member int) { atomic.StoreUint64(s.keeps(lane, member), 0) }

// demand is the number of slots that a writer needs for itself, and for all that members may keep.
func (s *Set) demand(lane int) uint32 {
	n := s.C.WriterSlots()
	for m := range int(s.C.Readers) {
		n += min(atomic.LoadUint64(s.keeps(lane, m)), uint64(s.C.Pins))
	}
	return uint32(min(n, uint64(s.C.Slots)))
}

// usedSlots is the number of slots that writers have used.
func (s *Set) usedSlots(lane int) uint32 {
	return uint32(min(atomic.LoadUint64(s.used(lane)), uint64(s.C.Slots)))
}

// setUsed makes n the number of slots that are used, if it is more than before. RELEASE, before any
// of them is used.
func (s *Set) setUsed(lane int, n uint32) {
	if word := s.used(lane); atomic.LoadUint64(word) < uint64(n) {
		atomic.StoreUint64(word, uint64(n))
	}
}

// refresh reserves the slots that writers have used since this process reserved the last time. It
// returns the number of slots that this process may touch.
func (s *Set) refresh(lane int) uint32 {
	_ = s.reserveSlots(lane, s.usedSlots(lane)) // it fails only if Used is wrong
	return s.ready[lane].Load()
}

// reserveSlots reserves the slots 0 to n - 1 of a lane.
func (s *Set) reserveSlots(lane int, n uint32) error {
	have := s.ready[lane].Load()
	if n <= have {
		return nil
	}
	size := s.C.SlotSize
	var more uint64
	if first := max(have, s.usedSlots(lane)); n > first {
		more = uint64(n-first) * size
	}
	if err := s.reserve(s.o.Slots+uint64(lane)*s.o.Lane+uint64(have)*size, uint64(n-have)*size, more); err != nil {
		if more == 0 {
			more = uint64(n-have) * size
		}
		what, smaller := "messages", "MaxSize or Depth"
		if s.C.Lanes == 0 {
			what, smaller = "values", "size"
		}
		return fmt.Errorf("%d %s of up to %d bytes need %d bytes more (a smaller %s needs less): %w", n, what, s.C.MaxSize, more, smaller, err)
	}
	for have < n && !s.ready[lane].CompareAndSwap(have, n) {
		have = s.ready[lane].Load()
	}
	return nil
}

// grow adds a slot to those that the writer uses. There is no free one: more messages are on loan
// than before, or a member keeps more.
func (s *slots) grow() bool {
	slot := s.slotsN
	if slot >= s.set.C.Slots {
		return false
	}
	if s.noSpace = s.set.reserveSlots(s.lane, slot+1); s.noSpace != nil {
		return false
	}
	s.slotsN++
	s.set.setUsed(s.lane, s.slotsN)
	if s.populate != nil {
		at := s.set.o.Slots + uint64(s.lane)*s.set.o.Lane + uint64(slot)*s.set.C.SlotSize
		s.populate(s.set.payload[at : at+min(s.set.C.SlotSize, writerReady)])
	}
	atomic.StoreUint64(s.generation(slot), 0) // F1: a former writer may have used it
	s.retire(slot)
	s.reclaim(len(s.retired))
	return true
}

// NoSpace is the error because of which the last Loan found no slot. It is nil if all loans were
// taken.
func (s *slots) NoSpace() error { return s.noSpace }
