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

// A message is written once, in shared memory, and read in place.
func ExamplePublisher() {
	ctx := context.Background()
	pub, err := pubsub.NewPublisher("example-camera", &pubsub.Options{MaxSize: 1 << 20})
	ok(err)
	defer pub.Close()
	sub, err := pubsub.NewSubscriber("example-camera", nil) // most often in another process
	ok(err)
	defer sub.Close()

	loan, err := pub.Loan(5)
	ok(err)
	copy(loan.Bytes(), "hello")
	ok(loan.Publish(ctx))

	m, err := sub.Take(ctx)
	ok(err)
	fmt.Printf("%d: %s\n", m.Seq(), m.Bytes())
	// Output: 1: hello
}

// A loop over all messages ends when the publisher closes.
func ExampleSubscriber() {
	ctx := context.Background()
	pub, err := pubsub.NewPublisher("example-lines", nil)
	ok(err)
	sub, err := pubsub.NewSubscriber("example-lines", nil)
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

// What is held stays as it is while the stream goes on.
func ExampleMessage_Hold() {
	ctx := context.Background()
	pub, err := pubsub.NewPublisher("example-held", &pubsub.Options{Holds: 1})
	ok(err)
	defer pub.Close()
	sub, err := pubsub.NewSubscriber("example-held", &pubsub.SubscriberOptions{BestEffort: true})
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

// Messages of a Go type: a topic of one type is refused to programs that know
// another one of that name.
func ExampleTypedPublisher() {
	ctx := context.Background()
	pub, err := pubsub.NewTypedPublisher[Pose]("example-pose", nil)
	ok(err)
	defer pub.Close()
	sub, err := pubsub.NewTypedSubscriber[Pose]("example-pose", nil)
	ok(err)
	defer sub.Close()
	ok(pub.Send(ctx, &Pose{X: 1, Y: 2}))
	m, err := sub.Take(ctx)
	ok(err)
	fmt.Println(*m.Value())
	// Output: {1 2 0}
}
