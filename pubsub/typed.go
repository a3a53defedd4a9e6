package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"runtime"

	"samepage"
	"samepage/layout"
)

func typeOf[T any]() (*layout.Type, error) { return layout.TypeOf(reflect.TypeFor[T]()) }

// TypedPublisher publishes values of type T, which has a fixed size and no pointers, no
// int, uint or bool, and no padding in it. A topic of one type is refused to publishers
// and subscribers of another. Concurrency is as for Publisher.
type TypedPublisher[T any] struct {
	*Publisher
}

// NewTypedPublisher is NewPublisher for a topic of T; MaxSize in opts is not
// used.
//
// Errors: samepage.ErrType (T cannot lie in shared memory, the text says why),
// ErrKindMismatch (the topic has messages of another type, both are named), and those of
// NewPublisher.
func NewTypedPublisher[T any](name string, opts *Options) (*TypedPublisher[T], error) {
	ty, err := typeOf[T]()
	if err != nil {
		return nil, (&topic{name: name}).wrap("publish to", err)
	}
	o := Options{}
	if opts != nil {
		o = *opts
	}
	o.MaxSize = ty.Size
	p, err := newPublisher(name, &o, ty)
	if err != nil {
		return nil, err
	}
	return &TypedPublisher[T]{p}, nil
}

// TypedLoan is a value that is being written, in shared memory.
type TypedLoan[T any] struct {
	Loan
}

// Value is the value, in place. What it has at first is left over from one before. It
// is nil once the loan is published or discarded.
func (l *TypedLoan[T]) Value() *T {
	v, err := layout.As[T](l.Bytes())
	if err != nil {
		return nil
	}
	return v
}

// Loan takes a value on loan. Errors: those of Publisher.Loan.
func (p *TypedPublisher[T]) Loan() (TypedLoan[T], error) {
	l, err := p.Publisher.Loan(int(p.set.C.MaxSize))
	return TypedLoan[T]{l}, err
}

// Send publishes a copy of v. Errors: those of Publisher.Send.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (p *TypedPublisher[T]) Send(ctx context.Context, v *T) error {
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

// SendAll publishes a copy of each of vs, as Publisher.SendAll does.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (p *TypedPublisher[T]) SendAll(ctx context.Context, vs []T) (int, error) {
	for i := range vs {
		l, err := p.Loan()
		if err == nil {
			*l.Value() = vs[i]
			err = p.publishUnrung(ctx, &l.Loan)
		}
		if err != nil {
			p.flush(i)
			return i, err
		}
	}
	p.flush(len(vs))
	return len(vs), nil
}

// TypedSubscriber takes values of type T; see TypedPublisher. Concurrency is as for
// Subscriber.
type TypedSubscriber[T any] struct {
	*Subscriber
}

// NewTypedSubscriber is NewSubscriber for a topic of T.
//
// Errors: samepage.ErrType, ErrKindMismatch (both types are named), and those of
// NewSubscriber.
func NewTypedSubscriber[T any](name string, opts *SubscriberOptions) (*TypedSubscriber[T], error) {
	ty, err := typeOf[T]()
	if err != nil {
		return nil, (&topic{name: name}).wrap("subscribe to", err)
	}
	s, err := newSubscriber(name, opts, ty)
	if err != nil {
		return nil, err
	}
	return &TypedSubscriber[T]{s}, nil
}

// AwaitTyped is NewTypedSubscriber, but waits for the topic to be made.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func AwaitTyped[T any](ctx context.Context, name string, opts *SubscriberOptions) (*TypedSubscriber[T], error) {
	return await(ctx, name, func() (*TypedSubscriber[T], error) { return NewTypedSubscriber[T](name, opts) })
}

// TypedMessage is a value in shared memory; see Message.
type TypedMessage[T any] struct {
	Message
}

// Value is the value, in place and read-only: writing to it faults. It is nil when the
// message is no longer good.
func (m *TypedMessage[T]) Value() *T {
	v, err := layout.As[T](m.Bytes())
	if err != nil {
		return nil
	}
	return v
}

// checked refuses a message of another size than a T has.
func checked[T any](m Message) (TypedMessage[T], error) {
	if m.m.Len != uint32(m.s.set.C.MaxSize) {
		return TypedMessage[T]{}, m.s.wrapTake(fmt.Errorf("message %d of %d bytes, want %d: %w", m.m.Seq, m.m.Len, m.s.set.C.MaxSize, samepage.ErrCorrupt))
	}
	return TypedMessage[T]{m}, nil
}

// TryTake takes the next value, if there is one. Errors: those of
// Subscriber.TryTake.
func (s *TypedSubscriber[T]) TryTake() (TypedMessage[T], bool, error) {
	m, ok, err := s.Subscriber.TryTake()
	if !ok || err != nil {
		return TypedMessage[T]{}, false, err
	}
	t, err := checked[T](m)
	return t, err == nil, err
}

// Take waits for the next value and takes it. Errors: those of Subscriber.Take.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (s *TypedSubscriber[T]) Take(ctx context.Context) (TypedMessage[T], error) {
	m, err := s.Subscriber.Take(ctx)
	if err != nil {
		return TypedMessage[T]{}, err
	}
	return checked[T](m)
}

// Messages takes one value after the other, as Subscriber.Messages does.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (s *TypedSubscriber[T]) Messages(ctx context.Context) iter.Seq2[TypedMessage[T], error] {
	return func(yield func(TypedMessage[T], error) bool) {
		defer s.Release()
		for {
			m, err := s.Take(ctx)
			if err == io.EOF || !yield(m, err) || err != nil && !goesOn(err) {
				return
			}
		}
	}
}

// goesOn says whether there may be more messages after an error.
func goesOn(err error) bool {
	return errors.Is(err, samepage.ErrPeerDied) || errors.Is(err, samepage.ErrChecksum)
}

// TypedHeld is a value that is kept until its Release.
type TypedHeld[T any] struct {
	*Held
}

// Hold keeps the value, as Message.Hold does.
func (m *TypedMessage[T]) Hold() (TypedHeld[T], error) {
	h, err := m.Message.Hold()
	return TypedHeld[T]{h}, err
}

// Value is the value, in place and read-only; nil after Release.
func (h TypedHeld[T]) Value() *T {
	v, err := layout.As[T](h.Bytes())
	runtime.KeepAlive(h.s)
	if err != nil {
		return nil
	}
	return v
}
