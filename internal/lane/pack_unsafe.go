package lane

import (
	"sync/atomic"
	"unsafe"

	"samepage/layout"
)

// These are the parts of lanes with packs (docs/protocol/lane.md, Packs). The lane itself does not
// know that its messages are packs.

// Number is a hint: the number of the next message in a lane with packs.
func (s *Set) Number(lane int) *uint64 { return s.laneWord(lane, layout.LaneNumberOffset) }

// SetNumber stores Number (K3).
func (w *Writer) SetNumber(n uint64) { storeRelease(w.set.Number(w.lane), n) }

// Written returns the payload of message q, or nil if q is not in the ring any more, or is damaged.
func (w *Writer) Written(q uint64) []byte {
	slot := w.ring[q%uint64(w.n)]
	if slot == noSlot || atomic.LoadUint64(w.generation(slot)) != q {
		return nil
	}
	n := atomic.LoadUint32(w.length(slot))
	if n > w.max {
		return nil
	}
	return w.payload(slot, n, n)
}

// Part returns n bytes of the payload of a message, from the offset at. They must not be written.
//
// Preconditions:
//   - Those of Payload.
//   - at + n is at most the size of a slot's payload.
func (r *Reader) Part(m *Message, at, n uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(r.header(m.Slot), uintptr(at)+layout.SlotHeaderSize)), n)
}

// SettleTaken is Settle for a caller that still reads the message that it took last.
func (r *Reader) SettleTaken() (ring bool) {
	if !r.dirty {
		return false
	}
	r.dirty, r.stored = false, r.next-1
	atomic.StoreUint64(r.cursor, r.next-1)
	return atomic.LoadUint64(r.waits) != 0
}
