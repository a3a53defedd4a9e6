package baseimage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/legacy/baseimage"
)

// Each type of image arrives unchanged, with the right number of bits.
func TestBaseImagePictures(t *testing.T) {
	store(t)
	const w, h = 37, 5
	fill := func(d interface {
		image.Image
		Set(x, y int, c color.Color)
	}, alpha uint8,
	) image.Image {
		b := d.Bounds()
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				d.Set(x, y, color.NRGBA{uint8(11 * x), uint8(50 * y), uint8(x * y), alpha})
			}
		}
		return d
	}
	r := image.Rect(3, 4, 3+w, 4+h)
	ycc := image.NewYCbCr(r, image.YCbCrSubsampleRatio420)
	for i := range ycc.Y {
		ycc.Y[i] = uint8(i)
	}
	for _, c := range []struct {
		name string
		img  image.Image
		want frame.Format
	}{
		{"gray", fill(image.NewGray(r), 255), frame.Gray},
		{"part of gray", fill(image.NewGray(image.Rect(0, 0, 100, 100)), 255).(*image.Gray).SubImage(r), frame.Gray},
		{"gray 16", fill(image.NewGray16(r), 255), frame.Gray16},
		{"rgba", fill(image.NewRGBA(r), 255), frame.BGR},
		{"nrgba, opaque", fill(image.NewNRGBA(r), 255), frame.BGR},
		{"nrgba", fill(image.NewNRGBA(r), 100), frame.BGRA},
		{"YCbCr", ycc, frame.BGR},
		{"palette", image.NewPaletted(r, color.Palette{color.White}), frame.BGR},
	} {
		for _, align := range []int{1, 4, 64} {
			s := newSender(t, &baseimage.SenderOptions{Align: align})
			g := newReceiver(t, quick)
			noErr(t, s.Send(t.Context(), c.img))
			f, err := g.Grab(patient(t))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if f.Format() != c.want || f.Width() != w || f.Height() != h || f.Stride(0)%align != 0 {
				t.Errorf("%s with rows of %d: grabbed %v", c.name, align, f.Spec())
			}
			differing := 0
			for y := range h {
				for x := range w {
					want := color.NRGBAModel.Convert(c.img.At(r.Min.X+x, r.Min.Y+y))
					if got := color.NRGBAModel.Convert(f.Image().At(x, y)); got != want {
						differing++
					}
				}
			}
			if differing > 0 {
				t.Errorf("%s with rows of %d: %d pixels differ", c.name, align, differing)
			}
			noErr(t, g.Close())
			noErr(t, s.Close())
		}
	}
}

func TestMission003_04_BaseImageHeader(t *testing.T) {
	store(t)
	s := newSender(t, nil)
	m, err := samepage.Open(baseSection, &samepage.Options{Exact: bare})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Size() != 33554432 {
		t.Errorf("the section has %d bytes", m.Size())
	}
	for _, c := range []struct {
		align, width, height, bits int
		want                       [4]int32
	}{
		{1, 5, 3, 8, [4]int32{15, 5, 3, 8}},
		{4, 5, 3, 8, [4]int32{24, 5, 3, 8}},
		{4, 5, 3, 24, [4]int32{48, 5, 3, 24}},
		{1, 5, 3, 16, [4]int32{30, 5, 3, 16}},
		{1, 2048, 4095, 32, [4]int32{33546240, 2048, 4095, 32}},
	} {
		noErr(t, s.Close())
		s = newSender(t, &baseimage.SenderOptions{Align: c.align})
		f := painting(1, c.width, c.height, c.bits)
		noErr(t, s.SendFrame(t.Context(), f))
		var b [24]byte
		if _, err := m.ReadAt(b[:], 0); err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if got := int32(binary.LittleEndian.Uint32(b[4*i:])); got != want {
				t.Errorf("%d x %d x %d: word %d is %d, want %d", c.width, c.height, c.bits, i, got, want)
			}
		}
		if !bytes.Equal(b[16:20], f.Pix(0)[:4]) {
			t.Errorf("the first pixels are %x, want %x", b[16:20], f.Pix(0)[:4])
		}
	}

	// What the original would write past the end.
	var before, after [64]byte
	if _, err := m.ReadAt(before[:], 0); err != nil {
		t.Fatal(err)
	}
	err = s.SendFrame(t.Context(), painting(2, 2048, 4096, 32))
	ipctest.WantErr(t, err, samepage.ErrTooLarge, "33554432", "33554416")
	err = s.Send(t.Context(), image.NewNRGBA64(image.Rect(0, 0, 2048, 4096)))
	ipctest.WantErr(t, err, samepage.ErrTooLarge, "33554432", "33554416")
	if _, err := m.ReadAt(after[:], 0); err != nil || before != after {
		t.Errorf("a picture that was refused has changed the section: %v", err)
	}
	ipctest.WantErr(t, s.Send(t.Context(), image.NewGray(image.Rectangle{})), frame.ErrSpec)
	ipctest.WantErr(t, s.SendFrame(t.Context(), &frame.Frame{}), frame.ErrSpec)

	// What the original would read past the end.
	r := newReceiver(t, &baseimage.ReceiverOptions{Settle: time.Millisecond})
	b := misbehavingBase(t, 33554432)
	for _, h := range [][4]int32{
		{-1, 640, 480, 8},
		{-2147483648, 640, 480, 8},
		{0, 640, 480, 8},
		{33554417, 640, 480, 8},
		{2147483647, 2147483647, 1, 8},
		{307200, -640, -480, 8},
		{307200, 640, -480, 8},
		{307200, 0, 480, 8},
		{307200, 640, 0, 8},
		{307200, 640, 480, 24},
		{307200, 640, 480, 0},
		{307200, 640, 480, 1},
		{307200, 640, 480, -8},
		{307199 - 480, 640, 480, 8},
		{307201, 640, 480, 8},
		{33554400, 65536, 65536, 32},
		{33554416, 1, 1, 8},
		{0, 0, 0, 0},
	} {
		b.header(h[0], h[1], h[2], h[3])
		noErr(t, b.event.Set())
		f, err := r.Grab(patient(t))
		if err == nil {
			t.Errorf("header %d is taken for %v", h, f.Spec())
			continue
		}
		ipctest.WantErr(t, err, samepage.ErrCorrupt, fmt.Sprintf("length %d, width %d, height %d, %d bits", h[0], h[1], h[2], h[3]))
	}
	b.begin(7, 640, 480, 8)
	noErr(t, b.finish())
	mustGrab(t, r, 7)
}

