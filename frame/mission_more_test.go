package frame_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
)

// A camera that sends only when it is asked: each request, which is an event, has exactly
// one frame come, in another process too, and none comes without.
func TestMission003_05_OnDemand(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	vga := frame.Spec{Format: frame.Gray, Width: 640, Height: 480}
	p := newPub(t, "t", vga, nil)
	wanted, err := ipcsync.CreateEvent("capture", nil)
	ipctest.NoErr(t, err)
	ask, err := ipcsync.OpenEvent("capture", nil)
	ipctest.NoErr(t, err)
	elsewhere := ipctest.Start(t, "describe", "t")
	s := newSub(t, "t", &pubsub.SubscriberOptions{From: pubsub.FromNow})
	ipctest.NoErr(t, p.WaitSubscribers(bg, 2))

	ctx, stop := context.WithCancel(bg)
	camera := make(chan error)
	go func() {
		for wanted.Wait(ctx) == nil {
			if err := publish(ctx, p, vga); err != nil {
				camera <- err
				return
			}
		}
		camera <- p.Close()
	}()
	for n := uint64(1); n <= 50; n++ {
		if _, ok, err := s.TryTake(); ok || err != nil {
			t.Fatalf("frame %d comes before it is asked for, %v", n, err)
		}
		ipctest.NoErr(t, ask.Set())
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, intact(m.Frame, n))
		if l := elsewhere.Line(); !strings.HasPrefix(l, fmt.Sprint(n, " ")) {
			t.Fatalf("the other process has %q, want frame %d", l, n)
		}
	}
	stop()
	ipctest.NoErr(t, <-camera)
	_, err = s.Take(bg)
	ipctest.WantErr(t, err, io.EOF)
	if n := p.Topic().Next() - 1; n != 50 {
		t.Errorf("%d frames for 50 requests", n)
	}
	if st := elsewhere.Wait(); !st.Success() {
		t.Errorf("the other process ends with %v", st)
	}
	ipctest.NoErr(t, wanted.Close())
	ipctest.NoErr(t, ask.Close())
}
