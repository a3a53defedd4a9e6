package lane

import (
	"sync/atomic"

	"samepage/internal/edge"
)

// For the race detector (package edge): Set.Edges are the words of a topic or a cell in
// mapped memory. On other memory there are none, and the detector judges the protocol
// itself.
//
// Each slot has two. What a writer has done before it publishes the message in the slot
// comes before what those do who take that message: not before what others do who have
// only taken an earlier one. What they do before they let it go comes before the slot's
// next use.
const (
	// EdgeLease: from one writer of a cell to the next.
	EdgeLease = iota
	// EdgeReaders: from readers that come and go to a writer that counts them.
	EdgeReaders
	// EdgeWriters: from the writer of a lane that ends its stream to the next one, and to
	// readers that are told of the end. Lane l has word EdgeWriters + l.
	EdgeWriters = 1 << 10
	edgePublish = 1 << 32 // and one more for each slot of all lanes
	edgeLetGo   = 2 << 32
)

// EdgeRelease and EdgeAcquire are for words that have no method of their own.
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

// published is called before the message in a slot is published.
func (s *Set) published(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Release(edgePublish + s.number(lane, slot))
	}
}

// took is called when the message in a slot was taken.
func (s *Set) took(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Acquire(edgePublish + s.number(lane, slot))
	}
}

// Done is to be called before the message in a slot is let go, by LetGo, Leave or Unpin.
func (s *Set) Done(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Release(edgeLetGo + s.number(lane, slot))
	}
}

// reuse is called by a writer when readers have let a slot go.
func (s *Set) reuse(lane int, slot uint32) {
	if edge.Enabled {
		s.Edges.Acquire(edgeLetGo + s.number(lane, slot))
	}
}

// Saw is to be called by who was told that the value has changed, and has not loaded it
// yet.
func (r *CellReader) Saw() {
	if edge.Enabled {
		if slot := uint32(atomic.LoadUint64(r.word) & (1<<cellSlotBits - 1)); slot < r.slotsN {
			r.set.took(0, slot)
		}
	}
}

// sawLag: all messages but the last lag were let go.
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
