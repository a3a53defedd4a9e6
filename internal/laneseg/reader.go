package laneseg

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"sync/atomic"
	"time"

	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Reader reads all lanes of a segment in turn, as one stream. It has a lane.Reader for each lane,
// waits for messages, and reports how the streams end. docs/protocol/lane.md has the protocol.
//
// Its states:
//
//	zero --Join--> idle <--Take, Release--> looking at a message
//	                 \---------- Leave ----------/
//
// While the Reader looks at a message, the message may be read in place. The next Take, Release or
// Leave lets go of it, and then the Message is no longer Good. With Hold it stays good until
// Unhold.
//
// To take a message, the user calls:
//
//	Take                     takes a message that is there already; this is the fast path
//	TrySlowly or WaitSlowly  only if Take returned false, with the error of Take; they check what
//	                         else has happened, and WaitSlowly waits
//	Message                  returns the message that was taken, to hold it
//	Mark, Bytes and others   say what is in it, and are faster
//
// Only one goroutine at a time may call the methods, except Unhold and Held, which any goroutine
// may call. A Reader must not be copied: while it waits, the death watch has its address. It does
// not close the Handle: its user does so, after Leave.
type Reader struct {
	h     *segment.Handle
	set   *lane.Set
	lanes []*lane.Reader
	ends  []uint64 // Ends of each lane: the part that was reported to the user
	sum   bool
	opens bool // messages have a checksum, or are packs

	gone   error        // the next Take returns it: always, or only once
	once   bool         // gone is returned only once
	turn   uint64       // changes when a message is taken, and when the Reader lets go of it
	cur    *lane.Reader // the lane of the message that the Reader looks at; nil: idle
	msg    lane.Message
	ahead  bool // WaitAny has taken msg for the next Take
	astray bool // the next Take looks at entries, too: the last message was not where it was expected, or passed
	passed int  // Takes that passed a lane in which nothing was where it was expected
	at     int  // the lane that comes next
	missed uint64
	taken  uint64

	unpacking
	holds
}

// Message is a message that a Reader has taken. In a segment with packs it is a message of a pack:
// Seq is its own number, Slot is that of the pack, and Missed counts messages.
type Message struct {
	lane.Message
	r    *lane.Reader
	turn uint64
	at   uint32 // its offset in the payload of the slot
}

// Start says where a Reader begins.
type Start struct {
	Reliable bool
	// From is lane.Oldest, Newest or Now, or the number of a message: of all lanes for which At has
	// nothing.
	From uint64
	// At has the number of a message for each lane. It may be shorter, and 0 means From. If such a
	// message does not exist any more, the Reader has missed it.
	At []uint64
}

func (s *Start) of(l int) uint64 {
	if l < len(s.At) && s.At[l] > 0 {
		return s.At[l]
	}
	return s.From
}

// Join begins to read all lanes, and then gives the member of h its role, layout.RoleReliable or
// RoleBestEffort.
//
// Preconditions:
//   - r is the zero value.
//   - h has joined, and its payload is mapped.
//
// Errors: syserr.ErrNoSpace. Then the member has no role and reads nothing.
func (r *Reader) Join(h *segment.Handle, set *lane.Set, begin *Start) error {
	r.holds.at(set, h.Me().Slot(), !begin.Reliable || set.C.EvictAfter > 0)
	for l := range int(set.C.Lanes) {
		if err := r.holds.keep(l); err != nil {
			return err
		}
	}
	r.h, r.set = h, set
	r.sum = set.C.Flags&layout.LaneChecksum != 0
	r.opens = r.sum || set.C.Pack > 0
	heads := make([]uint64, set.C.Lanes)
	for l := range heads {
		heads[l] = atomic.LoadUint64(set.Head(l))
	}
	for l := range heads {
		ends := atomic.LoadUint64(set.Ends(l))
		from := begin.of(l)
		if set.C.Pack > 0 && from < lane.Oldest {
			from = lane.Oldest // the numbers of a lane are those of packs
		}
		lr := lane.NewReader(set, l, h.Me(), begin.Reliable, from)
		if lr.Ready() {
			if uint32(ends) > 0 {
				ends-- // the messages that are still there have an end, or will have one
			}
			if ends>>32 > 0 && atomic.LoadUint64(set.Owner(l)) == 0 {
				// The messages may be of a writer that died or called Abort. Nobody knows, so the
				// user is told that the stream may not be complete.
				ends -= 1 << 32
			}
		}
		if lr.Settle() {
			r.ringWriter(l)
		}
		r.lanes, r.ends = append(r.lanes, lr), append(r.ends, ends)
	}
	if set.C.Pack > 0 {
		r.joinPacks(begin, heads)
	}
	role := uint32(layout.RoleReliable)
	if !begin.Reliable {
		role = layout.RoleBestEffort
	}
	set.EdgeRelease(lane.EdgeReaders)
	h.SetRole(role) // RELEASE: from here on a best-effort reader counts, see Writer.Readers
	return nil
}

