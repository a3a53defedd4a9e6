package lane

import (
	"sync/atomic"

	"samepage/layout"
)

// A watcher copies messages or values without being a member. It has no pin word, so nothing keeps
// the slot while it copies. Its steps are those of a best-effort reader, with a pin that nobody
// sees, and then V1 to V3 of docs/protocol/lane.md. Only what V3 has confirmed is used. A watcher
// stores nothing in shared memory, so its mapping may be read-only.

// nobody stands for a member where a watcher has none. Nothing is stored in the words of slot 0.
var nobody = layout.OwnerOf(0, 0)

// Watcher copies the messages of a lane. Of the methods of Reader it has those of a best-effort
// reader, except Leave. Only one goroutine at a time may call its methods.
type Watcher struct {
	Reader
	private uint64 // in place of the pin word
}

// NewWatcher begins to watch a lane. from is as in NewReader.
func NewWatcher(s *Set, lane int, from uint64) *Watcher {
	w := &Watcher{Reader: *NewReader(s, lane, nobody, false, from)}
	w.pin, w.only = &w.private, true // nobody shares the private word
	return w
}

// SeekNewest makes the newest message the next one.
func (w *Watcher) SeekNewest() {
	q := atomic.LoadUint64(w.set.Head(w.lane)) - 1 // a hint
	if q == 0 || q >= maxSequence || !w.reached(q) {
		q = newest(&w.part)
	}
	for range 16 { // a dead writer may have left a late hint
		if !w.reached(q + 1) {
			break
		}
		q++
	}
	// The last message that was taken may have no entry yet.
	if w.next == q+2 {
		q++
	}
	w.seek(max(q, 1))
	w.missed = 0
}

// reached says whether the entry of message q has this message or a later one.
func (w *Watcher) reached(q uint64) bool {
	i := uint32(q % uint64(w.n))
	s := atomic.LoadUint64(w.sequence(i))
	return s >= q && belongs(s, i, w.n)
}

// Copied is what a watcher has copied together with the payload.
type Copied struct {
	Sum  uint32
	Time int64 // nanoseconds since 1970
}

// Copy copies the first len(dst) bytes of a message. It returns false if the message was
// overwritten meanwhile: then dst has no meaning.
//
// Preconditions:
//   - Try has just returned true for m.
//   - dst is not longer than m.Len.
func (w *Watcher) Copy(m *Message, dst []byte) (c Copied, ok bool) {
	if c, ok = w.copy(m, dst, &w.private); !ok {
		w.seek(w.next) // Next, too, may have been of another message
	}
	return c, ok
}

func (p *part) copy(m *Message, dst []byte, private *uint64) (c Copied, ok bool) {
	copy(dst, p.payload(m.Slot, m.Len, m.Len)) // V1
	c = Copied{atomic.LoadUint32(p.sum(m.Slot)), int64(atomic.LoadUint64(p.time(m.Slot)))}
	// V2, a full fence: V1 is done before V3. Pairs with F2.
	atomic.StoreUint64(private, 0)
	return c, atomic.LoadUint64(p.generation(m.Slot)) == m.Seq // V3
}

// CellWatcher copies the value of a cell. Only one goroutine at a time may call its methods.
type CellWatcher struct {
	CellReader
	private uint64 // in place of the pin word
}

// NewCellWatcher begins to watch a cell.
func NewCellWatcher(s *Set) *CellWatcher {
	w := &CellWatcher{CellReader: *NewCellReader(s, nobody)}
	w.pin = &w.private
	return w
}

// Copy is Watcher.Copy for a value.
//
// Preconditions:
//   - Load has just returned m.
//   - dst is not longer than m.Len.
func (w *CellWatcher) Copy(m *Message, dst []byte) (c Copied, ok bool) {
	if c, ok = w.copy(m, dst, &w.private); !ok {
		w.seen = 0 // the next Load looks at the slot again
	}
	return c, ok
}
