package frame

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"samepage"
	"samepage/internal/option"
	"samepage/pubsub"
)

// Publisher publishes frames to a topic. Only one goroutine at a time may call its methods. If a
// Publish waits, the end of its context ends it.
type Publisher struct {
	p    *pubsub.Publisher
	max  int64
	free []*Loan // loans that are not in use
}

// CreatePublisher creates the topic and becomes one of its publishers. A message has room for
// largest.Size() bytes, or for opts.MaxSize bytes if that is more. Frames of any format may use
// this room. Pack must be 0, and Schema empty. See pubsub.Options.InUse for the memory that this
// takes. If EvictAfter is zero, it is a second, so a viewer that hangs does not stop a camera for
// longer. If it is negative, reliable subscribers are never evicted.
//
// Errors: ErrSpec, samepage.ErrTooLarge, and those of pubsub.CreatePublisher.
func CreatePublisher(name string, largest Spec, opts *pubsub.Options) (*Publisher, error) {
	_, o, err := topicOptions(name, largest, opts)
	if err != nil {
		return nil, err
	}
	return publisher(pubsub.CreatePublisher(name, o))
}

// OpenPublisher opens a topic that exists and becomes one of its publishers.
//
// Errors: those of pubsub.OpenPublisher.
func OpenPublisher(name string, opts *pubsub.Options) (*Publisher, error) {
	return publisher(pubsub.OpenPublisher(name, opts))
}

// OpenOrCreatePublisher opens the topic, or creates it like CreatePublisher, and becomes one of
// its publishers. If the topic existed, it keeps its options. They must be those of opts, and its
// messages must have room for largest.
//
// Errors: ErrSpec; samepage.ErrTooLarge; those of pubsub.OpenOrCreatePublisher, such as
// samepage.ErrDiffers (see ReplacePublisher).
func OpenOrCreatePublisher(name string, largest Spec, opts *pubsub.Options) (p *Publisher, existed bool, err error) {
	asked, o, err := topicOptions(name, largest, opts)
	if err != nil {
		return nil, false, err
	}
	o.AsItIs = true // the defaults of this package say nothing about a topic that exists
	t, existed, err := pubsub.OpenOrCreatePublisher(name, o)
	if err == nil && existed && !asked.AsItIs {
		if err = asked.Differs(t.Options()); err != nil {
			err = fmt.Errorf("frame: publish to topic %q: %w", name, errors.Join(err, t.Close()))
		}
	}
	if err != nil {
		return nil, false, err
	}
	p, err = publisher(t, nil)
	return p, existed, err
}

// ReplacePublisher is OpenOrCreatePublisher for a publisher that needs its own options, or room for
// larger frames: if the topic has others and no publisher, it is retired, see
// pubsub.ReplacePublisher. If the call does not have to wait, it ignores ctx.
//
// Errors: ErrSpec, samepage.ErrTooLarge, those of pubsub.ReplacePublisher.
func ReplacePublisher(ctx context.Context, name string, largest Spec, opts *pubsub.Options) (*Publisher, error) {
	p, _, err := OpenOrCreatePublisher(name, largest, opts)
	if !errors.Is(err, samepage.ErrDiffers) && !errors.Is(err, samepage.ErrRetired) && !errors.Is(err, samepage.ErrKindMismatch) {
		return p, err
	}
	_, o, err := topicOptions(name, largest, opts)
	if err != nil {
		return nil, err
	}
	return publisher(pubsub.ReplacePublisher(ctx, name, o))
}

// AwaitPublisher waits until the topic exists, and then opens it like OpenPublisher. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of pubsub.AwaitPublisher.
func AwaitPublisher(ctx context.Context, name string, opts *pubsub.Options) (*Publisher, error) {
	return publisher(pubsub.AwaitPublisher(ctx, name, opts))
}

func publisher(p *pubsub.Publisher, err error) (*Publisher, error) {
	if err != nil {
		return nil, err
	}
	return &Publisher{p: p, max: int64(p.Options().MaxSize)}, nil
}

// topicOptions returns the options of a topic for frames of up to largest.Size() bytes: asked has
// those that the caller has set, all also has the defaults.
func topicOptions(name string, largest Spec, opts *pubsub.Options) (asked, all *pubsub.Options, err error) {
	if err := largest.Check(); err != nil {
		return nil, nil, err
	}
	asked, err = withSize(largest.Size(), opts)
	if err != nil {
		return nil, nil, fmt.Errorf("frame: publish to topic %q: %w", name, err)
	}
	o := *asked
	if opts == nil || opts.EvictAfter == 0 {
		o.EvictAfter = time.Second
	}
	return asked, &o, nil
}

func withSize(size int64, opts *pubsub.Options) (*pubsub.Options, error) {
	o := pubsub.Options{}
	if opts != nil {
		o = *opts
	}
	if err := option.Size("the size of the largest frame", size, min(math.MaxInt, math.MaxUint32)); err != nil {
		return nil, err
	}
	if o.Pack != 0 {
		return nil, option.Bad("Pack", o.Pack, "0, because frames are not packed")
	}
	if o.Schema != "" {
		return nil, option.Bad("Schema", "set", "none, because frames have no Go type")
	}
	o.MaxSize = max(o.MaxSize, int(size))
	o.EvictAfter = max(o.EvictAfter, 0)
	return &o, nil
}

// Topic returns the publisher of messages that p uses, for its counts and options. Publish frames
// with p, not with the result.
func (p *Publisher) Topic() *pubsub.Publisher { return p.p }

