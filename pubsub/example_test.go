//go:build linux || windows

package pubsub_test

import (
	"context"
	"fmt"
	"os"

	"samepage/pubsub"
)

func ok(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A message is written once, into shared memory, and read in place.
func ExamplePublisher() {
	ctx := context.Background()
	pub, existed, err := pubsub.OpenOrCreatePublisher("example-camera", &pubsub.Options{MaxSize: 1 << 20})
	ok(err)
	defer pub.Close()
	fmt.Println("the topic existed:", existed)
	sub, err := pubsub.OpenSubscriber("example-camera", nil) // most often in another process
	ok(err)
	defer sub.Close()

	loan, err := pub.Loan(5)
	ok(err)
	copy(loan.Bytes(), "hello")
	ok(loan.Publish(ctx))

	m, err := sub.Take(ctx)
	ok(err)
	fmt.Printf("%d: %s\n", m.Seq(), m.Bytes())
	// Output:
	// the topic existed: false
	// 1: hello
}

// A publisher begins when there is a subscriber.
func ExamplePublisher_WaitSubscribers() {
	ctx := context.Background()
	pub, err := pubsub.CreatePublisher("example-wait", nil)
	ok(err)
	go func() {
		ok(pub.WaitSubscribers(ctx, 1))
		ok(pub.Send(ctx, []byte("now that you are here")))
		ok(pub.Close())
	}()
	sub, err := pubsub.AwaitSubscriber(ctx, "example-wait", &pubsub.SubscriberOptions{From: pubsub.FromNow})
	ok(err)
	defer sub.Close()
	m, err := sub.Take(ctx)
	ok(err)
	fmt.Printf("%s\n", m.Bytes())
	// Output: now that you are here
}

// A loop over all messages ends when the publisher closes.
func ExampleSubscriber() {
	ctx := context.Background()
	pub, err := pubsub.CreatePublisher("example-lines", nil)
	ok(err)
	sub, err := pubsub.AwaitSubscriber(ctx, "example-lines", nil)
	ok(err)
	defer sub.Close()
	go func() {
		_, err := pub.SendAll(ctx, [][]byte{[]byte("one"), []byte("two"), []byte("three")})
		ok(err)
		ok(pub.Close())
	}()
	for m, err := range sub.Messages(ctx) {
		ok(err)
		fmt.Printf("%s\n", m.Bytes()) // good until the next turn of the loop
	}
	// Output:
	// one
	// two
	// three
}

// A held message does not change while the stream goes on.
func ExampleMessage_Hold() {
	ctx := context.Background()
	pub, _, err := pubsub.OpenOrCreatePublisher("example-held", &pubsub.Options{Holds: 1})
	ok(err)
	defer pub.Close()
	sub, err := pubsub.OpenSubscriber("example-held", &pubsub.SubscriberOptions{BestEffort: true})
	ok(err)
	defer sub.Close()
	ok(pub.Send(ctx, []byte("the first one")))
	m, err := sub.Take(ctx)
	ok(err)
	first, err := m.Hold()
	ok(err)
	for range 1000 {
		ok(pub.Send(ctx, []byte("another one")))
	}
	m, err = sub.Take(ctx)
	ok(err)
	fmt.Printf("%s, still: %s; some were missed: %v\n", m.Bytes(), first.Bytes(), m.Missed() > 0)
	first.Release()
	// Output: another one, still: the first one; some were missed: true
}

type Pose struct {
	X, Y, Angle float64
}

// Messages of a Go type. A program whose type has the same name but other fields cannot open the
// topic.
func ExamplePublisherOf() {
	ctx := context.Background()
	pub, err := pubsub.CreatePublisherOf[Pose]("example-pose", nil)
	ok(err)
	defer pub.Close()
	sub, err := pubsub.OpenSubscriberOf[Pose]("example-pose", nil)
	ok(err)
	defer sub.Close()

	loan, err := pub.Loan()
	ok(err)
	*loan.Value() = Pose{X: 1, Y: 2} // in shared memory
	ok(loan.Publish(ctx))

	m, err := sub.Take(ctx)
	ok(err)
	fmt.Println(*m.Value())
	// Output: {1 2 0}
}

// Values of a Go type, one after the other. One is held while the stream goes on.
func ExampleSubscriberOf() {
	ctx := context.Background()
	pub, err := pubsub.CreatePublisherOf[Pose]("example-poses", &pubsub.Options{Holds: 1})
	ok(err)
	sub, err := pubsub.AwaitSubscriberOf[Pose](ctx, "example-poses", nil)
	ok(err)
	defer sub.Close()
	_, err = pub.SendAll(ctx, []Pose{{X: 1}, {X: 2}, {X: 3}})
	ok(err)
	ok(pub.Close())
	var first *pubsub.HeldOf[Pose]
	for m, err := range sub.Messages(ctx) {
		ok(err)
		if first == nil {
			first, err = m.Hold()
			ok(err)
		}
		fmt.Println(m.Value().X, "after", first.Value().X)
	}
	first.Release()
	// Output:
	// 1 after 1
	// 2 after 1
	// 3 after 1
}
