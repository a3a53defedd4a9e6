package kinds

import (
	"context"
	"io"
	"testing"

	"samepage/cell"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// followWaits adds the functions that follow a name, and those that replace a topic.
func followWaits(t *testing.T, all map[string]waits) {
	t.Helper()
	type C = context.Context
	bg := t.Context()
	for name, f := range map[string]func(C, string) error{
		"pubsub.Follow":   func(c C, n string) error { return first(pubsub.Follow(c, "follow "+n, nil)) },
		"pubsub.FollowOf": func(c C, n string) error { return first(pubsub.FollowOf[uint64](c, "follow typed "+n, nil)) },
		"frame.Follow":    func(c C, n string) error { return first(frame.Follow(c, "follow frame "+n, nil)) },
		"cell.Follow":     func(c C, n string) error { return first(cell.Follow(c, "follow "+n, nil)) },
		"cell.FollowOf":   func(c C, n string) error { return first(cell.FollowOf[uint64](c, "follow typed "+n, nil)) },
	} {
		all[name] = waits{func(c C) error { return f(c, "some") }, func(c C) error { return f(c, "none") }}
	}
	// "some" has a message or a value, "none" does not exist.
	v := uint64(7)
	spec := frame.Spec{Format: frame.Gray, Width: 4, Height: 4}
	p := must(pubsub.CreatePublisher("follow some", nil))(t)
	q := must(pubsub.CreatePublisherOf[uint64]("follow typed some", nil))(t)
	f := must(frame.CreatePublisher("follow frame some", spec, nil))(t)
	w := must(cell.CreateWriter("follow some", 8, nil))(t)
	x := must(cell.CreateWriterOf[uint64]("follow typed some", nil))(t)
	for _, c := range []io.Closer{p, q, f, w, x} {
		t.Cleanup(func() { ipctest.NoErr(t, c.Close()) })
	}
	ipctest.NoErr(t, p.Send(bg, nil))
	ipctest.NoErr(t, q.Send(bg, &v))
	l := must(f.Loan(spec))(t)
	ipctest.NoErr(t, l.Publish(bg))
	ipctest.NoErr(t, w.Set(bg, make([]byte, 8)))
	ipctest.NoErr(t, x.Set(bg, &v))

	// A topic that fits is there, or one that does not fit and has a subscriber.
	for name, f := range map[string]func(C, string) error{
		"pubsub.ReplacePublisher": func(c C, n string) error {
			return closed(pubsub.ReplacePublisher(c, n, &pubsub.Options{MaxSize: 100_000}))
		},
		"pubsub.ReplacePublisherOf": func(c C, n string) error { return closed(pubsub.ReplacePublisherOf[[100_000]byte](c, n, nil)) },
		"frame.ReplacePublisher": func(c C, n string) error {
			return closed(frame.ReplacePublisher(c, n, frame.Spec{Format: frame.Gray, Width: 400, Height: 300}, nil))
		},
	} {
		all[name] = waits{func(c C) error { return f(c, "replace") }, func(c C) error { return f(c, "replace small") }}
	}
	small := must(pubsub.CreatePublisher("replace small", &pubsub.Options{MaxSize: 8}))(t)
	s := must(pubsub.OpenSubscriber("replace small", nil))(t)
	t.Cleanup(func() { ipctest.NoErr(t, s.Close()) })
	ipctest.NoErr(t, small.Close())
}
