package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Subscriber reads a topic. Only one goroutine at a time may call its methods: several goroutines
// need a Subscriber each. Any goroutine may call Held.Release. To end a Take that waits, end its
// context. The messages are mapped while the Subscriber is reachable.
type Subscriber struct{ subscriber }

// subscriber is the common part of a Subscriber and a SubscriberOf.
type subscriber struct {
	*topic
	r     laneseg.Reader
	named *laneseg.Named // nil: the subscriber has no name
	leaks leaks
}

// OpenSubscriber opens a topic that exists and begins to read it. Only publishers create topics. If
// the messages of the topic have a Go type, the Subscriber gets their bytes.
//
// Errors: fs.ErrNotExist (there is no topic of that name; see AwaitSubscriber),
// samepage.ErrTooManyMembers, also if there is no place for another SubscriberOptions.Reader;
// ErrBusy (another subscriber has this Reader), ErrRetired, fs.ErrInvalid (From is out of range),
// and those of samepage.Open.
func OpenSubscriber(name string, opts *SubscriberOptions) (*Subscriber, error) {
	s := new(Subscriber)
	return segment.OrNil(s, s.start(name, opts, nil, nil))
}

// AwaitSubscriber waits until the topic exists, and then opens it like OpenSubscriber. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of OpenSubscriber except fs.ErrNotExist, and the error of ctx.
func AwaitSubscriber(ctx context.Context, name string, opts *SubscriberOptions) (*Subscriber, error) {
	return await(ctx, name, func() (*Subscriber, error) { return OpenSubscriber(name, opts) })
}

// start is the common part of all constructors. last is nil, or the topic that Follow had open
// before. Precondition: s is the zero value.
func (s *subscriber) start(name string, opts *SubscriberOptions, ty *layout.Type, last *laneseg.Last) error {
	if opts == nil {
		opts = &SubscriberOptions{}
	}
	return wrap("subscribe to", name, s.join(name, opts, ty, last))
}

func (o *SubscriberOptions) spec(name string) *object.Spec {
	return &object.Spec{Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Topic, Owner: o.Owner}
}

func (s *subscriber) join(name string, opts *SubscriberOptions, ty *layout.Type, last *laneseg.Last) error {
	from, err := opts.From.lane()
	if err != nil {
		return err
	}
	h, set, err := laneseg.Open(opts.spec(name), ty)
	if err != nil {
		return err
	}
	s.topic = newTopic("subscriber to topic", name, h, set)
	begin := &laneseg.Start{Reliable: !opts.BestEffort, From: from, At: slices.Clone(opts.At)}
	if last != nil {
		begin.From, begin.At = 1, nil
	}
	if opts.Reader != "" {
		if s.named, err = laneseg.ClaimNamed(h, set, opts.Reader); err != nil {
			return errors.Join(err, s.topic.close())
		}
		for l, next := range s.named.At() {
			if next > 0 {
				begin.At = append(begin.At, make([]uint64, max(l+1-len(begin.At), 0))...)
				begin.At[l] = next
			}
		}
	}
	if last != nil && last.ID == h.ID() {
		begin.At = last.At
	}
	if err := s.r.Join(h, set, begin); err != nil {
		return errors.Join(err, s.topic.close())
	}
	return nil
}

// Next returns the number of the message that comes next from a publisher's place, for
// SubscriberOptions.At. It is 0 if the topic has no such place. In a topic with Options.Pack it is
// also 0 if the subscriber has no At for this place and has not taken a message from it yet, or if
// a pack was damaged and none was taken since.
func (s *subscriber) Next(publisher int) uint64 {
	if uint(publisher) >= uint(s.set.C.Lanes) {
		return 0
	}
	return s.r.Next(publisher)
}

// next returns the numbers of the messages that come next, from each publisher's place.
func (s *subscriber) next() []uint64 {
	at := make([]uint64, s.set.C.Lanes)
	for l := range at {
		at[l] = s.r.Next(l)
	}
	return at
}

// TryTake takes the next message, if there is one. The message before is no longer good.
//
// In a topic with Options.Pack it takes the messages of a pack one after the other. The subscriber
// keeps the pack, and reliable subscribers let publishers wait for it, until the TryTake after its
// last message, or Release after its last message.
//
// Errors:
//   - io.EOF, once, after the last publisher has ended its stream and all messages were taken. The
//     Subscriber stays open: if another publisher opens the topic, the next TryTake takes its
//     messages, and after them returns io.EOF again. Follow goes on in this way.
//   - samepage.ErrPeerDied, once for each publisher that died or called Abort, after all its
//     messages were taken. Later messages may come from other publishers.
//   - samepage.ErrEvicted, from then on always: close the Subscriber and open a new one.
//   - samepage.ErrRetired, after all messages were taken, from then on always: a publisher waits
//     until all have closed the topic, and then creates another one of its name, see
//     ReplacePublisher.
//   - samepage.ErrChecksum, for one message, or for one pack. The next message may be good.
//     Messages of such a pack do not count as missed.
//   - samepage.ErrCorrupt, samepage.ErrClosed.
func (s *Subscriber) TryTake() (m Message, ok bool, err error) {
	if ok, err = s.r.Take(); !ok {
		if ok, err = s.r.TrySlowly(err); !ok {
			return m, false, s.wrapTake(err)
		}
	}
	return Message{message{&s.subscriber, s.r.Mark()}}, true, nil
}

