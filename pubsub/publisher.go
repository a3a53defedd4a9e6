package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Publisher publishes to a topic. Only one goroutine at a time may call its methods: several
// goroutines need a Publisher each. To end a Publish that waits, end its context.
type Publisher struct{ publisher }

// publisher is the common part of a Publisher and a PublisherOf.
type publisher struct {
	*topic
	w     laneseg.Writer
	leaks leaks
}

// CreatePublisher creates the topic and becomes one of its publishers. So that the first messages
// cost no page faults, it already touches the memory that they will use: up to 64 MiB, which takes
// up to two microseconds for each 4 KiB. OpenPublisher and OpenOrCreatePublisher do the same.
//
// Errors: fs.ErrExist (there is a topic of that name), fs.ErrInvalid (options out of
// range), samepage.ErrNoSpace, and those of samepage.Create.
func CreatePublisher(name string, opts *Options) (*Publisher, error) {
	p := new(Publisher)
	_, err := p.start(name, opts, nil, segment.ToCreate)
	return segment.OrNil(p, err)
}

// OpenPublisher opens a topic that exists and becomes one of its publishers. It may get the place
// of a publisher that died. The messages of that publisher stay. OpenPublisher uses only Scope,
// Owner and Schema of opts; if any other option is set, it returns an error.
//
// Errors: fs.ErrNotExist (there is no topic of that name; see AwaitPublisher),
// samepage.ErrTooManyPublishers (the topic has Options.Publishers publishers already),
// ErrTooManyMembers, ErrRetired, ErrKindMismatch (the messages of the topic have a Go type),
// fs.ErrInvalid (of opts), and those of samepage.Open.
func OpenPublisher(name string, opts *Options) (*Publisher, error) {
	p := new(Publisher)
	_, err := p.start(name, opts, nil, segment.ToOpen)
	return segment.OrNil(p, err)
}

// OpenOrCreatePublisher opens the topic of that name, or creates it, and becomes one of its
// publishers. If the topic existed, it keeps the options that it was created with: the method
// Options returns them. They must be those of opts, see Options.Differs and Options.AsItIs.
//
// Errors: samepage.ErrDiffers (the topic existed with other options; see ReplacePublisher),
// ErrTooLarge (its MaxSize is less than opts.MaxSize), ErrRetired (the topic was retired, and its
// subscribers still have it open), and those of CreatePublisher and OpenPublisher except
// fs.ErrExist and fs.ErrNotExist.
func OpenOrCreatePublisher(name string, opts *Options) (p *Publisher, existed bool, err error) {
	p = new(Publisher)
	existed, err = p.start(name, opts, nil, segment.ToOpenOrCreate)
	p, err = segment.OrNil(p, err)
	return p, existed, err
}

// ReplacePublisher is OpenOrCreatePublisher for a publisher that needs its own options. If the
// topic exists with other options, or with messages of another type, and has no publisher,
// ReplacePublisher retires it. Then its subscribers get samepage.ErrRetired after the last
// message. ReplacePublisher waits until all have closed it, and creates the new topic. Follow
// does all that for a subscriber. If the call does not have to wait, it ignores ctx.
//
// If a subscriber does not close the topic, the error of ctx names it.
//
// Errors: samepage.ErrBusy (the existing topic has a publisher), the error of ctx, and those of
// OpenOrCreatePublisher except samepage.ErrDiffers and ErrRetired.
func ReplacePublisher(ctx context.Context, name string, opts *Options) (*Publisher, error) {
	p := new(Publisher)
	return segment.OrNil(p, p.replace(ctx, name, opts, nil))
}

