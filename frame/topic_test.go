//go:build linux || windows

package frame_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

var vga = frame.Spec{Format: frame.Gray, Width: 640, Height: 480}

func TestLoan(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", vga, &pubsub.Options{Loans: 2})
	s := newSub(t, "t", nil)
	a, err := p.Loan(vga)
	ipctest.NoErr(t, err)
	b, err := p.Loan(vga)
	ipctest.NoErr(t, err)
	_, err = p.Loan(vga)
	ipctest.WantErr(t, err, samepage.ErrTooManyHolds)
	ipctest.WantErr(t, p.Close(), samepage.ErrUnreleased)

	// In another order than they were taken: numbers are those of publishing.
	before := time.Now()
	for i, l := range []*frame.Loan{b, a} {
		paint(l.Frame, uint64(i)+1)
		ipctest.NoErr(t, l.Publish(bg))
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, intact(m.Frame, uint64(i)+1))
		if d := m.Time().Sub(before); d < -time.Second || d > time.Minute {
			t.Errorf("frame %d has time %v, published at %v", i, m.Time(), before)
		}
		if l.Image() != nil || l.Bytes() != nil || l.Extra() != nil {
			t.Error("a loan that is published still has bytes")
		}
		ipctest.WantErr(t, l.Publish(bg), samepage.ErrClosed)
		_, err = l.TryPublish()
		ipctest.WantErr(t, err, samepage.ErrClosed)
		l.Discard()
	}

	// What the caller says of sequence and time stays.
	l, err := p.Loan(frame.Spec{Format: frame.RGB, Width: 3, Height: 2, Seq: 9, Time: time.Unix(1, 2)})
	ipctest.NoErr(t, err)
	l.SetTime(time.Unix(3, 4))
	ipctest.NoErr(t, l.Publish(bg))
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	if m.Seq() != 9 || !m.Time().Equal(time.Unix(3, 4)) || m.Missed() != 0 || m.Publisher() != 0 {
		t.Errorf("%+v", m.Spec())
	}
	l, err = p.Loan(vga)
	ipctest.NoErr(t, err)
	l.Discard()
	l.Discard()
	ipctest.NoErr(t, p.Close())
	if _, ok, err := s.TryTake(); ok || err != io.EOF {
		t.Error(ok, err)
	}
	_, _, err = frame.OpenOrCreatePublisher("u", frame.Spec{Format: frame.RGBA, Width: 16384, Height: 16384, Stride: 1 << 20}, nil)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	_, _, err = frame.OpenOrCreatePublisher("u", vga, &pubsub.Options{Depth: -1})
	ipctest.WantErr(t, err, fs.ErrInvalid)
}

// If a frame cannot be published at once, it gets its number and time when it is published.
func TestPublishLater(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", vga, &pubsub.Options{Depth: 1, Loans: 2})
	s := newSub(t, "t", nil)
	n := uint64(0)
	var late *frame.Loan
	for {
		l, err := p.Loan(vga)
		ipctest.NoErr(t, err)
		ok, err := l.TryPublish()
		ipctest.NoErr(t, err)
		if !ok {
			late = l
			break
		}
		n++
	}
	if late.Seq() != 0 || !late.Time().IsZero() {
		t.Errorf("an unpublished frame is number %d of %v", late.Seq(), late.Time())
	}
	ctx, cancel := context.WithTimeout(bg, 5*time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, late.Publish(ctx), os.ErrDeadlineExceeded)
	if late.Seq() != 0 || !late.Time().IsZero() {
		t.Errorf("an unpublished frame is number %d of %v", late.Seq(), late.Time())
	}
	for range n {
		_, err := s.Take(bg)
		ipctest.NoErr(t, err)
	}
	s.Release()
	other, err := p.Loan(vga)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, other.Publish(bg))
	ipctest.NoErr(t, late.Publish(bg))
	for range 2 {
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		if n++; m.Seq() != n || m.Time().IsZero() {
			t.Errorf("frame %d is number %d of %v", n, m.Seq(), m.Time())
		}
	}
}

