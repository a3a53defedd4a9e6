package frame

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"math/rand/v2"
	"testing"
)

// plain hides the type of an image.
type plain struct{ image.Image }

// sources returns images of all types with random pixels. Their bounds do not begin at (0, 0), or
// are negative, or are a part of a larger image.
func sources(t testing.TB) map[string]image.Image {
	all := map[string]image.Image{}
	r := rand.New(rand.NewPCG(1, 2))
	fill := func(all ...[]byte) {
		for _, b := range all {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
		}
	}
	for _, at := range []image.Point{{}, {4, 2}, {3, 2}, {4, 5}, {3, 5}, {-3, -5}} {
		b := image.Rect(0, 0, 13, 9).Add(at)
		add := func(img image.Image) { all[fmt.Sprintf("%T at %v", img, at)] = img }
		gray, gray16, rgba, nrgba := image.NewGray(b), image.NewGray16(b), image.NewRGBA(b), image.NewNRGBA(b)
		deep, paletted, cmyk := image.NewNRGBA64(b), image.NewPaletted(b, palette.Plan9), image.NewCMYK(b)
		fill(gray.Pix, gray16.Pix, rgba.Pix, nrgba.Pix, deep.Pix, paletted.Pix, cmyk.Pix)
		for i := 0; i < len(rgba.Pix); i += 4 { // no more colour than alpha
			a := max(rgba.Pix[i], rgba.Pix[i+1], rgba.Pix[i+2])
			switch r.IntN(4) {
			case 0:
				a = 255
			case 1:
				clear(rgba.Pix[i : i+4])
				a = 0
			}
			rgba.Pix[i+3] = a
		}
		for i := 0; i < len(nrgba.Pix); i += 4 * 3 {
			nrgba.Pix[i+3] = 255 * byte(r.IntN(2))
		}
		add(gray)
		add(gray16)
		add(rgba)
		add(nrgba)
		add(deep)
		add(paletted)
		add(cmyk)
		add(plain{nrgba})
		for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
			y := image.NewYCbCr(b, ratio)
			fill(y.Y, y.Cb, y.Cr)
			all[fmt.Sprintf("%v at %v", ratio, at)] = y
		}
		for _, format := range Formats() {
			f := noise(mustNew(t, Spec{Format: format, Width: 20, Height: 20}), uint64(format))
			part := f.Image().(interface {
				SubImage(image.Rectangle) image.Image
			}).SubImage(b)
			if at.X >= 0 {
				all[fmt.Sprintf("part of %v at %v", format, at)] = part
			}
			if at.X == 0 {
				all[fmt.Sprintf("all of %v", format)] = f.Image()
			}
		}
	}
	return all
}

// by returns the frame that package image/draw makes of src. For NV12 and I420 it is made of the
// RGB image that package image/draw makes.
func by(t testing.TB, spec Spec, src image.Image) *Frame {
	f := mustNew(t, spec)
	r := image.Rect(0, 0, min(src.Bounds().Dx(), spec.Width), min(src.Bounds().Dy(), spec.Height))
	if d, ok := f.Image().(draw.Image); ok {
		if y, ok := src.(*image.YCbCr); ok && spec.Format == Gray { // as Draw says
			src = &image.Gray{Pix: y.Y, Stride: y.YStride, Rect: y.Rect}
		}
		if y, ok := src.(*NV12Image); ok && spec.Format == Gray {
			src = &image.Gray{Pix: y.Y, Stride: y.YStride, Rect: y.Rect}
		}
		if n, ok := src.(*image.NRGBA64); ok && (spec.Format == RGBA || spec.Format == BGRA) {
			upper := image.NewNRGBA(n.Rect) // the bits that there is room for
			for i := range upper.Pix {
				upper.Pix[i] = n.Pix[2*i]
			}
			src = upper
		}
		draw.Draw(d, r, plain{src}, src.Bounds().Min, draw.Src)
		return f
	}
	rgb := image.NewRGBA(r)
	draw.Draw(rgb, r, src, src.Bounds().Min, draw.Src)
	mean := func(x, y int) (c color.RGBA) {
		var sum [3]int
		for _, p := range []image.Point{{x, y}, {min(x+1, r.Max.X-1), y}, {x, min(y+1, r.Max.Y-1)}, {min(x+1, r.Max.X-1), min(y+1, r.Max.Y-1)}} {
			c := rgb.RGBAAt(p.X, p.Y)
			sum[0], sum[1], sum[2] = sum[0]+int(c.R), sum[1]+int(c.G), sum[2]+int(c.B)
		}
		return color.RGBA{uint8((sum[0] + 2) / 4), uint8((sum[1] + 2) / 4), uint8((sum[2] + 2) / 4), 255}
	}
	for y := range r.Max.Y {
		for x := range r.Max.X {
			c := rgb.RGBAAt(x, y)
			f.Pix(0)[y*f.Stride(0)+x], _, _ = color.RGBToYCbCr(c.R, c.G, c.B)
			if x%2 == 0 && y%2 == 0 {
				m := mean(x, y)
				_, cb, cr := color.RGBToYCbCr(m.R, m.G, m.B)
				if f.Format() == NV12 {
					c := f.Pix(1)[y/2*f.Stride(1)+x:]
					c[0], c[1] = cb, cr
				} else {
					f.Pix(1)[y/2*f.Stride(1)+x/2], f.Pix(2)[y/2*f.Stride(2)+x/2] = cb, cr
				}
			}
		}
	}
	return f
}

