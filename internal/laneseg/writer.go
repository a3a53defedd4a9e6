package laneseg

import (
	"context"
	"errors"
	"hash/crc32"
	"io/fs"
	"sync/atomic"
	"time"

	"samepage/internal/fault"
	"samepage/internal/lane"
	"samepage/internal/segment"
	"samepage/internal/sys"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Writer is the writer of one lane: a lane.Writer that claims its lane, waits for readers, and
// rings sleeping readers. docs/protocol/lane.md has the protocol.
//
// Its states:
//
//	zero --Claim--> claimed --Leave, or death--> left
//
// From Claim to Leave the Owner word of the lane names the member of the Handle. During this time
// only this Writer writes the words of the lane that belong to the writer. The Writer does not
// close the Handle: its user does so, after Leave.
//
// A message goes through these calls:
//
//	Loan                      takes a slot; the user writes to Payload
//	Room, TryRoom, WaitRoom   until one of them says that there is room
//	TakeBack                  ends the loan
//	Seal, Publish             for a batch: Seal and PublishUnrung of each message, then RingAll
//
// The user may call Discard instead of Seal and Publish. In a segment with packs it calls
// PublishEven or PublishMixed instead of Seal and Publish; see packwriter.go.
//
// Only one goroutine at a time may call the methods, also those of the lane.Writer. Of these the
// user may call Loan, Payload, Room, TakeBack, Discard, Next, Lag, Lane and Loans; the others are
// for this package. A Writer must not be copied: while it waits, the death watch has its address.
type Writer struct {
	lane.Writer
	h          *segment.Handle
	set        *lane.Set
	sum, times bool
	bare       bool  // messages have neither checksums nor times, and are not packs
	at         int64 // the time of the messages, in nanoseconds since 1970; 0: the present time
	evicted    int
	blocked    time.Time // since this time there is no room for message blockedAt
	blockedAt  uint64
	rings      uint // number of rings, which happen only if there are sleepers
	packing
}

// ErrNoLane: each lane has a living writer.
var ErrNoLane = errors.New("no lane is free")

// Claim makes the member of h the writer of a lane that has no living writer, and sets its role.
//
// Preconditions:
//   - w is the zero value.
//   - h has joined, and its payload is mapped for writing.
//   - The member of h is not the writer of another lane of set.
//
// Errors: ErrNoLane, layout.ErrRetired, syserr.ErrNoSpace, those of Handle.Reap.
func (w *Writer) Claim(h *segment.Handle, set *lane.Set, role uint32) error {
	l, err := claimSoon(h, set)
	if err != nil {
		return err
	}
	if atomic.LoadUint64(set.Retired()) != 0 { // since h has joined
		atomic.CompareAndSwapUint64(set.Owner(l), uint64(h.Me()), 0)
		return retired(h)
	}
	if err := set.ReserveWriter(l); err != nil {
		atomic.CompareAndSwapUint64(set.Owner(l), uint64(h.Me()), 0)
		h.WakeAll()
		return err
	}
	h.SetRole(role)
	w.Writer = *lane.NewWriter(set, l)
	w.h, w.set = h, set
	w.sum, w.times = set.C.Flags&layout.LaneChecksum != 0, set.C.Flags&layout.LaneTime != 0
	w.startPacks()
	w.bare = !w.sum && !w.times && !w.Packs()
	w.Prepare(sys.Populate)
	return nil
}

// claimSoon calls claim until it succeeds, for up to two looks of the death watch: the reaper of a
// dead writer may hold its byte for a moment.
func claimSoon(h *segment.Handle, set *lane.Set) (l int, err error) {
	looks := 0
	uerr := segment.Until(context.Background(), func() (bool, error) {
		l, err = claim(h, set)
		looks++
		return err != ErrNoLane || looks > 2, nil
	})
	if err == nil {
		err = uerr
	}
	return l, err
}

// claim is O1.
func claim(h *segment.Handle, set *lane.Set) (int, error) {
	n := int(set.C.Lanes)
	for range 2 {
		for l := range n {
			if claimLane(h, set, l) {
				return l, nil
			}
		}
		for l := range n {
			if err := reapWriter(h, set, l); err != nil {
				return 0, err
			}
		}
	}
	return 0, ErrNoLane
}

func claimLane(h *segment.Handle, set *lane.Set, l int) bool {
	if !atomic.CompareAndSwapUint64(set.Owner(l), 0, uint64(h.Me())) {
		return false
	}
	set.EdgeAcquire(lane.EdgeWriters + uint64(l))
	return true
}

// reapWriter frees a lane if its writer is dead.
func reapWriter(h *segment.Handle, set *lane.Set, l int) error {
	o := layout.Owner(atomic.LoadUint64(set.Owner(l)))
	if o.Free() {
		return nil
	}
	_, err := h.Reap(o)
	return err
}

// Writers returns the members that have a lane of set.
func Writers(h *segment.Handle, set *lane.Set) (all []segment.Who) {
	for l := range int(set.C.Lanes) {
		if w, ok := h.WhoIs(layout.Owner(atomic.LoadUint64(set.Owner(l)))); ok {
			all = append(all, w)
		}
	}
	return all
}

// Seal stores the checksum and the time of a message of n bytes, if the segment has them.
//
// Preconditions:
//   - The loan of the slot was taken back, and its message is not published.
func (w *Writer) Seal(slot, n uint32) {
	if w.sum || w.times {
		w.seal(slot, n)
	}
}

func (w *Writer) seal(slot, n uint32) {
	sum, now := seal(w.Payload(slot)[:n], w.sum, w.times && w.at == 0)
	now += w.at
	w.Describe(slot, sum, now)
}

// seal returns the checksum of b and the present time, or 0 instead of one that is not wanted.
func seal(b []byte, sum, times bool) (crc uint32, now int64) {
	if sum {
		crc = crc32.Checksum(b, castagnoli)
	}
	if times {
		now = time.Now().UnixNano()
	}
	return crc, now
}

// SetTime sets the time of the next messages, if the segment has times. The zero time is the
// present.
func (w *Writer) SetTime(t time.Time) {
	w.at = 0
	if !t.IsZero() && w.times {
		w.at = t.UnixNano()
	}
}

// Publish makes the message of n bytes visible and rings the sleepers (P2 to P6).
//
// Preconditions:
//   - Room, TryRoom or WaitRoom has said that there is room for this message.
//   - The loan of the slot was taken back.
func (w *Writer) Publish(slot, n uint32) {
	w.Writer.Publish(slot, n, true)
	w.ring()
	w.Ahead()
}

// Send publishes a copy of b, like Loan, Payload, TakeBack, Seal and Publish. It returns false, and
// has done nothing, if it is not that simple: the user then makes those calls.
//
// Preconditions:
//   - b is not longer than Payload.
func (w *Writer) Send(b []byte) bool {
	if !w.bare || !w.Writer.Send(b, true) {
		return false
	}
	w.ring()
	w.Ahead()
	return true
}

// PublishUnrung is Publish without the ring (P2 to P5). It has the same preconditions. The caller
// must call RingAll later, at the latest before the Writer waits for room: sleeping readers make no
// room.
func (w *Writer) PublishUnrung(slot, n uint32) { w.Writer.Publish(slot, n, false) }

// RingAll is P6 after PublishUnrung.
func (w *Writer) RingAll() {
	w.Fence()
	w.ring()
	w.Ahead()
}

// ring rings the sleepers. Precondition: a full fence after the last message.
func (w *Writer) ring() {
	if w.h.Asleep() {
		w.wake()
	}
}

func (w *Writer) wake() {
	w.h.WakeAll()
	if w.rings++; w.rings%1024 == 0 {
		// A member that was killed during its sleep costs a ring each time. No wait depends on it,
		// so nobody else would find it.
		_ = w.h.ReapAsleep()
	}
}

// TryRoom is Room, but if there is no room, it also checks the readers that block the next message:
// it reaps dead ones, and evicts those that have blocked for too long. It does not wait.
func (w *Writer) TryRoom() bool { return w.Room() || w.stillRoom() }

// stillRoom is TryRoom after Room was false.
func (w *Writer) stillRoom() bool {
	w.reapBlockers()
	if w.Room() {
		return true
	}
	if w.set.C.EvictAfter == 0 || w.patience() > 0 {
		return false
	}
	w.evict()
	return w.Room()
}

// patience returns how much longer readers may block the next message, in a segment with
// EvictAfter.
func (w *Writer) patience() time.Duration {
	if w.blocked.IsZero() || w.blockedAt != w.Next() {
		w.blocked, w.blockedAt = time.Now(), w.Next()
	}
	return time.Duration(w.set.C.EvictAfter) - time.Since(w.blocked)
}

func (w *Writer) evict() {
	w.evicted += w.Evict()
	w.h.WakeAll() // evicted sleepers must notice it
}

// Evicted returns the number of readers that this Writer has evicted.
func (w *Writer) Evicted() int { return w.evicted }

func (w *Writer) reapBlockers() {
	for k, n := 0, w.h.Members(); n > 0; n-- {
		o := w.blocker(k)
		if o.Free() {
			return
		}
		if ok, err := w.h.Reap(o); !ok || err != nil {
			k++ // this reader lives, and still blocks
		}
	}
}

// blocker returns the k-th reader that the Writer waits for. If its slot has a member now, it
// returns this member, because the incarnation beside the cursor may be wrong.
func (w *Writer) blocker(k int) layout.Owner {
	o := w.Blocker(k)
	if o.Free() {
		return o
	}
	if _, has := w.h.HeldOf(o.Slot()); !has.Free() {
		return has
	}
	return o
}

// WaitRoom waits until there is room for the next message. In a segment with EvictAfter it evicts
// the readers that block for too long.
//
// Preconditions:
//   - Room was false.
//   - RingAll was called after the last PublishUnrung.
//
// Errors: fs.ErrClosed, the error of ctx.
func (w *Writer) WaitRoom(ctx context.Context) error {
	if w.spinRoom() {
		return nil
	}
	// A full fence, before the look at the cursors in Sleep. Pairs with Settle.
	w.Waiting(true)
	defer w.Waiting(false)
	for {
		err := w.sleepRoom(ctx)
		if err == nil && w.Room() {
			return nil
		}
		if err == nil {
			err = ctx.Err() // needed if a word changes to and fro all the time
		}
		if err != nil {
			return err
		}
	}
}

func (w *Writer) spinRoom() bool {
	if !segment.Spins() {
		return w.stillRoom()
	}
	for begun := time.Now(); time.Since(begun) < segment.SpinTime; {
		for range 8 {
			if w.Room() {
				return true
			}
			segment.Pause(16)
		}
	}
	return false
}

func (w *Writer) sleepRoom(ctx context.Context) error {
	if w.set.C.EvictAfter == 0 {
		return w.h.Sleep(ctx, (*roomWait)(w))
	}
	c, cancel := context.WithTimeout(ctx, max(w.patience(), 0))
	defer cancel()
	err := w.h.Sleep(c, (*roomWait)(w))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		w.evict()
		return nil
	}
	return err
}

