package call

import (
	"fmt"
	"math/bits"
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/layout"
)

// Worker takes calls and answers them. Only one goroutine at a time may call its methods. Several
// Workers of one member share the calls.
//
// After Answer a worker is bound to the slot: it has promised to look at State of this slot, and
// its client may hand it the next call there. Unbind ends the promise. While a worker is bound,
// it must look for calls (Poll) without a pause.
type Worker struct {
	s     *Set
	me    layout.Owner
	bound int // slot, or -1
	n     uint16
	next  int // slot at which the next scan begins, so that all slots have their turn
	// gaveBack: Poll has given back a call that was handed over.
	gaveBack bool
	// inRow counts the calls that were handed over since the worker has looked at the hints.
	inRow int
}

// fair is the number of calls that a client may hand over one after the other, before the worker
// looks whether others wait.
const fair = 64

// NewWorker makes a worker of the member me.
func (s *Set) NewWorker(me layout.Owner) *Worker { return &Worker{s: s, me: me, bound: -1} }

// Call is a call that a worker has taken.
type Call struct {
	Header
	Slot int
	N    uint16
}

// Poll takes a call, if it sees one that was handed to it or that has a hint (T1 to T3). It looks
// only at a few lines, and may overlook a call whose hint was lost because its taker died.
//
// If GaveBack says so afterwards, the caller rings a worker: nobody was rung for the call that was
// handed over.
func (w *Worker) Poll(c *Call) bool {
	if w.bound >= 0 && w.handed(c) {
		if w.inRow++; w.inRow < fair || !w.s.Hinted() {
			return true
		}
		w.Return(c) // another call comes first
		w.gaveBack = true
	}
	s := w.s
	words := (s.Calls() + 63) / 64
	for step := range words + 1 {
		k := (w.next/64 + step) % words
		set := atomic.LoadUint64(s.hints(k))
		switch step {
		case 0:
			set &= ^uint64(0) << (w.next % 64)
		case words:
			set &= 1<<(w.next%64) - 1
		}
		for ; set != 0; set &= set - 1 {
			slot := k*64 + bits.TrailingZeros64(set)
			if slot >= s.Calls() {
				break
			}
			w.inRow = 0
			if !w.Unbind(c) { // before the hint is cleared
				w.Return(c)
				w.gaveBack = true
			}
			atomic.AndUint64(s.hints(k), ^(uint64(1) << (slot % 64))) // T2: before the look
			fault.At(fault.CallUnhinted)
			if w.take(slot, c) {
				w.next = (slot + 1) % s.Calls()
				return true
			}
		}
	}
	return false
}

// GaveBack says whether Poll has given a call back since the last GaveBack.
func (w *Worker) GaveBack() bool {
	was := w.gaveBack
	if was {
		w.gaveBack = false
	}
	return was
}

// Scan takes a call, if there is one. It looks at all slots. A worker must call it after it has
// announced that it sleeps (T4).
//
// Preconditions:
//   - The worker is not bound.
func (w *Worker) Scan(c *Call) bool {
	for range w.s.Calls() {
		slot := w.next
		w.next = (slot + 1) % w.s.Calls()
		if w.take(slot, c) {
			// The hint is for this call: nobody asks in the slot until it is answered.
			atomic.AndUint64(w.s.hints(slot/64), ^(uint64(1) << (slot % 64)))
			return true
		}
	}
	return false
}

// Waits says whether a call waits for a worker. It looks at all slots.
func (s *Set) Waits() bool {
	for slot := range s.Calls() {
		if s.StateOf(slot).Phase() == layout.CallAsked {
			return true
		}
	}
	return false
}

// handed says whether a client has handed a call to the slot to which the worker is bound (T1).
func (w *Worker) handed(c *Call) bool {
	st := w.s.StateOf(w.bound)
	if st == layout.CallStateOf(layout.CallTaken, w.me, w.n) {
		return false
	}
	slot := w.bound
	w.bound = -1
	return st == layout.CallStateOf(layout.CallTaken, w.me, st.Number()) && w.begin(slot, st.Number(), c)
}

// take takes the call of a slot, if nobody has it (T3). ACQUIRE. Pairs with RELEASE in Ask.
func (w *Worker) take(slot int, c *Call) bool {
	st := w.s.StateOf(slot)
	n := st.Number()
	return st.Phase() == layout.CallAsked &&
		atomic.CompareAndSwapUint64(w.s.state(slot), uint64(st), uint64(layout.CallStateOf(layout.CallTaken, w.me, n))) &&
		w.begin(slot, n, c)
}

func (w *Worker) begin(slot int, n uint16, c *Call) bool {
	w.s.acquire(slot, edgeAsk)
	fault.At(fault.CallTaken)
	s := w.s
	lc := atomic.LoadUint64(s.askWord(slot, layout.CallLengthOffset))
	*c = Call{Header{
		uint32(lc), uint32(lc >> 32),
		int64(atomic.LoadUint64(s.askWord(slot, layout.CallDeadlineOffset))),
		uint32(atomic.LoadUint64(s.askWord(slot, layout.CallFlagsOffset))),
	}, slot, n}
	return true
}

