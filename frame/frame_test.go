package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/draw"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"samepage/layout"
)

func mustNew(t testing.TB, s Spec) *Frame {
	t.Helper()
	f, err := New(make([]byte, s.Size()), s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// noise fills all bytes after the header, also the padding.
func noise(f *Frame, seed uint64) *Frame {
	r := rand.New(rand.NewPCG(seed, 1))
	for b := f.Bytes()[layout.FrameHeaderSize:]; len(b) > 0; b = b[1:] {
		b[0] = byte(r.Uint32())
	}
	return f
}

func fullSpec(format Format) Spec {
	return Spec{
		Format: format, Width: 7, Height: 5, Stride: 40, Matrix: MatrixBT709, Rate: Ratio{60000, 1001}, Params: "It", Seq: math.MaxUint64, Time: time.Unix(1_700_000_000, 123_456_789),
		Region: image.Rect(10, 20, 24, 30), Siting: SitingLeft, Range: RangeLimited, Interlace: InterlaceTopFirst, Aspect: Ratio{128, 117},
	}
}

func TestFrame(t *testing.T) {
	for _, format := range Formats() {
		spec := fullSpec(format)
		f := noise(mustNew(t, spec), 1)
		longer := append(bytes.Clone(f.Bytes()), "what stands behind it"...)
		g, err := Open(longer)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(g.Bytes(), f.Bytes()) || int64(len(g.Bytes())) != spec.Size() || cap(g.Bytes()) != len(g.Bytes()) {
			t.Errorf("%v: %d bytes become %d of %d", format, len(f.Bytes()), len(g.Bytes()), cap(g.Bytes()))
		}
		if got := g.Spec(); got != spec {
			t.Errorf("%v: %+v reads as %+v", format, spec, got)
		}
		if g.Format() != format || g.Width() != 7 || g.Height() != 5 || g.Bits() != format.Bits() || g.Planes() != format.Planes() ||
			g.Seq() != spec.Seq || !g.Time().Equal(spec.Time) || g.Region() != spec.Region {
			t.Errorf("%v: %+v", format, g.Spec())
		}
		for i := -1; i < 5; i++ {
			row, rows := g.Plane(i)
			want := 0
			if rows > 0 {
				want = g.Stride(i)*(rows-1) + row
			}
			if len(g.Pix(i)) != want || (rows > 0) != (i >= 0 && i < format.Planes()) || (g.Stride(i) > 0) != (rows > 0) {
				t.Errorf("%v: plane %d has %d bytes, %d rows of %d with stride %d", format, i, len(g.Pix(i)), rows, row, g.Stride(i))
			}
		}
		g.SetSeq(42)
		g.SetTime(time.Unix(0, -5))
		if g, err = Open(longer); err != nil || g.Seq() != 42 || g.Time().UnixNano() != -5 || g.Region() != spec.Region {
			t.Errorf("%v: sequence and time read as %d, %v, %v", format, g.Seq(), g.Time(), err)
		}
		if got, err := ParseFormat(format.String()); got != format || err != nil {
			t.Errorf("%v parses as %v, %v", format, got, err)
		}
	}
	if _, err := ParseFormat("YUYV"); !errors.Is(err, ErrSpec) {
		t.Errorf("a format that is none: %v", err)
	}
}

// The image of each format has the type that the package comment names, and uses the frame's own
// pixels.
func TestImageInPlace(t *testing.T) {
	for _, format := range Formats() {
		f := mustNew(t, fullSpec(format))
		var pix []byte
		switch p := f.Image().(type) {
		case *image.Gray:
			pix = p.Pix
		case *Gray16Image:
			pix = p.Pix
		case *image.NRGBA:
			pix = p.Pix
		case *PackedImage:
			pix = p.Pix
		case *YUVImage:
			pix = p.Y
			if &p.Cb[0] != &f.Pix(1)[0] || format == NV12 && &p.Cr[0] != &f.Pix(1)[1] || format != NV12 && &p.Cr[0] != &f.Pix(2)[0] {
				t.Errorf("%v copies its colour", format)
			}
			if (p.A != nil) != (f.Planes() == 4) || p.A != nil && &p.A[0] != &f.Pix(3)[0] {
				t.Errorf("%v copies its alpha", format)
			}
		case *image.YCbCr:
			pix = p.Y
			if &p.Cb[0] != &f.Pix(1)[0] || &p.Cr[0] != &f.Pix(2)[0] {
				t.Errorf("%v copies its colour", format)
			}
		}
		if len(pix) == 0 || &pix[0] != &f.Pix(0)[0] || f.Image().Bounds() != image.Rect(0, 0, 7, 5) {
			t.Errorf("%v copies its pixels, or has bounds %v", format, f.Image().Bounds())
		}
		if _, ok := f.Image().(draw.Image); ok == format.yuv() {
			t.Errorf("%v can be drawn on: %v", format, ok)
		}
		if _, ok := f.Image().(image.RGBA64Image); !ok {
			t.Errorf("%v has no RGBA64At", format)
		}
	}
}

func TestSpec(t *testing.T) {
	for _, s := range []Spec{
		{},
		{Width: 1, Height: 1},
		{Format: 99, Width: 1, Height: 1},
		{Format: Gray, Height: 1},
		{Format: Gray, Width: 1},
		{Format: Gray, Width: -1, Height: 1},
		{Format: Gray, Width: 1, Height: -1},
		{Format: Gray, Width: MaxSide + 1, Height: 1},
		{Format: Gray, Width: 1, Height: MaxSide + 1},
		{Format: Gray, Width: math.MaxInt, Height: math.MaxInt},
		{Format: RGB, Width: 10, Height: 1, Stride: 29},
		{Format: RGB, Width: 10, Height: 1, Stride: -30},
		{Format: RGB, Width: 10, Height: 1, Stride: math.MaxInt},
		{Format: Gray, Width: 1, Height: 1, Region: image.Rect(-1, 0, 1, 1)},
		{Format: Gray, Width: 1, Height: 1, Region: image.Rectangle{Max: image.Pt(1, 0)}},
		{Format: Gray, Width: 1, Height: 1, Region: image.Rectangle{Min: image.Pt(5, 5), Max: image.Pt(4, 4)}},
		{Format: Gray, Width: 1, Height: 1, Aspect: Ratio{1, 0}},
		{Format: Gray, Width: 1, Height: 1, Aspect: Ratio{-1, 1}},
		{Format: Gray, Width: 1, Height: 1, Siting: 9},
		{Format: Gray, Width: 1, Height: 1, Matrix: 9},
		{Format: Gray, Width: 1, Height: 1, Rate: Ratio{0, 1}},
		{Format: Gray, Width: 1, Height: 1, Params: "a\nb"},
		{Format: Gray, Width: 1, Height: 1, Params: "a\x00b"},
		{Format: Gray, Width: 1, Height: 1, Params: strings.Repeat("x", MaxParams+1)},
		{Format: I420.WithDepth(11), Width: 1, Height: 1},
		{Format: I420.WithDepth(10), Width: 10, Height: 1, Stride: 19},
		{Format: Gray, Width: 1, Height: 1, Range: 9},
		{Format: Gray, Width: 1, Height: 1, Interlace: 9},
	} {
		if err := s.Check(); !errors.Is(err, ErrSpec) || s.Size() != 0 {
			t.Errorf("%+v has %d bytes, %v", s, s.Size(), err)
		}
		if _, err := New(make([]byte, 1000), s); !errors.Is(err, ErrSpec) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, c := range []struct {
		s    Spec
		size int64
	}{
		{Spec{Format: Gray, Width: 1, Height: 1}, 256 + 1},
		{Spec{Format: RGBA, Width: MaxSide, Height: MaxSide}, 256 + 1<<30},
		{Spec{Format: BGR, Width: 640, Height: 480}, 256 + 640*480*3},
		{Spec{Format: I420, Width: 5, Height: 3}, 256 + 64 + 64 + 6},
		{Spec{Format: NV12, Width: 5, Height: 3}, 256 + 64 + 12},
		{Spec{Format: NV12, Width: 5, Height: 3, Stride: 15}, 256 + 64 + 32},
		{Spec{Format: I420.WithDepth(10), Width: 5, Height: 3}, 256 + 64 + 64 + 12},
		{Spec{Format: I420.WithDepth(10), Width: 5, Height: 3, Stride: 13}, 256 + 64 + 64 + 16},
		{Spec{Format: I422, Width: 5, Height: 3}, 256 + 64 + 64 + 9},
		{Spec{Format: I411, Width: 5, Height: 3}, 256 + 64 + 64 + 6},
		{Spec{Format: I444A, Width: 5, Height: 3}, 256 + 3*64 + 15},
		{Spec{Format: Gray, Width: 1, Height: MaxSide, Stride: layout.MaxFrameStride}, 256 + 1<<34},
	} {
		if got := c.s.Size(); got != c.size {
			t.Errorf("%+v has %d bytes, want %d", c.s, got, c.size)
		}
	}
	s := Spec{Format: BGR, Width: 64, Height: 48}
	f := mustNew(t, s)
	if err := f.Reset(make([]byte, s.Size()-1), s); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("a short buffer: %v", err)
	}
	empty(t, f)
}

func empty(t *testing.T, f *Frame) {
	t.Helper()
	if f.Image() != nil || f.Bytes() != nil || f.Pix(0) != nil || f.Planes() != 0 || f.Width() != 0 || f.Format() != 0 {
		t.Errorf("after an error it is still a frame: %+v", f.Spec())
	}
	Draw(f, image.Black) // does nothing
}

func TestEmptyFrame(t *testing.T) {
	empty(t, &Frame{})
	f := mustNew(t, fullSpec(Gray))
	before := f.Image()
	if err := f.Attach([]byte("too short")); !errors.Is(err, layout.ErrCorrupt) {
		t.Errorf("a short message: %v", err)
	}
	empty(t, f)
	if !before.Bounds().Empty() {
		t.Error("an image of the frame before still has pixels")
	}
	f = mustNew(t, fullSpec(Gray))
	if err := f.Attach(make([]byte, 1000)); !errors.Is(err, layout.ErrKindMismatch) {
		t.Errorf("no frame: %v", err)
	}
	Draw(f, nil)
}

// If the header is overwritten while a reader uses the frame, nothing changes for the reader.
func TestHostileHeader(t *testing.T) {
	f := noise(mustNew(t, fullSpec(I420)), 3)
	g, err := Open(f.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	before := g.Spec()
	for i := range f.Bytes()[:layout.FrameHeaderSize] {
		f.Bytes()[i] = 0xff
	}
	if g.Spec() != before || len(g.Pix(2)) != 20*2+4 {
		t.Errorf("it is now %+v", g.Spec())
	}
	if _, err := Open(f.Bytes()); !errors.Is(err, layout.ErrKindMismatch) {
		t.Errorf("a header of 0xff: %v", err)
	}
}

// Other writers may put the planes in another order.
func TestForeignPlanes(t *testing.T) {
	b := make([]byte, 256+8*4+2*8)
	h := layout.FrameHeader{
		Format: layout.FrameI420, Range: layout.RangeFull, Width: 7, Height: 4, Size: uint64(len(b)),
		Offset: [4]uint64{256, 256 + 32 + 8, 256 + 32}, Stride: [4]uint32{8, 4, 4}, // YV12
	}
	h.Encode(b)
	b[256+32], b[256+32+8] = 200, 100
	f, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if c := f.Image().(*image.YCbCr).YCbCrAt(1, 1); c.Cb != 100 || c.Cr != 200 {
		t.Errorf("the first pixel is %v", c)
	}
}

// A stream of 640 x 480, then 4K, then 640 x 480 has the right pixels, and nothing is allocated.
// (Row 003-18 of docs/mission/frame.md.)
func TestSizesChange(t *testing.T) {
	small := Spec{Format: BGR, Width: 640, Height: 480}
	large := Spec{Format: BGR, Width: 3840, Height: 2160}
	smallSrc, largeSrc := image.NewNRGBA(image.Rect(0, 0, 640, 480)), image.NewNRGBA(image.Rect(0, 0, 3840, 2160))
	for i, p := range [][]byte{smallSrc.Pix, largeSrc.Pix} {
		r := rand.New(rand.NewPCG(uint64(i), 2))
		for i := 0; i+4 <= len(p); i += 4 {
			binary.LittleEndian.PutUint32(p[i:], r.Uint32()|0xff000000)
		}
	}
	buf := make([]byte, large.Size())
	var w, r Frame
	turn := func(s Spec, src *image.NRGBA) {
		s.Seq = w.Seq() + 1
		if err := w.Reset(buf, s); err != nil {
			t.Fatal(err)
		}
		Draw(&w, src)
		if err := r.Attach(buf); err != nil {
			t.Fatal(err)
		}
		got := r.Image().(*PackedImage)
		if got.Rect != src.Rect || r.Seq() != s.Seq {
			t.Fatalf("frame %d has %v", r.Seq(), got.Rect)
		}
		for y := 0; y < s.Height; y += 7 {
			for x := y % 5; x < s.Width; x += 5 {
				if got.NRGBAAt(x, y) != src.NRGBAAt(x, y) {
					t.Fatalf("%v: pixel %d, %d is %v, want %v", got.Rect, x, y, got.NRGBAAt(x, y), src.NRGBAAt(x, y))
				}
			}
		}
	}
	all := func() {
		turn(small, smallSrc)
		turn(large, largeSrc)
		turn(small, smallSrc)
	}
	if n := testing.AllocsPerRun(2, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLargest(t *testing.T) {
	if testing.Short() || math.MaxInt == math.MaxInt32 || raceEnabled {
		t.Skip("takes a gigabyte of address space, and under -race four of memory")
	}
	s := Spec{Format: RGBA, Width: MaxSide, Height: MaxSide}
	f := mustNew(t, s)
	at := image.Pt(MaxSide-1, MaxSide-1)
	f.Image().(draw.Image).Set(at.X, at.Y, image.White.C)
	b := f.Bytes()
	if !bytes.Equal(b[len(b)-4:], []byte{255, 255, 255, 255}) {
		t.Errorf("the last pixel is %v", b[len(b)-4:])
	}
}

// FuzzOpen reads all pixels of any bytes that Open accepts.
func FuzzOpen(f *testing.F) {
	for _, format := range Formats() {
		g, err := New(make([]byte, 3000), fullSpec(format))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(g.Bytes(), 16, uint32(7), true)
		f.Add(g.Bytes(), 48, uint32(300), true)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	gray := mustNew(f, Spec{Format: Gray, Width: 9, Height: 9})
	colour := mustNew(f, Spec{Format: I420, Width: 9, Height: 9})
	f.Fuzz(func(t *testing.T, b []byte, at int, x uint32, sign bool) {
		if b = bytes.Clone(b); at >= 0 && at <= len(b)-4 {
			binary.LittleEndian.PutUint32(b[at:], x)
		}
		if sign && len(b) >= layout.FrameHeaderSize {
			binary.LittleEndian.PutUint32(b[252:], crc32.Checksum(b[:252], table))
		}
		g, err := Open(b)
		if err != nil {
			if !errors.Is(err, layout.ErrCorrupt) && !errors.Is(err, layout.ErrVersion) && !errors.Is(err, layout.ErrKindMismatch) {
				t.Error(err)
			}
			return
		}
		img := g.Image()
		r := img.Bounds()
		for y := range r.Max.Y {
			for x := range r.Max.X {
				_ = img.At(x, y)
			}
		}
		Draw(gray, img)
		Draw(colour, img)
		if d, ok := img.(draw.Image); ok {
			d.Set(r.Max.X-1, r.Max.Y-1, image.White.C)
		}
		Draw(g, colour.Image())
		if s := g.Spec(); s.Check() != nil {
			t.Errorf("%+v is read, but cannot be made: %v", s, s.Check())
		}
	})
}
