package pubsub

import (
	"fmt"
	"time"

	"samepage"
	"samepage/internal/laneseg"
)

// Message is a message in shared memory, read-only: a write to it faults. It is good
// until the Subscriber takes the next one or is closed; Hold keeps it longer.
type Message struct{ message }

// message is what a Message and a MessageOf have in common.
type message struct {
	s *subscriber
	m laneseg.Message
}

func (m *message) good() bool { return m.s != nil && m.s.r.Good(&m.m) }

// Bytes is what the message says. It is nil when the message is no longer good.
func (m *Message) Bytes() []byte {
	if !m.good() {
		return nil
	}
	return m.m.Bytes()
}

// Seq is the number of the message: each publisher's place counts from 1.
func (m *message) Seq() uint64 { return m.m.Seq }

// Missed is how many messages were lost just before this one. For reliable subscribers it
// is 0.
func (m *message) Missed() uint64 { return m.m.Missed }

// Publisher tells the messages of several publishers apart: it is the number of the
// publisher's place, 0 to Options.Publishers - 1.
func (m *message) Publisher() int {
	if m.s == nil {
		return 0
	}
	return m.m.Lane()
}

// Time is when the message was published, if the topic has Times; else zero.
func (m *message) Time() time.Time {
	if !m.good() || !m.s.times() {
		return time.Time{}
	}
	return m.m.Time()
}

// Held is a message that is kept until its Release. A second goroutine may have it, while
// the first one takes further messages.
type Held struct{ held }

// held is what a Held and a HeldOf have in common. k is the pin word that keeps the
// message, 0 after Release.
type held struct {
	message
	k int
}

// Hold keeps the message beyond the next one: a publisher does not use its memory, and
// does not wait for it either.
//
// Errors: samepage.ErrTooManyHolds (as many are held as Options.Holds says), ErrClosed (the
// message is no longer good).
func (m *Message) Hold() (*Held, error) {
	h := new(Held)
	return orNil(h, h.hold(&m.message))
}

func (h *held) hold(m *message) error {
	s := m.s
	if !m.good() || s.h.Closed() {
		return fmt.Errorf("pubsub: hold a message that is no longer good, for the next one was taken or the subscriber is closed: %w", samepage.ErrClosed)
	}
	k, ok := s.r.Hold(&m.m)
	if !ok {
		return s.wrap("hold a message of", fmt.Errorf("%d held, Options.Holds of the topic is %d: %w", s.r.Held(), s.r.MaxHeld(), samepage.ErrTooManyHolds))
	}
	s.leaks.took(uint32(k))
	h.message, h.k = *m, k
	return nil
}

// Bytes is what the message says, nil after Release.
func (h *Held) Bytes() []byte { return h.bytes() }

func (h *held) bytes() []byte {
	if h.k == 0 {
		return nil
	}
	return h.m.Bytes()
}

// Time is when the message was published, if the topic has Times; else, and after Release,
// zero.
func (h *held) Time() time.Time {
	if h.k == 0 || !h.s.times() {
		return time.Time{}
	}
	return h.m.Time()
}

// Release lets go of the message. A second Release does nothing. Any goroutine may call
// it, one at a time.
func (h *held) Release() {
	if h.k == 0 {
		return
	}
	h.s.leaks.gave(uint32(h.k))
	h.s.r.Unhold(&h.m, h.k)
	h.k = 0
}
