package frame_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"testing"
	"time"

	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

var bg = context.Background()

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"camera": told(cameraRole), "viewer": told(viewerRole), "describe": told(describeRole)})
}

// told makes a role print its error.
func told(role func(args []string) error) func([]string) {
	return func(args []string) {
		if err := role(args); err != nil {
			fmt.Println("error:", err)
		}
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func newPub(t testing.TB, name string, largest frame.Spec, o *pubsub.Options) *frame.Publisher {
	t.Helper()
	p, _, err := frame.OpenOrCreatePublisher(name, largest, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newSub(t testing.TB, name string, o *pubsub.SubscriberOptions) *frame.Subscriber {
	t.Helper()
	s, err := frame.OpenSubscriber(name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// paint fills all pixels with values that only frame seq has.
func paint(f *frame.Frame, seq uint64) {
	b := f.Pix(0)
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], seq*0x9e3779b97f4a7c15+uint64(i))
	}
}

// intact says whether f has all pixels of frame seq.
func intact(f *frame.Frame, seq uint64) error {
	b := f.Pix(0)
	if f.Seq() != seq || len(b) == 0 {
		return fmt.Errorf("frame %d with %d bytes of pixels, want %d", f.Seq(), len(b), seq)
	}
	for i := 0; i+8 <= len(b); i += 8 {
		if binary.LittleEndian.Uint64(b[i:]) != seq*0x9e3779b97f4a7c15+uint64(i) {
			return fmt.Errorf("frame %d of %d bytes is torn at byte %d", seq, len(b), i)
		}
	}
	return nil
}

func publish(ctx context.Context, p *frame.Publisher, s frame.Spec) error {
	l, err := p.Loan(s)
	if err != nil {
		return err
	}
	paint(l.Frame, p.Topic().Next())
	if err := l.Publish(ctx); err != nil {
		l.Discard()
		return err
	}
	return nil
}

// cameraRole publishes frames: TOPIC WIDTH HEIGHT COUNT FPS SUBSCRIBERS. It begins when the topic
// has SUBSCRIBERS reliable subscribers, and ends its stream at the end of its standard input. If
// COUNT is 0 it publishes until then.
func cameraRole(args []string) error {
	spec := frame.Spec{Format: frame.Gray, Width: number(args[1]), Height: number(args[2])}
	// As little room as there may be, for each slot to be used again soon.
	p, _, err := frame.OpenOrCreatePublisher(args[0], spec, &pubsub.Options{Depth: 1, Members: 4, Loans: 1, Times: true, Holds: 1})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if err := p.WaitSubscribers(bg, number(args[5])); err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(over)
	}()
	ended := func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	}
	pause := time.NewTicker(max(time.Second/time.Duration(max(number(args[4]), 1)), 1))
	count := number(args[3])
	for n := 0; n < count || count == 0 && !ended(); n++ {
		if number(args[4]) > 0 {
			<-pause.C
		}
		if err := publish(bg, p, spec); err != nil {
			return err
		}
	}
	fmt.Println("published", p.Topic().Next()-1)
	<-over
	return p.Close()
}

// viewerRole checks all frames that it gets: TOPIC reliable|best-effort.
func viewerRole(args []string) error {
	fmt.Println("waiting")
	s, err := frame.AwaitSubscriber(bg, args[0], &pubsub.SubscriberOptions{BestEffort: args[1] == "best-effort"})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	first, last, missed := uint64(0), uint64(0), uint64(0)
	for m, err := range s.Frames(bg) {
		if err != nil {
			return err
		}
		if first == 0 {
			first = m.Seq()
			last = first - 1 - m.Missed()
			fmt.Println("first", first, m.Missed())
		}
		if err := intact(m.Frame, last+1+m.Missed()); err != nil {
			return err
		}
		last, missed = m.Seq(), missed+m.Missed()
	}
	fmt.Println("frames", s.Topic().Taken(), "missed", missed, "last", last)
	return s.Close()
}

// describeRole prints a description of each frame: TOPIC.
func describeRole(args []string) error {
	s, err := frame.AwaitSubscriber(bg, args[0], nil)
	if err != nil {
		return err
	}
	for m, err := range s.Frames(bg) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(description(m.Frame), string(m.Extra()))
	}
	return s.Close()
}

func description(f *frame.Frame) string {
	sum := uint32(0)
	for i := range f.Planes() {
		sum = crc32.Update(sum, crc32.IEEETable, f.Pix(i))
	}
	b := f.Image().Bounds()
	return fmt.Sprint(f.Seq(), f.Format(), len(f.Bytes()), f.Width(), f.Height(), f.Bits(), sum, f.Image().At(b.Max.X-1, b.Max.Y-1))
}
