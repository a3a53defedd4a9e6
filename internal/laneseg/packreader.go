package laneseg

import (
	"fmt"
	"sync/atomic"

	"samepage/internal/lane"
	"samepage/layout"
)

// These are the methods of a Reader for packs (docs/protocol/lane.md, Packs). The lane.Reader takes
// a pack as one message. The Reader keeps it while left is not 0, and gives its messages one after
// the other: msg and part are the one that was taken last, with its own number and length.

// unpacking is the part of a Reader for packs.
type unpacking struct {
	left   uint32 // messages of the pack that were not taken yet; without packs always 0
	part   uint32 // offset of the message in the payload; without packs always 0
	stride uint32 // bytes from one message to the next; 0: they have different sizes
	i      uint32 // index of the message in the pack
	bytes  uint32 // of the pack, with its header

	packs   bool
	largest uint32
	next    []uint64 // of each lane: the number that comes next; 0: not known
	newest  []uint64 // of each lane: of this pack, only the last message is wanted
	begin   []uint64 // of each lane: the first message that is wanted; 0: taken, or any
	base    []uint64 // of each lane: with which number pack 1 begins if no number is left out; 0: not known
	leftOut []uint64 // of each lane: how many messages before the next pack are in missed already
}

// joinPacks prepares the Reader for packs. heads are the numbers of the next pack of each lane,
// from before the Reader joined.
func (r *Reader) joinPacks(begin *Start, heads []uint64) {
	r.packs, r.largest = true, uint32(r.set.C.Largest())
	n := len(r.lanes)
	r.next, r.newest, r.begin = make([]uint64, n), make([]uint64, n), make([]uint64, n)
	r.base, r.leftOut = make([]uint64, n), make([]uint64, n)
	for l, lr := range r.lanes {
		from := begin.of(l)
		if lr.Next() == 1 {
			r.base[l] = r.number(l)
		}
		// Messages that were published since the Reader joined are all wanted.
		if q := lr.Next(); from == lane.Newest && q+1 == heads[l] {
			r.newest[l] = q
		}
		if from < lane.Oldest {
			r.begin[l] = from
			r.seekPack(l, lr, from)
		}
	}
}

// seekPack moves a lane's reader past the packs that end before message first.
func (r *Reader) seekPack(l int, lr *lane.Reader, first uint64) {
	for range r.set.C.Entries { // a hostile writer may publish more all the time
		var m lane.Message
		if ok, err := lr.Try(&m); !ok || err != nil {
			return // Take returns the error again
		}
		h, err := layout.ParsePack(lr.Payload(&m), r.largest)
		if err != nil || h.First+uint64(h.Count) > first {
			lr.Back(&m)
			return
		}
		r.set.Done(l, m.Slot)
		if lr.LetGo() {
			r.ringWriter(l)
		}
	}
}

// more takes the next message of the pack, like Take.
//
// Preconditions:
//   - left is not 0.
func (r *Reader) more() (ok bool, err error) {
	if r.ahead { // since WaitAny
		r.ahead = false
		return true, nil
	}
	r.left--
	r.turn++
	r.i++
	r.msg.Seq++
	r.msg.Missed = 0
	if r.stride == 0 {
		if err := r.measure(r.part + layout.PackAligned(r.msg.Len)); err != nil {
			return false, err
		}
	} else {
		r.part += r.stride
	}
	r.taken++
	return true, nil
}

// measure finds the length of message i, which begins at offset at. After an error the rest of the
// pack is skipped.
func (r *Reader) measure(at uint32) error {
	n, err := layout.PackLength(r.cur.Part(&r.msg, 0, r.bytes), r.i, at, r.largest)
	if err != nil {
		return r.spoilt(err)
	}
	r.part, r.msg.Len = at, n
	return nil
}

// spoilt skips the rest of a pack that is damaged.
func (r *Reader) spoilt(err error) error {
	l := r.cur.Lane()
	r.left, r.next[l] = 0, 0
	return fmt.Errorf("lane %d: %w", l, err)
}

// open begins a message that is a pack, or has a checksum, and was taken just now.
func (r *Reader) open() (ok bool, err error) {
	if r.sum {
		what := "message"
		if r.packs {
			what = "pack"
		}
		err = checkSum(what, r.cur.Payload(&r.msg), r.cur.Sum(&r.msg), &r.msg)
	}
	if r.packs {
		err = r.openPack(err)
	}
	return err == nil, err
}

func (r *Reader) openPack(err error) error {
	l, q, lost := r.cur.Lane(), r.msg.Seq, r.msg.Missed
	if err != nil {
		r.next[l] = 0
		return err
	}
	h, err := layout.ParsePack(r.cur.Payload(&r.msg), r.largest)
	if err != nil {
		return r.spoilt(err)
	}
	if want := r.next[l]; want > 0 {
		if h.First < want { // if it is more, they are missed, or the writer has left numbers out
			return r.spoilt(fmt.Errorf("a pack begins at message %d, but message %d comes next: %w", h.First, want, layout.ErrCorrupt))
		}
		r.msg.Missed = h.First - want // messages; until here it was packs
	}
	if base := r.base[l]; q == 1 && base > 0 && h.First > base {
		r.msg.Missed = h.First - base
	}
	skip := uint64(0)
	if first := r.begin[l]; first > 0 {
		r.begin[l], r.msg.Missed = 0, max(h.First, first)-first
		skip = min(max(first, h.First)-h.First, uint64(h.Count-1))
	}
	r.missed += r.msg.Missed - lost - r.leftOut[l]
	r.leftOut[l] = 0
	r.next[l] = h.First + uint64(h.Count)
	r.bytes, r.left, r.i = r.msg.Len, h.Count-1, 0
	r.msg.Seq, r.msg.Len = h.First, h.Size
	r.part = h.Begin()
	if r.stride = layout.PackAligned(h.Size); r.stride == 0 {
		if err := r.measure(r.part); err != nil {
			return err
		}
	}
	if r.newest[l] == q {
		skip = uint64(r.left)
	}
	return r.skip(uint32(skip))
}

