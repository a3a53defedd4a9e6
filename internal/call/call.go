// Package call has the lock-free protocol of a service: clients ask in call slots, and workers
// answer in place. The package works on plain bytes, makes no system calls, and never waits.
// Package rpc decides who is alive, who sleeps and who rings. docs/protocol/service.md describes
// the protocol and names its steps.
package call

import (
	"fmt"
	"sync/atomic"

	"samepage/internal/edge"
	"samepage/internal/fault"
	"samepage/internal/option"
	"samepage/layout"
)

// Set has the call slots of a service, in the bytes of a segment. Its methods may be called
// concurrently, as far as their preconditions say nothing else.
//
// Who owns what in a slot:
//
//   - The client that Owner names owns the slot, from Claim to Release. It writes the request
//     before Ask, and reads the response after Ended.
//   - The worker that State names owns the call, from Taken to its Reply. It reads the request, and
//     writes the response.
type Set struct {
	C layout.ServiceConfig
	// Edges are for the race detector.
	Edges edge.Object
	o     layout.ServiceOffsets

	live, payload []byte

	reserve func(off, n, more uint64) error // see Later
	// ready says for each slot whether this process may touch its request and response.
	ready []atomic.Bool
}

// Settings describe a new Set.
type Settings struct {
	Calls             int   // largest number of calls at a time
	Parts             int   // parts of a streamed response that may wait for the client
	Request, Response int64 // bytes of the largest
}

// MaxSize is the largest request or response, in bytes.
const MaxSize = 1<<32 - 1

// Config computes the layout of a new Set.
//
// Errors: fs.ErrInvalid, for settings out of range.
func (s *Settings) Config() (*layout.ServiceConfig, *layout.ServiceOffsets, error) {
	for _, x := range []struct {
		what string
		v    int
		most int
	}{{"Calls", s.Calls, layout.MaxCalls}, {"Parts", s.Parts, layout.MaxParts}} {
		if err := option.Range(x.what, x.v, 1, x.most); err != nil {
			return nil, nil, err
		}
	}
	if err := option.SizeOption("Request", s.Request, MaxSize); err != nil {
		return nil, nil, err
	}
	if err := option.SizeOption("Response", s.Response, MaxSize); err != nil {
		return nil, nil, err
	}
	c := &layout.ServiceConfig{Calls: uint32(s.Calls), Parts: uint32(s.Parts), Request: uint64(s.Request), Response: uint64(s.Response)}
	o, err := c.Offsets()
	return c, o, err
}

// Live returns the live region of a new Set: all zeros except the settings.
func Live(c *layout.ServiceConfig) []byte {
	b := make([]byte, layout.ServiceLiveSize)
	copy(b[layout.ServiceConfigOffset:], layout.EncodeServiceConfig(c))
	return b
}

// Open finds the call slots in the live region and the payload of a segment. The caller keeps both.
// They must be aligned to at least 8 bytes.
//
// Errors: layout.ErrCorrupt.
func Open(live, payload []byte) (*Set, error) {
	if len(live) < layout.ServiceLiveSize {
		return nil, fmt.Errorf("live region of %d bytes, want at least %d for a service: %w", len(live), layout.ServiceLiveSize, layout.ErrCorrupt)
	}
	// The check is made on a private copy, which is then used.
	head := append([]byte(nil), live[layout.ServiceConfigOffset:layout.ServiceHintsOffset]...)
	c, o, err := layout.ParseServiceConfig(head)
	if err != nil {
		return nil, err
	}
	if o.Payload > uint64(len(payload)) {
		return nil, fmt.Errorf("call slots have %d bytes, but the segment has a payload of %d: %w", o.Payload, len(payload), layout.ErrCorrupt)
	}
	s := &Set{C: *c, o: *o, live: live, payload: payload, ready: make([]atomic.Bool, c.Calls)}
	for slot := range s.ready {
		s.ready[slot].Store(true)
	}
	return s, nil
}

// Calls is the number of call slots.
func (s *Set) Calls() int { return int(s.C.Calls) }

// These are the numbers of the edges for the race detector. Each slot has three.
const (
	edgeOwner = iota // from one owner of the slot to the next
	edgeAsk          // from the client to the worker
	edgeReply        // from the worker to the client
	edges
)

func (s *Set) release(slot, e int) { s.Edges.Release(uint64(slot)*edges + uint64(e)) }
func (s *Set) acquire(slot, e int) { s.Edges.Acquire(uint64(slot)*edges + uint64(e)) }

// OwnerOf names the client that has a slot.
func (s *Set) OwnerOf(slot int) layout.Owner { return layout.Owner(atomic.LoadUint64(s.owner(slot))) }

// StateOf is the state of a slot.
func (s *Set) StateOf(slot int) layout.CallState {
	return layout.CallState(atomic.LoadUint64(s.state(slot)))
}

