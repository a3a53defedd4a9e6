package frame

import (
	"context"
	"fmt"
	"math"
	"time"

	"samepage"
	"samepage/internal/option"
	"samepage/pubsub"
)

// Publisher publishes frames to a topic. One goroutine at a time calls its methods, but
// for Close.
type Publisher struct {
	p    *pubsub.Publisher
	max  int64
	free []*Loan // not out
}

// CreatePublisher creates the topic and becomes one of its publishers. It has room for
// frames as large as largest, whatever their formats, or for messages of opts.MaxSize bytes
// if that is more. If opts leave them zero, Depth is 4 and Members 8, less than those of
// package pubsub, for each takes the memory of a frame or more: see pubsub.Options.Size.
//
// Errors: ErrSpec, samepage.ErrTooLarge, and those of pubsub.CreatePublisher.
func CreatePublisher(name string, largest Spec, opts *pubsub.Options) (*Publisher, error) {
	o, err := topicOptions(name, largest, opts)
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

// OpenOrCreatePublisher opens the topic of that name, or creates it as CreatePublisher
// does, and becomes one of its publishers. If the topic existed it keeps its options; one
// whose messages are smaller than largest is refused.
//
// Errors: ErrSpec, samepage.ErrTooLarge, and those of pubsub.OpenOrCreatePublisher.
func OpenOrCreatePublisher(name string, largest Spec, opts *pubsub.Options) (p *Publisher, existed bool, err error) {
	o, err := topicOptions(name, largest, opts)
	if err != nil {
		return nil, false, err
	}
	t, existed, err := pubsub.OpenOrCreatePublisher(name, o)
	p, err = publisher(t, err)
	return p, existed, err
}

// AwaitPublisher is OpenPublisher, but waits until the topic exists. What is available is
// taken even if ctx has ended; ctx only ends waiting.
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

// topicOptions are those of a topic for frames as large as largest.
func topicOptions(name string, largest Spec, opts *pubsub.Options) (*pubsub.Options, error) {
	if err := largest.Check(); err != nil {
		return nil, err
	}
	o, err := withSize(largest.Size(), opts)
	if err != nil {
		return nil, fmt.Errorf("frame: publish to topic %q: %w", name, err)
	}
	return o, nil
}

func withSize(size int64, opts *pubsub.Options) (*pubsub.Options, error) {
	o := pubsub.Options{}
	if opts != nil {
		o = *opts
	}
	if err := option.Size("the size of the largest frame", size, min(math.MaxInt, math.MaxUint32)); err != nil {
		return nil, err
	}
	o.MaxSize = max(o.MaxSize, int(size))
	if o.Depth == 0 {
		o.Depth = 4
	}
	if o.Members == 0 {
		o.Members = 8
	}
	return &o, nil
}

// Topic is the publisher of messages below. Frames are to be published by p.
func (p *Publisher) Topic() *pubsub.Publisher { return p.p }

// WaitSubscribers waits until the topic has n subscribers or more, reliable or not; see
// pubsub.Publisher.WaitSubscribers. What is available is taken even if ctx has ended; ctx
// only ends waiting.
//
// Errors: samepage.ErrNameGone, ErrClosed, the error of ctx.
func (p *Publisher) WaitSubscribers(ctx context.Context, n int) error {
	return p.p.WaitSubscribers(ctx, n)
}

// Subscribers is how many subscribers the topic has, reliable and best-effort.
func (p *Publisher) Subscribers() int { return p.p.Subscribers() }

// Close ends the stream, see pubsub.Publisher.Close.
//
// Errors: samepage.ErrBusy, while frames are on loan.
func (p *Publisher) Close() error { return p.p.Close() }

// Abort is Close without the end of the stream, see pubsub.Publisher.Abort.
//
// Errors: samepage.ErrBusy, while frames are on loan.
func (p *Publisher) Abort() error { return p.p.Abort() }

// Loan is a frame that is being drawn, in shared memory. It is published or
// discarded once; then it is empty, and the Publisher's, who uses it again.
//
// Its frame stays where it is: Reset and Attach are not for it.
type Loan struct {
	*Frame
	f     Frame
	p     *Publisher
	l     pubsub.Loan
	out   bool
	extra int // where the bytes behind the frame begin
}

// Loan takes a frame on loan. Its pixels are what is left of a frame before.
//
// Errors: ErrSpec, and those of pubsub.Publisher.Loan, among them samepage.ErrTooLarge for
// what does not fit the topic.
func (p *Publisher) Loan(spec Spec) (*Loan, error) { return p.LoanExtra(spec, 0) }

// LoanExtra is Loan with n bytes of the caller's own behind the frame, for what goes
// with a picture but is none; see Loan.Extra. Options.MaxSize must have room for them.
func (p *Publisher) LoanExtra(spec Spec, n int) (*Loan, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	size := spec.Size()
	if n < 0 || size > p.max || int64(n) > p.max-size {
		return nil, fmt.Errorf("frame: topic %q: a frame of %d bytes and %d more, a message has room for %d: %w", p.p.Name(), size, n, p.max, samepage.ErrTooLarge)
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

// Extra is what stands behind the frame: as many bytes as LoanExtra was asked for.
func (l *Loan) Extra() []byte {
	if !l.out {
		return nil
	}
	return l.l.Bytes()[l.extra:]
}

var errNoLoan = fmt.Errorf("frame: publish a loan that is published or discarded already: %w", samepage.ErrClosed)

// Publish publishes the frame, and waits for reliable subscribers that lag as far
// behind as they may. A frame without a sequence gets the number of its message, one
// without a time the present. With an error the loan goes on as it was.
// What is available is taken even if ctx has ended; ctx only ends waiting.
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

// TryPublish is Publish, unless a reliable subscriber lags as far behind as it may: then
// it is false, and the loan goes on as it was.
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

// stamp fills in what the caller left open.
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

// done empties the loan, lest somebody draw into what others read.
func (l *Loan) done() {
	l.f.clear()
	l.out = false
	l.p.free = append(l.p.free, l)
}

// Discard gives the frame back unpublished. A second Discard does nothing.
func (l *Loan) Discard() {
	if l.out {
		l.l.Discard()
		l.done()
	}
}