// roomWait is the segment.Condition of a Writer that waits for room. Its methods change
// nothing: the death watch calls them while the Writer's goroutine sleeps.
type roomWait Writer

func (r *roomWait) Try() (bool, error) { return r.HasRoom(), nil }
func (r *roomWait) Holds() bool        { return r.HasRoom() }

// DependsOn names the readers that block the next message.
func (r *roomWait) DependsOn(k int) layout.Owner { return (*Writer)(r).blocker(k) }

// NeedsName is false: those readers have the segment open.
func (*roomWait) NeedsName() bool { return false }

// Sort says which readers count.
type Sort bool

const (
	AnySort  Sort = false // reliable and best-effort readers
	Reliable Sort = true  // only reliable readers
)

// WaitReaders waits until the lane has n readers of that sort or more.
//
// Errors: syserr.ErrNameGone (the name no longer leads to this segment, so no reader can join),
// fs.ErrClosed, the error of ctx.
func (w *Writer) WaitReaders(ctx context.Context, n int, of Sort) error {
	return segment.Until(ctx, func() (bool, error) {
		if w.h.Closed() {
			return false, fs.ErrClosed
		}
		if w.Readers(of) >= n {
			w.reapReaders(of)
		}
		if w.Readers(of) >= n {
			return true, nil
		}
		if err := w.h.CheckName(); errors.Is(err, syserr.ErrNameGone) {
			return false, err // no new reader can come
		}
		return false, nil
	})
}

