//go:build linux || windows

package frame_test

import (
	"context"
	"fmt"

	"samepage/frame"
	"samepage/pubsub"
)

// A camera draws into the memory that its viewers read. It begins when there is a viewer.
func ExamplePublisher_WaitSubscribers() {
	ctx := context.Background()
	spec := frame.Spec{Format: frame.Gray, Width: 4, Height: 2}
	pub, err := frame.CreatePublisher("example-frames", spec, nil)
	check(err)
	sub, err := frame.AwaitSubscriber(ctx, "example-frames", nil) // most often in another process
	check(err)
	defer sub.Close()

	check(pub.WaitSubscribers(ctx, 1))
	for n := range 2 {
		f, err := pub.Loan(spec)
		check(err)
		for i := range f.Pix(0) {
			f.Pix(0)[i] = byte(100 + n)
		}
		check(f.Publish(ctx))
	}
	check(pub.Close())
	for f, err := range sub.Frames(ctx) {
		check(err)
		fmt.Println(f.Seq(), f.Width(), f.Height(), f.Image().At(0, 0))
	}
	// Output:
	// 1 4 2 {100}
	// 2 4 2 {101}
}

// A viewer keeps one frame while it takes the next.
func ExampleSubscriber() {
	ctx := context.Background()
	spec := frame.Spec{Format: frame.Gray, Width: 4, Height: 2}
	pub, existed, err := frame.OpenOrCreatePublisher("example-held", spec, &pubsub.Options{Holds: 1})
	check(err)
	defer pub.Close()
	sub, err := frame.OpenSubscriber("example-held", &pubsub.SubscriberOptions{BestEffort: true})
	check(err)
	defer sub.Close()
	take := func() *frame.Message {
		f, err := pub.Loan(spec)
		check(err)
		check(f.Publish(ctx))
		m, err := sub.Take(ctx)
		check(err)
		return m
	}
	first, err := take().Hold()
	check(err)
	defer first.Release()
	fmt.Println(existed, first.Seq(), take().Seq(), take().Publisher())
	// Output: false 1 2 0
}