func TestExtraAndHold(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	rgb := frame.Spec{Format: frame.RGB, Width: 3, Height: 3}
	p := newPub(t, "t", rgb, &pubsub.Options{MaxSize: int(rgb.Size()) + 5, Depth: 1, Holds: 1})
	s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	send := func(extra string) {
		t.Helper()
		l, err := p.LoanExtra(rgb, len(extra))
		ipctest.NoErr(t, err)
		paint(l.Frame, p.Topic().Next())
		if len(l.Extra()) != len(extra) {
			t.Errorf("%d bytes behind the frame, want %d", len(l.Extra()), len(extra))
		}
		copy(l.Extra(), extra)
		ipctest.NoErr(t, l.Publish(bg))
	}
	send("first")
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	h, err := m.Hold()
	ipctest.NoErr(t, err)
	_, err = m.Hold()
	ipctest.WantErr(t, err, samepage.ErrTooManyHolds)
	for range 100 {
		send("")
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		if len(m.Extra()) != 0 {
			t.Errorf("%q stands behind a frame", m.Extra())
		}
	}
	if string(h.Extra()) != "first" || h.Missed() != 0 {
		t.Errorf("%q is held, %d missed", h.Extra(), h.Missed())
	}
	ipctest.NoErr(t, intact(h.Frame, 1))
	ipctest.WantErr(t, s.Close(), samepage.ErrUnreleased)
	h.Release()
	h.Release()
	if h.Image() != nil || h.Extra() != nil {
		t.Error("a frame that is released still has bytes")
	}
	ipctest.NoErr(t, s.Close())
	_, err = s.Take(bg)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = p.LoanExtra(rgb, 6)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
}

// The loop goes on after a message that is not a frame, and ends with the stream.
func TestFrames(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := frame.OpenSubscriber("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, err = frame.AwaitSubscriber(ctx, "t", nil)
	ipctest.WantErr(t, err, context.DeadlineExceeded)

	p := newPub(t, "t", vga, nil)
	s := newSub(t, "t", nil)
	ipctest.NoErr(t, publish(bg, p, vga))
	ipctest.NoErr(t, p.Topic().Send(bg, make([]byte, 300)))
	ipctest.NoErr(t, publish(bg, p, vga))
	ipctest.NoErr(t, p.Close())
	var got []uint64
	var last *frame.Message
	bad := 0
	for m, err := range s.Frames(bg) {
		if errors.Is(err, samepage.ErrKindMismatch) && m == nil {
			bad++
			continue
		}
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, intact(m.Frame, m.Seq()))
		got, last = append(got, m.Seq()), m
	}
	if len(got) != 2 || got[0] != 1 || got[1] != 3 || bad != 1 {
		t.Errorf("frames %d, %d bad", got, bad)
	}
	if last.Image() != nil {
		t.Error("a frame that is let go still has an image")
	}
	p = newPub(t, "t", vga, nil)
	ipctest.NoErr(t, publish(bg, p, vga))
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	s.Release()
	if m.Image() != nil {
		t.Error("a frame that is released still has an image")
	}
}

// A camera publishes frames, and a viewer reads the same bytes.
func ExamplePublisher() {
	spec := frame.Spec{Format: frame.BGR, Width: 640, Height: 480}
	camera, err := frame.CreatePublisher("example-camera", spec, nil)
	check(err)
	viewer, err := frame.OpenSubscriber("example-camera", nil) // another process
	check(err)

	for range 2 {
		l, err := camera.Loan(spec)
		check(err)
		frame.Draw(l.Frame, image.White) // or read the device into l.Pix(0)
		check(l.Publish(context.Background()))
	}
	check(camera.Close())

	for m, err := range viewer.Frames(context.Background()) {
		check(err)
		fmt.Println(m.Seq(), m.Format(), m.Image().Bounds(), m.Image().At(0, 0), m.Missed())
	}
	check(viewer.Close())
	// Output:
	// 1 bgr (0,0)-(640,480) {255 255 255 255} 0
	// 2 bgr (0,0)-(640,480) {255 255 255 255} 0
}
