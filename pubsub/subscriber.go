package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Subscriber reads a topic. One goroutine at a time calls its methods, and any goroutine
// the Release of what is held; several goroutines have a Subscriber each. A Take that waits
// ends with its context. What is read in place is mapped for as long as the Subscriber is
// reachable.
type Subscriber struct{ subscriber }

// subscriber is what a Subscriber and a SubscriberOf have in common.
type subscriber struct {
	*topic
	r     laneseg.Reader
	leaks leaks
}

// OpenSubscriber opens a topic that exists and begins to read it. Topics are created by
// publishers.
//
// Errors: fs.ErrNotExist (there is no topic of that name; see AwaitSubscriber),
// samepage.ErrTooManyMembers, fs.ErrInvalid (no such From), and those of samepage.Open.
func OpenSubscriber(name string, opts *SubscriberOptions) (*Subscriber, error) {
	s := new(Subscriber)
	return orNil(s, s.start(name, opts, nil))
}

// AwaitSubscriber is OpenSubscriber, but waits until the topic exists. What is available is
// taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of OpenSubscriber without fs.ErrNotExist, and the error of ctx.
func AwaitSubscriber(ctx context.Context, name string, opts *SubscriberOptions) (*Subscriber, error) {
	return await(ctx, name, func() (*Subscriber, error) { return OpenSubscriber(name, opts) })
}

// start is what all constructors do. Precondition: s is the zero value.
func (s *subscriber) start(name string, opts *SubscriberOptions, ty *layout.Type) error {
	if opts == nil {
		opts = &SubscriberOptions{}
	}
	return wrap("subscribe to", name, s.join(name, opts, ty))
}

func (s *subscriber) join(name string, opts *SubscriberOptions, ty *layout.Type) error {
	from, err := opts.From.lane()
	if err != nil {
		return err
	}
	h, set, err := laneseg.Open(&object.Spec{Name: name, Scope: layout.Scope(opts.Scope), Kind: layout.Topic, Owner: opts.Owner}, ty)
	if err != nil {
		return err
	}
	s.topic = newTopic("subscriber to topic", name, h, set)
	s.r.Join(h, set, !opts.BestEffort, from)
	return nil
}

// TryTake takes the next message, if there is one. The one before is no longer good.
//
// Errors: io.EOF (once, when the last publisher has ended its stream); samepage.ErrPeerDied
// (once for each publisher that died or called Abort; what it had published was taken
// before); ErrEvicted (for good: close, and subscribe anew); ErrChecksum (of one message;
// the next may be good); ErrCorrupt; ErrClosed.
func (s *Subscriber) TryTake() (m Message, ok bool, err error) {
	if ok, err = s.r.Take(); !ok {
		if ok, err = s.r.TrySlowly(err); !ok {
			return m, false, s.wrapTake(err)
		}
	}
	m.s = &s.subscriber
	s.r.Message(&m.m)
	return m, true, nil
}

var errCut = fmt.Errorf("a publisher has died, or could not go on with its stream: %w", samepage.ErrPeerDied)

func (s *subscriber) wrapTake(err error) error {
	switch err {
	case nil, io.EOF:
		return err
	case laneseg.ErrCut:
		err = errCut
	}
	return s.wrap("take from", err)
}

// Take takes the next message. The one before is no longer good. It waits only if there is
// none. What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of TryTake; samepage.ErrNameGone (the topic has no publisher, and its name
// no longer leads to it, so no new one finds it); the error of ctx.
func (s *Subscriber) Take(ctx context.Context) (m Message, err error) {
	ok, err := s.r.Take()
	if !ok {
		if err = s.r.WaitSlowly(ctx, err); err != nil {
			return m, s.wrapTake(err)
		}
	}
	m.s = &s.subscriber
	s.r.Message(&m.m)
	return m, nil
}

// Messages takes one message after the other. It ends when the last publisher has ended its
// stream, and after any error but samepage.ErrPeerDied and ErrChecksum: those it yields and
// goes on. A message is good until the next turn of the loop. It waits only if there is no
// message. What is available is taken even if ctx has ended; ctx only ends waiting.
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

// goesOn says whether there may be more messages after an error.
func goesOn(err error) bool {
	return errors.Is(err, samepage.ErrPeerDied) || errors.Is(err, samepage.ErrChecksum)
}

// Release lets go of the message that was taken last, before the next is taken: for a
// subscriber that does something else for a while.
func (s *subscriber) Release() {
	s.r.Release()
	runtime.KeepAlive(s)
}

// Missed is how many messages were lost in all: 0 for reliable subscribers.
func (s *subscriber) Missed() uint64 { return s.r.Missed() }

// Taken is how many messages were taken.
func (s *subscriber) Taken() uint64 { return s.r.Taken() }

// Publishers is how many publishers the topic has now.
func (s *subscriber) Publishers() int { return s.r.Writers() }

// Close ends the reading. A second Close does nothing.
//
// Errors: samepage.ErrBusy, while messages are held.
func (s *subscriber) Close() error {
	if s.h.Closed() {
		return nil
	}
	if n := s.r.Held(); n > 0 {
		return s.wrap("close", fmt.Errorf("messages held: %d%s: %w", n, s.leaks.String(), samepage.ErrBusy))
	}
	s.r.Leave()
	return s.wrap("close", s.topic.close())
}

// Waiter is what WaitAny waits for: a *Subscriber or a *SubscriberOf.
type Waiter interface{ reader() *laneseg.Reader }

func (s *subscriber) reader() *laneseg.Reader { return &s.r }

// WaitAny waits until one of subs has something to take, and returns its index: its next
// TryTake finds a message or an error. Of several it is the first. What those subs took
// last is no longer good. It waits only if none has something. What is available is taken
// even if ctx has ended; ctx only ends waiting.
//
// One thread sleeps for up to 127 subscribers (63 on Windows), and a further one for each
// further 127 (63). Where Linux has no futex_waitv (before 5.16, or forbidden in a
// container) it is a thread for each subscriber; Go ends the process when it gets no more
// threads (RLIMIT_NPROC, the pids of a container).
//
// Errors: samepage.ErrNameGone (of one of subs; see Subscriber.Take), samepage.ErrClosed,
// the error of ctx.
func WaitAny[W Waiter](ctx context.Context, subs ...W) (int, error) {
	i, err := laneseg.WaitAny(ctx, len(subs), func(i int) *laneseg.Reader { return subs[i].reader() })
	if err != nil {
		return -1, fmt.Errorf("pubsub: wait for any of %d subscribers: %w", len(subs), segment.Deadline(err))
	}
	return i, nil
}
