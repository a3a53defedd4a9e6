package pubsub

import (
	"context"
	"fmt"
	"io"
	"iter"
	"reflect"
	"runtime"

	"samepage"
	"samepage/internal/segment"
	"samepage/layout"
)

// PublisherOf publishes values of type T, which [samepage.CheckType] must accept. A PublisherOf or
// SubscriberOf of another type cannot open the topic, and neither can a Publisher. The rules for
// goroutines are those of Publisher.
type PublisherOf[T any] struct{ publisher }

// CreatePublisherOf is CreatePublisher for a topic of T. MaxSize is the size of T:
// CreatePublisherOf and OpenOrCreatePublisherOf do not use opts.MaxSize.
//
// Errors: samepage.ErrType (T cannot be in shared memory; the text says why), and those of
// CreatePublisher.
func CreatePublisherOf[T any](name string, opts *Options) (*PublisherOf[T], error) {
	p := new(PublisherOf[T])
	_, err := p.start(name, opts, segment.ToCreate)
	return segment.OrNil(p, err)
}

// OpenPublisherOf is OpenPublisher for a topic of T.
//
// Errors: samepage.ErrType, ErrKindMismatch (the topic has messages of another type; the
// text names both), and those of OpenPublisher.
func OpenPublisherOf[T any](name string, opts *Options) (*PublisherOf[T], error) {
	p := new(PublisherOf[T])
	_, err := p.start(name, opts, segment.ToOpen)
	return segment.OrNil(p, err)
}

// OpenOrCreatePublisherOf is OpenOrCreatePublisher for a topic of T.
//
// Errors: those of OpenPublisherOf and of OpenOrCreatePublisher.
func OpenOrCreatePublisherOf[T any](name string, opts *Options) (p *PublisherOf[T], existed bool, err error) {
	p = new(PublisherOf[T])
	existed, err = p.start(name, opts, segment.ToOpenOrCreate)
	p, err = segment.OrNil(p, err)
	return p, existed, err
}

// ReplacePublisherOf is ReplacePublisher for a topic of T. If the call does not have to wait, it
// ignores ctx.
//
// Errors: samepage.ErrType, and those of ReplacePublisher.
func ReplacePublisherOf[T any](ctx context.Context, name string, opts *Options) (*PublisherOf[T], error) {
	ty, err := typeOf[T]()
	if err != nil {
		return nil, wrap("publish to", name, err)
	}
	p := new(PublisherOf[T])
	return segment.OrNil(p, p.replace(ctx, name, opts, ty))
}

// AwaitPublisherOf waits until the topic exists, and then opens it like OpenPublisherOf. If the
// call does not have to wait, it ignores ctx.
//
// Errors: those of OpenPublisherOf except fs.ErrNotExist, and the error of ctx.
func AwaitPublisherOf[T any](ctx context.Context, name string, opts *Options) (*PublisherOf[T], error) {
	return await(ctx, name, func() (*PublisherOf[T], error) { return OpenPublisherOf[T](name, opts) })
}

func typeOf[T any]() (*layout.Type, error) { return layout.TypeOf(reflect.TypeFor[T]()) }

func (p *PublisherOf[T]) start(name string, opts *Options, way segment.Way) (existed bool, err error) {
	ty, err := typeOf[T]()
	if err != nil {
		return false, wrap("publish to", name, err)
	}
	return p.publisher.start(name, opts, ty, way)
}

// LoanOf is a value in shared memory that the caller writes, and then publishes or discards. A
// LoanOf is published only once. The zero LoanOf behaves like a published one.
type LoanOf[T any] struct{ loan }

// Loan takes a slot for a value on loan.
//
// Errors: those of Publisher.Loan.
func (p *PublisherOf[T]) Loan() (LoanOf[T], error) {
	l, err := p.borrow(int(p.w.Largest()))
	return LoanOf[T]{l}, err
}

// Value returns the value, to write to. It has old contents: the caller must set all of it. It is
// nil after the loan was published or discarded.
func (l *LoanOf[T]) Value() *T {
	v, err := layout.As[T](l.bytes())
	if err != nil {
		return nil
	}
	return v
}

// Send publishes a copy of v. It waits only if there is no room. If the call does not have to
// wait, it ignores ctx.
//
// Errors: those of Publisher.Send.
func (p *PublisherOf[T]) Send(ctx context.Context, v *T) error {
	l, err := p.Loan()
	if err != nil {
		return err
	}
	*l.Value() = *v
	if err := l.Publish(ctx); err != nil {
		l.Discard()
		return err
	}
	return nil
}

