package pubsub

import (
	"fmt"
	"time"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/segment"
)

// Message is a message in shared memory that is read-only: a write to it faults. It is good until
// the Subscriber takes the next message or is closed; Hold keeps it longer.
type Message struct{ message }

// message is the common part of a Message and a MessageOf. It has four words, because the compiler
// keeps a structure of up to four words in registers.
type message struct {
	s    *subscriber
	mark laneseg.Mark
}

func (m *message) good() bool { return m.s != nil && m.s.r.Marks(m.mark) }

// Schema returns the schema of the topic, see Subscriber.
func (m *message) Schema() string {
	if m.s == nil {
		return ""
	}
	return m.s.schema
}

// Options returns the options of the topic, see Subscriber.
func (m *message) Options() Options {
	if m.s == nil {
		return Options{}
	}
	return m.s.Options()
}

// ID returns the ID of the topic, see Subscriber.
func (m *message) ID() samepage.ID {
	if m.s == nil {
		return samepage.ID{}
	}
	return m.s.ID()
}

// Bytes returns the bytes of the message, in place. It is nil if the message is no longer good.
func (m *Message) Bytes() []byte {
	if !m.good() {
		return nil
	}
	return m.s.r.Bytes()
}

// Seq returns the number of the message. Each publisher's place counts from 1.
func (m *message) Seq() uint64 { return m.mark.Seq }

// Missed returns the number of messages that were lost just before this one. For reliable
// subscribers it is 0, unless the publisher has left out numbers, see Publisher.Relay. In a topic
// with Options.Pack, if the first messages of all are lost, or those after a damaged pack, it
// counts the packs, because it cannot know how many messages they had.
func (m *message) Missed() uint64 { return m.mark.Missed() }

// Publisher tells the messages of several publishers apart. It returns the number of the
// publisher's place: 0 to Options.Publishers - 1.
func (m *message) Publisher() int { return m.mark.Lane() }

// Time returns when the message was published. It is zero if the topic does not have Times, or if
// the message is no longer good.
func (m *message) Time() time.Time {
	if !m.good() || !m.s.times() {
		return time.Time{}
	}
	return m.s.r.Time()
}

// Held is a message that stays good until its Release. It may be given to another goroutine, while
// the first one takes further messages.
type Held struct{ held }

// held is the common part of a Held and a HeldOf. k is the pin word that keeps the message. It is
// 0 after Release.
type held struct {
	message
	m laneseg.Message
	k int
}

// Hold keeps the message after the next one is taken. Publishers do not use its memory again before
// Release, and they do not wait for Release. In a topic with Options.Pack it keeps the whole pack.
//
// Errors: samepage.ErrTooManyHolds (the subscriber holds Options.Holds messages already),
// ErrNoSpace (it holds more messages than ever before), ErrClosed (the message is no longer
// good).
func (m *Message) Hold() (*Held, error) {
	h := new(Held)
	return segment.OrNil(h, h.hold(&m.message))
}

func (h *held) hold(m *message) error {
	s := m.s
	if !m.good() || s.h.Closed() {
		return fmt.Errorf("pubsub: hold a message that is no longer good, because it was released, the next one was taken, or the subscriber is closed: %w", samepage.ErrClosed)
	}
	s.r.Message(&h.m)
	k, err := s.r.Hold(&h.m)
	if err == samepage.ErrTooManyHolds {
		err = fmt.Errorf("%d held, Options.Holds of the topic is %d: %w", s.r.Held(), s.r.MaxHeld(), err)
	}
	if err != nil {
		return s.wrap("hold a message of", err)
	}
	s.leaks.took(uint32(k))
	h.message, h.k = *m, k
	return nil
}

// Bytes returns the bytes of the message, in place. It is nil after Release.
func (h *Held) Bytes() []byte { return h.bytes() }

func (h *held) bytes() []byte {
	if h.k == 0 {
		return nil
	}
	return h.m.Bytes()
}

// Time returns when the message was published. It is zero if the topic does not have Times, and
// after Release.
func (h *held) Time() time.Time {
	if h.k == 0 || !h.s.times() {
		return time.Time{}
	}
	return h.m.Time()
}

// Release lets go of the message. A second Release does nothing. Any goroutine may call it, but
// only one at a time.
func (h *held) Release() {
	if h.k == 0 {
		return
	}
	h.s.leaks.gave(uint32(h.k))
	h.s.r.Unhold(&h.m, h.k)
	h.k = 0
}