// Unbind ends the promise to look at a slot (U1). If a client has handed a call over meanwhile,
// Unbind returns false and sets c to that call.
func (w *Worker) Unbind(c *Call) bool {
	slot := w.bound
	if slot < 0 {
		return true
	}
	if atomic.CompareAndSwapUint64(w.s.state(slot),
		uint64(layout.CallStateOf(layout.CallTaken, w.me, w.n)), uint64(layout.CallStateOf(layout.CallFree, 0, w.n))) {
		fault.At(fault.CallUnbound)
		w.bound = -1
		return true
	}
	handed := w.handed(c)
	w.bound = -1
	return !handed
}

// Bound says whether the worker is bound to a slot.
func (w *Worker) Bound() bool { return w.bound >= 0 }

// Return gives back a call that the worker has not begun, so that a worker takes it (U2). The
// caller then rings a worker, if it does not look itself.
func (w *Worker) Return(c *Call) {
	atomic.CompareAndSwapUint64(w.s.state(c.Slot), uint64(layout.CallStateOf(layout.CallTaken, w.me, c.N)), uint64(layout.CallStateOf(layout.CallAsked, 0, c.N)))
	w.s.Hint(c.Slot)
}

// Begin says that the worker begins to execute the call (B1). From now on, no other worker executes
// it, unless it is idempotent.
func (w *Worker) Begin(c *Call) {
	atomic.StoreUint64(w.s.begun(c.Slot), uint64(layout.CallStateOf(layout.CallTaken, w.me, c.N)))
	fault.At(fault.CallBegun)
}

// RequestOf is the request of a call.
//
// Errors: layout.ErrCorrupt, those of Set.Reserve.
func (w *Worker) RequestOf(c *Call) ([]byte, error) {
	if uint64(c.Length) > w.s.C.Request {
		return nil, fmt.Errorf("call slot %d has a request of %d bytes, want at most %d: %w", c.Slot, c.Length, w.s.C.Request, layout.ErrCorrupt)
	}
	if err := w.s.Reserve(c.Slot); err != nil {
		return nil, err // only if its client has not reserved it
	}
	return w.s.Request(c.Slot)[:c.Length:c.Length], nil
}

// Answer makes part k of the response visible (P1, P2). With ReplyEnd and ReplyCut there is no
// part k, and length and code do not matter. If the call has ended, the worker is bound to the
// slot now. A full fence: the caller then rings the client, if it sleeps.
//
// Preconditions:
//   - The worker has the call, and has written length bytes of part k.
//   - Room has said that there is room for part k.
func (w *Worker) Answer(c *Call, k, length, code uint32, status layout.CallReply) {
	s := w.s
	parts := k
	if status != layout.ReplyEnd && status != layout.ReplyCut {
		put(s.partWord(c.Slot, k%s.C.Parts, layout.CallLengthOffset), uint64(length)|uint64(code)<<32)
		parts++
	}
	fault.At(fault.CallAnswering)
	s.release(c.Slot, edgeReply)
	// RELEASE: publishes the part. A full fence. Pairs with ACQUIRE in Answered and Arrived.
	atomic.StoreUint64(s.reply(c.Slot), uint64(layout.CallReplyOf(status, c.N, parts)))
	fault.At(fault.CallReplied)
	if status != layout.ReplyMore {
		w.bound, w.n = c.Slot, c.N
	}
}

// Reap ends what a dead worker has left, in all slots (D1 to D3). It returns the number of calls
// that other workers can take now. died describes the dead worker.
//
// Preconditions:
//   - The caller holds the lock byte of the dead member.
func (s *Set) Reap(dead layout.Owner, died Died) (again int) {
	for slot := range s.Calls() {
		// Its client may hand it one more call meanwhile.
		for range 16 {
			st := s.StateOf(slot)
			if st.Phase() != layout.CallTaken || st.Worker() != dead {
				break
			}
			n, r := st.Number(), s.ReplyOf(slot)
			next := layout.CallStateOf(layout.CallFree, 0, n)
			if !r.Ended(n) {
				if s.again(slot, st, r) {
					next = layout.CallStateOf(layout.CallAsked, 0, n)
				} else {
					s.putDied(slot, n, died)
				}
			}
			fault.At(fault.CallReaped)
			if !atomic.CompareAndSwapUint64(s.state(slot), uint64(st), uint64(next)) {
				continue
			}
			if next.Phase() == layout.CallAsked {
				s.Hint(slot)
				again++
			}
			break
		}
	}
	return again
}

// again says whether another worker shall execute a call whose worker has died: the dead one has
// not begun it, or it is idempotent and has no part of an answer. If its client has given it up,
// nobody shall.
func (s *Set) again(slot int, st layout.CallState, r layout.CallReply) bool {
	n := st.Number()
	if s.Cancelled(slot, n) {
		return false
	}
	begun := layout.CallState(atomic.LoadUint64(s.begun(slot))) == st
	idempotent := atomic.LoadUint64(s.askWord(slot, layout.CallFlagsOffset))&layout.CallIdempotent != 0
	return !begun || idempotent && r.Number() != n
}

func (s *Set) putDied(slot int, n uint16, d Died) {
	atomic.StoreUint64(s.died(slot, layout.CallDiedSpaceOffset), d.Space)
	atomic.StoreUint64(s.died(slot, layout.CallDiedAtOffset), uint64(d.At))
	s.putDiedName(slot, d.Name)
	atomic.StoreUint64(s.died(slot, layout.CallDiedPIDOffset), uint64(d.PID)|uint64(n)<<32)
}
