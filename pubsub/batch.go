package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"samepage"
	"samepage/layout"
)

// Batch is one pack in shared memory: a number of messages of one size that the caller writes, and
// then publishes or discards together. Nothing is copied. A Batch is published only once. The zero
// Batch behaves like a published one.
type Batch struct{ batch }

// batch is the common part of a Batch and a BatchOf. The n of the loan is the number of messages.
type batch struct {
	loan
	size, stride uint32
	all          []byte // all places
}

// LoanBatch takes a pack on loan, with places for n messages of size bytes each. Their sizes, each
// rounded up to a multiple of 8 that is not 0, may together have up to Options.Pack bytes. The
// places have old contents: the caller must set all bytes of each place.
//
// Errors: errors.ErrUnsupported (the topic has no Options.Pack), samepage.ErrTooLarge,
// ErrNegativeSize, fs.ErrInvalid (n is less than 1), ErrTooManyHolds (Options.Loans messages or
// batches are on loan already), ErrClosed.
func (p *Publisher) LoanBatch(n, size int) (Batch, error) {
	b, err := p.borrowBatch(n, size)
	return Batch{b}, err
}

func (p *publisher) borrowBatch(n, size int) (b batch, err error) {
	if uint64(size) > p.w.Largest() || !p.w.Packs() {
		return b, p.wrap("write to", p.badBatch(n, size))
	}
	stride := max(layout.PackAligned(uint32(size)), layout.PackAlign)
	if uint64(n)-1 >= layout.MaxPack || uint64(n)*uint64(stride) > uint64(p.w.PackRoom()) {
		return b, p.wrap("write to", p.badBatch(n, size))
	}
	if b.loan, err = p.borrow(0); err != nil {
		return batch{}, err
	}
	b.n, b.size, b.stride = uint32(n), uint32(size), stride
	b.all = p.w.Payload(b.slot)[layout.PackHeaderSize:][:b.n*stride]
	return b, nil
}

func (p *publisher) badBatch(n, size int) error {
	if !p.w.Packs() {
		return fmt.Errorf("a batch needs a topic with packs, but Options.Pack of this topic is 0: %w", errors.ErrUnsupported)
	}
	if uint64(size) > p.w.Largest() {
		return p.badSize(size)
	}
	err := samepage.ErrTooLarge
	if n < 1 {
		err = fs.ErrInvalid
	}
	most := p.w.PackRoom() / max(layout.PackAligned(uint32(size)), layout.PackAlign)
	return fmt.Errorf("a batch of %d messages of %d bytes, want 1 to %d, because Options.Pack of the topic is %d: %w", n, size, most, p.w.PackRoom(), err)
}

// Len returns the number of messages. It is 0 after the batch was published or discarded.
func (b *batch) Len() int {
	if b.p == nil {
		return 0
	}
	return int(b.n)
}

// Bytes returns the bytes of message i, to write to. It is nil if i is not 0 to Len() - 1.
func (b *Batch) Bytes(i int) []byte { return b.bytes(i) }

func (b *batch) bytes(i int) []byte {
	if uint(i) >= uint(b.n) || b.p == nil {
		return nil
	}
	at := uint32(i) * b.stride
	return b.all[at : at+b.size : at+b.size]
}

// Truncate shortens the batch to its first n messages.
//
// Errors: samepage.ErrTooLarge (n is more than Len), fs.ErrInvalid (n is less than 1: see Discard).
func (b *batch) Truncate(n int) error {
	if most := b.Len(); n < 1 || n > most {
		err := samepage.ErrTooLarge
		if n < 1 {
			err = fs.ErrInvalid
		}
		return fmt.Errorf("pubsub: truncate a batch to %d messages, want 1 to %d: %w", n, most, err)
	}
	b.n = uint32(n)
	return nil
}

// TryPublish publishes the messages if there is room, like Loan.TryPublish.
//
// Errors: samepage.ErrClosed.
func (b *batch) TryPublish() (bool, error) {
	p := b.p
	if p == nil || p.h.Closed() {
		return false, errNoLoan
	}
	if !p.w.TryRoom() {
		return false, nil
	}
	return true, p.putPack(&b.loan, b.n, b.size)
}

// Publish publishes the messages. They become visible at once. Publish waits while a reliable
// subscriber is as far behind as it may be. After an error the batch stays on loan. If the call
// does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (b *batch) Publish(ctx context.Context) error {
	p := b.p
	if p == nil || p.h.Closed() {
		return errNoLoan
	}
	if !p.w.Room() {
		if err := p.w.WaitRoom(ctx); err != nil {
			return p.wrap("publish to", err)
		}
	}
	return p.putPack(&b.loan, b.n, b.size)
}

// BatchOf is one pack of values in shared memory; see Batch.
type BatchOf[T any] struct{ batch }

// LoanBatch takes a pack on loan, with places for n values. They have old contents: the caller must
// set all of them.
//
// Errors: those of Publisher.LoanBatch.
func (p *PublisherOf[T]) LoanBatch(n int) (BatchOf[T], error) {
	b, err := p.borrowBatch(n, int(p.w.Largest()))
	return BatchOf[T]{b}, err
}

// Value returns value i, to write to. It is nil if i is not 0 to Len() - 1.
func (b *BatchOf[T]) Value(i int) *T {
	v, err := layout.As[T](b.bytes(i))
	if err != nil {
		return nil
	}
	return v
}
