package call

import (
	"fmt"

	"samepage/layout"
)

// The call slots of a new service are holes of a file, except for their words. A process touches
// the request or the response of a slot only after it has itself reserved the slot
// (docs/protocol/service.md, Space).

// wordsPage is the least space that a file system gives: a page. Words that are far from each other
// take one or two each.
const wordsPage = 4096

// Later says that the payload may have no space, and reserves what all members touch: the words of
// all slots. isNew says that the service has just been made. reserve must reserve n bytes of the
// payload at off. It is also called for bytes that have space; more says how many of them probably
// have none.
//
// Preconditions:
//   - The Set is not used yet.
//   - reserve may be called by several goroutines.
//
// Errors: those of reserve.
func (s *Set) Later(isNew bool, reserve func(off, n, more uint64) error) error {
	s.reserve = reserve
	part := func(off, n uint64) error {
		more := uint64(0)
		if isNew {
			more = n
		}
		if err := reserve(off, n, more); err != nil {
			return fmt.Errorf("%d call slots of %d bytes need space for their words (fewer Calls or Parts need less): %w", s.C.Calls, s.o.Slot, err)
		}
		return nil
	}
	if s.o.Slot <= 2*wordsPage*uint64(1+s.C.Parts) {
		return part(0, s.o.Payload) // nothing would be gained
	}
	for slot := range s.Calls() {
		s.ready[slot].Store(false)
		if err := part(s.slotAt(slot), s.o.Ask+layout.CallAskSize); err != nil {
			return err
		}
		for k := range s.C.Parts {
			if err := part(s.partAt(slot, k), layout.CallAnswerSize+layout.MinErrorRoom); err != nil {
				return err
			}
		}
	}
	return nil
}

// Used says whether a call was ever asked in a slot. Then it probably has space.
func (s *Set) Used(slot int) bool { return s.StateOf(slot).Number() != 0 }

// Reserve reserves a slot for its request and response.
//
// Errors: those of reserve, see Later.
func (s *Set) Reserve(slot int) error {
	if s.ready[slot].Load() {
		return nil
	}
	more := uint64(0)
	if !s.Used(slot) {
		more = s.o.Slot
	}
	if err := s.reserve(s.slotAt(slot), s.o.Slot, more); err != nil {
		return fmt.Errorf("a call slot needs %d bytes (a smaller Request or Response needs less): %w", s.o.Slot, err)
	}
	s.ready[slot].Store(true)
	return nil
}

// InUse is the number of bytes of the payload that have space when so many calls are made at a
// time.
func InUse(c *layout.ServiceConfig, o *layout.ServiceOffsets, calls int) uint64 {
	words := 2 * wordsPage * uint64(1+c.Parts)
	if o.Slot <= words {
		return o.Payload
	}
	all := uint64(c.Calls)
	n := min(uint64(calls), all)
	return n*o.Slot + (all-n)*words
}