// ReplyOf says how far the last response in a slot is.
func (s *Set) ReplyOf(slot int) layout.CallReply {
	return layout.CallReply(atomic.LoadUint64(s.reply(slot)))
}

// Claim makes the client me the owner of a slot, if the slot is free (C1). ACQUIRE, and a full
// fence. Pairs with Release.
func (s *Set) Claim(slot int, me layout.Owner) bool {
	if atomic.LoadUint64(s.owner(slot)) != 0 || !atomic.CompareAndSwapUint64(s.owner(slot), 0, uint64(me)) {
		return false
	}
	s.acquire(slot, edgeOwner)
	fault.At(fault.CallClaimed)
	return true
}

// Adopt makes me the owner of a slot whose owner is dead or has left (O1, O2). A full fence: the
// caller then looks at the slot. So the worker that has the call either rings the new owner, or has
// answered before the look.
//
// Preconditions:
//   - The member that was names is gone for ever.
func (s *Set) Adopt(slot int, was, me layout.Owner) bool {
	if !atomic.CompareAndSwapUint64(s.owner(slot), uint64(was), uint64(me)) {
		return false
	}
	fault.At(fault.CallAdopted)
	length := uint32(atomic.LoadUint64(s.askWord(slot, layout.CallLengthOffset)))
	atomic.StoreUint64(s.askWord(slot, layout.CallLengthOffset), uint64(length)|uint64(me.Slot())<<32)
	return true
}

// ClientOf is the slot in the member table of the client that waits for an answer. The worker must
// load it after the answer (P2).
func (s *Set) ClientOf(slot int) int {
	return int(uint32(atomic.LoadUint64(s.askWord(slot, layout.CallLengthOffset)) >> 32))
}

// Free says whether any slot is free.
func (s *Set) Free() bool {
	for slot := range s.Calls() {
		if atomic.LoadUint64(s.owner(slot)) == 0 {
			return true
		}
	}
	return false
}

// Release gives a slot of the client me back (R1). A full fence: the caller then looks for clients
// that wait for a slot. It does nothing if me does not own the slot: when a client closes, another
// goroutine may release the same slot.
//
// Preconditions:
//   - No worker has a call in the slot (Idle).
func (s *Set) Release(slot int, me layout.Owner) {
	fault.At(fault.CallEnding)
	s.release(slot, edgeOwner)
	atomic.CompareAndSwapUint64(s.owner(slot), uint64(me), 0)
	fault.At(fault.CallReleased)
}

// Request is the room for the request of a slot.
//
// Preconditions:
//   - Reserve has succeeded for the slot.
func (s *Set) Request(slot int) []byte { return s.bytes(s.askAt(slot)+layout.CallAskSize, s.C.Request) }

// Response is the room for part k of a response. It has at least layout.MinErrorRoom bytes, also
// if responses are smaller. It has no more if the slot is not reserved.
func (s *Set) Response(slot int, k uint32) []byte {
	n := uint64(layout.MinErrorRoom)
	if s.ready[slot].Load() {
		n = max(n, s.C.Response)
	}
	return s.bytes(s.partAt(slot, k)+layout.CallAnswerSize, n)
}

// Header is what an Ask says about its request.
type Header struct {
	Length   uint32 // bytes of the request
	Client   uint32 // the client's slot in the member table
	Deadline int64  // nanoseconds since 1970; 0: none
	Flags    uint32
}

// Ask asks what the request of a slot says (A1 to A3), and returns the number of the call. handed
// says that a worker has the call already, because it looked at the slot. Otherwise the caller must
// call Hint, and then ring a worker.
//
// Preconditions:
//   - The caller owns the slot, and no worker has a call in it.
//
// Errors: layout.ErrCorrupt.
func (s *Set) Ask(slot int, h *Header) (n uint16, handed bool, err error) {
	s.putHeader(slot, h)
	fault.At(fault.CallWritten)
	s.release(slot, edgeAsk)
	// The state changes at most once before the CAS succeeds: a worker stops looking at the slot.
	for range 16 {
		st, r := s.StateOf(slot), s.ReplyOf(slot)
		n = st.Number() + 1
		if r.Number() == n { // no call was answered for a whole round of the number
			n++
		}
		next := layout.CallStateOf(layout.CallAsked, 0, n)
		switch st.Phase() {
		case layout.CallFree:
		case layout.CallTaken:
			if !r.Ended(st.Number()) {
				return 0, false, s.corrupt(slot, st, "a call is in it already")
			}
			handed = true
			next = layout.CallStateOf(layout.CallTaken, st.Worker(), n)
		default:
			return 0, false, s.corrupt(slot, st, "a call is in it already")
		}
		// RELEASE: publishes the request. A full fence. Pairs with ACQUIRE in (*Worker).Poll.
		if atomic.CompareAndSwapUint64(s.state(slot), uint64(st), uint64(next)) {
			fault.At(fault.CallAsked)
			return n, handed, nil
		}
		handed = false
	}
	return 0, false, s.corrupt(slot, s.StateOf(slot), "it changes all the time")
}

