package lane

import (
	"unsafe"

	"samepage/layout"
)

// These are the words of the lanes. Offsets come from the settings, which were checked against
// the sizes of the regions. Indices are less than the limits in the settings.

func (s *Set) at(off uint64) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(&s.live[0]), off) }

func (s *Set) word(off uint64) *uint64 { return (*uint64)(s.at(off)) }

func (s *Set) laneWord(lane int, off uint64) *uint64 {
	return s.word(s.o.Words + uint64(lane)*layout.LaneWordsSize + off)
}

// Owner is the word that names the writer of a lane.
func (s *Set) Owner(lane int) *uint64 { return s.laneWord(lane, 0) }

// Ends counts how often a lane's stream has ended: the lower half by Close, the upper half by
// death or Abort.
func (s *Set) Ends(lane int) *uint64 { return s.laneWord(lane, layout.LaneEndsOffset) }

func (s *Set) waits(lane int) *uint64 { return s.laneWord(lane, layout.LaneWaitsOffset) }

// Retired is not 0 if the topic was retired: then nobody publishes to it any more.
func (s *Set) Retired() *uint64 { return s.laneWord(0, layout.LaneRetiredOffset) }

// Head is a hint: the number of a lane's next message.
func (s *Set) Head(lane int) *uint64 { return s.laneWord(lane, layout.LaneHeadOffset) }

// Bytes is the number of bytes of all messages of a lane.
func (s *Set) Bytes(lane int) *uint64 { return s.laneWord(lane, layout.LaneBytesOffset) }

func (s *Set) limit(lane int) *uint64 { return s.laneWord(lane, layout.LaneLimitOffset) }

func (s *Set) readers(lane, w int) *uint64 {
	return s.laneWord(lane, layout.LaneReadersOffset+uint64(w)*8)
}

func (s *Set) evicted(lane, member int) *uint64 {
	return s.word(s.o.Evicted + uint64(lane)*s.o.Row + uint64(member)*8)
}

// keeps is the number of messages of a lane that a member may keep.
func (s *Set) keeps(lane, member int) *uint64 {
	return s.word(s.o.Keeps + uint64(lane)*s.o.Row + uint64(member)*8)
}

// used is the number of slots of a lane that writers have used.
func (s *Set) used(lane int) *uint64 { return s.laneWord(lane, layout.LaneUsedOffset) }

func (s *Set) cursor(lane, member int) *uint64 {
	return s.word(s.o.Cursors + (uint64(lane)*uint64(s.C.Readers)+uint64(member))*layout.CursorLineSize)
}

func (s *Set) incarnation(lane, member int) *uint64 {
	return s.word(s.o.Cursors + (uint64(lane)*uint64(s.C.Readers)+uint64(member))*layout.CursorLineSize + layout.CursorIncarnationOffset)
}

func (s *Set) pin(member, k int) *uint64 {
	return s.word(s.o.Pins + uint64(member)*s.o.PinRow + uint64(k)*8)
}

func (s *Set) namedWord(place int, off uint64) *uint64 {
	return s.word(s.o.Named + uint64(place)*s.o.NamedRow + off)
}

// NamedOwner is the word that names the member that reads under the name of a place.
func (s *Set) NamedOwner(place int) *uint64 { return s.namedWord(place, 0) }

// NamedKey is the layout.NameKey of the name of a place; 0: the place is free.
func (s *Set) NamedKey(place int) *uint64 { return s.namedWord(place, layout.NamedKeyOffset) }

// NamedNext is the number of the message of a lane that the reader of a place wants next; 0: it has
// acknowledged none.
func (s *Set) NamedNext(place, lane int) *uint64 {
	return s.namedWord(place, layout.NamedReaderSize+uint64(lane)*8)
}

// part has the entries and the slots of one lane.
type part struct {
	entries, slots unsafe.Pointer
	slotSize       uintptr
	n              uint32 // number of entries
	slotsN         uint32 // number of slots that this process may touch
	max            uint32 // bytes of the largest payload
}

func (s *Set) part(lane int) part {
	base := unsafe.Pointer(&s.payload[0])
	return part{
		unsafe.Add(base, uint64(lane)*s.o.Entries), unsafe.Add(base, s.o.Slots+uint64(lane)*s.o.Lane),
		uintptr(s.C.SlotSize), s.C.Entries, s.ready[lane].Load(), uint32(s.C.MaxSize),
	}
}

func (p *part) entry(i uint32) unsafe.Pointer {
	return unsafe.Add(p.entries, uintptr(i)*layout.EntrySize)
}

func (p *part) sequence(i uint32) *uint64 { return (*uint64)(p.entry(i)) }

// slotOf is the Slot of an entry.
func (p *part) slotOf(i uint32) *uint32 {
	return (*uint32)(unsafe.Add(p.entry(i), layout.EntrySlotOffset))
}

func (p *part) header(slot uint32) unsafe.Pointer {
	return unsafe.Add(p.slots, uintptr(slot)*p.slotSize)
}

func (p *part) generation(slot uint32) *uint64 { return (*uint64)(p.header(slot)) }

func (p *part) length(slot uint32) *uint32 {
	return (*uint32)(unsafe.Add(p.header(slot), layout.SlotLengthOffset))
}

// after is the Next of a slot: the slot that probably has the next message.
func (p *part) after(slot uint32) *uint32 {
	return (*uint32)(unsafe.Add(p.header(slot), layout.SlotNextOffset))
}

func (p *part) sum(slot uint32) *uint32 {
	return (*uint32)(unsafe.Add(p.header(slot), layout.SlotSumOffset))
}

func (p *part) time(slot uint32) *uint64 {
	return (*uint64)(unsafe.Add(p.header(slot), layout.SlotTimeOffset))
}

// payload is the first n bytes of a slot's payload, with a capacity of max.
func (p *part) payload(slot, n, max uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(p.header(slot), layout.SlotHeaderSize)), max)[:n:max]
}
