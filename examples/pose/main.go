// Pose is a robot that publishes its position a hundred times a second, as values of a Go
// type, and a process that follows it. A subscriber with another type is refused.
//
//	go run ./examples/pose
//
// It ends by itself after two seconds, or with Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"time"

	"samepage/pubsub"
)

// Pose has a fixed size and no pointers, so it can lie in shared memory.
type Pose struct {
	X, Y, Heading float64 // metres, radians
}

// OldPose is the type of an old program that was not rebuilt.
type OldPose struct {
	X, Y float32
}

func main() {
	run := robot
	if len(os.Args) == 2 { // started by the robot
		run = func() error { return follower(os.Args[1]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func robot() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	topic := fmt.Sprintf("pose-%d", os.Getpid())
	pub, err := pubsub.CreatePublisherOf[Pose](topic, &pubsub.Options{Times: true})
	if err != nil {
		return err
	}
	defer pub.Close()
	_, err = pubsub.OpenSubscriberOf[OldPose](topic, nil)
	fmt.Println("refused:", err)

	exe, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(exe, topic)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return err
	}
	if err := pub.WaitSubscribers(ctx, 1); err == nil {
		fmt.Println("robot: on its way")
	}
	tick := time.NewTicker(10 * time.Millisecond)
	for n := 0; n < 200 && ctx.Err() == nil; n++ {
		<-tick.C
		turn := float64(n) / 200 * 2 * math.Pi
		l, err := pub.Loan()
		if err != nil {
			return err
		}
		*l.Value() = Pose{X: math.Cos(turn), Y: math.Sin(turn), Heading: turn + math.Pi/2} // in place
		if err := l.Publish(ctx); err != nil {
			l.Discard()
		}
	}
	return errors.Join(pub.Close(), child.Wait())
}

func follower(topic string) error {
	// The follower ignores Ctrl-C: it ends when the robot ends.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	sub, err := pubsub.OpenSubscriberOf[Pose](topic, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the robot has ended already
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	var took []time.Duration
	for m, err := range sub.Messages(context.Background()) {
		if err != nil {
			return err // for example: the robot was killed
		}
		took = append(took, time.Since(m.Time()))
		if p := m.Value(); m.Seq()%50 == 1 { // in place, too
			fmt.Printf("follower: pose %d is %.2f, %.2f, heading %.2f\n", m.Seq(), p.X, p.Y, p.Heading)
		}
	}
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	fmt.Printf("follower: %d poses, half of them within %v\n", len(took), took[len(took)/2])
	return nil
}