// Any header gives an error, or a picture within the section.
func FuzzBaseImageHeader(f *testing.F) {
	ipctest.NeedNames(f)
	store(f)
	const size = 65536
	b, err := newRawBase(size, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = b.close() })
	r, err := baseimage.OpenReceiver(quick)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = r.Close() })
	for _, h := range [][4]int32{
		{15, 5, 3, 8},
		{14, 5, 3, 8},
		{24, 5, 3, 8},
		{0, 1, 1, 8},
		{65520, 65520, 1, 8},
		{65520, 2, 1, 8},
		{65519, 1365, 16, 24},
		{-1, -1, -1, -1},
		{-2147483648, 1, 1, 8},
		{2147483647, 46341, 46341, 8},
		{65521, 16, 16, 32},
		{65520, 16384, 3, 8},
		{65536, 16384, 1, 32},
	} {
		f.Add(h[0], h[1], h[2], h[3])
	}
	f.Fuzz(func(t *testing.T, length, width, height, bits int32) {
		b.header(length, width, height, bits)
		if err := b.event.Set(); err != nil {
			t.Fatal(err)
		}
		g, ok, err := r.TryGrab()
		if err != nil && !errors.Is(err, samepage.ErrCorrupt) || err == nil && !ok {
			t.Fatalf("%d, %d, %d, %d: %v, %v", length, width, height, bits, ok, err)
		}
		if ok && (g.Width() != int(width) || g.Height() != int(height) || g.Bits() != int(bits) || len(g.Pix(0)) > size-16) {
			t.Fatalf("%d, %d, %d, %d is %v", length, width, height, bits, g.Spec())
		}
	})
}

