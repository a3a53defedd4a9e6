package pubsub

import (
	"context"
	"fmt"
	"runtime"

	"samepage"
)

// Loan is a message in shared memory that the caller writes, and then publishes or discards. A
// Loan is published only once. The zero Loan behaves like a published one.
type Loan struct{ loan }

// loan is the common part of a Loan and a LoanOf. p is nil after it was published or discarded.
type loan struct {
	p       *publisher
	slot, n uint32
}

// Loan takes a slot for a message of n bytes on loan. The slot has old contents: the caller must
// set all n bytes.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, ErrTooManyHolds (Options.Loans messages are on
// loan already), ErrNoSpace (more messages are on loan than ever before), ErrClosed.
func (p *Publisher) Loan(n int) (Loan, error) {
	l, err := p.borrow(n)
	return Loan{l}, err
}

// borrow is Loan.
func (p *publisher) borrow(n int) (loan, error) {
	if uint64(n) > p.w.Largest() {
		return loan{}, p.wrap("write to", p.badSize(n))
	}
	if p.h.Closed() { // the slots may belong to another member by now
		return loan{}, p.wrap("write to", samepage.ErrClosed)
	}
	slot, ok := p.w.Loan()
	if !ok {
		return loan{}, p.wrap("write to", p.tooMany())
	}
	p.leaks.took(slot)
	return loan{p, slot, uint32(n)}, nil
}

func (p *publisher) badSize(n int) error {
	err := samepage.ErrTooLarge
	if n < 0 {
		err = samepage.ErrNegativeSize
	}
	return fmt.Errorf("a message of %d bytes, want 0 to %d: %w", n, p.w.Largest(), err)
}

// tooMany says why there is no free slot.
func (p *publisher) tooMany() error {
	if err := p.w.NoSpace(); err != nil {
		return err
	}
	return fmt.Errorf("%d on loan, Options.Loans of the topic is %d: %w", p.w.Loans(), p.set.C.Loans, samepage.ErrTooManyHolds)
}

// Bytes returns the bytes of the message, to write to. It is nil after the loan was published or
// discarded.
func (l *Loan) Bytes() []byte { return l.bytes() }

func (l *loan) bytes() []byte {
	if l.p == nil {
		return nil
	}
	return l.p.w.Place(l.slot, l.n)
}

// Truncate shortens the message to n bytes.
//
// Errors: samepage.ErrTooLarge.
func (l *Loan) Truncate(n int) error {
	if n < 0 || uint64(n) > uint64(l.n) {
		return fmt.Errorf("pubsub: truncate a loan to %d bytes, want 0 to %d: %w", n, l.n, samepage.ErrTooLarge)
	}
	l.n = uint32(n)
	return nil
}

// Discard gives the slot back and publishes nothing. A second Discard, or one after Publish, does
// nothing.
func (l *loan) Discard() {
	p := l.p
	l.p = nil
	if p != nil && !p.h.Closed() && p.w.TakeBack(l.slot) {
		p.leaks.gave(l.slot)
		p.w.Discard(l.slot)
		runtime.KeepAlive(p)
	}
}

var errNoLoan = fmt.Errorf("pubsub: publish a loan that was published or discarded before, or whose publisher is closed: %w", samepage.ErrClosed)

// TryPublish publishes the message if there is room. There is no room while a reliable subscriber
// is as far behind as it may be. Then TryPublish returns false, and the message stays on loan.
//
// Errors: samepage.ErrClosed.
func (l *loan) TryPublish() (bool, error) {
	p := l.p
	if p == nil || p.h.Closed() {
		return false, errNoLoan
	}
	if !p.w.TryRoom() {
		return false, nil
	}
	return true, p.put(l)
}

// Publish publishes the message. It waits while a reliable subscriber is as far behind as it may
// be. After an error the message stays on loan. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (l *loan) Publish(ctx context.Context) error {
	p := l.p
	if p == nil || p.h.Closed() {
		return errNoLoan
	}
	if !p.w.Room() {
		if err := p.w.WaitRoom(ctx); err != nil {
			return p.wrap("publish to", err)
		}
	}
	return p.put(l)
}

// put publishes a message. Precondition: there is room.
func (p *publisher) put(l *loan) error {
	if p.w.Packs() {
		return p.putPack(l, 1, l.n)
	}
	l.p = nil
	if !p.w.TakeBack(l.slot) { // another copy of l was published
		return errNoLoan
	}
	p.w.Seal(l.slot, l.n)
	p.leaks.gave(l.slot)
	p.w.Publish(l.slot, l.n)
	runtime.KeepAlive(p)
	return nil
}
