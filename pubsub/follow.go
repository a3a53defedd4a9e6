package pubsub

import (
	"context"
	"fmt"
	"iter"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/segment"
	"samepage/layout"
)

// FollowOptions say how Follow reads. The zero value, and nil, mean the default of each field.
type FollowOptions struct {
	// SubscriberOptions are those of each Subscriber that Follow opens. From and At are for the first
	// one: afterwards Follow goes on where it was, and begins with message 1 of each new topic.
	SubscriberOptions
	// News makes Follow yield as soon as something has happened, without a message: then Followed.OK
	// returns false. The default is to tell it with the next message.
	News bool
}

// Followed is a message that Follow yields, and what has happened since the one before.
type Followed struct {
	Message
	Since samepage.Since
}

// OK says whether there is a message. It is false only with FollowOptions.News.
func (f *Followed) OK() bool { return f.s != nil }

// Acknowledge is Subscriber.Acknowledge: this message and all before it are done.
//
// Errors: those of Subscriber.Acknowledge, samepage.ErrClosed if there is no message.
func (f *Followed) Acknowledge() error { return f.acknowledge() }

func (m *message) acknowledge() error {
	if m.s == nil {
		return fmt.Errorf("pubsub: acknowledge no message: %w", samepage.ErrClosed)
	}
	return m.s.Acknowledge()
}

// Follow takes one message after the other from all topics that have the name one after the other.
// It waits until there is a topic. It goes on after the end of a stream, the death of a publisher,
// an eviction, and the retirement of the topic (see ReplacePublisher). If the topic is removed and
// another one gets its name, also one with other options, Follow goes on with that one when the old
// one has no more messages and no publisher. It yields no message twice. Followed.Since says what
// has happened since the message before, and counts the messages that were missed.
//
// A message is good until the next turn of the loop. The end of the loop closes everything, except
// a topic of which messages are held.
//
// The loop ends after an error, which it yields. Such an error is the error of ctx, or it says that
// the topic cannot be opened or read: those of OpenSubscriber except fs.ErrNotExist, and
// samepage.ErrCorrupt. If all places of a new topic are taken, Follow waits for one. Follow waits
// only if there is no message. If the call does not have to wait, it ignores ctx.
func Follow(ctx context.Context, name string, opts *FollowOptions) iter.Seq2[Followed, error] {
	return func(yield func(Followed, error) bool) {
		follow(ctx, name, opts, nil,
			func() (*Subscriber, *subscriber) { s := new(Subscriber); return s, &s.subscriber },
			(*Subscriber).Take,
			func(m Message, since laneseg.Since, err error) bool {
				since.Missed += m.lost()
				return yield(Followed{m, samepage.Since(since)}, err)
			})
	}
}

// FollowedOf is a value that FollowOf yields, and what has happened since the one before.
type FollowedOf[T any] struct {
	MessageOf[T]
	Since samepage.Since
}

// OK says whether there is a value. It is false only with FollowOptions.News.
func (f *FollowedOf[T]) OK() bool { return f.s != nil }

// Acknowledge is Followed.Acknowledge.
func (f *FollowedOf[T]) Acknowledge() error { return f.acknowledge() }

// FollowOf is Follow for topics of T. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrType, ErrKindMismatch (the topic, or a new one, has messages of another
// type), and those of Follow.
func FollowOf[T any](ctx context.Context, name string, opts *FollowOptions) iter.Seq2[FollowedOf[T], error] {
	return func(yield func(FollowedOf[T], error) bool) {
		ty, err := typeOf[T]()
		if err != nil {
			yield(FollowedOf[T]{}, wrap("follow", name, err))
			return
		}
		follow(ctx, name, opts, ty,
			func() (*SubscriberOf[T], *subscriber) { s := new(SubscriberOf[T]); return s, &s.subscriber },
			(*SubscriberOf[T]).Take,
			func(m MessageOf[T], since laneseg.Since, err error) bool {
				since.Missed += m.lost()
				return yield(FollowedOf[T]{m, samepage.Since(since)}, err)
			})
	}
}

// lost is Missed, also if there is no message.
func (m *message) lost() uint64 {
	if m.s == nil {
		return 0
	}
	return m.Missed()
}

// follow is the common part of Follow and FollowOf. fresh returns a new subscriber.
func follow[S, M any](ctx context.Context, name string, opts *FollowOptions, ty *layout.Type, fresh func() (S, *subscriber), take func(S, context.Context) (M, error), yield func(M, laneseg.Since, error) bool) {
	if opts == nil {
		opts = &FollowOptions{}
	}
	open := func(last *laneseg.Last) (*laneseg.Followed[M], error) {
		outer, s := fresh()
		if err := s.start(name, &opts.SubscriberOptions, ty, last); err != nil {
			return nil, err
		}
		return &laneseg.Followed[M]{
			Handle: s.h, Close: s.Close, At: s.next, Behind: s.r.Behind,
			Take: func(ctx context.Context) (M, error) { return take(outer, ctx) },
		}, nil
	}
	laneseg.Follow(ctx, opts.spec(name), opts.News, open, func(m M, since laneseg.Since, err error) bool {
		return yield(m, since, wrapFollow(name, err))
	})
}

// wrapFollow adds context to an error that has none.
func wrapFollow(name string, err error) error {
	if err == context.Canceled || err == context.DeadlineExceeded {
		return wrap("follow", name, err)
	}
	return segment.Deadline(err)
}
