package frame

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"testing"
)

// settable has the methods of all images except those of NV12 and I420.
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
	if len(all) != 6 {
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
			case Gray16:
				c = color.Gray16{v}
			case RGB, BGR:
				c = color.NRGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255}
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
		case Gray16:
			like = image.NewGray16(bounds)
		case RGB, BGR:
			like = image.NewRGBA(bounds) // drawn on black below
		default:
			like = image.NewNRGBA(bounds)
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
		p := f.Image().(interface{ Opaque() bool })
		if want := format != RGBA && format != BGRA; p.Opaque() != want {
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

// NV12 and I420 images with the same samples, and the one of package image, have the same pixels.
func TestNV12(t *testing.T) {
	f, g := noise(mustNew(t, fullSpec(I420)), 4), mustNew(t, fullSpec(NV12))
	Draw(g, f.Image())
	a, b := f.Image().(*image.YCbCr), g.Image().(*NV12Image)
	if b.ColorModel() != color.YCbCrModel {
		t.Error("another model")
	}
	for y := -1; y < 6; y++ {
		for x := -1; x < 8; x++ {
			if a.At(x, y) != b.At(x, y) || a.RGBA64At(x, y) != b.RGBA64At(x, y) {
				t.Errorf("%d, %d: %v and %v", x, y, a.At(x, y), b.At(x, y))
			}
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
				case Gray16:
					want = color.Gray16Model.Convert(want)
				}
				if got := dst.At(x, y); got != color.NRGBAModel.Convert(want) {
					t.Errorf("%v: %d, %d is %v, want %v", format, x, y, got, want)
				}
			}
		}
	}
}
