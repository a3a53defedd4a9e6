package lane

import (
	"sync/atomic"

	"samepage/internal/edge"
)

// This file is for the race detector (package edge). Set.Edges are the words of a topic or a cell
// in mapped memory. On other memory there are no such words, and the detector checks the protocol
// itself.
//
// Each slot has two words. What a writer does before it publishes the message in the slot happens
// before what the readers of that message do. It does not happen before what a reader does that
// has only taken an earlier message. What a reader does before it releases the message happens
// before the next use of the slot.
const (
	// EdgeLease orders one writer of a cell before the next.
	EdgeLease = iota
	// EdgeReaders orders readers that come and go before a writer that counts them.
	EdgeReaders
	// EdgeWriters orders the writer of a lane that ends its stream before the next writer, and
	// before the readers that learn of the end. Lane l has word EdgeWriters + l.
	EdgeWriters = 1 << 10
	edgePublish = 1 << 32 // and one word for each slot of all lanes
	edgeLetGo   = 2 << 32
)

// EdgeRelease and EdgeAcquire are for words without a method of their own.
func (s *Set) EdgeRelease(n uint64) {
	if edge.Enabled {
		s.Edges.Release(n)
	}
}

func (s *Set) EdgeAcquire(n uint64) {
	if edge.Enabled {
		s.Edges.Acquire(n)
	}
}

// published must be called before the message in a slot is published.
func (s *Set) published(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Release(edgePublish + s.number(lane, slot))
	}
}

// took must be called after the message in a slot was taken.
func (s *Set) took(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Acquire(edgePublish + s.number(lane, slot))
	}
}

// Done must be called before the message in a slot is released by LetGo, Leave or Unpin.
func (s *Set) Done(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Release(edgeLetGo + s.number(lane, slot))
	}
}

// reuse must be called by a writer after readers have released a slot.
func (s *Set) reuse(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Acquire(edgeLetGo + s.number(lane, slot))
	}
}

// Saw must be called by a reader that has learned that the value has changed, and has not loaded
// it yet.
func (r *CellReader) Saw() {
	if edge.Enabled {
		if slot := uint32(atomic.LoadUint64(r.word) & (1<<cellSlotBits - 1)); slot < r.slotsN {
			r.set.took(0, slot)
		}
	}
}

// sawLag says that all messages except the last lag messages were released.
func (w *Writer) sawLag(lag uint64) {
	if edge.Enabled {
		n := uint64(w.n)
		for q := w.next - min(w.next, n); q+lag < w.next; q++ {
			if slot := w.ring[q%n]; slot != noSlot {
				w.set.reuse(w.lane, slot)
			}
		}
	}
}
