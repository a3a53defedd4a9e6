package frame

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"samepage/pubsub"
)

// Subscriber takes frames from a topic. Only one goroutine at a time may call its methods. Any
// goroutine may call Held.Release. If a Take waits, the end of its context ends it.
type Subscriber struct {
	s *pubsub.Subscriber
	m Message
}

// OpenSubscriber opens a topic that exists and begins to read it.
//
// Errors: those of pubsub.OpenSubscriber, such as fs.ErrNotExist (see AwaitSubscriber).
func OpenSubscriber(name string, opts *pubsub.SubscriberOptions) (*Subscriber, error) {
	return subscriber(pubsub.OpenSubscriber(name, opts))
}

// AwaitSubscriber waits until the topic exists, and then opens it like OpenSubscriber. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of pubsub.AwaitSubscriber.
func AwaitSubscriber(ctx context.Context, name string, opts *pubsub.SubscriberOptions) (*Subscriber, error) {
	return subscriber(pubsub.AwaitSubscriber(ctx, name, opts))
}

func subscriber(p *pubsub.Subscriber, err error) (*Subscriber, error) {
	if err != nil {
		return nil, err
	}
	s := &Subscriber{s: p}
	s.m.Frame = &s.m.f
	return s, nil
}

// Topic returns the subscriber to messages that s uses, for its counts and for pubsub.WaitAny.
// Take frames with s, not with the result.
func (s *Subscriber) Topic() *pubsub.Subscriber { return s.s }

// Close leaves the topic. A second Close does nothing.
//
// Errors: samepage.ErrUnreleased, while frames are held.
func (s *Subscriber) Close() error { return s.s.Close() }

// Message is a frame in shared memory that is read-only: drawing into it faults. It is good until
// the Subscriber takes the next message or is closed; Hold keeps it longer. A Subscriber has only
// one Message: each Take changes it.
//
// Seq and Time are those of the frame, which the publisher set.
type Message struct {
	*Frame
	f     Frame
	m     pubsub.Message
	extra []byte
}

// Extra returns the bytes that the publisher put after the frame, see Publisher.LoanExtra.
func (m *Message) Extra() []byte { return m.extra }

// Missed returns the number of messages that were lost just before this one. It is 0 for reliable
// subscribers.
func (m *Message) Missed() uint64 { return m.m.Missed() }

// Publisher tells the frames of several publishers apart. It is the number of the publisher's
// place: 0 to Options.Publishers - 1.
func (m *Message) Publisher() int { return m.m.Publisher() }

func (m *Message) clear() {
	m.f.clear()
	m.extra = nil
}

// Take takes the next frame. The frame before is no longer good. Take waits only if there is none.
// If the call does not have to wait, it ignores ctx.
//
// Errors: those of pubsub.Subscriber.Take; samepage.ErrKindMismatch, ErrVersion and ErrCorrupt if
// the message is not a valid frame. After these three the next message may be one.
func (s *Subscriber) Take(ctx context.Context) (*Message, error) {
	s.m.clear()
	m, err := s.s.Take(ctx)
	if err != nil {
		return nil, err
	}
	return s.attached(m)
}

// TryTake takes the next frame, if there is one. The frame before is no longer good.
//
// Errors: those of pubsub.Subscriber.TryTake; samepage.ErrKindMismatch, ErrVersion and ErrCorrupt
// if the message is not a valid frame. After these three the next message may be one.
func (s *Subscriber) TryTake() (*Message, bool, error) {
	s.m.clear()
	m, ok, err := s.s.TryTake()
	if !ok || err != nil {
		return nil, false, err
	}
	f, err := s.attached(m)
	return f, err == nil, err
}

func (s *Subscriber) attached(m pubsub.Message) (*Message, error) {
	if err := s.m.attach(m, s.s.Name()); err != nil {
		return nil, err
	}
	return &s.m, nil
}

// attach makes m the frame in p, a message of that topic.
func (m *Message) attach(p pubsub.Message, topic string) error {
	b := p.Bytes()
	if err := m.f.Attach(b); err != nil {
		return fmt.Errorf("frame: message %d of topic %q: %w", p.Seq(), topic, errors.Unwrap(err))
	}
	m.m, m.extra = p, b[m.f.h.Size:]
	return nil
}

// Frames takes one frame after the other. A frame is good until the next turn of the loop.
//
// The loop ends when the last publisher has ended its stream. It also ends after an error, which
// it yields, with these exceptions: after samepage.ErrPeerDied, after ErrChecksum, and after the
// error of a message that is not a valid frame, it yields the error and goes on.
//
// Frames waits only if there is no frame. If the call does not have to wait, it ignores ctx.
func (s *Subscriber) Frames(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		defer s.m.clear()
		for m, err := range s.s.Messages(ctx) {
			var f *Message
			if err == nil {
				f, err = s.attached(m)
			}
			if !yield(f, err) {
				return
			}
			s.m.clear()
		}
	}
}

// Release lets go of the frame that was taken last. It is for a subscriber that does something
// else before it takes the next frame.
func (s *Subscriber) Release() {
	s.m.clear()
	s.s.Release()
}

// Held is a frame that stays good until its Release.
type Held struct {
	Message
	h *pubsub.Held
}

// Hold keeps the frame after the next one is taken. Publishers do not use its memory again before
// Release, and they do not wait for Release.
//
// Errors: those of pubsub.Message.Hold, such as samepage.ErrTooManyHolds.
func (m *Message) Hold() (*Held, error) {
	h, err := m.m.Hold()
	if err != nil {
		return nil, err
	}
	k := &Held{Message{m: m.m}, h}
	k.Frame = &k.f
	// This is the header that was checked. A hostile writer may have changed the shared one.
	b := h.Bytes()
	k.f.head = m.f.head
	k.f.set(m.f.h, b)
	k.extra = b[m.f.h.Size:]
	return k, nil
}

// Release lets go of the frame. A second Release does nothing. Any goroutine may call it, but only
// one at a time.
func (h *Held) Release() {
	h.clear()
	h.h.Release()
}
