package frame_test

import (
	"bytes"
	"image"
	"image/color"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// The header has the length, width, height and bits of the frame. Values that are negative, too
// large, or larger than the message are refused.
func TestMission003_04_FrameHeader(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	room := frame.Spec{Format: frame.RGBA, Width: 64, Height: 48}
	p := newPub(t, "t", room, nil)
	child := ipctest.Start(t, "describe", "t")
	ipctest.NoErr(t, p.WaitSubscribers(bg, 1))
	for i, format := range frame.Formats() {
		l, err := p.Loan(frame.Spec{Format: format, Width: 41 - i/2, Height: 33 + i/4})
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
		_, _, err = frame.OpenOrCreatePublisher("u", s, nil)
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
		"in the header":  func(h *layout.FrameHeader) { h.Offset[0] = 192 },
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

// A stream changes from 640 x 480 to 4K and back, with the right pixels and without allocations.
func TestMission003_18_SizesChange(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	small := frame.Spec{Format: frame.BGR, Width: 640, Height: 480}
	large := frame.Spec{Format: frame.BGR, Width: 3840, Height: 2160}
	p := newPub(t, "t", large, &pubsub.Options{Depth: 1, Members: 2, Loans: 1, Holds: 0})
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

// A reader gets width, height and bits, the pixels after the header, and an image.Image of them.
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
