package frame_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"io"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// Tests by the rows of docs/mission.md.

// The header says length, width, height and bits of what comes; what is negative, too
// large, or more than was sent is refused.
func TestMission003_04_FrameHeader(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	room := frame.Spec{Format: frame.RGBA, Width: 64, Height: 48}
	p := newPub(t, "t", room, nil)
	child := ipctest.Start(t, "describe", "t")
	ipctest.NoErr(t, p.WaitSubscribers(bg, 1))
	for i, format := range frame.Formats() {
		l, err := p.Loan(frame.Spec{Format: format, Width: 61 - i, Height: 33 + i})
		ipctest.NoErr(t, err)
		for k := range l.Planes() {
			copy(l.Pix(k), bytes.Repeat([]byte{byte(i), 7, 200, byte(k), 99}, 4000))
		}
		l.SetSeq(1000 + uint64(i))
		want := description(l.Frame)
		ipctest.NoErr(t, l.Publish(bg))
		if got := child.Line(); got != want+" " {
			t.Errorf("%v is %s, came as %s", format, want, got)
		}
	}

	for _, s := range []frame.Spec{
		{Format: frame.Gray, Width: -1, Height: 1},
		{Format: frame.Gray, Width: 1},
		{Width: 1, Height: 1},
		{Format: frame.Gray, Width: frame.MaxSide + 1, Height: 1},
		{Format: frame.Gray, Width: 10, Height: 10, Stride: 9},
	} {
		_, err := p.Loan(s)
		ipctest.WantErr(t, err, frame.ErrSpec)
		_, err = frame.NewPublisher("u", s, nil)
		ipctest.WantErr(t, err, frame.ErrSpec)
	}
	_, err := p.Loan(frame.Spec{Format: frame.RGBA, Width: 65, Height: 48})
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	_, err = p.LoanExtra(room, 1)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	_, err = p.LoanExtra(room, -1)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)

	// What a hostile writer says of itself.
	s := newSub(t, "t", &pubsub.SubscriberOptions{From: pubsub.FromNow})
	good, err := frame.New(make([]byte, room.Size()), room)
	ipctest.NoErr(t, err)
	h, err := layout.ParseFrame(good.Bytes(), room.Size())
	ipctest.NoErr(t, err)
	for what, spoil := range map[string]func(*layout.FrameHeader){
		"length":         func(h *layout.FrameHeader) { h.Size++ },
		"length of all":  func(h *layout.FrameHeader) { h.Size = 1<<64 - 1 },
		"width":          func(h *layout.FrameHeader) { h.Width = 1<<32 - 1 }, // -1 in the seed's int
		"height":         func(h *layout.FrameHeader) { h.Height = 1 << 31 },
		"rows":           func(h *layout.FrameHeader) { h.Height++ },
		"a far plane":    func(h *layout.FrameHeader) { h.Offset[0] = 1 << 63 },
		"in the header":  func(h *layout.FrameHeader) { h.Offset[0] = 64 },
		"a short stride": func(h *layout.FrameHeader) { h.Stride[0]-- },
	} {
		bad, b := h, bytes.Clone(good.Bytes())
		spoil(&bad)
		bad.Encode(b)
		ipctest.NoErr(t, p.Topic().Send(bg, b))
		_, err := s.Take(bg)
		ipctest.WantErr(t, err, samepage.ErrCorrupt)
		ipctest.NoErr(t, p.Topic().Send(bg, good.Bytes()))
		if _, err := s.Take(bg); err != nil {
			t.Errorf("%s: the frame behind a bad one: %v", what, err)
		}
	}
	ipctest.NoErr(t, p.Topic().Send(bg, []byte("no frame")))
	_, _, err = s.TryTake()
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	ipctest.NoErr(t, p.Topic().Send(bg, make([]byte, 1000)))
	_, err = s.Take(bg)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
}

