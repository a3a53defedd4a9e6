package laneseg

import (
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/layout"
)

// These are the methods of a Writer for packs (docs/protocol/lane.md, Packs). In a segment with
// packs each message of the lane.Writer is a pack, and Next and Lag count the messages in the
// packs.

// packing is the part of a Writer for packs.
type packing struct {
	largest uint64 // bytes of the largest message
	front   uint32 // bytes of a slot's payload before the first message: a PackHeader, or 0
	room    uint32 // bytes of the messages of a pack; 0: no packs
	number  uint64 // of the next message, if there are packs
}

// startPacks finds the number of the next message. The caller has become the writer of the lane.
func (w *Writer) startPacks() {
	w.largest = w.set.C.Largest()
	if w.room = w.set.C.Pack; w.room == 0 {
		return
	}
	w.front = layout.PackHeaderSize
	last := w.Writer.Next() - 1
	h, err := layout.ParsePack(w.Written(last), uint32(w.largest))
	n := min(max(atomic.LoadUint64(w.set.Number(w.Lane())), 1), layout.MaxNumber-1)
	w.number = n
	if last > 0 && err == nil { // else the newest pack is damaged, or there is none
		w.number = h.First + uint64(h.Count)
		if n <= layout.MaxNumber/2 { // it is more if the writer before has left out numbers after its last pack
			w.number = max(w.number, n)
		}
	}
	if last > 0 { // else readers would take 1 for the number of the first pack, see joinPacks
		w.SetNumber(w.number)
	}
}

// Largest returns the size of the largest message, in bytes.
func (w *Writer) Largest() uint64 { return w.largest }

// Packs says whether messages are published in packs.
func (w *Writer) Packs() bool { return w.room > 0 }

// PackRoom returns the bytes of the messages of a pack. Each message takes its size, rounded up to
// a multiple of layout.PackAlign. If the messages have different sizes, or size 0, each takes 4
// bytes more, and the sum of these is rounded up.
func (w *Writer) PackRoom() uint32 { return w.room }

// Place returns where the caller writes a message of n bytes. In a segment with packs this is the
// place of the first message of a pack whose messages have one size.
//
// Preconditions:
//   - slot is on loan, and n is at most Largest.
func (w *Writer) Place(slot, n uint32) []byte { return w.Payload(slot)[w.front : w.front+n] }

// Next returns the number of the next message.
func (w *Writer) Next() uint64 {
	if w.room > 0 {
		return w.number
	}
	return w.Writer.Next()
}

// Skip leaves out n numbers: readers miss so many messages. They count them with the next pack, or
// when the stream ends.
//
// Preconditions:
//   - There are packs, and n is at most layout.MaxNumber - Next.
func (w *Writer) Skip(n uint64) {
	w.number += n
	w.SetNumber(w.number) // K0. RELEASE: after all packs before
}

// Lag returns the number of messages by which the slowest reliable reader is behind. All messages
// of a pack count until the reader has let go of the pack.
func (w *Writer) Lag() uint64 {
	lag := w.Writer.Lag()
	if w.room == 0 || lag == 0 {
		return lag
	}
	h, err := layout.ParsePack(w.Written(w.Writer.Next()-lag), uint32(w.largest))
	if err != nil || h.First+lag > w.number { // the pack is damaged, or its reader
		return lag
	}
	return w.number - h.First
}

// PublishEven publishes a pack of count messages of size bytes each (K1 to K3). If ring is false,
// it is like PublishUnrung.
//
// Preconditions:
//   - Those of Publish.
//   - The messages are at their places, they fit into PackRoom, and count is at least 1.
func (w *Writer) PublishEven(slot, count, size uint32, ring bool) {
	n := layout.PackHeaderSize + (count-1)*layout.PackAligned(size) + size
	if size == 0 {
		n = layout.PackHeaderSize + layout.PackAligned(4*count)
		clear(w.Payload(slot)[layout.PackHeaderSize:n]) // all lengths are 0
	}
	w.publishPack(slot, count, size, n, ring)
}

// PublishMixed publishes a pack of count messages, of n bytes with the header, like PublishEven.
//
// Preconditions:
//   - Those of Publish.
//   - The lengths and the messages are at their places, and count is at least 1.
func (w *Writer) PublishMixed(slot, count, n uint32, ring bool) {
	w.publishPack(slot, count, 0, n, ring)
}

func (w *Writer) publishPack(slot, count, size, n uint32, ring bool) {
	h := layout.PackHeader{First: w.number, Count: count, Size: size}
	h.Put(w.Payload(slot)) // K1
	w.Seal(slot, n)
	w.number += uint64(count)
	if ring { // K2
		w.Publish(slot, n)
	} else {
		w.PublishUnrung(slot, n)
	}
	fault.At(fault.PackUnnumbered)
	w.SetNumber(w.number) // K3
}
