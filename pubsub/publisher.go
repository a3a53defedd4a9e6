package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/segment"
	"samepage/layout"
)

// Publisher publishes to a topic. Its methods are for one goroutine at a time; several
// goroutines have a Publisher each. A Publish that waits is ended by its context.
type Publisher struct {
	*topic
	w     laneseg.Writer
	leaks leaks
}

// NewPublisher opens the topic of that name, or makes it, and becomes one of its
// publishers. The place of a publisher that died is taken over; its messages stay.
//
// Errors: samepage.ErrBusy (as many publishers live as there may be), ErrTooLarge (the
// topic's messages are smaller than opts want), ErrKindMismatch (it has messages of a
// type), ErrTooManyMembers, ErrNoSpace, fs.ErrInvalid (options out of range), and those
// of samepage.Open and Create.
func NewPublisher(name string, opts *Options) (*Publisher, error) {
	return newPublisher(name, opts, nil)
}

func newPublisher(name string, opts *Options, ty *layout.Type) (*Publisher, error) {
	if opts == nil {
		opts = &Options{}
	}
	p := &Publisher{}
	t, err := openTopic(name, opts, ty)
	if err == nil {
		p.topic = t
		if err = p.begin(opts); err != nil {
			err = errors.Join(err, t.close())
		}
	}
	if err != nil {
		return nil, (&topic{name: name}).wrap("publish to", err)
	}
	return p, nil
}

func openTopic(name string, opts *Options, ty *layout.Type) (*topic, error) {
	p, err := opts.plan(ty)
	if err != nil {
		return nil, err
	}
	h, set, _, err := p.OpenOrCreate(opts.spec(name))
	if err != nil {
		return nil, err
	}
	return newTopic("publisher of topic", name, h, set), nil
}

// begin becomes the writer of a lane.
func (p *Publisher) begin(opts *Options) error {
	if most := p.set.C.MaxSize; uint64(opts.MaxSize) > most {
		return fmt.Errorf("its messages have up to %d bytes, not %d: %w", most, opts.MaxSize, samepage.ErrTooLarge)
	}
	err := p.w.Claim(p.h, p.set, layout.RolePublisher)
	if err == laneseg.ErrNoLane {
		err = fmt.Errorf("it has as many publishers as it may have, %d: %s: %w",
			p.set.C.Lanes, segment.Names(laneseg.Writers(p.h, p.set)), samepage.ErrBusy)
	}
	return err
}

// Loan is a message that is being written, in shared memory. It is published or
// discarded once.
type Loan struct {
	p       *Publisher
	slot, n uint32
}

// Loan takes a slot for a message of n bytes on loan. What the slot holds is left over
// from a message before.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, ErrTooManyHolds (as many are on loan as
// Options.Loans says), ErrClosed.
func (p *Publisher) Loan(n int) (Loan, error) {
	if uint64(n) > p.set.C.MaxSize {
		return Loan{}, p.wrap("write to", p.badSize(n))
	}
	if p.h.Closed() { // the slots may be another's by now
		return Loan{}, p.wrap("write to", samepage.ErrClosed)
	}
	slot, ok := p.w.Loan()
	if !ok {
		return Loan{}, p.wrap("write to", fmt.Errorf("messages on loan: %d: %w", p.w.Loans(), samepage.ErrTooManyHolds))
	}
	p.leaks.took(slot)
	return Loan{p, slot, uint32(n)}, nil
}

func (p *Publisher) badSize(n int) error {
	if n < 0 {
		return fmt.Errorf("message of %d bytes: %w", n, samepage.ErrNegativeSize)
	}
	return fmt.Errorf("message of %d bytes, it has room for %d: %w", n, p.set.C.MaxSize, samepage.ErrTooLarge)
}

// Bytes is where the message is written. It is nil once the loan is published or
// discarded.
func (l *Loan) Bytes() []byte {
	if l.p == nil {
		return nil
	}
	return l.p.w.Payload(l.slot)[:l.n]
}

// Truncate shortens the message to n bytes.
//
// Errors: samepage.ErrTooLarge.
func (l *Loan) Truncate(n int) error {
	if n < 0 || uint32(n) > l.n {
		return fmt.Errorf("pubsub: a loan of %d bytes truncated to %d: %w", l.n, n, samepage.ErrTooLarge)
	}
	l.n = uint32(n)
	return nil
}

// Discard gives the slot back unpublished.
func (l *Loan) Discard() {
	p := l.p
	l.p = nil
	if p != nil && !p.h.Closed() && p.w.TakeBack(l.slot) {
		p.leaks.gave(l.slot)
		p.w.Discard(l.slot)
		runtime.KeepAlive(p)
	}
}

// TryPublish publishes the message, unless a reliable subscriber lags as far
// behind as it may: then it is false, and the loan goes on.
//
// Errors: samepage.ErrClosed.
func (l *Loan) TryPublish() (bool, error) {
	p := l.p
	if p == nil || p.h.Closed() {
		return false, errNoLoan
	}
	if !p.w.TryRoom() {
		return false, nil
	}
	return true, p.put(l)
}

