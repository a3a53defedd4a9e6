package laneseg

import (
	"context"
	"fmt"
	"io/fs"
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// CellWriter writes the value of a cell: a lane.CellWriter that waits for its turn. The section
// "The cell" of docs/protocol/lane.md has the protocol.
//
// Its states:
//
//	joined --Begin--> at work --Commit, Discard--> joined
//
// While it is at work, the Owner word (the lease) names its member, and nobody else writes the
// words of the cell. Begin gives a slot on loan. Payload returns the bytes to write to, and Current
// the latest value. TakeBack ends the loan, and must be called before Commit and Discard.
//
// Only one goroutine at a time may call the methods, except Working, which any goroutine may call.
// A CellWriter must not be copied: while it waits, the death watch has its address. It does not
// close the Handle.
type CellWriter struct {
	lane.CellWriter
	h          *segment.Handle
	set        *lane.Set
	sum, times bool
	owner      *uint64
	me         uint64
}

// Join makes the member of h a writer.
//
// Preconditions:
//   - w is the zero value.
//   - h has joined, and its payload is mapped for writing.
//
// Errors: syserr.ErrNoSpace. Then the member has no role.
func (w *CellWriter) Join(h *segment.Handle, set *lane.Set) error {
	if err := set.ReserveWriter(0); err != nil {
		return err
	}
	h.SetRole(layout.RoleWriter)
	h.WakeOnLeave = true // some may wait as long as there is a writer
	*w = CellWriter{
		CellWriter: *lane.NewCellWriter(set, h.Me()), h: h, set: set,
		sum: set.C.Flags&layout.LaneChecksum != 0, times: set.C.Flags&layout.LaneTime != 0,
		owner: set.Owner(0), me: uint64(h.Me()),
	}
	return nil
}

// Working says whether this writer is at work.
func (w *CellWriter) Working() bool { return atomic.LoadUint64(w.owner) == w.me }

// Begin waits for the lease, and takes a slot on loan.
//
// Errors: object.ErrTooManyHolds (this writer is at work already), syserr.ErrNoSpace (only if a
// member breaks the protocol), ErrClosed, the error of ctx.
func (w *CellWriter) Begin(ctx context.Context) (uint32, error) {
	if w.h.Closed() {
		return 0, fs.ErrClosed
	}
	if w.Working() {
		return 0, fmt.Errorf("this writer has a value on loan: %w", object.ErrTooManyHolds)
	}
	if !w.claim() {
		if err := w.h.Wait(ctx, (*turnWait)(w)); err != nil {
			// Nothing else shows the user that another writer is stopped in the middle of its turn.
			if who, ok := w.h.WhoIs(layout.Owner(atomic.LoadUint64(w.owner))); ok && ctx.Err() != nil {
				err = fmt.Errorf("blocked by the turn of %v: %w", who, err)
			}
			return 0, err
		}
	}
	slot, ok := w.CellWriter.Begin()
	if !ok {
		w.end()
		if err := w.NoSpace(); err != nil {
			return 0, err
		}
		return 0, object.ErrTooManyHolds // impossible: there are enough slots
	}
	return slot, nil
}

// claim takes the lease, if it is free. ACQUIRE, and a full fence: this writer sees everything that
// the writer before has written.
func (w *CellWriter) claim() bool {
	if atomic.LoadUint64(w.owner) != 0 || !atomic.CompareAndSwapUint64(w.owner, 0, w.me) {
		return false
	}
	w.set.EdgeAcquire(lane.EdgeLease)
	return true
}

// Commit makes n bytes in a slot the value, and ends the turn.
//
// Preconditions:
//   - The loan of the slot was taken back.
func (w *CellWriter) Commit(slot, n uint32) {
	var sum uint32
	var now int64
	if w.sum || w.times {
		sum, now = seal(w.Payload(slot)[:n], w.sum, w.times)
	}
	w.CellWriter.Commit(slot, n, sum, now)
	w.giveBack() // the same as end, but without the call
	if w.h.Asleep() {
		w.h.WakeAll()
	}
}

// Discard ends the turn. The cell keeps its value.
//
// Preconditions:
//   - The loan of the slot was taken back.
func (w *CellWriter) Discard(slot uint32) {
	w.CellWriter.Discard(slot)
	w.end()
}

// end gives the lease back, and rings the members that wait for the lease or for a new value.
func (w *CellWriter) end() {
	w.giveBack()
	if w.h.Asleep() {
		w.h.WakeAll()
	}
}

// giveBack gives the lease back. A full fence.
func (w *CellWriter) giveBack() {
	fault.At(fault.LaneEnding)
	w.set.EdgeRelease(lane.EdgeLease)
	atomic.CompareAndSwapUint64(w.owner, w.me, 0)
}

// turnWait is the segment.Condition of a writer that waits for the lease.
type turnWait CellWriter

func (t *turnWait) Try() (bool, error) { return (*CellWriter)(t).claim(), nil }
func (t *turnWait) Holds() bool        { return atomic.LoadUint64(t.owner) == 0 }

// DependsOn returns the writer that has the turn.
func (t *turnWait) DependsOn(k int) layout.Owner {
	if k > 0 {
		return 0
	}
	return layout.Owner(atomic.LoadUint64(t.owner))
}

// NeedsName is false: the writer that has the turn ends it some time, or dies.
func (*turnWait) NeedsName() bool { return false }

// CellReader reads the value of a cell: a lane.CellReader that waits for changes.
//
// The value that was loaded last stays good until the next Load or Unpin, or with Hold until
// Unhold. The user must call Check after Load. Only one goroutine at a time may call the methods,
// except Unhold and Held, which any goroutine may call. A CellReader must not be copied: while it
// waits, the death watch has its address. It does not close the Handle.
type CellReader struct {
	lane.CellReader
	h   *segment.Handle
	set *lane.Set
	sum bool
	// NeedsWriter makes Wait end when the segment has no writer.
	NeedsWriter bool
	holds
}

// Join makes the member of h a reader.
//
// Preconditions:
//   - r is the zero value.
//   - h has joined, and its payload is mapped.
//
// Errors: syserr.ErrNoSpace. Then the member has no role.
func (r *CellReader) Join(h *segment.Handle, set *lane.Set) error {
	r.holds.at(set, h.Me().Slot(), true)
	if err := r.holds.keep(0); err != nil {
		return err
	}
	h.SetRole(layout.RoleReader)
	r.CellReader = *lane.NewCellReader(set, h.Me())
	r.h, r.set, r.sum = h, set, set.C.Flags&layout.LaneChecksum != 0
	return nil
}

// Leave ends the reading.
//
// Preconditions:
//   - h is not closed, and nothing is held.
func (r *CellReader) Leave() {
	r.Unpin()
	r.set.Release(0, r.h.Me().Slot())
}

// HasSums says whether the values of the cell have checksums.
func (r *CellReader) HasSums() bool { return r.sum }

// Check compares the value that was loaded last with its checksum.
//
// Preconditions:
//   - HasSums is true.
//
// Errors: object.ErrChecksum.
func (r *CellReader) Check(m *lane.Message) error {
	return checkSum("value", r.Payload(m), r.Sum(m), m)
}

// Wait waits until the latest value is not the one that was loaded last.
//
// Errors: syserr.ErrNameGone (there is no writer, and the name no longer leads to this segment, so
// no writer can come), syserr.ErrPeerNotStarted (NeedsWriter is set, and there is no writer),
// ErrClosed, the error of ctx.
func (r *CellReader) Wait(ctx context.Context) error {
	if r.h.Closed() {
		return fs.ErrClosed
	}
	err := r.h.Wait(ctx, (*changeWait)(r))
	if err == nil {
		r.Saw()
	}
	return err
}

// Writers returns the number of living writers.
func (r *CellReader) Writers() int { return r.h.Living(layout.RoleWriter) }

// changeWait is the segment.Condition of a CellReader that waits.
type changeWait CellReader

func (c *changeWait) Try() (bool, error) {
	if c.Changed() {
		return true, nil
	}
	if !c.NeedsWriter || !c.writer(0).Free() {
		return false, nil
	}
	if c.Changed() { // a writer may have written and left between the two looks
		return true, nil
	}
	return false, fmt.Errorf("it has no writer: %w", syserr.ErrPeerNotStarted)
}

func (c *changeWait) Holds() bool {
	return c.Changed() || c.NeedsWriter && c.writer(0).Free()
}

// writer returns the k-th writer. Each that leaves wakes all, and each that dies is noticed.
func (c *changeWait) writer(k int) layout.Owner { return c.h.WithRole(layout.RoleWriter, k) }

// DependsOn returns all writers if NeedsWriter is set. Otherwise it returns nobody, because any
// writer may write next.
func (c *changeWait) DependsOn(k int) layout.Owner {
	if !c.NeedsWriter {
		return 0
	}
	return c.writer(k)
}

// NeedsName: only a writer that has the segment open can change the value.
func (c *changeWait) NeedsName() bool {
	return !c.h.Others(func(role uint32, _ bool) bool { return role == layout.RoleWriter })
}

// Hold keeps a value after the next Load, with pin word k.
//
// Preconditions:
//   - m is the value that was loaded last.
//
// Errors: object.ErrTooManyHolds (all pin words are in use), syserr.ErrNoSpace.
func (r *CellReader) Hold(m *lane.Message) (k int, err error) {
	if k, err = r.holds.take(0); err == nil {
		r.CellReader.Hold(m, k)
	}
	return k, err
}

// Unhold lets go of the value that pin word k keeps. It must be called once for each Hold.
func (r *CellReader) Unhold(m *lane.Message, k int) {
	r.set.Done(0, m.Slot)
	r.set.Unpin(r.h.Me().Slot(), k)
	r.holds.giveBack(0, k)
}
