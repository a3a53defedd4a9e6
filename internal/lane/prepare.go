package lane

// writerReady is how many bytes of its lane a writer makes ready before the first message. A page
// costs it up to two microseconds.
const writerReady = 64 << 20

// Prepare prepares the first messages, so that they cost no page faults and find free slots. It
// calls populate with the first bytes of the lane, because a writer uses the slots of a new lane
// in order, from slot 0.
//
// Preconditions:
//   - populate does not change the memory.
//   - Nothing is on loan.
func (w *Writer) Prepare(populate func(pages []byte)) {
	at := uint64(w.lane) * w.set.o.Lane
	populate(w.set.payload[at : at+min(w.set.o.Lane, writerReady)])
	if len(w.free) == 0 {
		w.reclaim(len(w.retired))
	}
	// The private memory of a large lane consists of new pages, too.
	clear(w.out)
	clear(w.retired[len(w.retired):cap(w.retired)])
}