// For every image and format Draw gives the same bytes as image/draw, and does not change the
// pixels around. If both sides have the same samples, these do not change.
func TestDraw(t *testing.T) {
	for name, src := range sources(t) {
		for _, format := range Formats() {
			for _, size := range []image.Point{{13, 9}, {5, 4}, {20, 12}, {1, 1}} {
				spec := Spec{Format: format, Width: size.X, Height: size.Y, Stride: 4*size.X + 3}
				want := by(t, spec, src)
				got := mustNew(t, spec)
				Draw(got, src)
				if bytes.Equal(got.Bytes(), want.Bytes()) {
					continue
				}
				at := src.Bounds().Min
				is420 := format == NV12 || format == I420
				if s, ok := src.(*image.YCbCr); ok && is420 && s.SubsampleRatio == image.YCbCrSubsampleRatio420 && at.X%2 == 0 && at.Y%2 == 0 {
					checkSamples(t, name, got, src, func(x, y int) color.YCbCr { return s.YCbCrAt(x, y) })
					continue
				}
				if s, ok := src.(*NV12Image); ok && is420 && at.X%2 == 0 && at.Y%2 == 0 {
					checkSamples(t, name, got, src, s.YCbCrAt)
					continue
				}
				translucent := false
				switch s := src.(type) {
				case *image.NRGBA:
					translucent = true
				case *PackedImage:
					translucent = !s.Opaque()
				}
				for i := range got.Bytes() {
					g, w := got.Bytes()[i], want.Bytes()[i]
					if format == Gray && translucent && (g+1 == w || w+1 == g) {
						continue
					}
					if g != w {
						t.Errorf("%s on %v of %v: byte %d is %d, want %d", name, format, size, i, g, w)
						break
					}
				}
			}
		}
	}
}

// Colours that are not premultiplied do not change, whatever their alpha is, also if it is 0.
func TestDrawKeepsColours(t *testing.T) {
	var colours []color.NRGBA
	for _, a := range []byte{0, 1, 2, 127, 254, 255} {
		for _, v := range []byte{0, 1, 100, 127, 200, 255} {
			colours = append(colours, color.NRGBA{v, 255 - v, v / 3, a})
		}
	}
	r := image.Rect(3, 4, 3+len(colours), 5)
	nrgba, deep, table := image.NewNRGBA(r), image.NewNRGBA64(r), image.NewPaletted(r, nil)
	bgra := &PackedImage{Format: BGRA, Pix: make([]byte, 4*len(colours)), Stride: 4 * len(colours), Rect: r}
	for i, c := range colours {
		nrgba.SetNRGBA(3+i, 4, c)
		bgra.SetNRGBA(3+i, 4, c)
		deep.SetNRGBA64(3+i, 4, color.NRGBA64{uint16(c.R)<<8 | 3, uint16(c.G)<<8 | 200, uint16(c.B) << 8, uint16(c.A) << 8})
		table.Palette = append(table.Palette, c)
		table.SetColorIndex(3+i, 4, uint8(i))
	}
	for _, src := range []image.Image{nrgba, deep, table, bgra, plain{nrgba}, plain{bgra}} {
		for _, format := range []Format{RGBA, BGRA} {
			f := mustNew(t, Spec{Format: format, Width: len(colours), Height: 1})
			Draw(f, src)
			for i, want := range colours {
				if got := f.Image().At(i, 0); got != color.Color(want) {
					t.Errorf("%T on %v: %v has become %v", src, format, want, got)
				}
			}
		}
	}
}

func checkSamples(t *testing.T, name string, got *Frame, src image.Image, want func(x, y int) color.YCbCr) {
	t.Helper()
	at := src.Bounds().Min
	for y := range min(got.Height(), src.Bounds().Dy()) {
		for x := range min(got.Width(), src.Bounds().Dx()) {
			if g := got.Image().At(x, y); g != want(at.X+x, at.Y+y) {
				t.Fatalf("%s: samples at %d, %d are %v, want %v", name, x, y, g, want(at.X+x, at.Y+y))
			}
		}
	}
}