func (s *Set) corrupt(slot int, st layout.CallState, why string) error {
	return fmt.Errorf("call slot %d is in state %q: %s: %w", slot, st, why, layout.ErrCorrupt)
}

// putHeader stores the header. A word that has the right value already is not stored again, because
// a store of a word costs more than a look.
func (s *Set) putHeader(slot int, h *Header) {
	put(s.askWord(slot, layout.CallLengthOffset), uint64(h.Length)|uint64(h.Client)<<32)
	put(s.askWord(slot, layout.CallDeadlineOffset), uint64(h.Deadline))
	put(s.askWord(slot, layout.CallFlagsOffset), uint64(h.Flags))
	put(s.consumed(slot), 0) // of a call that had the same number
	put(s.cancel(slot), 0)
}

func put(word *uint64, v uint64) {
	if atomic.LoadUint64(word) != v {
		atomic.StoreUint64(word, v)
	}
}

// Hint tells the workers that look for calls about a slot (A3). A full fence: the caller then looks
// for workers that sleep.
func (s *Set) Hint(slot int) {
	atomic.OrUint64(s.hints(slot/64), 1<<(slot%64))
	fault.At(fault.CallHinted)
}

// HintAgain is Hint, unless the slot has a hint. It says whether it has set one.
func (s *Set) HintAgain(slot int) bool {
	if atomic.LoadUint64(s.hints(slot/64))>>(slot%64)&1 != 0 {
		return false
	}
	s.Hint(slot)
	return true
}

// Hinted says whether any slot may have a call that nobody has taken.
func (s *Set) Hinted() bool {
	for w := range (s.Calls() + 63) / 64 {
		if atomic.LoadUint64(s.hints(w)) != 0 {
			return true
		}
	}
	return false
}

// Withdraw takes back a call that no worker has taken (W1). It returns false if a worker has it, or
// had it.
//
// Preconditions:
//   - The caller owns the slot, and has asked call n in it.
func (s *Set) Withdraw(slot int, n uint16) bool {
	return atomic.CompareAndSwapUint64(s.state(slot), uint64(layout.CallStateOf(layout.CallAsked, 0, n)), uint64(layout.CallStateOf(layout.CallFree, 0, n)))
}

// Cancel tells the worker that nobody waits for call n any more (W2).
//
// Preconditions:
//   - The caller owns the slot, and has asked call n in it.
func (s *Set) Cancel(slot int, n uint16) {
	atomic.StoreUint64(s.cancel(slot), cancelled(n))
	fault.At(fault.CallCancelled)
}

func cancelled(n uint16) uint64 { return 1<<16 | uint64(n) }

// Cancelled says whether the client has given up call n.
func (s *Set) Cancelled(slot int, n uint16) bool {
	return atomic.LoadUint64(s.cancel(slot)) == cancelled(n)
}

// Idle says whether a slot has no call that a worker may answer or take. The slot's owner may use
// it then.
func (s *Set) Idle(slot int) bool {
	st := s.StateOf(slot)
	switch st.Phase() {
	case layout.CallFree:
		return true
	case layout.CallTaken:
		return s.ReplyOf(slot).Ended(st.Number())
	}
	return false
}

// Settle ends call n unless a worker has it. It says whether the slot is idle now.
//
// Preconditions:
//   - The caller owns the slot, and n is the number of the call that was asked in it last.
func (s *Set) Settle(slot int, n uint16) bool { return s.Idle(slot) || s.Withdraw(slot, n) }

// Progress is what the client of a call sees of it.
type Progress int

const (
	Waiting   Progress = iota // no worker has it yet
	Working                   // a worker has it
	Ended                     // the answer is complete
	Abandoned                 // the worker that had it has died
)

// Look says how far call n is (E1, E2), and which worker has it.
//
// Preconditions:
//   - The caller owns the slot, and has asked call n in it.
//
// Errors: layout.ErrCorrupt.
func (s *Set) Look(slot int, n uint16) (Progress, layout.Owner, error) {
	// ACQUIRE: a worker that stops looking at the slot has stored its Reply before. So if State is
	// free, the second look at Reply decides.
	st := s.StateOf(slot)
	if s.Answered(slot, n) {
		return Ended, 0, nil
	}
	if st.Number() == n {
		switch st.Phase() {
		case layout.CallAsked:
			return Waiting, 0, nil
		case layout.CallTaken:
			return Working, st.Worker(), nil
		case layout.CallFree:
			return Abandoned, 0, nil
		}
	}
	return 0, 0, s.corrupt(slot, st, fmt.Sprintf("want call %d", n))
}