// ringWriter rings the writer of a lane. The writer waits for room.
func (r *Reader) ringWriter(l int) {
	r.h.Ring(layout.Owner(atomic.LoadUint64(r.set.Owner(l))).Slot())
}

// Take lets go of the message before, and takes the next one if it is there. If ok is false, the
// user must next call TrySlowly or WaitSlowly with err.
func (r *Reader) Take() (ok bool, err error) {
	if r.left > 0 {
		return r.more()
	}
	if r.cur != nil {
		if r.ahead { // since WaitAny
			r.ahead = false
			return true, nil
		}
		r.letGo()
	}
	if r.gone != nil || r.h.Closed() { // its words may be another's by now
		return false, r.refusal()
	}
	return r.look(!r.astray)
}

// again is Take after a look in vain.
func (r *Reader) again() (ok bool, err error) {
	if r.gone != nil || r.h.Closed() {
		return false, r.refusal()
	}
	return r.look(false)
}

// mostPassed is the largest value of passed. Then the next Take also looks at the entries of the
// lanes that were passed: else a lane that always has a message would hide those of the others.
const mostPassed = 16

// look takes the next message of any lane. If quick is set, it looks only where messages are
// expected, and may miss one that is there.
func (r *Reader) look(quick bool) (ok bool, err error) {
	l := r.at
	for k := range r.lanes {
		lr := r.lanes[l]
		if l++; l == len(r.lanes) {
			l = 0
		}
		if ok, err = lr.TryExpected(&r.msg); !ok && err == nil && !quick {
			ok, err = lr.TryEntry(&r.msg)
			r.astray = r.astray || ok
		} else if r.astray && ok {
			r.astray = false
		}
		if ok {
			if quick && k > 0 && r.pass() {
				l = r.at // the first one that was passed
			}
			r.at = l
			r.cur = lr
			r.turn++
			r.taken++
			r.missed += r.msg.Missed
			if r.opens {
				return r.open()
			}
			return true, nil
		}
		if err != nil {
			return false, r.noted(err)
		}
	}
	return false, nil
}

// pass counts a quick look that has passed a lane. It returns true if the next look must begin with
// that lane, and is not quick.
func (r *Reader) pass() bool {
	if r.passed++; r.passed < mostPassed {
		return false
	}
	r.passed, r.astray = 0, true
	return true
}

func (r *Reader) refusal() error {
	if r.h.Closed() {
		return fs.ErrClosed
	}
	err := r.gone
	if r.once {
		r.gone, r.once = nil, false
	}
	return err
}

// noted keeps an error that all later calls of Take return.
func (r *Reader) noted(err error) error {
	if errors.Is(err, layout.ErrEvicted) || errors.Is(err, layout.ErrRetired) {
		r.gone = err
	}
	return err
}

// checkSum compares the bytes of a message with the checksum that came with it.
func checkSum(what string, b []byte, want uint32, m *lane.Message) error {
	if got := crc32.Checksum(b, castagnoli); got != want {
		return fmt.Errorf("%s %d of %d bytes has CRC-32C %#08x, computed %#08x: %w", what, m.Seq, m.Len, want, got, object.ErrChecksum)
	}
	return nil
}

// TrySlowly goes on after a Take that returned false and err. It does not wait. ok says whether it
// took a message.
//
// Errors: err; io.EOF (once, when the last writer has ended its stream), ErrCut (once for each
// writer that died or cut its stream), layout.ErrEvicted and ErrRetired (from then on always),
// ErrChecksum (for one message), ErrCorrupt, ErrClosed.
func (r *Reader) TrySlowly(err error) (ok bool, _ error) {
	for range 16 { // a hostile writer changes all words all the time
		r.settle()
		if err == nil || err == errAgain {
			if ok, err = r.again(); ok {
				return true, nil
			}
		}
		if err == nil {
			err = r.slow()
		}
		if err != errAgain {
			return false, err
		}
	}
	r.settle()
	return false, err
}

// WaitSlowly goes on after a Take that returned false and err, and waits until it has taken a
// message.
//
// Errors: those of TrySlowly, syserr.ErrNameGone (there is no writer, and the name no longer leads
// to this segment, so no writer can come), the error of ctx.
func (r *Reader) WaitSlowly(ctx context.Context, err error) error {
	for ok := false; !ok && err == nil; {
		if ok, err = r.takeWaiting(ctx); !ok && err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		r.settle()
	}
	return err
}