// SendAll publishes a copy of each element of vs, like Publisher.SendAll. If the call does not
// have to wait, it ignores ctx.
//
// Errors: those of Publisher.Send.
func (p *PublisherOf[T]) SendAll(ctx context.Context, vs []T) (int, error) {
	if p.w.Packs() {
		return p.sendBatches(ctx, vs)
	}
	for i := range vs {
		l, err := p.Loan()
		if err == nil {
			*l.Value() = vs[i]
			err = p.publishUnrung(ctx, &l.loan)
		}
		if err != nil {
			p.flush(i)
			return i, err
		}
	}
	p.flush(len(vs))
	return len(vs), nil
}

// SubscriberOf takes values of type T; see PublisherOf. The rules for goroutines are those of
// Subscriber.
type SubscriberOf[T any] struct{ subscriber }

// OpenSubscriberOf is OpenSubscriber for a topic of T.
//
// Errors: samepage.ErrType, ErrKindMismatch (the topic has messages of another type; the
// text names both), and those of OpenSubscriber.
func OpenSubscriberOf[T any](name string, opts *SubscriberOptions) (*SubscriberOf[T], error) {
	ty, err := typeOf[T]()
	if err != nil {
		return nil, wrap("subscribe to", name, err)
	}
	s := new(SubscriberOf[T])
	return segment.OrNil(s, s.start(name, opts, ty, nil))
}

// AwaitSubscriberOf waits until the topic exists, and then opens it like OpenSubscriberOf. If the
// call does not have to wait, it ignores ctx.
//
// Errors: those of OpenSubscriberOf except fs.ErrNotExist, and the error of ctx.
func AwaitSubscriberOf[T any](ctx context.Context, name string, opts *SubscriberOptions) (*SubscriberOf[T], error) {
	return await(ctx, name, func() (*SubscriberOf[T], error) { return OpenSubscriberOf[T](name, opts) })
}

// MessageOf is a value in shared memory; see Message.
type MessageOf[T any] struct{ message }

// Value returns the value, in place and read-only: a write to it faults. It is nil if the message
// is no longer good.
func (m *MessageOf[T]) Value() *T {
	if !m.good() {
		return nil
	}
	v, err := layout.As[T](m.s.r.Bytes())
	if err != nil {
		return nil
	}
	return v
}

// TryTake takes the next value, if there is one. The value before is no longer good.
//
// Errors: those of Subscriber.TryTake.
func (s *SubscriberOf[T]) TryTake() (m MessageOf[T], ok bool, err error) {
	if ok, err = s.r.Take(); !ok {
		if ok, err = s.r.TrySlowly(err); !ok {
			return m, false, s.wrapTake(err)
		}
	}
	err = s.message(&m.message)
	return m, err == nil, err
}

// Take takes the next value. The value before is no longer good. Take waits only if there is no
// value. If the call does not have to wait, it ignores ctx.
//
// Errors: those of Subscriber.Take.
func (s *SubscriberOf[T]) Take(ctx context.Context) (m MessageOf[T], err error) {
	ok, err := s.r.Take()
	if !ok {
		if err = s.r.WaitSlowly(ctx, err); err != nil {
			return m, s.wrapTake(err)
		}
	}
	err = s.message(&m.message)
	return m, err
}

// message sets m to the message that was taken. It returns an error if the message does not have
// the size of a T.
func (s *SubscriberOf[T]) message(m *message) error {
	m.mark = s.r.Mark()
	if n, want := s.r.Len(), s.set.C.Largest(); uint64(n) != want {
		return s.wrap("take from", fmt.Errorf("message %d of %d bytes, want %d: %w", m.Seq(), n, want, samepage.ErrCorrupt))
	}
	m.s = &s.subscriber
	return nil
}

// Messages takes one value after the other, like Subscriber.Messages. If the call does not have to
// wait, it ignores ctx.
func (s *SubscriberOf[T]) Messages(ctx context.Context) iter.Seq2[MessageOf[T], error] {
	return func(yield func(MessageOf[T], error) bool) {
		defer s.Release()
		for {
			m, err := s.Take(ctx)
			if err == io.EOF || !yield(m, err) || err != nil && !goesOn(err) {
				return
			}
		}
	}
}

// HeldOf is a value that stays good until its Release; see Held.
type HeldOf[T any] struct{ held }

// Hold keeps the value after the next one is taken, like Message.Hold.
//
// Errors: those of Message.Hold.
func (m *MessageOf[T]) Hold() (*HeldOf[T], error) {
	h := new(HeldOf[T])
	return segment.OrNil(h, h.hold(&m.message))
}

// Value returns the value, in place and read-only. It is nil after Release.
func (h *HeldOf[T]) Value() *T {
	v, err := layout.As[T](h.bytes())
	runtime.KeepAlive(h.s)
	if err != nil {
		return nil
	}
	return v
}
