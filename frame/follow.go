package frame

import (
	"context"
	"iter"

	"samepage"
	"samepage/pubsub"
)

// FollowOptions say how Follow reads. The zero value, and nil, mean the default of each field.
// Scope, From and Owner are those of pubsub.SubscriberOptions.
type FollowOptions struct {
	Scope samepage.Scope
	From  pubsub.From
	Owner string
	// Reliable: publishers wait for this process if it is slow, until they evict it. The default is
	// best-effort: publishers never wait for it, and it misses frames if it is slow. So a display
	// does not stop a camera.
	Reliable bool
	// News makes Follow yield as soon as something has happened, without a frame: then Followed.OK
	// returns false. The default is to tell it with the next frame.
	News bool
}

// Followed is a frame that Follow yields, and what has happened since the one before. The loop has
// only one Message: each turn changes it.
type Followed struct {
	*Message
	Since samepage.Since
}

// OK says whether there is a frame. It is false only with FollowOptions.News.
func (f *Followed) OK() bool { return f.Message != nil }

// Follow takes one frame after the other from all topics that have the name one after the other,
// like pubsub.Follow, but best-effort by default. A new topic may have frames of another size. A
// message that is not a valid frame is skipped, and counts as damaged. Follow waits only if there
// is no frame. If the call does not have to wait, it ignores ctx.
func Follow(ctx context.Context, name string, opts *FollowOptions) iter.Seq2[Followed, error] {
	if opts == nil {
		opts = &FollowOptions{}
	}
	o := &pubsub.FollowOptions{
		SubscriberOptions: pubsub.SubscriberOptions{Scope: opts.Scope, From: opts.From, Owner: opts.Owner, BestEffort: !opts.Reliable},
		News:              opts.News,
	}
	return func(yield func(Followed, error) bool) {
		m := new(Message)
		m.Frame = &m.f
		defer m.clear()
		var before samepage.Since
		for f, err := range pubsub.Follow(ctx, name, o) {
			got := Followed{Since: before.And(f.Since)}
			before = samepage.Since{}
			if err == nil && f.OK() {
				if m.attach(f.Message, name) != nil {
					before = got.Since
					before.Damaged++
					continue
				}
				got.Message = m
			}
			if !yield(got, err) {
				return
			}
			m.clear()
		}
	}
}
