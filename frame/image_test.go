package frame

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"testing"
)

// settable has the methods of all images except those with Y, Cb and Cr.
type settable interface {
	draw.RGBA64Image
	SubImage(image.Rectangle) image.Image
}

func settables(t *testing.T) map[Format]settable {
	all := map[Format]settable{}
	for _, format := range Formats() {
		if p, ok := mustNew(t, fullSpec(format)).Image().(settable); ok {
			all[format] = p
		}
	}
	if len(all) != 10 {
		t.Fatalf("%d formats can be set", len(all))
	}
	return all
}

// ordered lists the bytes of the colour {1, 2, 3, 4} in memory.
var ordered = map[Format][]byte{RGB: {1, 2, 3}, BGR: {3, 2, 1}, RGBA: {1, 2, 3, 4}, BGRA: {3, 2, 1, 4}}

func TestAtSet(t *testing.T) {
	for format, p := range settables(t) {
		r := rand.New(rand.NewPCG(5, uint64(format)))
		for range 1000 {
			x, y := r.IntN(7), r.IntN(5)
			v := uint16(r.Uint32())
			var c color.Color = color.NRGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), uint8(v)}
			switch format {
			case Gray:
				c = color.Gray{uint8(v)}
			case RGB, BGR:
				c = color.RGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255}
			default:
				if depth := format.Depth(); depth > 8 {
					c = color.Gray16{deepen(uint32(v)&(1<<depth-1), depth)}
				}
			}
			p.Set(x, y, c)
			if got := p.At(x, y); got != c {
				t.Fatalf("%v: %v reads as %v", format, c, got)
			}
			cr, cg, cb, ca := c.RGBA()
			deep := color.RGBA64{uint16(cr), uint16(cg), uint16(cb), uint16(ca)}
			if got := p.RGBA64At(x, y); got != deep {
				t.Fatalf("%v: %v reads as %v, want %v", format, c, got, deep)
			}
			if got := p.ColorModel().Convert(c); got != c {
				t.Fatalf("%v: the model makes %v of %v", format, got, c)
			}
		}
	}
	for format, want := range ordered {
		f := mustNew(t, fullSpec(format))
		switch p := f.Image().(type) {
		case *PackedImage:
			p.SetNRGBA(2, 1, color.NRGBA{1, 2, 3, 4})
		case *image.NRGBA:
			p.SetNRGBA(2, 1, color.NRGBA{1, 2, 3, 4})
		}
		if got := f.Pix(0)[40+2*len(want):][:len(want)]; !bytes.Equal(got, want) {
			t.Errorf("%v is %v, want %v", format, got, want)
		}
	}
	f := mustNew(t, fullSpec(Gray16))
	f.Image().(*Gray16Image).SetGray16(2, 1, color.Gray16{0x1234})
	if got := f.Pix(0)[44:46]; !bytes.Equal(got, []byte{0x34, 0x12}) {
		t.Errorf("gray 0x1234 is %#v", got)
	}
}

// Outside their bounds, with translucent colours and with SetRGBA64, images do the same as those of
// package image.
func TestAsPackageImage(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	bounds := image.Rect(0, 0, 7, 5)
	for format, p := range settables(t) {
		var like draw.RGBA64Image
		switch format {
		case Gray:
			like = image.NewGray(bounds)
		case RGB, BGR:
			like = image.NewRGBA(bounds) // drawn on black below
		case RGBA, BGRA:
			like = image.NewNRGBA(bounds)
		default:
			like = image.NewGray16(bounds)
		}
		for i := range 3000 {
			x, y := r.IntN(9)-1, r.IntN(7)-1
			a := uint16(r.Uint32())
			switch i % 5 {
			case 0:
				a = 0xffff
			case 1:
				a = 0
			}
			below := func() uint16 { return uint16(r.Uint32N(uint32(a) + 1)) }
			c := color.RGBA64{below(), below(), below(), a}
			want := like.RGBA64At(x, y)
			if i%2 == 0 {
				p.SetRGBA64(x, y, c)
				like.SetRGBA64(x, y, c)
			} else {
				p.Set(x, y, c)
				like.Set(x, y, c)
			}
			got := p.RGBA64At(x, y)
			want = like.RGBA64At(x, y)
			if (format == RGB || format == BGR) && (image.Point{x, y}.In(bounds)) {
				want.A = 0xffff
			}
			if depth := format.Depth(); format.shape() == Gray && depth > 8 {
				want.R = deepen(uint32(flatten(want.R, depth)), depth)
				want.G, want.B = want.R, want.R
			}
			if got != want {
				t.Fatalf("%v: %d, %d set to %v is %v, want %v", format, x, y, c, got, want)
			}
			if out := !(image.Point{x, y}.In(bounds)); out {
				if g, w := p.At(x, y), like.At(x, y); format != RGB && format != BGR && g != w {
					t.Fatalf("%v: outside it is %v, want %v", format, g, w)
				}
			}
		}
	}
}

