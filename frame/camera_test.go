package frame_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
)

// A camera of 200 frames a second does not wait for a slow reader, and does not change the frame
// that this reader looks at.
func TestMission003_06_NoTornFrames(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	camera := ipctest.Start(t, "camera", "t", "640", "480", "0", "200", "0")
	if l := camera.Line(); l != "ready" {
		t.Fatal(l)
	}
	s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	var held *frame.Held
	n, passed, missed, last := uint64(0), uint64(0), uint64(0), uint64(0)
	before := uint64(0) // frames that were gone when s subscribed
	look := func(m *frame.Message) {
		ipctest.NoErr(t, intact(m.Frame, m.Seq()))
		if n == 0 {
			before = m.Seq() - 1 - m.Missed()
			last = before
		}
		if m.Seq() != last+1+m.Missed() {
			t.Errorf("frame %d after %d, %d missed", m.Seq(), last, m.Missed())
		}
		n, missed, last = n+1, missed+m.Missed(), m.Seq()
	}
	for range 40 {
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, intact(m.Frame, m.Seq()))
		if held != nil && n%8 == 0 {
			passed = max(passed, m.Seq()-held.Seq())
			ipctest.NoErr(t, intact(held.Frame, held.Seq()))
			held.Release()
			held = nil
		}
		if held == nil {
			held, err = m.Hold()
			ipctest.NoErr(t, err)
		}
		awaitPublished(t, m.Seq()+9)
		look(m)
	}
	ipctest.NoErr(t, intact(held.Frame, held.Seq()))
	held.Release()
	camera.EndInput()
	for m, err := range s.Frames(bg) {
		ipctest.NoErr(t, err)
		look(m)
	}
	var all uint64
	if _, err := fmt.Sscanf(camera.Line(), "published %d", &all); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d frames of %d taken, %d missed, one held while %d came", n, all, missed, passed)
	if missed < 40*7 || passed < 40 || before+n+missed != all {
		t.Errorf("%d frames of %d taken, %d missed, one held while %d came", n, all, missed, passed)
	}
}

// awaitPublished waits until the camera has published frame seq.
func awaitPublished(t *testing.T, seq uint64) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		st, err := pubsub.Inspect("t", nil)
		ipctest.NoErr(t, err)
		if st.Lanes[0].Messages >= seq {
			return
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("the camera stands still at frame %d", st.Lanes[0].Messages)
		}
	}
}

// Camera and viewer may start in any order: the viewer gets frame 1 first, and it is intact.
func TestMission003_07_FirstFrame(t *testing.T) {
	ipctest.NeedNames(t)
	for _, consumerFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("consumer first %v", consumerFirst), func(t *testing.T) {
			ipctest.Store(t)
			var viewer, camera *ipctest.Child
			look := func() {
				viewer = ipctest.Start(t, "viewer", "t", "reliable")
				if l := viewer.Line(); l != "waiting" {
					t.Fatal(l)
				}
			}
			if consumerFirst {
				look()
				time.Sleep(50 * time.Millisecond) // it waits for the topic by now, or will
				camera = ipctest.Start(t, "camera", "t", "640", "480", "1", "0", "1")
			} else {
				camera = ipctest.Start(t, "camera", "t", "640", "480", "1", "0", "0")
			}
			if l := camera.Line(); l != "ready" {
				t.Fatal(l)
			}
			if !consumerFirst {
				if l := camera.Line(); l != "published 1" {
					t.Fatal(l)
				}
				look()
			}
			for _, want := range []string{"ready", "first 1 0"} {
				if l := viewer.Line(); l != want {
					t.Fatalf("viewer says %q, want %q", l, want)
				}
			}
			camera.Wait()
			if l := viewer.Line(); l != "frames 1 missed 0 last 1" {
				t.Error(l)
			}
		})
	}
}

// A reader that sees a frame sees all of it. This also holds if each slot had another frame just
// before and the reader polls.
func TestMission003_13_SignalAfterData(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const frames = 20000
	camera := ipctest.Start(t, "camera", "t", "40", "30", fmt.Sprint(frames), "0", "1")
	if l := camera.Line(); l != "ready" {
		t.Fatal(l)
	}
	s := newSub(t, "t", nil)
	for seq := uint64(1); seq <= frames; {
		var m *frame.Message
		ok, err := true, error(nil)
		if seq%1000 == 0 {
			m, err = s.Take(bg)
		} else {
			m, ok, err = s.TryTake()
		}
		ipctest.NoErr(t, err)
		if ok {
			ipctest.NoErr(t, intact(m.Frame, seq))
			seq++
		}
	}
	camera.Wait()
	_, err := s.Take(bg)
	ipctest.WantErr(t, err, io.EOF)
}

// Three reliable consumers each get all frames. Three best-effort consumers get the frames that
// they have time for, and the latest frame at the end.
func TestMission003_20_FanOut(t *testing.T) {
	ipctest.NeedNames(t)
	const frames = 500
	for _, mode := range []string{"reliable", "best-effort"} {
		t.Run(mode, func(t *testing.T) {
			ipctest.Store(t)
			waitFor, fps := "3", "0"
			if mode == "best-effort" {
				waitFor, fps = "0", "1000"
			}
			camera := ipctest.Start(t, "camera", "t", "320", "240", fmt.Sprint(frames), fps, waitFor)
			if l := camera.Line(); l != "ready" {
				t.Fatal(l)
			}
			var viewers []*ipctest.Child
			for range 3 {
				v := ipctest.Start(t, "viewer", "t", mode)
				viewers = append(viewers, v)
				for _, want := range []string{"waiting", "ready"} {
					if l := v.Line(); l != want {
						t.Fatalf("viewer says %q, want %q", l, want)
					}
				}
			}
			if l := camera.Line(); l != fmt.Sprint("published ", frames) {
				t.Fatal(l)
			}
			camera.Wait()
			for i, v := range viewers {
				var first, missedFirst, n, missed, last uint64
				if _, err := fmt.Sscanf(v.Line(), "first %d %d", &first, &missedFirst); err != nil {
					t.Fatal(err)
				}
				l := v.Line()
				if _, err := fmt.Sscanf(l, "frames %d missed %d last %d", &n, &missed, &last); err != nil {
					t.Fatal(l, err)
				}
				if last != frames || first-missedFirst+n+missed != frames+1 || mode == "reliable" && n != frames {
					t.Errorf("viewer %d: first %d, %s", i, first, l)
				}
			}
		})
	}
}

// A camera sends only on request. Each request is an event. Exactly one frame comes for each
// request, also in another process, and no frame comes without a request.
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