// AwaitPublisher waits until the topic exists, and then opens it like OpenPublisher. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of OpenPublisher except fs.ErrNotExist, and the error of ctx.
func AwaitPublisher(ctx context.Context, name string, opts *Options) (*Publisher, error) {
	return await(ctx, name, func() (*Publisher, error) { return OpenPublisher(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return wrap("wait for", name, err) })
}

// start is the common part of all constructors. Precondition: p is the zero value.
func (p *publisher) start(name string, opts *Options, ty *layout.Type, way segment.Way) (existed bool, err error) {
	if opts == nil {
		opts = &Options{}
	}
	existed, err = p.join(name, opts, ty, way)
	return existed, wrap("publish to", name, err)
}

func (p *publisher) join(name string, opts *Options, ty *layout.Type, way segment.Way) (existed bool, err error) {
	if way == segment.ToOpen {
		if err := opts.unset(); err != nil {
			return false, err
		}
	}
	o := *opts
	if ty, err = option.TypeOr(ty, o.Schema); err != nil {
		return false, err
	}
	if ty != nil {
		o.MaxSize = ty.Size
	}
	plan, err := o.plan(ty)
	if err != nil {
		return false, err
	}
	spec := opts.spec(name)
	h, set, existed, err := plan.Join(way, spec)
	if err != nil {
		return false, err
	}
	p.topic = newTopic("publisher of topic", name, h, set)
	if existed {
		err = o.fits(p.Options())
	}
	if err == nil {
		err = p.claim()
	}
	if err != nil {
		err = errors.Join(err, p.topic.close())
		segment.Unmake(existed, spec)
		return false, err
	}
	return existed, nil
}

// fits compares the options of a publisher with those of the topic that it has opened.
func (o *Options) fits(is Options) error {
	if o.AsItIs {
		o = &Options{MaxSize: o.MaxSize}
	}
	return o.Differs(is)
}

// claim makes p the writer of a lane.
func (p *publisher) claim() error {
	err := p.w.Claim(p.h, p.set, layout.RolePublisher)
	if err == laneseg.ErrNoLane {
		err = fmt.Errorf("it has the largest number of publishers, %d: %s: %w",
			p.set.C.Lanes, segment.Names(laneseg.Writers(p.h, p.set)), samepage.ErrTooManyPublishers)
	}
	return err
}

// Send publishes a copy of b. It waits only if there is no room, see Loan.Publish. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of Loan and of Loan.Publish.
func (p *Publisher) Send(ctx context.Context, b []byte) error {
	if uint64(len(b)) <= p.set.C.MaxSize && !p.h.Closed() && p.w.Send(b) {
		runtime.KeepAlive(p)
		return nil
	}
	return p.sendSlowly(ctx, b)
}

// sendSlowly is Send with all its errors, checksums and waiting.
func (p *Publisher) sendSlowly(ctx context.Context, b []byte) error {
	l, err := p.Loan(len(b))
	if err != nil {
		return err
	}
	copy(l.bytes(), b)
	if err := l.Publish(ctx); err != nil {
		l.Discard()
		return err
	}
	return nil
}

// SendAll publishes a copy of each element of all, in order, and wakes subscribers only once, at
// the end. It is for many small messages. Subscribers may see the first messages before the last
// ones are published. SendAll returns the number of published messages. It waits only if there is
// no room. If the call does not have to wait, it ignores ctx.
//
// In a topic with Options.Pack, SendAll puts as many messages into each pack as fit. All messages
// of a pack become visible at once. Packs of messages of one size are the fastest.
//
// Errors: those of Send.
func (p *Publisher) SendAll(ctx context.Context, all [][]byte) (int, error) {
	if p.w.Packs() {
		return p.sendPacks(ctx, all)
	}
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

// PublishAll publishes loans of this publisher in order, and wakes subscribers only once, like
// SendAll. It returns the number of published loans. After an error it discards the others. It
// waits only if there is no room. If the call does not have to wait, it ignores ctx.
//
// In a topic with Options.Pack, PublishAll copies the messages into packs, like SendAll. There
// LoanBatch is faster.
//
// Errors: those of Loan.Publish.
func (p *Publisher) PublishAll(ctx context.Context, loans []Loan) (int, error) {
	if p.w.Packs() {
		return p.publishPacks(ctx, loans)
	}
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
		p.flush(1) // sleeping subscribers must wake up, because they make room
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

// flush wakes the sleeping subscribers, if n messages were published and nobody was woken.
func (p *publisher) flush(n int) {
	if n > 0 {
		p.w.RingAll()
	}
	runtime.KeepAlive(p)
}

// WaitSubscribers waits until the topic has n subscribers or more, reliable or best-effort. If the
// call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrNameGone (the name no longer leads to this topic, so nobody can subscribe any
// more), samepage.ErrClosed, the error of ctx.
func (p *publisher) WaitSubscribers(ctx context.Context, n int) error {
	return p.wrap("wait for subscribers of", p.w.WaitReaders(ctx, n, laneseg.AnySort))
}

// WaitReliableSubscribers waits until the topic has n reliable subscribers or more. They get every
// message that is published after that. If the call does not have to wait, it ignores ctx.
//
// Errors: those of WaitSubscribers.
func (p *publisher) WaitReliableSubscribers(ctx context.Context, n int) error {
	return p.wrap("wait for subscribers of", p.w.WaitReaders(ctx, n, laneseg.Reliable))
}

// Subscribers returns the number of subscribers of the topic, reliable and best-effort. Evicted
// subscribers do not count. A dead subscriber counts until another member notices its death.
func (p *publisher) Subscribers() int { return p.w.Readers(laneseg.AnySort) }

// ReliableSubscribers returns the number of reliable subscribers of the topic. It counts in the
// same way as Subscribers.
func (p *publisher) ReliableSubscribers() int { return p.w.Readers(laneseg.Reliable) }

// Lag returns how many messages the slowest reliable subscriber has not let go yet. The result may
// be too large, because a subscriber that does not wait reports its progress with a delay. A
// subscriber lets go of a pack as a whole.
func (p *publisher) Lag() uint64 { return p.w.Lag() }

// Next returns the number of the next message. The first message has the number 1.
func (p *publisher) Next() uint64 { return p.w.Next() }

// Evicted returns how many subscribers this publisher has evicted, see Options.EvictAfter.
func (p *publisher) Evicted() int { return p.w.Evicted() }

// Close ends the stream and leaves the topic. After the last publisher has closed, subscribers that
// have taken all messages get io.EOF. A second Close does nothing. If a program drops a publisher
// without Close, nobody knows whether all was published. So subscribers get samepage.ErrPeerDied
// when the publisher is collected.
//
// Errors: samepage.ErrUnreleased, while messages are on loan.
func (p *publisher) Close() error { return p.leave(laneseg.InOrder) }

// Abort leaves the topic, but does not end the stream in order. It is for a publisher that could
// not publish all, for example because its input was cut. Subscribers that have taken all messages
// get samepage.ErrPeerDied, as if the publisher had died. A second Abort, or a Close after it, does
// nothing.
//
// Errors: samepage.ErrUnreleased, while messages are on loan.
func (p *publisher) Abort() error { return p.leave(laneseg.Cut) }

func (p *publisher) leave(how uint64) error {
	if p.h.Closed() {
		return nil
	}
	if n := p.w.Loans(); n > 0 {
		return p.wrap("close", fmt.Errorf("messages on loan: %d%s: %w", n, p.leaks.String(), samepage.ErrUnreleased))
	}
	p.w.Leave(how)
	return p.wrap("close", p.topic.close())
}