func TestSubImage(t *testing.T) {
	for _, format := range Formats() {
		f := noise(mustNew(t, fullSpec(format)), 9)
		whole := f.Image().(interface {
			image.RGBA64Image
			SubImage(image.Rectangle) image.Image
		})
		for _, r := range []image.Rectangle{
			whole.Bounds(), image.Rect(1, 1, 4, 4), image.Rect(2, 0, 3, 5), image.Rect(5, 3, 99, 99), image.Rect(-9, -9, 2, 2),
		} {
			sub := whole.SubImage(r).(image.RGBA64Image)
			if sub.Bounds() != r.Intersect(whole.Bounds()) {
				t.Errorf("%v: part %v has %v", format, r, sub.Bounds())
			}
			for y := range 6 {
				for x := range 8 {
					if in := (image.Point{x, y}).In(r); in && (sub.At(x, y) != whole.At(x, y) || sub.RGBA64At(x, y) != whole.RGBA64At(x, y)) {
						t.Errorf("%v: part %v has %v at %d, %d, want %v", format, r, sub.At(x, y), x, y, whole.At(x, y))
					}
				}
			}
			if d, ok := sub.(draw.Image); ok {
				d.Set(r.Max.X-1, r.Max.Y-1, color.White)
			}
		}
		none := whole.SubImage(image.Rect(7, 5, 9, 9))
		if !none.Bounds().Empty() {
			t.Errorf("%v: the part outside has %v", format, none.Bounds())
		}
		_ = none.At(0, 0)
		_ = none.ColorModel()
	}
}

func TestOpaque(t *testing.T) {
	for _, format := range Formats() {
		f := noise(mustNew(t, fullSpec(format)), 2)
		if a := f.Pix(3); a != nil {
			a[0], a[1] = 0, 0
		}
		p := f.Image().(interface{ Opaque() bool })
		if want := format != RGBA && format != BGRA && format.Planes() < 4; p.Opaque() != want {
			t.Errorf("%v is opaque: %v", format, p.Opaque())
		}
		if d, ok := p.(draw.Image); ok {
			draw.Draw(d, d.Bounds(), image.White, image.Point{}, draw.Src)
			if !p.Opaque() {
				t.Errorf("white %v is not opaque", format)
			}
		}
	}
	f := mustNew(t, fullSpec(BGRA))
	p := f.Image().(*PackedImage)
	draw.Draw(p, p.Rect, image.White, image.Point{}, draw.Src)
	p.SetNRGBA(6, 4, color.NRGBA{A: 254})
	if p.Opaque() {
		t.Error("the last pixel is not looked at")
	}
}

// NV12 and I420 images with the same samples have the same pixels. With the full range of BT.601
// they are those of package image, at most 1 away.
func TestNV12(t *testing.T) {
	for _, spec := range []Spec{{}, {Range: RangeFull}, {Range: RangeLimited, Matrix: MatrixBT2020}} {
		spec.Width, spec.Height, spec.Format = 7, 5, I420
		f := noise(mustNew(t, spec), 4)
		spec.Format = NV12
		g := mustNew(t, spec)
		Draw(g, f.Image())
		a, b := f.Image().(image.RGBA64Image), g.Image().(*YUVImage)
		if b.ColorModel() != color.RGBAModel {
			t.Error("another model")
		}
		for y := range 5 {
			for x := range 7 {
				c, d := a.RGBA64At(x, y), b.RGBA64At(x, y)
				far := false
				for _, v := range [][2]uint16{{c.R, d.R}, {c.G, d.G}, {c.B, d.B}} {
					far = far || max(v[0]>>8, v[1]>>8)-min(v[0]>>8, v[1]>>8) > 1
				}
				if _, is := a.(*image.YCbCr); is != (spec.Range == RangeFull) || !is && c != d || far {
					t.Errorf("%v: %d, %d: %T %v and %v", spec.Range, x, y, a, c, d)
				}
			}
		}
	}
}

// A PNG has as many bits as the frame: package image/png looks at the model of colours.
func TestPNG(t *testing.T) {
	for format, want := range map[Format]color.Model{
		RGB: color.RGBAModel, BGR: color.RGBAModel, RGBA: color.NRGBAModel, BGRA: color.NRGBAModel, NV12: color.RGBAModel, I420: color.RGBAModel,
		I444A: color.NRGBAModel, Gray: color.GrayModel, Gray16: color.Gray16Model, I420.WithDepth(10): color.RGBA64Model, I444A.WithDepth(10): color.NRGBA64Model,
	} {
		f := noise(mustNew(t, Spec{Format: format, Width: 40, Height: 8}), 1)
		var b bytes.Buffer
		if err := png.Encode(&b, f.Image()); err != nil {
			t.Fatal(err)
		}
		c, err := png.DecodeConfig(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if c.ColorModel != want {
			t.Errorf("%v is a PNG of another model", format)
		}
		back, err := png.Decode(&b)
		if err != nil || back.At(39, 7) != f.Image().At(39, 7) {
			t.Errorf("%v: %v reads as %v, %v", format, f.Image().At(39, 7), back.At(39, 7), err)
		}
	}
}

// Package image/draw draws onto and from each image.
func TestImageDraw(t *testing.T) {
	src := image.NewNRGBA(image.Rect(0, 0, 7, 5))
	r := rand.New(rand.NewPCG(7, 7))
	for i := range src.Pix {
		src.Pix[i] = byte(r.Uint32()) | byte(i%4/3*255) // opaque
	}
	for format, p := range settables(t) {
		draw.Draw(p, p.Bounds(), src, image.Point{}, draw.Over)
		dst := image.NewNRGBA(src.Rect)
		draw.Draw(dst, dst.Rect, p, image.Point{}, draw.Src)
		for y := range 5 {
			for x := range 7 {
				want := src.At(x, y)
				switch format {
				case Gray:
					want = color.GrayModel.Convert(want)
				default:
					if format.Depth() > 8 {
						g := color.Gray16Model.Convert(want).(color.Gray16)
						want = color.Gray16{deepen(uint32(flatten(g.Y, format.Depth())), format.Depth())}
					}
				}
				if got := dst.At(x, y); got != color.NRGBAModel.Convert(want) {
					t.Errorf("%v: %d, %d is %v, want %v", format, x, y, got, want)
				}
			}
		}
	}
}