// A camera of 200 frames a second does not wait for a slow reader, nor change what it
// looks at.
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
	look := func(m *frame.Message) {
		ipctest.NoErr(t, intact(m.Frame, m.Seq()))
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
	if missed < 40*7 || passed < 40 || n+missed != all {
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

// Whoever comes first, frame 1 is the first, and intact.
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

// Whoever sees that there is a frame sees all of it: also where each slot held another
// one just before, and the reader looks without sleeping.
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

// From 640 x 480 to 4K and back, with the right pixels and no allocations.
func TestMission003_18_SizesChange(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	small := frame.Spec{Format: frame.BGR, Width: 640, Height: 480}
	large := frame.Spec{Format: frame.BGR, Width: 3840, Height: 2160}
	p := newPub(t, "t", large, &pubsub.Options{Depth: 1, Members: 2, Loans: 1, Holds: -1})
	s := newSub(t, "t", nil)
	white, black := image.NewUniform(color.White), image.NewUniform(color.Black)
	for _, spec := range []frame.Spec{small, large, small} {
		l, err := p.Loan(spec)
		ipctest.NoErr(t, err)
		paint(l.Frame, p.Topic().Next())
		ipctest.NoErr(t, l.Publish(bg))
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, intact(m.Frame, m.Seq()))
		if b := m.Image().Bounds(); b != image.Rect(0, 0, spec.Width, spec.Height) || m.Width() != spec.Width || m.Height() != spec.Height {
			t.Errorf("%d x %d came as %d x %d, %v", spec.Width, spec.Height, m.Width(), m.Height(), b)
		}
	}
	allocs := testing.AllocsPerRun(20, func() {
		for i, spec := range [...]frame.Spec{small, large, small} {
			l, err := p.Loan(spec)
			ipctest.NoErr(t, err)
			corner := len(l.Pix(0)) - 3
			copy(l.Pix(0)[corner:], []byte{byte(i), 2, 3})
			ipctest.NoErr(t, l.Publish(bg))
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			if pix := m.Pix(0)[corner:]; len(pix) != 3 || pix[0] != byte(i) || m.Image() == nil {
				t.Errorf("the last pixel of size %d is %v", i, pix)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for three frames", allocs)
	}
	// Drawing allocates nothing either, once it has drawn that width.
	if allocs := testing.AllocsPerRun(20, func() {
		for _, src := range [...]image.Image{white, black} {
			l, err := p.Loan(small)
			ipctest.NoErr(t, err)
			frame.Draw(l.Frame, src)
			ipctest.NoErr(t, l.Publish(bg))
			_, ok, err := s.TryTake()
			if !ok || err != nil {
				t.Error(ok, err)
			}
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for two frames that are drawn", allocs)
	}
}

// Width, height, bits, the pixels behind the header, and the image.Image over them.
func TestMission003_19_Accessors(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", frame.Spec{Format: frame.BGR, Width: 640, Height: 480}, nil)
	s := newSub(t, "t", nil)
	l, err := p.Loan(frame.Spec{Format: frame.BGR, Width: 320, Height: 240, Seq: 77, Time: time.Unix(5, 6)})
	ipctest.NoErr(t, err)
	copy(l.Pix(0)[l.Stride(0)*239+3*319:], []byte{10, 20, 30})
	ipctest.NoErr(t, l.Publish(bg))
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	if m.Width() != 320 || m.Height() != 240 || m.Bits() != 24 || m.Format() != frame.BGR || len(m.Pix(0)) != 320*240*3 ||
		m.Seq() != 77 || !m.Time().Equal(time.Unix(5, 6)) || m.Stride(0) != 960 {
		t.Errorf("%+v", m.Spec())
	}
	if c := color.NRGBAModel.Convert(m.Image().At(319, 239)); c != (color.NRGBA{30, 20, 10, 255}) {
		t.Errorf("the last pixel is %v", c)
	}
	if p, ok := m.Image().(*frame.PackedImage); !ok || &p.Pix[0] != &m.Pix(0)[0] {
		t.Errorf("%T has pixels of its own", m.Image())
	}
}

// Three consumers have all frames each, or, where they do not keep the camera waiting,
// those that they have time for, with the latest at the end.
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