// Message sets m to the message that was taken last.
//
// Preconditions:
//   - Take, TrySlowly or WaitSlowly has just taken it.
func (r *Reader) Message(m *Message) {
	m.Message, m.r, m.turn, m.at = r.msg, r.cur, r.turn, r.part
}

// Good says whether m may still be read.
func (r *Reader) Good(m *Message) bool { return m.turn == r.turn }

// Mark tells the message that was taken last from others. It has what stays known about a message
// that is no longer good. It is small, because a Mark is passed for each message.
type Mark struct {
	turn uint64
	Seq  uint64
	// from is the number of messages that were lost just before this one, and the lane:
	//
	//	63                                    6 5         0
	//	+--------------------------------------+-----------+
	//	| lost, at most 2^58 - 1               | lane      |
	//	+--------------------------------------+-----------+
	from uint64
}

const markLane = layout.MaxLanes - 1

// Mark returns the Mark of the message that was taken.
//
// Preconditions:
//   - Take, TrySlowly or WaitSlowly has just taken it.
func (r *Reader) Mark() Mark {
	return Mark{r.turn, r.msg.Seq, min(r.msg.Missed, math.MaxUint64/layout.MaxLanes)*layout.MaxLanes | uint64(r.cur.Lane())}
}

// Missed is Message.Missed, and Lane the lane that the message came from.
func (m Mark) Missed() uint64 { return m.from / layout.MaxLanes }
func (m Mark) Lane() int      { return int(m.from & markLane) }

// Marks says whether the message of m may still be read: it is the one that was taken last.
func (r *Reader) Marks(m Mark) bool { return m.turn == r.turn }

// Bytes is what the message that was taken last says, Len its length, and Time when it was
// published.
//
// Preconditions:
//   - A Mark of it is good, see Marks.
func (r *Reader) Bytes() []byte   { return r.cur.Part(&r.msg, r.part, r.msg.Len) }
func (r *Reader) Len() uint32     { return r.msg.Len }
func (r *Reader) Time() time.Time { return time.Unix(0, r.cur.Time(&r.msg)) }

// Lane is the lane that a message came from.
func (m *Message) Lane() int { return m.r.Lane() }

// Bytes is what a message says.
//
// Preconditions:
//   - It is Good, or held.
func (m *Message) Bytes() []byte { return m.r.Part(&m.Message, m.at, m.Len) }

// Time returns when a message was published.
//
// Preconditions:
//   - It is Good, or held.
func (m *Message) Time() time.Time { return time.Unix(0, m.r.Time(&m.Message)) }

// letGo lets go of the message that the Reader looks at.
func (r *Reader) letGo() {
	lr := r.cur
	r.cur = nil
	r.turn++
	r.set.Done(lr.Lane(), r.msg.Slot)
	if !r.h.Closed() && lr.LetGo() {
		r.ringWriter(lr.Lane())
	}
}

// settle stores the cursors of this Reader, and rings the writers that wait.
func (r *Reader) settle() {
	if r.h.Closed() {
		return
	}
	for l, lr := range r.lanes {
		if lr.Settle() {
			r.ringWriter(l)
		}
	}
}

// Release lets go of the message that was taken last, and rings writers that wait. It is for a user
// that does something else before the next Take. A pack of which a part was not taken yet is kept.
func (r *Reader) Release() {
	if r.left > 0 {
		r.settleTaken()
		return
	}
	if r.cur != nil && !r.ahead {
		r.letGo()
	}
	r.settle()
}

// ErrCut is the end of a stream that was not ended in order: the writer has died, or has cut its
// stream. A Reader cannot tell these apart.
var ErrCut = fmt.Errorf("a writer has died or has cut its stream: %w", object.ErrPeerDied)

var errAgain = errors.New("look again")

