package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Publisher publishes to a topic. One goroutine at a time calls its methods; several
// goroutines have a Publisher each. A Publish that waits ends with its context.
type Publisher struct{ publisher }

// publisher is what a Publisher and a PublisherOf have in common.
type publisher struct {
	*topic
	w     laneseg.Writer
	leaks leaks
}

// CreatePublisher creates the topic and becomes one of its publishers.
//
// Errors: fs.ErrExist (there is a topic of that name), fs.ErrInvalid (options out of
// range), samepage.ErrNoSpace, and those of samepage.Create.
func CreatePublisher(name string, opts *Options) (*Publisher, error) {
	p := new(Publisher)
	_, err := p.start(name, opts, nil, create)
	return orNil(p, err)
}

// OpenPublisher opens a topic that exists and becomes one of its publishers. The place of
// a publisher that died is taken over; its messages stay. Of opts it uses Scope and Owner;
// any other option that is set is an error.
//
// Errors: fs.ErrNotExist (there is no topic of that name; see AwaitPublisher),
// samepage.ErrBusy (it has as many publishers as it may have), ErrTooManyMembers,
// ErrKindMismatch (it has messages of a type), fs.ErrInvalid (of opts), and those of
// samepage.Open.
func OpenPublisher(name string, opts *Options) (*Publisher, error) {
	p := new(Publisher)
	_, err := p.start(name, opts, nil, open)
	return orNil(p, err)
}

// OpenOrCreatePublisher opens the topic of that name, or creates it, and becomes one of its
// publishers. If the topic existed it keeps the options that it was created with, see
// Options; only MaxSize is compared with them.
//
// Errors: samepage.ErrTooLarge (the topic existed, and its messages are smaller than
// opts.MaxSize), and those of CreatePublisher and OpenPublisher but for fs.ErrExist and
// fs.ErrNotExist.
func OpenOrCreatePublisher(name string, opts *Options) (p *Publisher, existed bool, err error) {
	p = new(Publisher)
	existed, err = p.start(name, opts, nil, openOrCreate)
	p, err = orNil(p, err)
	return p, existed, err
}