var errCut = fmt.Errorf("a publisher died, or gave up its stream before the end: %w", samepage.ErrPeerDied)

func (s *subscriber) wrapTake(err error) error {
	switch err {
	case nil, io.EOF:
		return err
	case laneseg.ErrCut:
		err = errCut
	}
	return s.wrap("take from", err)
}

// Take takes the next message. The message before is no longer good. Take waits only if there is
// no message. If the call does not have to wait, it ignores ctx.
//
// Errors: those of TryTake; samepage.ErrNameGone (the topic has no publisher, and its name no
// longer leads to it, so no publisher can open it); the error of ctx.
func (s *Subscriber) Take(ctx context.Context) (m Message, err error) {
	ok, err := s.r.Take()
	if !ok {
		if err = s.r.WaitSlowly(ctx, err); err != nil {
			return m, s.wrapTake(err)
		}
	}
	return Message{message{&s.subscriber, s.r.Mark()}}, nil
}

// Messages takes one message after the other. A message is good until the next turn of the loop.
//
// The loop ends when the last publisher has ended its stream. Another loop after it goes on with
// the messages of a later publisher, and waits for one. The loop also ends after an error, which
// it yields. But after samepage.ErrPeerDied and ErrChecksum it yields the error and goes on.
//
// Messages waits only if there is no message. If the call does not have to wait, it ignores ctx.
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

// Release lets go of the message that was taken last. It is for a subscriber that does something
// else before it takes the next message. A pack of which a part was not taken yet is kept.
func (s *subscriber) Release() {
	s.r.Release()
	runtime.KeepAlive(s)
}

// Acknowledge stores that all messages that were taken so far are done, also the one that was
// taken last. The next subscriber with the same SubscriberOptions.Reader begins after them. It
// costs about as much as a store to memory for each publisher's place. If the process dies
// between its work and Acknowledge, the next one gets the messages since the last Acknowledge
// again. With Subscriber.TakeAll it also counts the messages of the whole pack.
//
// Errors: fs.ErrInvalid (the subscriber has no Reader), samepage.ErrClosed.
func (s *subscriber) Acknowledge() error {
	switch {
	case s.named == nil:
		return s.wrap("acknowledge messages of", option.Bad("Reader", `""`, "a name"))
	case s.h.Closed():
		return s.wrap("acknowledge messages of", samepage.ErrClosed)
	}
	for l := range int(s.set.C.Lanes) {
		s.named.Acknowledge(l, s.r.Next(l))
	}
	runtime.KeepAlive(s)
	return nil
}

// Missed returns how many messages the subscriber has missed since it was opened. After the end of a
// stream it includes those that Publisher.Relay has left out at the end. It is 0 for reliable
// subscribers of a topic whose publishers do not use Relay.
func (s *subscriber) Missed() uint64 { return s.r.Missed() }

// Taken returns how many messages the subscriber has taken since it was opened.
func (s *subscriber) Taken() uint64 { return s.r.Taken() }

// Publishers returns how many publishers the topic has now.
func (s *subscriber) Publishers() int { return s.r.Writers() }

// Close leaves the topic. A second Close does nothing.
//
// Errors: samepage.ErrUnreleased, while messages are held.
func (s *subscriber) Close() error {
	if s.h.Closed() {
		return nil
	}
	if n := s.r.Held(); n > 0 {
		return s.wrap("close", fmt.Errorf("messages held: %d%s: %w", n, s.leaks.String(), samepage.ErrUnreleased))
	}
	s.r.Leave()
	if s.named != nil {
		s.named.Leave()
	}
	return s.wrap("close", s.topic.close())
}

// Waiter is a *Subscriber or a *SubscriberOf. WaitAny waits for them.
type Waiter interface{ reader() *laneseg.Reader }

func (s *subscriber) reader() *laneseg.Reader { return &s.r }

// WaitAny waits until the next TryTake of one of subs finds a message or an error, and returns the
// index of this one. If there are several, it returns the first. The messages that subs took last
// are no longer good. WaitAny waits only if no sub has a message or an error. If the call does not
// have to wait, it ignores ctx.
//
// While WaitAny waits, one thread sleeps for each 127 subscribers (63 on Windows). If Linux has no
// futex_waitv (before 5.16, or forbidden in a container), one thread sleeps for each subscriber. Go
// ends the process if it gets no more threads (RLIMIT_NPROC, or the limit of pids of a container).
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
