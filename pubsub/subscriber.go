package pubsub

import (
	"context"
	"fmt"
	"io"
	"iter"
	"runtime"
	"time"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Subscriber reads a topic. Its methods are for one goroutine at a time, but for
// Release of what is held; several goroutines have a Subscriber each. A Take that waits is
// ended by its context. What is read in place is mapped for as long as the Subscriber is
// reachable.
type Subscriber struct {
	*topic
	r     laneseg.Reader
	leaks leaks
}

// NewSubscriber opens a topic that exists and begins to read it.
//
// Errors: fs.ErrNotExist (there is no such topic; see Await), samepage.ErrTooManyMembers,
// fs.ErrInvalid (no such From), and those of samepage.Open.
func NewSubscriber(name string, opts *SubscriberOptions) (*Subscriber, error) {
	return newSubscriber(name, opts, nil)
}

// Await is NewSubscriber, but waits for the topic to be made.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: the same without fs.ErrNotExist, and the error of ctx.
func Await(ctx context.Context, name string, opts *SubscriberOptions) (*Subscriber, error) {
	return await(ctx, name, func() (*Subscriber, error) { return NewSubscriber(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return (&topic{name: name}).wrap("wait for", err) })
}

func newSubscriber(name string, opts *SubscriberOptions, ty *layout.Type) (*Subscriber, error) {
	if opts == nil {
		opts = &SubscriberOptions{}
	}
	s, err := openSubscriber(name, opts, ty)
	return s, (&topic{name: name}).wrap("subscribe to", err)
}

func openSubscriber(name string, opts *SubscriberOptions, ty *layout.Type) (*Subscriber, error) {
	from, err := opts.From.lane()
	if err != nil {
		return nil, err
	}
	h, set, err := laneseg.Open(&object.Spec{Name: name, Scope: layout.Scope(opts.Scope), Kind: layout.Topic, Owner: opts.Owner}, ty)
	if err != nil {
		return nil, err
	}
	s := &Subscriber{topic: newTopic("subscriber to topic", name, h, set)}
	role := uint32(layout.RoleReliable)
	if opts.BestEffort {
		role = layout.RoleBestEffort
	}
	h.SetRole(role)
	s.r.Join(h, set, !opts.BestEffort, from)
	return s, nil
}

// Message is a message in shared memory, read-only: writing to it faults. It is good
// until the Subscriber takes the next one or is closed; Hold keeps it longer.
type Message struct {
	s *Subscriber
	m laneseg.Message
}

func (m *Message) good() bool { return m.s != nil && m.s.r.Good(&m.m) }

// Bytes is what the message says. It is nil when the message is no longer good.
func (m *Message) Bytes() []byte {
	if !m.good() {
		return nil
	}
	return m.m.Bytes()
}

// Seq is the number of the message: publishers count from 1.
func (m *Message) Seq() uint64 { return m.m.Seq }

// Missed is how many messages were lost just before this one. For reliable
// subscribers it is 0.
func (m *Message) Missed() uint64 { return m.m.Missed }

// Lane tells the messages of several publishers apart: 0 to Options.Publishers - 1.
func (m *Message) Lane() int {
	if m.s == nil {
		return 0
	}
	return m.m.Lane()
}

// Time is when the message was published, if the topic has Times.
func (m *Message) Time() time.Time {
	if !m.good() || !m.s.times() {
		return time.Time{}
	}
	return m.m.Time()
}

// TryTake takes the next message, if there is one. The one before is no longer
// good.
//
// Errors: io.EOF (once, when the last publisher has ended its stream), samepage.ErrPeerDied
// (once for each publisher that died or called Abort; what it had published was taken
// before), ErrEvicted
// (for good: close, and subscribe anew), ErrChecksum (of one message; the next may be
// good), ErrCorrupt, ErrClosed.
func (s *Subscriber) TryTake() (m Message, ok bool, err error) {
	if ok, err = s.r.Take(); !ok {
		if ok, err = s.r.TrySlowly(err); !ok {
			return m, false, s.wrapTake(err)
		}
	}
	m.s = s
	s.r.Message(&m.m)
	return m, true, nil
}

var errCut = fmt.Errorf("a publisher has died, or could not go on with its stream: %w", samepage.ErrPeerDied)

func (s *Subscriber) wrapTake(err error) error {
	switch err {
	case nil, io.EOF:
		return err
	case laneseg.ErrCut:
		err = errCut
	}
	return s.wrap("take from", err)
}

// Take waits for the next message and takes it. The one before is no longer good.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of TryTake, samepage.ErrNameGone (the topic has no publisher, and none
// that comes by the name would find it), and the error of ctx.
func (s *Subscriber) Take(ctx context.Context) (m Message, err error) {
	ok, err := s.r.Take()
	if !ok {
		if err = s.r.WaitSlowly(ctx, err); err != nil {
			return m, s.wrapTake(err)
		}
	}
	m.s = s
	s.r.Message(&m.m)
	return m, nil
}

// Messages takes one message after the other. It ends when the last publisher has
// ended its stream, and with any other error but samepage.ErrPeerDied and ErrChecksum, which
// it yields before it goes on. A message is good until the next turn of the loop.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (s *Subscriber) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		defer s.Release()
		for {
			m, err := s.Take(ctx)
			if err == io.EOF || !yield(m, err) || err != nil && !goesOn(err) {
				return
			}
		}
	}
}