// AwaitPublisher is OpenPublisher, but waits until the topic exists. What is available is
// taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of OpenPublisher without fs.ErrNotExist, and the error of ctx.
func AwaitPublisher(ctx context.Context, name string, opts *Options) (*Publisher, error) {
	return await(ctx, name, func() (*Publisher, error) { return OpenPublisher(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return wrap("wait for", name, err) })
}

func orNil[T any](v *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// opener is one of the ways to the segment of a plan.
type opener struct {
	opens bool // only
	do    func(*laneseg.Plan, *object.Spec) (h *segment.Handle, set *lane.Set, existed bool, err error)
}

var (
	create = opener{false, func(p *laneseg.Plan, o *object.Spec) (*segment.Handle, *lane.Set, bool, error) {
		h, set, err := p.Create(o)
		return h, set, false, err
	}}
	open = opener{true, func(p *laneseg.Plan, o *object.Spec) (*segment.Handle, *lane.Set, bool, error) {
		h, set, err := p.Open(o)
		return h, set, true, err
	}}
	openOrCreate = opener{false, (*laneseg.Plan).OpenOrCreate}
)

// start is what all constructors do. Precondition: p is the zero value.
func (p *publisher) start(name string, opts *Options, ty *layout.Type, by opener) (existed bool, err error) {
	if opts == nil {
		opts = &Options{}
	}
	existed, err = p.join(name, opts, ty, by)
	return existed, wrap("publish to", name, err)
}

func (p *publisher) join(name string, opts *Options, ty *layout.Type, by opener) (existed bool, err error) {
	if by.opens {
		if err := opts.unset(); err != nil {
			return false, err
		}
	}
	o := *opts
	if ty != nil {
		o.MaxSize = ty.Size
	}
	plan, err := o.plan(ty)
	if err != nil {
		return false, err
	}
	h, set, existed, err := by.do(plan, opts.spec(name))
	if err != nil {
		return false, err
	}
	p.topic = newTopic("publisher of topic", name, h, set)
	if err := p.claim(o.MaxSize); err != nil {
		return false, errors.Join(err, p.topic.close())
	}
	return existed, nil
}

// claim becomes the writer of a lane, for messages of size bytes.
func (p *publisher) claim(size int) error {
	if most := p.set.C.MaxSize; uint64(size) > most {
		return fmt.Errorf("its messages have up to %d bytes, MaxSize is %d: %w", most, size, samepage.ErrTooLarge)
	}
	err := p.w.Claim(p.h, p.set, layout.RolePublisher)
	if err == laneseg.ErrNoLane {
		err = fmt.Errorf("it has as many publishers as it may have, %d: %s: %w",
			p.set.C.Lanes, segment.Names(laneseg.Writers(p.h, p.set)), samepage.ErrBusy)
	}
	return err
}

// Send publishes a copy of b. It waits only if there is no room. What is available is taken
// even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Loan and of Loan.Publish.
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

// SendAll publishes a copy of each of all, in order, and wakes subscribers once, at the
// end: for many small messages. Subscribers see the messages one by one. It returns how
// many were published. It waits only if there is no room. What is available is taken even
// if ctx has ended; ctx only ends waiting.
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
	return p.publishUnrung(ctx, &l.loan)
}

// PublishAll publishes loans of this publisher in order, as SendAll does. It returns how
// many were published; the others are discarded. It waits only if there is no room. What is
// available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Loan.Publish.
func (p *Publisher) PublishAll(ctx context.Context, loans []Loan) (int, error) {
	for i := range loans {
		l := &loans[i]
		err := errNoLoan
		if l.p == &p.publisher && !p.h.Closed() {
			err = p.publishUnrung(ctx, &l.loan)
		}
		if err != nil {
			for k := i; k < len(loans); k++ {
				if loans[k].p == &p.publisher {
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

// publishUnrung publishes a message, or discards its loan. Precondition: p is not closed.
func (p *publisher) publishUnrung(ctx context.Context, l *loan) error {
	if !p.w.Room() {
		p.flush(1) // nobody makes room for messages that nobody was told of
		if err := p.w.WaitRoom(ctx); err != nil {
			l.Discard()
			return p.wrap("publish to", err)
		}
	}
	l.p = nil
	if !p.w.TakeBack(l.slot) { // another copy of l was published
		return errNoLoan
	}
	p.w.Seal(l.slot, l.n)
	p.leaks.gave(l.slot)
	p.w.PublishUnrung(l.slot, l.n)
	return nil
}

// flush wakes the subscribers that sleep, after n messages were published unrung.
func (p *publisher) flush(n int) {
	if n > 0 {
		p.w.RingAll()
	}
	runtime.KeepAlive(p)
}

// WaitSubscribers waits until the topic has n subscribers or more, reliable or not. What is
// available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrNameGone (the name no longer leads to this topic, so nobody new finds
// it), samepage.ErrClosed, the error of ctx.
func (p *publisher) WaitSubscribers(ctx context.Context, n int) error {
	return p.wrap("wait for subscribers of", p.w.WaitReaders(ctx, n, laneseg.AnySort))
}

// WaitReliableSubscribers waits until the topic has n reliable subscribers or more. They
// miss nothing that is published from then on. What is available is taken even if ctx has ended; ctx
// only ends waiting.
//
// Errors: those of WaitSubscribers.
func (p *publisher) WaitReliableSubscribers(ctx context.Context, n int) error {
	return p.wrap("wait for subscribers of", p.w.WaitReaders(ctx, n, laneseg.Reliable))
}

// Subscribers is how many subscribers the topic has, reliable and best-effort, without
// those that were evicted.
func (p *publisher) Subscribers() int { return p.w.Readers(laneseg.AnySort) }

// ReliableSubscribers is how many reliable subscribers the topic has, without those that
// were evicted.
func (p *publisher) ReliableSubscribers() int { return p.w.Readers(laneseg.Reliable) }

// Lag is how many messages the slowest reliable subscriber has not let go yet. A subscriber
// that does not wait tells that a little late, so it may have let go some more.
func (p *publisher) Lag() uint64 { return p.w.Lag() }

// Next is the number that the next message will have; the first one has 1.
func (p *publisher) Next() uint64 { return p.w.Next() }

// Evicted is how many subscribers this publisher has evicted, see Options.EvictAfter.
func (p *publisher) Evicted() int { return p.w.Evicted() }

// Close ends the stream: subscribers that have taken all messages get io.EOF. A second
// Close does nothing. If a publisher is dropped without Close nobody knows whether it had
// published all: subscribers get samepage.ErrPeerDied when it is collected.
//
// Errors: samepage.ErrBusy, while messages are on loan.
func (p *publisher) Close() error { return p.leave(laneseg.InOrder) }

// Abort is Close without the end of the stream: for a publisher that cannot publish all
// that it should, such as one whose input is cut. Subscribers that have taken all messages
// get samepage.ErrPeerDied, as if the publisher had died. A second Abort, or a Close after
// it, does nothing.
//
// Errors: samepage.ErrBusy, while messages are on loan.
func (p *publisher) Abort() error { return p.leave(laneseg.Cut) }

func (p *publisher) leave(how uint64) error {
	if p.h.Closed() {
		return nil
	}
	if n := p.w.Loans(); n > 0 {
		return p.wrap("close", fmt.Errorf("messages on loan: %d%s: %w", n, p.leaks.String(), samepage.ErrBusy))
	}
	p.w.Leave(how)
	return p.wrap("close", p.topic.close())
}