// slow checks for all events that are not a message. It returns errAgain if there may be a message
// now.
func (r *Reader) slow() error {
	if r.h.Closed() {
		return fs.ErrClosed
	}
	for l, lr := range r.lanes {
		if lr.Evicted() {
			return r.noted(layout.ErrEvicted)
		}
		if lr.Lost() {
			return errAgain
		}
		// ACQUIRE: all messages before the end are there.
		ends := atomic.LoadUint64(r.set.Ends(l))
		if !r.over(l, ends) {
			continue
		}
		numbers := r.numbers()
		if lr.Look() {
			return errAgain
		}
		if ends>>32 != r.ends[l]>>32 {
			if r.packs {
				r.noMore(l, numbers[l])
			}
			r.ends[l] = ends&^(1<<32-1) | r.ends[l]&(1<<32-1) // another may have ended since
			r.set.EdgeAcquire(lane.EdgeWriters + uint64(l))
			return ErrCut
		}
		if r.Writers() > 0 {
			r.ends[l] = ends
			continue
		}
		if r.ready() { // since it was looked at
			return errAgain
		}
		for k, n := range numbers {
			r.noMore(k, n)
		}
		for k := range r.ends { // reported once for all lanes
			low := uint32(atomic.LoadUint64(r.set.Ends(k)))
			r.ends[k] = r.ends[k]&^(1<<32-1) | uint64(low)
			r.set.EdgeAcquire(lane.EdgeWriters + uint64(k))
		}
		return io.EOF
	}
	if atomic.LoadUint64(r.set.Retired()) == 0 {
		return nil
	}
	numbers := r.numbers()
	if r.ready() { // ACQUIRE: all messages are there
		return errAgain
	}
	for l, n := range numbers {
		r.noMore(l, n)
	}
	return r.noted(layout.ErrRetired)
}

// over says whether ends has something that was not reported to the user. A writer that has ended
// its stream counts as a writer until Owner no longer names it: only then the Reader knows whether
// it was the last one.
func (r *Reader) over(l int, ends uint64) bool {
	was := r.ends[l]
	return ends != was && (ends>>32 != was>>32 || atomic.LoadUint64(r.set.Owner(l)) == 0)
}

func (r *Reader) ready() bool {
	for _, lr := range r.lanes {
		if lr.Look() {
			return true
		}
	}
	return false
}

// Writers returns the number of lanes that have a writer now.
func (r *Reader) Writers() (n int) {
	for l := range r.lanes {
		if atomic.LoadUint64(r.set.Owner(l)) != 0 {
			n++
		}
	}
	return n
}

// Missed returns the number of messages that the Reader has missed, and Taken the number that it
// has taken.
func (r *Reader) Missed() uint64 { return r.missed }
func (r *Reader) Taken() uint64  { return r.taken }

// Next returns the number of the message of lane l that comes next. It is 0 in a segment with
// packs, if no pack was taken since a damaged one, or since the Reader began without a number.
func (r *Reader) Next(l int) uint64 {
	if r.cur != nil && r.cur.Lane() == l && (r.left > 0 || r.ahead) {
		if r.ahead { // WaitAny has taken it, and the user has not
			return r.msg.Seq
		}
		return r.msg.Seq + 1
	}
	if r.packs {
		return max(r.next[l], r.begin[l])
	}
	return r.lanes[l].Next()
}

// Behind returns how many messages there are that the Reader has not taken, as far as the hints
// of the lanes say. It is for a Reader that takes no more.
func (r *Reader) Behind() (n uint64) {
	for l := range r.lanes {
		head := r.set.Head(l)
		if r.packs {
			head = r.set.Number(l)
		}
		if h, next := atomic.LoadUint64(head), r.Next(l); next > 0 && h > next && h < layout.MaxNumber {
			n += h - next
		}
	}
	return n
}

// Hold keeps a message after the next Take, with pin word k.
//
// Preconditions:
//   - m is Good, and h is not closed.
//
// Errors: object.ErrTooManyHolds (all pin words are in use), syserr.ErrNoSpace.
func (r *Reader) Hold(m *Message) (k int, err error) {
	if k, err = r.holds.take(m.Lane()); err == nil {
		m.r.Hold(&m.Message, k)
	}
	return k, err
}

// Unhold lets go of the message that pin word k keeps. Any goroutine may call it, once for each
// Hold.
func (r *Reader) Unhold(m *Message, k int) {
	r.set.Done(m.r.Lane(), m.Slot)
	r.set.Unpin(r.h.Me().Slot(), k)
	r.holds.giveBack(m.r.Lane(), k)
}

// Leave ends the reading.
//
// Preconditions:
//   - h is not closed, and nothing is held.
//
// The user must close h next, and must not call anything else.
func (r *Reader) Leave() {
	if r.cur != nil {
		r.set.Done(r.cur.Lane(), r.msg.Slot)
	}
	r.cur, r.left = nil, 0
	r.turn++
	me := r.h.Me().Slot()
	for l, lr := range r.lanes {
		if lr.Leave() {
			r.ringWriter(l)
		}
	}
	r.set.Unpin(me, 0)
	for l := range r.lanes {
		r.set.Release(l, me)
	}
}
