package frame

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"samepage/pubsub"
)

// Subscriber takes frames from a topic. Its methods are for one goroutine at a time,
// but for Close, and Release of what is held.
type Subscriber struct {
	s *pubsub.Subscriber
	m Message
}

// OpenSubscriber opens a topic that exists and begins to read it.
//
// Errors: those of pubsub.OpenSubscriber, among them fs.ErrNotExist (see AwaitSubscriber).
func OpenSubscriber(name string, opts *pubsub.SubscriberOptions) (*Subscriber, error) {
	return subscriber(pubsub.OpenSubscriber(name, opts))
}

// AwaitSubscriber is OpenSubscriber, but waits until the topic exists. What is available is
// taken even if ctx has ended; ctx only ends waiting.
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

// Topic is the subscriber to messages below: for what it counts, and for
// pubsub.WaitAny. Frames are to be taken by s.
func (s *Subscriber) Topic() *pubsub.Subscriber { return s.s }

// Close ends the reading. A second Close does nothing.
//
// Errors: samepage.ErrBusy, while frames are held.
func (s *Subscriber) Close() error { return s.s.Close() }

// Message is a frame in shared memory, read-only: drawing into it faults. It is good
// until the Subscriber takes the next one or is closed; Hold keeps it longer. A Subscriber
// has one Message, which each take fills anew.
//
// Seq and Time are what the publisher put into the frame.
type Message struct {
	*Frame
	f     Frame
	m     pubsub.Message
	extra []byte
}

// Extra is what the publisher has put behind the frame, see Publisher.LoanExtra.
func (m *Message) Extra() []byte { return m.extra }

// Missed is how many messages were lost just before this one. For reliable
// subscribers it is 0.
func (m *Message) Missed() uint64 { return m.m.Missed() }

// Publisher tells the frames of several publishers apart: 0 to Options.Publishers - 1.
func (m *Message) Publisher() int { return m.m.Publisher() }

func (m *Message) clear() {
	m.f.clear()
	m.extra = nil
}

// Take waits for the next frame and takes it. The one before is no longer good.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of pubsub.Subscriber.Take; samepage.ErrKindMismatch, ErrVersion and ErrCorrupt
// for a message that is no frame, after which there may be others that are.
func (s *Subscriber) Take(ctx context.Context) (*Message, error) {
	s.m.clear()
	m, err := s.s.Take(ctx)
	if err != nil {
		return nil, err
	}
	return s.attach(m)
}

// TryTake takes the next frame, if there is one. The one before is no longer good.
// Errors: those of Take, but for the context's.
func (s *Subscriber) TryTake() (*Message, bool, error) {
	s.m.clear()
	m, ok, err := s.s.TryTake()
	if !ok || err != nil {
		return nil, false, err
	}
	f, err := s.attach(m)
	return f, err == nil, err
}

func (s *Subscriber) attach(m pubsub.Message) (*Message, error) {
	b := m.Bytes()
	if err := s.m.f.Attach(b); err != nil {
		return nil, fmt.Errorf("frame: message %d of topic %q: %w", m.Seq(), s.s.Name(), errors.Unwrap(err))
	}
	s.m.m, s.m.extra = m, b[s.m.f.h.Size:]
	return &s.m, nil
}

// Frames takes one frame after the other. It ends when the last publisher has ended its
// stream, and with any other error but samepage.ErrPeerDied, ErrChecksum, and that of a
// message that is no frame, which it yields before it goes on. A frame is good until the
// next turn of the loop.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (s *Subscriber) Frames(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		defer s.m.clear()
		for m, err := range s.s.Messages(ctx) {
			var f *Message
			if err == nil {
				f, err = s.attach(m)
			}
			if !yield(f, err) {
				return
			}
			s.m.clear()
		}
	}
}

// Release lets the frame that was taken last go before the next is taken: for a
// subscriber that does something else for a while.
func (s *Subscriber) Release() {
	s.m.clear()
	s.s.Release()
}

// Held is a frame that is kept until its Release.
type Held struct {
	Message
	h *pubsub.Held
}

// Hold keeps the frame beyond the next one: a publisher does not use its memory, and
// does not wait for it either.
//
// Errors: those of pubsub.Message.Hold, among them samepage.ErrTooManyHolds.
func (m *Message) Hold() (*Held, error) {
	h, err := m.m.Hold()
	if err != nil {
		return nil, err
	}
	k := &Held{Message{m: m.m}, h}
	k.Frame = &k.f
	// The header that was checked, not one that a hostile writer has changed since.
	b := h.Bytes()
	k.f.head = m.f.head
	k.f.set(m.f.h, b)
	k.extra = b[m.f.h.Size:]
	return k, nil
}

// Release lets the frame go. A second Release does nothing. It may be called by any
// goroutine, one at a time.
func (h *Held) Release() {
	h.clear()
	h.h.Release()
}