// WaitSubscribers waits until the topic has n subscribers or more. Reliable and best-effort
// subscribers count; see pubsub.Publisher.WaitSubscribers. If the call does not have to wait, it
// ignores ctx.
//
// Errors: samepage.ErrNameGone, ErrClosed, the error of ctx.
func (p *Publisher) WaitSubscribers(ctx context.Context, n int) error {
	return p.p.WaitSubscribers(ctx, n)
}

// Subscribers returns the number of subscribers of the topic, reliable and best-effort.
func (p *Publisher) Subscribers() int { return p.p.Subscribers() }

// Close ends the stream and leaves the topic, see pubsub.Publisher.Close.
//
// Errors: samepage.ErrUnreleased, while frames are on loan.
func (p *Publisher) Close() error { return p.p.Close() }

// Abort leaves the topic, and subscribers get samepage.ErrPeerDied instead of the end of the
// stream, see pubsub.Publisher.Abort.
//
// Errors: samepage.ErrUnreleased, while frames are on loan.
func (p *Publisher) Abort() error { return p.p.Abort() }

// Loan is a frame in shared memory that the caller draws, and then publishes or discards. After
// that the Loan is empty and must not be used any more: the Publisher uses it for a later frame.
//
// Reset and Attach must not be called on the Frame of a Loan.
type Loan struct {
	*Frame
	f     Frame
	p     *Publisher
	l     pubsub.Loan
	out   bool // on loan
	extra int  // offset of the bytes of Extra
}

// Loan takes a frame on loan. Its pixels have old contents: the caller must set all of them.
//
// Errors: ErrSpec, and those of pubsub.Publisher.Loan, such as samepage.ErrTooLarge if the frame
// is larger than a message of the topic.
func (p *Publisher) Loan(spec Spec) (*Loan, error) { return p.LoanExtra(spec, 0) }

// LoanExtra is Loan with n further bytes after the frame, for data that belong to the picture; see
// Loan.Extra. Options.MaxSize must have room for them.
func (p *Publisher) LoanExtra(spec Spec, n int) (*Loan, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	size := spec.Size()
	if n < 0 || size > p.max || int64(n) > p.max-size {
		return nil, fmt.Errorf("frame: take a frame of %d bytes and %d extra bytes on loan from topic %q, whose messages have up to %d bytes: %w", size, n, p.p.Name(), p.max, samepage.ErrTooLarge)
	}
	pl, err := p.p.Loan(int(size) + n)
	if err != nil {
		return nil, err
	}
	l := p.unused()
	if err := l.f.Reset(pl.Bytes(), spec); err != nil {
		pl.Discard()
		p.free = append(p.free, l)
		return nil, err
	}
	l.l, l.out, l.extra = pl, true, int(size)
	return l, nil
}

func (p *Publisher) unused() *Loan {
	if n := len(p.free); n > 0 {
		l := p.free[n-1]
		p.free = p.free[:n-1]
		return l
	}
	l := &Loan{p: p}
	l.Frame = &l.f
	return l
}

// Extra returns the n bytes after the frame, where n is the parameter of LoanExtra. It is nil
// after Publish and Discard.
func (l *Loan) Extra() []byte {
	if !l.out {
		return nil
	}
	return l.l.Bytes()[l.extra:]
}

var errNoLoan = fmt.Errorf("frame: publish a loan that was published or discarded before: %w", samepage.ErrClosed)

// Publish publishes the frame. It waits while a reliable subscriber is as far behind as it may be.
// If Seq is 0, it becomes the number of the message. If Time is zero, it becomes the present time.
// After an error the frame stays on loan, with the Seq and Time that it had. If the call does not
// have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (l *Loan) Publish(ctx context.Context) error {
	if !l.out {
		return errNoLoan
	}
	seq, at := l.f.h.Seq, l.f.h.Time
	l.stamp()
	if err := l.l.Publish(ctx); err != nil {
		l.mark(seq, at)
		return err
	}
	l.done()
	return nil
}

// TryPublish is Publish, but does not wait. If there is no room it returns false, and the frame
// stays on loan.
//
// Errors: samepage.ErrClosed.
func (l *Loan) TryPublish() (bool, error) {
	if !l.out {
		return false, errNoLoan
	}
	seq, at := l.f.h.Seq, l.f.h.Time
	l.stamp()
	if ok, err := l.l.TryPublish(); !ok {
		l.mark(seq, at)
		return false, err
	}
	l.done()
	return true, nil
}

// stamp sets Seq and Time if the caller did not.
func (l *Loan) stamp() {
	seq, at := l.f.h.Seq, l.f.h.Time
	if seq == 0 {
		seq = l.p.p.Next()
	}
	if at == 0 {
		at = time.Now().UnixNano()
	}
	l.mark(seq, at)
}

func (l *Loan) mark(seq uint64, at int64) {
	if l.f.h.Seq != seq || l.f.h.Time != at {
		l.f.h.Seq, l.f.h.Time = seq, at
		l.f.writeHeader()
	}
}

// done empties the loan, so that nobody draws into a published frame.
func (l *Loan) done() {
	l.f.clear()
	l.out = false
	l.p.free = append(l.p.free, l)
}

// Discard gives the frame back and does not publish it. A second Discard, or one after Publish,
// does nothing.
func (l *Loan) Discard() {
	if l.out {
		l.l.Discard()
		l.done()
	}
}