// Release lets the message that was taken last go before the next is taken: for a
// subscriber that does something else for a while.
func (s *Subscriber) Release() {
	s.r.Release()
	runtime.KeepAlive(s)
}

// Held is a message that is kept until its Release.
type Held struct {
	Message
	k int
}

// Hold keeps the message beyond the next one: a publisher does not use its memory, and
// does not wait for it either.
//
// Errors: samepage.ErrTooManyHolds (as many are held as Options.Holds says), ErrClosed (the
// message is no longer good).
func (m *Message) Hold() (*Held, error) {
	s := m.s
	if !m.good() || s.h.Closed() {
		return nil, fmt.Errorf("pubsub: hold a message that is no longer good: %w", samepage.ErrClosed)
	}
	k, ok := s.r.Hold(&m.m)
	if !ok {
		return nil, s.wrap("hold a message of", fmt.Errorf("messages held: %d: %w", s.r.MaxHeld(), samepage.ErrTooManyHolds))
	}
	s.leaks.took(uint32(k))
	return &Held{*m, k}, nil
}

// Bytes is what the message says, nil after Release.
func (h *Held) Bytes() []byte {
	if h.k == 0 {
		return nil
	}
	return h.m.Bytes()
}

// Time is when the message was published, if the topic has Times.
func (h *Held) Time() time.Time {
	if h.k == 0 || !h.s.times() {
		return time.Time{}
	}
	return h.m.Time()
}

// Release lets the message go. A second Release does nothing. It may be called by any
// goroutine, one at a time.
func (h *Held) Release() {
	if h.k == 0 {
		return
	}
	h.s.leaks.gave(uint32(h.k))
	h.s.r.Unhold(&h.m, h.k)
	h.k = 0
}

// Missed is how many messages were lost in all: 0 for reliable subscribers.
func (s *Subscriber) Missed() uint64 { return s.r.Missed() }

// Taken is how many messages were taken.
func (s *Subscriber) Taken() uint64 { return s.r.Taken() }

// Publishers is how many publishers the topic has now.
func (s *Subscriber) Publishers() int { return s.r.Writers() }

// Close ends the reading. A second Close does nothing.
//
// Errors: samepage.ErrBusy, while messages are held.
func (s *Subscriber) Close() error {
	if s.h.Closed() {
		return nil
	}
	if n := s.r.Held(); n > 0 {
		return s.wrap("close", fmt.Errorf("messages held: %d%s: %w", n, s.leaks.String(), samepage.ErrBusy))
	}
	s.r.Leave()
	return s.wrap("close", s.topic.close())
}

// WaitAny waits until one of subs has something to take, and returns its index: its
// next TryTake finds a message or an error. Of several it is the first. What those subs
// took last is no longer good.
//
// One thread sleeps for up to 127 subscribers (63 on Windows), and a further one for each
// further 127 (63). Where Linux has no futex_waitv (before 5.16, or forbidden in a container)
// it is a thread for each subscriber; Go ends the process when it gets no more threads
// (RLIMIT_NPROC, the pids of a container).
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrNameGone (of one of subs; see Subscriber.Take), samepage.ErrClosed, the
// error of ctx.
func WaitAny(ctx context.Context, subs ...*Subscriber) (int, error) {
	all := make([]*laneseg.Reader, len(subs))
	for i, s := range subs {
		all[i] = &s.r
	}
	i, err := laneseg.WaitAny(ctx, all)
	if err != nil {
		return -1, fmt.Errorf("pubsub: wait for any of %d subscribers: %w", len(subs), segment.Deadline(err))
	}
	return i, nil
}
