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

	"samepage/internal/yuv"
)

// plain hides the type of an image.
type plain struct{ image.Image }

// someFormats are all formats with 8 bits a sample, and some with more.
func someFormats() (all []Format) {
	for _, f := range Formats() {
		if f == f.shape() {
			all = append(all, f)
		}
	}
	return append(all, Gray.WithDepth(10), I420.WithDepth(10), I422.WithDepth(12), I444A.WithDepth(16), I411.WithDepth(9))
}

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
		for i, format := range someFormats() {
			f := noise(mustNew(t, Spec{Format: format, Width: 20, Height: 20, Range: Range(i % 3), Matrix: Matrix(i % 4)}), uint64(format))
			for i := 1; format == Gray.WithDepth(10) && i < len(f.Pix(0)); i += 2 {
				f.Pix(0)[i] &= 3
			}
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

// by returns the frame that package image/draw makes of src. Frames with Y, Cb and Cr are made
// pixel by pixel of the RGB image that package image/draw makes. off is how far samples may be
// from them, in steps of 1/255.
func by(t testing.TB, spec Spec, src image.Image) (f *Frame, off int) {
	f = mustNew(t, spec)
	from, hasYUV := samplesOf(src)
	if hasYUV {
		off = 1
	}
	r := image.Rect(0, 0, min(src.Bounds().Dx(), spec.Width), min(src.Bounds().Dy(), spec.Height))
	if d, ok := f.Image().(draw.Image); ok {
		if hasYUV && spec.Format == Gray { // its Y
			b := src.Bounds()
			gray := image.NewGray(b)
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					var p [4]byte
					from.space.Line(p[:], &yuv.Samples{Y: from.yFrom(x, y), Cb: from.flat[:], Cr: from.flat[:]}, 1, false)
					gray.SetGray(x, y, color.Gray{p[0]})
				}
			}
			src = gray
		}
		if n, ok := src.(*image.NRGBA64); ok && (spec.Format == RGBA || spec.Format == BGRA) {
			src = upperBits(n)
		}
		draw.Draw(d, r, plain{src}, src.Bounds().Min, draw.Src)
		return f, off
	}
	if n, ok := src.(*image.NRGBA64); ok && spec.Format.Planes() == 4 {
		src = upperBits(n)
	}
	var rgb draw.Image = image.NewRGBA(r)
	if spec.Format.Planes() == 4 {
		rgb = image.NewNRGBA(r)
	}
	draw.Draw(rgb, r, plain{src}, src.Bounds().Min, draw.Src)
	at := func(x, y int) color.NRGBA {
		switch c := rgb.At(x, y).(type) {
		case color.RGBA:
			return color.NRGBA{c.R, c.G, c.B, 255}
		default:
			return c.(color.NRGBA)
		}
	}
	p := &f.yuv
	across, down := p.sharing()
	for y := range r.Max.Y {
		for x := range r.Max.X {
			c := at(x, y)
			p.space().PutY(p.Y[p.YOffset(x, y):][:p.unit()], []byte{c.R, c.G, c.B, c.A})
			if p.A != nil {
				a := flatten(uint16(c.A)*0x101, spec.Format.Depth())
				if p.A[p.AOffset(x, y)] = uint8(a); p.unit() == 2 {
					p.A[p.AOffset(x, y)+1] = uint8(a >> 8)
				}
			}
			if x&(1<<across-1) != 0 || y&(1<<down-1) != 0 {
				continue
			}
			var sum [3]int
			n := 0
			for i := range 1 << down {
				for k := range 1 << across {
					if (image.Point{x + k, y + i}.In(r)) {
						c := at(x+k, y+i)
						sum[0], sum[1], sum[2], n = sum[0]+int(c.R), sum[1]+int(c.G), sum[2]+int(c.B), n+1
					}
				}
			}
			mean := []byte{uint8((sum[0] + n/2) / n), uint8((sum[1] + n/2) / n), uint8((sum[2] + n/2) / n), 255}
			o := p.COffset(x, y)
			p.space().PutColours(p.Cb[o:], p.Cr[o:], p.step(), mean, mean, 0)
		}
	}
	return f, off + 1
}