// reapReaders reaps the dead readers.
func (w *Writer) reapReaders(of Sort) {
	for m := range w.h.Members() {
		if o, _ := w.reader(m, of); !o.Free() {
			_, _ = w.h.Reap(o) // it does nothing if the reader lives
		}
	}
}

// Readers returns the number of readers of that sort that are not evicted. A dead reader counts
// until somebody has reaped it.
func (w *Writer) Readers(of Sort) (n int) {
	for m := range w.h.Members() {
		if o, evicted := w.reader(m, of); !o.Free() && !evicted {
			n++
		}
	}
	w.set.EdgeAcquire(lane.EdgeReaders)
	return n
}

// reader returns the member in slot m if it is a reader of that sort. A reader counts from when it
// has its role, because before J2 it is not certain with which message it begins. From then on it
// sees all messages, except those for which a best-effort reader is too slow.
func (w *Writer) reader(m int, of Sort) (o layout.Owner, evicted bool) {
	_, yes, evicted := w.set.Reliable(w.Lane(), m)
	role := w.h.Role(m)
	if !(yes && role == layout.RoleReliable) && (of == Reliable || role != layout.RoleBestEffort) {
		return 0, false
	}
	_, o = w.h.HeldOf(m)
	return o, evicted
}

// These values say how a stream ends. Leave adds them to Lane.Ends.
const (
	InOrder = 1       // readers that have taken all messages get io.EOF
	Cut     = 1 << 32 // such readers get object.ErrPeerDied, as after a death
)

// Leave ends the stream and leaves the lane.
//
// Preconditions:
//   - Nothing is on loan.
//   - RingAll was called after the last PublishUnrung.
//   - h is not closed.
//
// The user must close h next, and must not call anything else.
func (w *Writer) Leave(how uint64) {
	w.set.EdgeRelease(lane.EdgeWriters + uint64(w.Lane()))
	atomic.AddUint64(w.set.Ends(w.Lane()), how) // RELEASE: after all messages
	fault.At(fault.LaneEnding)
	atomic.CompareAndSwapUint64(w.set.Owner(w.Lane()), uint64(w.h.Me()), 0)
	w.h.WakeAll()
}