// Rows are packed, or padded to a multiple of four bytes, or have length / height bytes. There may
// also be the mark of a killed receiver.
func TestBaseImageRows(t *testing.T) {
	store(t)
	b := misbehavingBase(t, 65536)
	r := newReceiver(t, quick)
	const w, h = 5, 3
	for _, c := range []struct{ length, stride int }{
		{15, 5}, {24, 8}, {3 * 17, 17}, // as they are
		{14, 5}, {23, 8}, {3*17 - 1, 17}, // with a mark
	} {
		pix := b.view.Bytes()[16:]
		for i := range pix[:100] {
			pix[i] = byte(i)
		}
		b.header(int32(c.length), w, h, 8)
		noErr(t, b.event.Set())
		f, err := r.Grab(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		g := f.Image().(*image.Gray)
		if got, want := g.GrayAt(w-1, h-1).Y, uint8((h-1)*c.stride+w-1); got != want {
			t.Errorf("length %d: the last pixel is %d, want %d", c.length, got, want)
		}
		if got := int(b.length()); got != c.stride*h {
			t.Errorf("length %d: afterwards it is %d, want %d", c.length, got, c.stride*h)
		}
	}
	// One row: the mark cannot be told from a shorter padding.
	b.header(5, w, 1, 8)
	noErr(t, b.event.Set())
	if _, err := r.Grab(patient(t)); err != nil || b.length() != 5 {
		t.Errorf("one row: %v, and then the length is %d, want 5", err, b.length())
	}
}

// Pictures of programs that do not use alpha.
func TestBaseImageNoAlpha(t *testing.T) {
	store(t)
	s := newSender(t, nil)
	r := newReceiver(t, quick)
	f := painting(1, 8, 4, 32)
	for _, alpha := range []byte{0, 1} {
		for i := 3; i < len(f.Pix(0)); i += 4 {
			f.Pix(0)[i] = 0
		}
		f.Pix(0)[8*4*4-1] = alpha
		noErr(t, s.SendFrame(t.Context(), f))
		g, err := r.Grab(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		want := byte(255)
		if alpha != 0 {
			want = 0
		}
		if got := g.Pix(0)[3]; got != want {
			t.Errorf("with one alpha of %d the first is %d, want %d", alpha, got, want)
		}
	}
}

func TestMission003_07_BaseImageFirstFrame(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	for range 3 {
		// The algorithm first.
		c := ipctest.Start(t, "algorithm")
		c.Send("await")
		s := newSender(t, nil)
		noErr(t, s.SendFrame(t.Context(), painting(1, 640, 480, 24)))
		if l := c.Line(); l != "ok" {
			t.Fatal(l)
		}
		c.Want("ok 1 640 480 24", "grab")
		c.Want("ok", "close")
		noErr(t, s.Close())

		// The base first.
		s = newSender(t, nil)
		noErr(t, s.SendFrame(t.Context(), painting(1, 640, 480, 24)))
		c.Want("ok", "open 20")
		c.Want("ok 1 640 480 24", "grab")
		c.Want("ok", "close")

		// Opened before there is a picture: there is none, torn or empty.
		r := newReceiver(t, nil)
		if f, ok, err := r.TryGrab(); ok || err != nil {
			t.Errorf("before the first picture there is %v, %v", f, err)
		}
		noErr(t, s.SendFrame(t.Context(), painting(2, 64, 48, 24)))
		mustGrab(t, r, 2)
		noErr(t, r.Close())
		noErr(t, s.Close())
	}
}

// A closed receiver returns errors, and several receivers take turns.
func TestBaseImageReceivers(t *testing.T) {
	store(t)
	s := newSender(t, nil)
	var all []*baseimage.Receiver
	var wg sync.WaitGroup
	got := make(chan int, 100)
	for range 3 {
		r := newReceiver(t, quick)
		all = append(all, r)
		wg.Go(func() {
			for {
				f, err := r.Grab(context.Background())
				if errors.Is(err, samepage.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				k, err := ipctest.Painted(f.Pix(0))
				noErr(t, err)
				got <- k
			}
		})
	}
	for k := 1; k <= 30; k++ { // each is had by one
		noErr(t, s.SendFrame(t.Context(), painting(k, 64, 64, 8)))
		select {
		case g := <-got:
			if g != k {
				t.Fatalf("grabbed %d, want %d", g, k)
			}
		case <-time.After(ipctest.Patience):
			t.Fatal("nobody has grabbed")
		}
	}
	for _, r := range all {
		noErr(t, r.Close())
		if _, err := r.Grab(t.Context()); !errors.Is(err, samepage.ErrClosed) {
			t.Error(err)
		}
		if _, _, err := r.TryGrab(); !errors.Is(err, samepage.ErrClosed) {
			t.Error(err)
		}
	}
	wg.Wait()
	noErr(t, s.Close())
	ipctest.WantErr(t, s.SendFrame(t.Context(), painting(1, 8, 8, 8)), samepage.ErrClosed)
}

func TestBaseImageOptions(t *testing.T) {
	for _, c := range []struct {
		o    baseimage.SenderOptions
		want error
	}{
		{baseimage.SenderOptions{Size: 16}, fs.ErrInvalid},
		{baseimage.SenderOptions{Size: -1}, fs.ErrInvalid},
		{baseimage.SenderOptions{Align: -1}, fs.ErrInvalid},
		{baseimage.SenderOptions{Align: 4097}, fs.ErrInvalid},
	} {
		_, err := baseimage.CreateSender(&c.o)
		ipctest.WantErr(t, err, c.want)
		_, _, err = baseimage.OpenOrCreateSender(&c.o)
		ipctest.WantErr(t, err, c.want)
	}
	store(t)
	s := newSender(t, &baseimage.SenderOptions{Size: 65536})
	_, _, err := baseimage.OpenOrCreateSender(nil)
	ipctest.WantErr(t, err, samepage.ErrBusy)
	_, err = baseimage.CreateSender(nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	ipctest.WantErr(t, err, samepage.ErrBusy)
	r := newReceiver(t, nil)
	noErr(t, s.Close())
	_, err = baseimage.CreateSender(nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	ipctest.WantErr(t, err, samepage.ErrBusy)
	_, _, err = baseimage.OpenOrCreateSender(nil) // the receiver's is smaller
	ipctest.WantErr(t, err, fs.ErrExist, "65536", "33554432")
	s, existed, err := baseimage.OpenOrCreateSender(&baseimage.SenderOptions{Size: 65536})
	noErr(t, err)
	if !existed {
		t.Error("the receiver's section did not exist")
	}
	noErr(t, s.Close())
	noErr(t, r.Close())
	noErr(t, newSender(t, nil).Close())
}