// number returns Number of a lane, or 0 if it is not set, or corrupt.
func (r *Reader) number(l int) uint64 {
	if n := atomic.LoadUint64(r.set.Number(l)); n < layout.MaxNumber { // ACQUIRE
		return n
	}
	return 0
}

// numbers returns Number of all lanes, for noMore. Without packs it is nil.
func (r *Reader) numbers() (all []uint64) {
	if r.packs {
		for l := range r.lanes {
			all = append(all, r.number(l))
		}
	}
	return all
}

// noMore counts the messages that are missed because the writer of a lane has left out numbers after
// its last pack. They count in Missed of the next message, too, if there is one.
//
// Preconditions:
//   - number is Number of the lane, and was loaded before the lane was found to have no more packs.
func (r *Reader) noMore(l int, number uint64) {
	next := r.next[l]
	if next == 0 && r.lanes[l].Next() == 1 {
		next = r.base[l]
	}
	if next > 0 && number > next+r.leftOut[l] {
		r.missed += number - next - r.leftOut[l]
		r.leftOut[l] = number - next
	}
}

// skip moves n messages on in the pack.
//
// Preconditions:
//   - n is at most left.
func (r *Reader) skip(n uint32) error {
	r.msg.Seq += uint64(n)
	if r.stride > 0 {
		r.part += n * r.stride
		r.i, r.left = r.i+n, r.left-n
		return nil
	}
	for ; n > 0; n-- {
		r.i++
		r.left--
		if err := r.measure(r.part + layout.PackAligned(r.msg.Len)); err != nil {
			return err
		}
	}
	return nil
}

// settleTaken is Release within a pack.
func (r *Reader) settleTaken() {
	if r.h.Closed() {
		return
	}
	if !r.ahead {
		r.turn++
	}
	for l, lr := range r.lanes {
		settle := lr.Settle
		if lr == r.cur {
			settle = lr.SettleTaken
		}
		if settle() {
			r.ringWriter(l)
		}
	}
}

// Rest is a message that a Reader has taken, and the others that it has taken with it.
//
// Its methods take the first message, and have these preconditions:
//   - The Message is Good, or held.
type Rest struct {
	n      uint32 // number of messages
	stride uint32
	bytes  uint32
	first  uint32 // index of the first message in the pack
	most   uint32 // bytes of the largest message

	k, at uint32 // where the last look at messages of different sizes ended
}

// TakeRest takes the rest of the pack from which the last message was taken. In a segment without
// packs there is no rest, so x has one message.
//
// Preconditions:
//   - Take, TrySlowly or WaitSlowly has just taken a message.
//
// Errors: layout.ErrCorrupt: then the pack is skipped.
func (r *Reader) TakeRest(x *Rest) error {
	*x = Rest{n: 1 + r.left, stride: r.stride, bytes: r.bytes, first: r.i, most: r.largest, at: r.part}
	if x.stride == 0 && x.n > 1 {
		at := r.part + layout.PackAligned(r.msg.Len)
		for i := uint32(1); i < x.n; i++ {
			n, err := layout.PackLength(r.cur.Part(&r.msg, 0, r.bytes), x.first+i, at, x.most)
			if err != nil {
				r.turn++
				return r.spoilt(err)
			}
			at += layout.PackAligned(n)
		}
	}
	r.taken += uint64(r.left)
	r.left = 0
	return nil
}

// Len is the number of messages.
func (x *Rest) Len() int { return int(x.n) }

// Even says whether all messages have the same size.
func (x *Rest) Even() bool { return x.stride > 0 || x.n == 1 }

// Bytes returns message i, where message 0 is m. It returns nil if there is no such message, or if
// a hostile writer has changed the lengths since TakeRest.
func (x *Rest) Bytes(m *Message, i int) []byte {
	if uint(i) >= uint(x.n) {
		return nil
	}
	if x.stride > 0 || i == 0 {
		return m.r.Part(&m.Message, m.at+uint32(i)*x.stride, m.Len)
	}
	return x.walk(m, uint32(i))
}

func (x *Rest) walk(m *Message, i uint32) []byte {
	if i < x.k {
		x.k, x.at = 0, m.at
	}
	all := m.r.Part(&m.Message, 0, x.bytes)
	for {
		n, err := layout.PackLength(all, x.first+x.k, x.at, x.most)
		if err != nil {
			return nil
		}
		if x.k == i {
			return all[x.at : x.at+n : x.at+n]
		}
		x.k++
		x.at += layout.PackAligned(n)
	}
}
