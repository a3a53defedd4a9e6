package lane

// writerReady is how many bytes of its lane a writer makes ready before the first message. A page
// costs it up to two microseconds.
const writerReady = 64 << 20

// Prepare prepares the first messages, so that they cost no page faults and find free slots. It
// calls populate with the entries and the first slots that have space, because a writer uses the
// slots of a new lane in order, from slot 0. It keeps populate for the slots that it needs later.
//
// Preconditions:
//   - populate does not change the memory, and may be called until the last Loan.
//   - Nothing is on loan.
func (w *Writer) Prepare(populate func(pages []byte)) {
	w.populate = populate
	at := uint64(w.lane) * w.set.o.Entries
	populate(w.set.payload[at : at+w.set.o.Entries])
	at = w.set.o.Slots + uint64(w.lane)*w.set.o.Lane
	populate(w.set.payload[at : at+min(uint64(w.slotsN)*w.set.C.SlotSize, writerReady)])
	if len(w.free) == 0 {
		w.reclaim(len(w.retired))
	}
	// The private memory of a large lane consists of new pages, too.
	clear(w.out)
	clear(w.retired[len(w.retired):cap(w.retired)])
}
