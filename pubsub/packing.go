package pubsub

import (
	"context"
	"runtime"

	"samepage/internal/fault"
	"samepage/layout"
)

// A packing says which messages one pack gets. The zero value is an empty pack.
type packing struct {
	count uint32
	sum   uint64 // bytes of the messages, each rounded up
	size  uint32 // of each message, if even
	mixed bool   // the messages have different sizes, or no bytes: their lengths are written
}

// add adds a message of n bytes, or returns false if room bytes are not enough for it.
//
// Preconditions:
//   - n is at most layout.MaxPack.
func (k *packing) add(n, room uint32) bool {
	t := packing{k.count + 1, k.sum + uint64(layout.PackAligned(n)), n, k.mixed || n == 0 || k.count > 0 && n != k.size}
	need := t.sum
	if t.mixed {
		need += uint64(layout.PackAligned(4 * t.count))
	}
	if need > uint64(room) {
		return false
	}
	*k = t
	return true
}

// begin is the offset of the first message in the payload.
func (k *packing) begin() uint32 {
	h := layout.PackHeader{Count: k.count, Size: k.size}
	if k.mixed {
		h.Size = 0
	}
	return h.Begin()
}

// finish publishes the messages that are in their places, and rings nobody. n is the offset after
// the last one.
func (k *packing) finish(p *publisher, slot, n uint32) {
	if k.mixed {
		p.w.PublishMixed(slot, k.count, n, false)
	} else {
		p.w.PublishEven(slot, k.count, k.size, false)
	}
}

// putPack publishes a pack of count messages of one size, in their places. Precondition: there is
// room.
func (p *publisher) putPack(l *loan, count, size uint32) error {
	l.p = nil
	if !p.w.TakeBack(l.slot) { // another copy of l was published
		return errNoLoan
	}
	p.leaks.gave(l.slot)
	p.w.PublishEven(l.slot, count, size, true)
	runtime.KeepAlive(p)
	return nil
}

// waitUnrung waits for room. sent says whether messages were published for which nobody was woken.
func (p *publisher) waitUnrung(ctx context.Context, sent int) error {
	if p.w.Room() {
		return nil
	}
	p.flush(sent) // sleeping subscribers must wake up, because they make room
	return p.wrap("publish to", p.w.WaitRoom(ctx))
}

// sendPacks is SendAll in a topic with packs.
func (p *Publisher) sendPacks(ctx context.Context, all [][]byte) (n int, err error) {
	for n < len(all) && err == nil {
		var k packing
		for _, b := range all[n:] {
			if uint64(len(b)) > p.w.Largest() || !k.add(uint32(len(b)), p.w.PackRoom()) {
				break
			}
		}
		if k.count == 0 {
			err = p.wrap("write to", p.badSize(len(all[n])))
			break
		}
		if err = p.sendPack(ctx, &k, all[n:n+int(k.count)], n); err == nil {
			n += int(k.count)
		}
	}
	p.flush(n)
	return n, err
}

// sendPack publishes a pack with a copy of all.
func (p *Publisher) sendPack(ctx context.Context, k *packing, all [][]byte, sent int) error {
	l, err := p.borrow(0)
	if err != nil {
		return err
	}
	to := p.w.Payload(l.slot)
	at := k.begin()
	for i, b := range all {
		if k.mixed {
			layout.PutPackLength(to, uint32(i), uint32(len(b)))
		}
		copy(to[at:], b)
		at += layout.PackAligned(uint32(len(b)))
		fault.At(fault.PackHalf)
	}
	if err := p.waitUnrung(ctx, sent); err != nil {
		l.Discard()
		return err
	}
	p.w.TakeBack(l.slot)
	p.leaks.gave(l.slot)
	k.finish(&p.publisher, l.slot, at)
	return nil
}

// sendBatches is SendAll in a topic with packs.
func (p *PublisherOf[T]) sendBatches(ctx context.Context, vs []T) (n int, err error) {
	most := p.w.PackRoom() / layout.PackAligned(uint32(p.w.Largest()))
	for n < len(vs) && err == nil {
		var b BatchOf[T]
		if b, err = p.LoanBatch(min(int(most), len(vs)-n)); err != nil {
			break
		}
		for i := range b.Len() {
			*b.Value(i) = vs[n+i]
			fault.At(fault.PackHalf)
		}
		if err = p.waitUnrung(ctx, n); err != nil {
			b.Discard()
			break
		}
		p.w.TakeBack(b.slot)
		p.leaks.gave(b.slot)
		p.w.PublishEven(b.slot, b.n, b.size, false)
		n += b.Len()
	}
	p.flush(n)
	return n, err
}

// publishPacks is PublishAll in a topic with packs. Each pack is made in the slot of its first
// message.
func (p *Publisher) publishPacks(ctx context.Context, loans []Loan) (n int, err error) {
	for n < len(loans) && err == nil {
		var k packing
		k, err = p.takeBack(loans[n:])
		part := loans[n : n+int(k.count)]
		if len(part) == 0 {
			break
		}
		if werr := p.waitUnrung(ctx, n); werr != nil {
			for _, l := range part {
				p.w.Discard(l.slot)
			}
			err = werr
			break
		}
		k.finish(&p.publisher, part[0].slot, p.merge(&k, part))
		n += len(part)
	}
	if err != nil {
		for i := range loans[n:] {
			if l := &loans[n+i]; l.p == &p.publisher {
				l.Discard()
			}
		}
	}
	p.flush(n)
	return n, err
}

// takeBack ends the loans that go into one pack: the first ones of loans. err is about the loan
// after these.
func (p *Publisher) takeBack(loans []Loan) (k packing, err error) {
	for i := range loans {
		l := &loans[i]
		if l.p != &p.publisher || p.h.Closed() {
			return k, errNoLoan
		}
		with := k
		if !with.add(l.n, p.w.PackRoom()) {
			return k, nil
		}
		l.p = nil
		if !p.w.TakeBack(l.slot) { // another copy of l was published
			return k, errNoLoan
		}
		p.leaks.gave(l.slot)
		k = with
	}
	return k, nil
}

// merge moves messages into the slot of the first one, and gives back the slots of the others. It
// returns the offset after the last message.
func (p *Publisher) merge(k *packing, part []Loan) (at uint32) {
	to := p.w.Payload(part[0].slot)
	at = k.begin()
	for i, l := range part {
		if at > layout.PackHeaderSize || i > 0 { // else it is there
			copy(to[at:], p.w.Place(l.slot, l.n))
		}
		if k.mixed {
			layout.PutPackLength(to, uint32(i), l.n)
		}
		if i > 0 {
			p.w.Discard(l.slot)
		}
		at += layout.PackAligned(l.n)
		fault.At(fault.PackHalf)
	}
	return at
}