func upperBits(n *image.NRGBA64) *image.NRGBA {
	upper := image.NewNRGBA(n.Rect) // the bits that there is room for
	for i := range upper.Pix {
		upper.Pix[i] = n.Pix[2*i]
	}
	return upper
}

// differ says where samples differ by more than off steps of 1/255, or other bytes differ.
func differ(got, want *Frame, off int) string {
	a, b := bytes.Clone(got.Bytes()), bytes.Clone(want.Bytes())
	scale := 1
	if bits := got.Format().Depth(); bits > 8 && got.Format().yuv() {
		scale = 1 << (bits - 8)
	}
	for i := range got.Planes() {
		row, rows := got.Plane(i)
		for y := range rows {
			from := int(got.h.Offset[i]) + y*got.Stride(i)
			for x := 0; x < row; {
				g, w := int(a[from+x]), int(b[from+x])
				a[from+x] = b[from+x]
				if x++; got.Format().Depth() > 8 {
					g, w = g|int(a[from+x])<<8, w|int(b[from+x])<<8
					a[from+x] = b[from+x]
					x++
				}
				if g-w > off*scale || w-g > off*scale {
					return fmt.Sprintf("byte %d of row %d of plane %d is %d, want %d", x, y, i, g, w)
				}
			}
		}
	}
	if !bytes.Equal(a, b) {
		return "padding has changed"
	}
	return ""
}

// For every image and format Draw gives the same bytes as image/draw, and does not change the
// pixels around. If both sides have the same samples, these do not change.
func TestDraw(t *testing.T) {
	for name, src := range sources(t) {
		for i, format := range someFormats() {
			for k, size := range []image.Point{{13, 9}, {5, 4}, {1, 1}} {
				spec := Spec{Format: format, Width: size.X, Height: size.Y, Stride: 8*size.X + 3, Range: Range(i % 3), Matrix: Matrix((i + k) % 4)}
				got := mustNew(t, spec)
				Draw(got, src)
				if from, ok := samplesOf(src); ok && from.copyTo(mustNew(t, spec), src.Bounds().Min, 1, 1) && format != Gray {
					checkSamples(t, name, got, src)
					continue
				}
				want, off := by(t, spec, src)
				if _, ok := src.(interface{ Opaque() bool }); ok && format == Gray && off == 0 {
					off = 1 // gray of translucent colours
					if o := src.(interface{ Opaque() bool }); o.Opaque() {
						off = 0
					}
				}
				if d := differ(got, want, off); d != "" {
					t.Errorf("%s on %v, %v, %v of %v: %s", name, format, spec.Range, spec.Matrix, size, d)
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

// checkSamples checks that got has the samples of src. Its samples are those of the same colours.
func checkSamples(t *testing.T, name string, got *Frame, src image.Image) {
	t.Helper()
	at := src.Bounds().Min
	from, _ := samplesOf(src)
	word := func(b []byte, i, unit int) int {
		if unit == 1 {
			return int(b[i])
		}
		return int(b[i]) | int(b[i+1])<<8
	}
	p := &got.yuv
	for y := range min(got.Height(), src.Bounds().Dy()) {
		for x := range min(got.Width(), src.Bounds().Dx()) {
			c, k := p.COffset(x, y), from.cOffset(at.X+x, at.Y+y)
			u := p.unit()
			g := [3]int{word(p.Y, p.YOffset(x, y), u), word(p.Cb, c, u), word(p.Cr, c, u)}
			w := [3]int{word(from.yFrom(at.X+x, at.Y+y), 0, u), word(from.Cb, k, u), word(from.Cr, k, u)}
			if g != w || p.A != nil && word(p.A, p.AOffset(x, y), u) != word(from.aFrom(at.X+x, at.Y+y), 0, u) {
				t.Fatalf("%s: samples at %d, %d are %v, want %v", name, x, y, g, w)
			}
		}
	}
}

// The loops of lines.go give the same as image/color, for all colours with all alphas.
func TestLoops(t *testing.T) {
	var line [4]byte
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
		for _, format := range someFormats() {
			if format.shape() <= Gray16 && format != Gray {
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