var errNoLoan = fmt.Errorf("pubsub: the loan is published or discarded, or its publisher closed: %w", samepage.ErrClosed)

// Publish publishes the message, and waits for reliable subscribers that lag as far
// behind as they may. With an error the loan goes on.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (l *Loan) Publish(ctx context.Context) error {
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

// put publishes a message for which there is room.
func (p *Publisher) put(l *Loan) error {
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

// Send publishes a copy of b.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Loan and Publish.
func (p *Publisher) Send(ctx context.Context, b []byte) error {
	l, err := p.Loan(len(b))
	if err != nil {
		return err
	}
	copy(p.w.Payload(l.slot), b)
	if err := l.Publish(ctx); err != nil {
		l.Discard()
		return err
	}
	return nil
}

// SendAll publishes a copy of each of all, in order, and looks once whether anybody is
// to be woken: for many small messages. Subscribers see them one by one. It returns how
// many were published.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Send.
func (p *Publisher) SendAll(ctx context.Context, all [][]byte) (int, error) {
	for i, b := range all {
		if err := p.sendUnrung(ctx, b); err != nil {
			p.flush(i)
			return i, err
		}
	}
	p.flush(len(all))
	return len(all), nil
}

func (p *Publisher) sendUnrung(ctx context.Context, b []byte) error {
	l, err := p.Loan(len(b))
	if err != nil {
		return err
	}
	copy(p.w.Payload(l.slot), b)
	return p.publishUnrung(ctx, &l)
}

func (p *Publisher) publishUnrung(ctx context.Context, l *Loan) error {
	if !p.w.Room() {
		p.flush(1) // nobody can make room for what they were not told of
		if err := p.w.WaitRoom(ctx); err != nil {
			l.Discard()
			return p.wrap("publish to", err)
		}
	}
	l.p = nil
	if !p.w.TakeBack(l.slot) {
		return errNoLoan
	}
	p.w.Seal(l.slot, l.n)
	p.leaks.gave(l.slot)
	p.w.PublishUnrung(l.slot, l.n)
	return nil
}

// PublishAll publishes loans of this publisher in order, as SendAll does. It returns
// how many were published; the others are discarded.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Loan.Publish.
func (p *Publisher) PublishAll(ctx context.Context, loans []Loan) (int, error) {
	for i := range loans {
		l := &loans[i]
		err := errNoLoan
		if l.p == p && !p.h.Closed() {
			err = p.publishUnrung(ctx, l)
		}
		if err != nil {
			for k := i; k < len(loans); k++ {
				if loans[k].p == p {
					loans[k].Discard()
				}
			}
			p.flush(i)
			return i, err
		}
	}
	p.flush(len(loans))
	return len(loans), nil
}

// flush rings those that sleep, after n messages were published unrung.
func (p *Publisher) flush(n int) {
	if n > 0 {
		p.w.RingAll()
	}
	runtime.KeepAlive(p)
}

// WaitSubscribers waits until the topic has n reliable subscribers or more.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrNameGone (nobody who comes by the name finds this topic),
// samepage.ErrClosed, the error of ctx.
func (p *Publisher) WaitSubscribers(ctx context.Context, n int) error {
	return p.wrap("wait for subscribers of", p.w.WaitReaders(ctx, n))
}

// Subscribers is how many reliable subscribers the topic has.
func (p *Publisher) Subscribers() int { return p.w.Readers() }

// Lag is how many messages the slowest reliable subscriber has not let go yet, as far as
// it has made that known.
func (p *Publisher) Lag() uint64 { return p.w.Lag() }

// Next is the number that the next message will have; the first one has 1.
func (p *Publisher) Next() uint64 { return p.w.Next() }

// Evicted is how many subscribers this publisher has passed over.
func (p *Publisher) Evicted() int { return p.w.Evicted() }

// Close ends the stream: subscribers that have taken all get io.EOF. A second Close
// does nothing. Of a Publisher that is dropped without Close nobody knows whether it had
// said all: subscribers get samepage.ErrPeerDied when it is collected.
//
// Errors: samepage.ErrBusy, while messages are on loan.
func (p *Publisher) Close() error { return p.leave(laneseg.InOrder) }

// Abort is Close without the end of the stream: for a publisher that cannot publish all
// that it should, such as one whose input is cut. Subscribers that have taken all get
// samepage.ErrPeerDied, as if it had died: what they have is not all. A second Abort, or a
// Close after it, does nothing.
//
// Errors: samepage.ErrBusy, while messages are on loan.
func (p *Publisher) Abort() error { return p.leave(laneseg.Cut) }

func (p *Publisher) leave(how uint64) error {
	if p.h.Closed() {
		return nil
	}
	if n := p.w.Loans(); n > 0 {
		return p.wrap("close", fmt.Errorf("messages on loan: %d%s: %w", n, p.leaks.String(), samepage.ErrBusy))
	}
	p.w.Leave(how)
	return p.wrap("close", p.topic.close())
}
