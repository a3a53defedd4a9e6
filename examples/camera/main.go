// Camera is a camera with two viewers in other processes. They read the frames in the shared
// memory that the camera draws into. The recorder gets every frame. The monitor is slow: it
// shows as many frames as it has time for, and nobody waits for it.
//
//	go run ./examples/camera
//
// It ends by itself after two seconds, or with Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"samepage/frame"
	"samepage/pubsub"
)

func main() {
	run := camera
	if len(os.Args) == 3 { // started by the camera
		run = func() error { return viewer(os.Args[1], os.Args[2]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func camera() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	topic := fmt.Sprintf("camera-%d", os.Getpid())
	spec := frame.Spec{Format: frame.BGR, Width: 640, Height: 480} // the format of OpenCV
	pub, err := frame.CreatePublisher(topic, spec, nil)
	if err != nil {
		return err
	}
	defer pub.Close()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	recorder, monitor := command(exe, "recorder", topic), command(exe, "monitor", topic)
	if err := errors.Join(recorder.Start(), monitor.Start()); err != nil {
		return err
	}
	// Both subscribe before the first frame is drawn. The monitor, which is best-effort, counts.
	if err := pub.WaitSubscribers(ctx, 2); err == nil {
		fmt.Println("camera: publishing 100 frames")
	}

	tick := time.NewTicker(20 * time.Millisecond)
	for n := 0; n < 100 && ctx.Err() == nil; n++ {
		<-tick.C
		l, err := pub.Loan(spec)
		if err != nil {
			return err
		}
		clear(l.Pix(0)) // the memory still has an earlier frame
		white := l.Image().(*frame.PackedImage)
		for y := range spec.Height { // a line that moves
			white.Set(6*n, y, image.White.C)
		}
		if err := l.Publish(ctx); err != nil {
			l.Discard()
		}
	}
	// Close ends the stream: a viewer that has taken all frames then ends.
	return errors.Join(pub.Close(), recorder.Wait(), monitor.Wait())
}

// command runs this program in another role.
func command(exe, role, topic string) *exec.Cmd {
	c := exec.Command(exe, role, topic)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c
}

func viewer(role, topic string) error {
	// The viewers ignore Ctrl-C: they end when the camera ends.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	slow := role == "monitor"
	sub, err := frame.OpenSubscriber(topic, &pubsub.SubscriberOptions{BestEffort: slow})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the camera has ended already
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	var late time.Duration
	for f, err := range sub.Frames(context.Background()) {
		if err != nil {
			return err // for example: the camera was killed
		}
		late = max(late, time.Since(f.Time()))
		if slow {
			time.Sleep(70 * time.Millisecond) // f does not change meanwhile
		}
	}
	fmt.Printf("%s: %d frames, %d missed, each at most %v after it was published\n",
		role, sub.Topic().Taken(), sub.Topic().Missed(), late.Round(time.Microsecond))
	return nil
}