// The loops of lines.go give the same as image/color, for all colours with all alphas.
func TestLoops(t *testing.T) {
	var line [4]byte
	for v := range 1 << 24 {
		if v%7 != 0 && v>>16 != 0 && v>>16 != 255 { // every seventh is enough
			continue
		}
		y, cb, cr := uint8(v), uint8(v>>8), uint8(v>>16)
		getYCbCr(line[:], []byte{y}, []byte{cb}, []byte{cr}, 1, 0, 1)
		if r, g, b := color.YCbCrToRGB(y, cb, cr); line != [4]byte{r, g, b, 255} {
			t.Fatalf("%d %d %d is %v, want %d %d %d", y, cb, cr, line, r, g, b)
		}
	}
	for a := range 256 {
		for v := range 256 {
			line = [4]byte{uint8(v), 255, 0, uint8(a)}
			multiply(line[:])
			want := color.RGBAModel.Convert(color.NRGBA{uint8(v), 255, 0, uint8(a)}).(color.RGBA)
			if line != [4]byte{want.R, want.G, want.B, want.A} {
				t.Fatalf("%d with alpha %d multiplies to %v, want %v", v, a, line, want)
			}
			if v > a {
				continue
			}
			line = [4]byte{uint8(v), uint8(a), 0, uint8(a)}
			unmultiply(line[:])
			was := color.NRGBAModel.Convert(color.RGBA{uint8(v), uint8(a), 0, uint8(a)}).(color.NRGBA)
			if line != [4]byte{was.R, was.G, was.B, was.A} {
				t.Fatalf("%d with alpha %d divides to %v, want %v", v, a, line, was)
			}
		}
	}
}

// Draw allocates nothing once the frame has drawn an image of that width, except in the cases that
// its comment names.
func TestDrawAllocates(t *testing.T) {
	for name, src := range sources(t) {
		switch src.(type) {
		case *image.NRGBA64, *image.Paletted, *image.CMYK, plain:
			continue // by image/draw
		}
		if y, ok := src.(*image.YCbCr); ok && y.Rect.Min.X < 0 {
			continue
		}
		for _, format := range Formats() {
			if _, nv12 := src.(*NV12Image); format == Gray16 || nv12 && src.Bounds().Min.X < 0 {
				continue
			}
			f := mustNew(t, Spec{Format: format, Width: 13, Height: 9})
			if n := testing.AllocsPerRun(2, func() { Draw(f, src) }); n != 0 {
				t.Errorf("%s on %v: %v allocations", name, format, n)
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	r := image.Rect(0, 0, 1920, 1080)
	nrgba, rgba := image.NewNRGBA(r), image.NewRGBA(r)
	for i := range nrgba.Pix {
		nrgba.Pix[i] = byte(i*7) | byte(i%4/3*255)
	}
	copy(rgba.Pix, nrgba.Pix)
	in := func(f Format) *Frame {
		g := mustNew(b, Spec{Format: f, Width: r.Dx(), Height: r.Dy()})
		Draw(g, nrgba)
		return g
	}
	for _, c := range []struct {
		name string
		src  image.Image
		dst  Format
	}{
		{"NRGBA-RGBA", nrgba, RGBA},
		{"RGBA-RGBA", rgba, RGBA},
		{"RGBA-BGR", rgba, BGR},
		{"RGBA-Gray", rgba, Gray},
		{"RGBA-I420", rgba, I420},
		{"RGBA-NV12", rgba, NV12},
		{"BGR-BGR", in(BGR).Image(), BGR},
		{"BGR-RGBA", in(BGR).Image(), RGBA},
		{"BGR-Gray", in(BGR).Image(), Gray},
		{"BGRA-RGBA", in(BGRA).Image(), RGBA},
		{"Gray-Gray", in(Gray).Image(), Gray},
		{"Gray16-Gray", in(Gray16).Image(), Gray},
		{"Gray16-Gray16", image.NewGray16(r), Gray16},
		{"I420-I420", in(I420).Image(), I420},
		{"I420-RGBA", in(I420).Image(), RGBA},
		{"I420-NV12", in(I420).Image(), NV12},
		{"NV12-BGR", in(NV12).Image(), BGR},
		{"NV12-Gray", in(NV12).Image(), Gray},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := in(c.dst)
			b.SetBytes(int64(r.Dx() * r.Dy())) // so that MB/s are megapixels
			b.ReportAllocs()
			for b.Loop() {
				Draw(f, c.src)
			}
		})
	}
}