// Answered says whether the answer to call n is complete. ACQUIRE. Pairs with RELEASE in
// (*Worker).Answer.
func (s *Set) Answered(slot int, n uint16) bool {
	if !s.ReplyOf(slot).Ended(n) {
		return false
	}
	s.acquire(slot, edgeReply)
	return true
}

// Answer is a response, or one part of it.
type Answer struct {
	Bytes  []byte // in place; the caller may read it until it releases the slot
	Code   uint32
	Failed bool
}

// Last is the last part of a complete answer.
//
// Preconditions:
//   - Answered has said so.
//
// Errors: layout.ErrCorrupt.
func (s *Set) Last(slot int) (Answer, error) {
	r := s.ReplyOf(slot)
	if r.Status() == layout.ReplyCut {
		return cut, nil
	}
	return s.part(slot, r.Parts()-1, r.Status() == layout.ReplyFailed)
}

// cut is what is in the place of the last part if the status is ReplyCut.
var cut = Answer{Bytes: []byte("the handler failed before its response was complete"), Failed: true}

// Arrived says whether part k of the answer to call n is complete, or the call has ended. ACQUIRE.
// Pairs with RELEASE in (*Worker).Answer.
func (s *Set) Arrived(slot int, n uint16, k uint32) bool {
	r := s.ReplyOf(slot)
	if r.Number() != n || r.Parts() <= k && !r.Ended(n) {
		return false
	}
	s.acquire(slot, edgeReply)
	return true
}

// Part is part k of the answer to call n. ok is false if there is no such part, because the call
// has ended before.
//
// Preconditions:
//   - Arrived has said that there is something.
//   - The caller has consumed k parts.
//
// Errors: layout.ErrCorrupt.
func (s *Set) Part(slot int, n uint16, k uint32) (a Answer, ok bool, err error) {
	r := s.ReplyOf(slot)
	if parts := r.Parts(); r.Number() != n || parts < k || parts-k > s.C.Parts {
		return a, false, fmt.Errorf("call slot %d says %#x, want %d to %d parts of call %d: %w", slot, uint64(r), k, k+s.C.Parts, n, layout.ErrCorrupt)
	} else if parts == k {
		if r.Status() == layout.ReplyCut {
			return cut, true, nil
		}
		return a, false, nil
	}
	a, err = s.part(slot, k, r.Status() == layout.ReplyFailed && k == r.Parts()-1)
	return a, err == nil, err
}

// Consume says that the client has let go of k parts of call n. A full fence: the caller then rings
// the worker, if it sleeps.
func (s *Set) Consume(slot int, n uint16, k uint32) {
	s.release(slot, edgeAsk)
	atomic.StoreUint64(s.consumed(slot), uint64(k)<<32|uint64(n))
	fault.At(fault.CallConsumed)
}

// Room says whether the worker may write part k of the answer to call n. ACQUIRE. Pairs with
// Consume.
func (s *Set) Room(slot int, n uint16, k uint32) bool {
	if k < s.C.Parts {
		return true
	}
	v := atomic.LoadUint64(s.consumed(slot))
	if uint16(v) != n || k-uint32(v>>32) >= s.C.Parts {
		return false
	}
	s.acquire(slot, edgeAsk)
	return true
}

func (s *Set) part(slot int, k uint32, failed bool) (a Answer, err error) {
	k %= s.C.Parts
	w := atomic.LoadUint64(s.partWord(slot, k, layout.CallLengthOffset))
	n, most := uint64(uint32(w)), s.C.Response
	if failed {
		most = max(most, layout.MinErrorRoom)
	}
	if n > most {
		return a, fmt.Errorf("call slot %d has a response of %d bytes, want at most %d: %w", slot, n, most, layout.ErrCorrupt)
	}
	room := s.Response(slot, k)
	if n > uint64(len(room)) {
		return a, fmt.Errorf("call slot %d has a response, but is not reserved: %w", slot, layout.ErrCorrupt)
	}
	return Answer{Bytes: room[:n:n], Code: uint32(w >> 32), Failed: failed}, nil
}

// Died describes the worker that died during a call.
type Died struct {
	PID   uint32
	Space uint64
	At    int64 // nanoseconds since 1970
	Name  string
}

// Died says which worker died during call n. ok is false if nobody has written that.
func (s *Set) Died(slot int, n uint16) (d Died, ok bool) {
	who := atomic.LoadUint64(s.died(slot, layout.CallDiedPIDOffset))
	if uint32(who>>32) != uint32(n) {
		return d, false
	}
	d.PID, d.Space = uint32(who), atomic.LoadUint64(s.died(slot, layout.CallDiedSpaceOffset))
	d.At, d.Name = int64(atomic.LoadUint64(s.died(slot, layout.CallDiedAtOffset))), s.diedName(slot)
	return d, true
}
