package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"testing"

	"golang.org/x/image/tiff"

	"samepage/frame"
)

var exts = []string{".png", ".tif", ".bmp"}

// again returns a picture after it was written and read.
func again(t *testing.T, img image.Image, ext string) *Picture {
	t.Helper()
	b, err := Encode(img, ext)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(bytes.NewReader(b), int64(len(b)), DefaultLimit)
	if err != nil {
		t.Fatalf("a %s of %T: %v", ext, img, err)
	}
	if p.Kind != Kind(ext) || p.Bounds().Size() != img.Bounds().Size() {
		t.Fatalf("a %s of %T is a %s of %v", ext, img, p.Kind, p.Bounds())
	}
	return p
}

// translucent is colours with each alpha that a mistake could change, also those that nobody
// can see.
func translucent() (all []color.NRGBA) {
	for _, a := range []byte{0, 1, 127, 254, 255} {
		for _, v := range []byte{0, 1, 100, 127, 200, 254, 255} {
			all = append(all, color.NRGBA{v, 255 - v, v / 3, a})
		}
	}
	return all
}

// Frames of every format, with every alpha, are the same after they were written to a file of
// every kind and read again: sample by sample, except where a file says that it cannot keep
// them.
func TestFramesGoOutAndIn(t *testing.T) {
	colours := translucent()
	for _, only := range []int{-1, 0, 1, 127, 254, 255} { // -1: all of them in one picture
		var some []color.NRGBA
		for _, c := range colours {
			if only < 0 || int(c.A) == only {
				some = append(some, c)
			}
		}
		for _, format := range frame.Formats() {
			f, err := frame.New(make([]byte, 1<<17), frame.Spec{Format: format, Width: len(some), Height: 3, Stride: 8*len(some) + 5})
			if err != nil {
				t.Fatal(err)
			}
			for i := range f.Planes() {
				for k := range f.Pix(i) {
					f.Pix(i)[k] = byte(k*37 + i*91)
				}
			}
			if set, ok := f.Image().(interface{ SetNRGBA(x, y int, c color.NRGBA) }); ok {
				for x, c := range some {
					for y := range 3 {
						set.SetNRGBA(x, y, c)
					}
				}
			}
			for _, ext := range exts {
				got := again(t, f.Image(), ext)
				for y := range 3 {
					for x := range some {
						want := wantAt(f, x, y, ext)
						if c := got.At(x, y); !sameColour(c, want) {
							t.Fatalf("%s of %v with alpha %d: %T has %v at %d,%d, want %v", ext, format, only, got.Image, c, x, y, want)
						}
					}
				}
			}
		}
	}
}

// wantAt is the colour that a file must have.
func wantAt(f *frame.Frame, x, y int, ext string) color.Color {
	if img := f.Image(); ext == ".bmp" {
		return upper(img.At(x, y))
	} else {
		return img.At(x, y)
	}
}

// sameColour compares samples, also those of pixels that nobody can see.
func sameColour(a, b color.Color) bool {
	ar, ag, ab, aa := a.RGBA()
	br, bg, bb, ba := b.RGBA()
	if aa == 0xffff && ba == 0xffff {
		return ar == br && ag == bg && ab == bb
	}
	return a == b
}

// The same holds for images of package image, of all kinds that decoders make.
func TestImagesGoOutAndIn(t *testing.T) {
	r := image.Rect(-2, 3, 33, 9) // an image begins anywhere
	gray, gray16, rgba, rgba64 := image.NewGray(r), image.NewGray16(r), image.NewRGBA(r), image.NewRGBA64(r)
	nrgba, nrgba64, table := image.NewNRGBA(r), image.NewNRGBA64(r), image.NewPaletted(r, palette.Plan9)
	clear256 := image.NewPaletted(r, color.Palette{color.NRGBA{9, 8, 7, 0}, color.NRGBA{9, 8, 7, 1}, color.White})
	i := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := translucent()[i%35]
			nrgba.SetNRGBA(x, y, c)
			nrgba64.SetNRGBA64(x, y, color.NRGBA64{uint16(c.R) * 257, uint16(c.G)*256 + 3, uint16(i), uint16(c.A)*256 + 7})
			rgba.SetRGBA(x, y, color.RGBA{c.R, c.G, c.B, 255})
			rgba64.SetRGBA64(x, y, color.RGBA64{uint16(c.R)*256 + 9, uint16(c.G), uint16(i), 0xffff})
			gray.SetGray(x, y, color.Gray{c.R})
			gray16.SetGray16(x, y, color.Gray16{uint16(c.R)*256 + 9})
			table.SetColorIndex(x, y, uint8(i))
			clear256.SetColorIndex(x, y, uint8(i%3))
			i++
		}
	}
	for _, img := range []image.Image{gray, gray16, rgba, rgba64, nrgba, nrgba64, table, clear256, nrgba.SubImage(image.Rect(1, 4, 9, 7))} {
		for _, ext := range exts {
			deep := LossOf(img, ext) != ""
			got := again(t, img, ext)
			for y := range img.Bounds().Dy() {
				for x := range img.Bounds().Dx() {
					want := img.At(img.Bounds().Min.X+x, img.Bounds().Min.Y+y)
					if deep {
						want = upper(want)
					}
					if c := got.At(x, y); !sameColour(c, want) {
						t.Fatalf("%s of %T: %T has %v at %d,%d, want %v", ext, img, got.Image, c, x, y, want)
					}
				}
			}
		}
	}
	// What is multiplied with alpha keeps its samples in a TIFF, which says so.
	m := image.NewRGBA(r)
	for i := range m.Pix {
		m.Pix[i] = byte(i % 4 * 40)
	}
	if got := again(t, m, ".tif").Image.(*image.RGBA); !bytes.Equal(got.Pix, m.Pix) {
		t.Error("an RGBA that is not opaque has changed in a TIFF")
	}
	for _, ext := range []string{".png", ".bmp"} {
		if got, want := again(t, m, ext).At(0, 0), color.NRGBAModel.Convert(m.At(r.Min.X, r.Min.Y)); got != want {
			t.Errorf("a %s of an RGBA that is not opaque has %v, want %v", ext, got, want)
		}
	}
}

// upper is a colour of 16 bits a sample in 8 bits.
func upper(c color.Color) color.Color {
	switch c := c.(type) {
	case color.Gray16:
		return color.Gray{uint8(c.Y >> 8)}
	case color.RGBA64:
		return color.NRGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), uint8(c.A >> 8)}
	case color.NRGBA64:
		return color.NRGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), uint8(c.A >> 8)}
	}
	return c
}

// The file has as many samples as the picture, and no colour is multiplied.
func TestFilesSay(t *testing.T) {
	pixel := func(format frame.Format, b ...byte) image.Image {
		f, err := frame.New(make([]byte, 1<<10), frame.Spec{Format: format, Width: 1, Height: 1})
		if err != nil {
			t.Fatal(err)
		}
		copy(f.Pix(0), b)
		return f.Image()
	}
	le := binary.LittleEndian
	for _, x := range []struct {
		img    image.Image
		bits   uint16 // of a pixel in a BMP
		header uint32 // of that BMP
		bmp    []byte // its pixel
		tiff   []byte // the TIFF's pixel
		extra  int64
	}{
		{pixel(frame.BGRA, 255, 255, 255, 1), 32, 108, []byte{255, 255, 255, 1}, []byte{255, 255, 255, 1}, unassociated},
		{pixel(frame.BGRA, 10, 20, 30, 0), 32, 108, []byte{10, 20, 30, 0}, []byte{30, 20, 10, 0}, unassociated},
		{pixel(frame.BGRA, 10, 20, 30, 255), 32, 40, []byte{10, 20, 30, 255}, []byte{30, 20, 10, 255}, unassociated},
		{pixel(frame.RGBA, 30, 20, 10, 127), 32, 108, []byte{10, 20, 30, 127}, []byte{30, 20, 10, 127}, unassociated},
		{pixel(frame.BGR, 10, 20, 30), 24, 40, []byte{10, 20, 30}, []byte{30, 20, 10}, 0},
		{pixel(frame.RGB, 30, 20, 10), 24, 40, []byte{10, 20, 30}, []byte{30, 20, 10}, 0},
		{DropAlpha(pixel(frame.BGRA, 10, 20, 30, 1)), 24, 40, []byte{10, 20, 30}, []byte{30, 20, 10}, 0},
		{pixel(frame.Gray, 77), 8, 40, []byte{77}, []byte{77}, 0},
		{pixel(frame.Gray16, 1, 77), 8, 40, []byte{77}, []byte{1, 77}, 0},
	} {
		b, err := Encode(x.img, ".bmp")
		if err != nil {
			t.Fatal(err)
		}
		pix := b[le.Uint32(b[10:]):]
		if le.Uint16(b[28:]) != x.bits || le.Uint32(b[14:]) != x.header || !bytes.Equal(pix[:len(x.bmp)], x.bmp) || int(le.Uint32(b[2:])) != len(b) {
			t.Errorf("a BMP of %v has %d bits, a header of %d bytes, and %v", x.img.At(0, 0), le.Uint16(b[28:]), le.Uint32(b[14:]), pix)
		}
		b = EncodeTIFF(x.img, nil)
		i, err := header(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if got := b[tiffHeader:][:len(x.tiff)]; i.tiff.compression != compressionNone || i.tiff.samples*i.tiff.bits != int64(8*len(x.tiff)) || !bytes.Equal(got, x.tiff) || i.tiff.extra != x.extra {
			t.Errorf("a TIFF of %v has %+v and %v", x.img.At(0, 0), i.tiff, got)
		}
	}
}

// Black and white is written with one bit a pixel, if that is asked for and there is nothing
// else. Either of them may be 0. Compressed files have the same pixels. The decoder of another
// package reads them.
func TestTIFFForms(t *testing.T) {
	r := image.Rect(0, 0, 21, 6)
	two, gray, deep := image.NewGray(r), image.NewGray(r), image.NewGray16(r)
	for i := range two.Pix {
		two.Pix[i] = byte(i*i%3/2) * 255
		gray.Pix[i] = byte(i * 2)
		deep.Pix[2*i], deep.Pix[2*i+1] = byte(i*2), byte(i*9)
	}
	for _, img := range []image.Image{two, gray, deep} {
		for n := range 8 {
			o := TIFFOptions{Deflate: n&1 != 0, OneBit: n&2 != 0, WhiteIsZero: n&4 != 0}
			b := EncodeTIFF(img, &o)
			got, err := tiff.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			a, _, _ := rowsOf(img)
			if c, _, _ := rowsOf(got); !bytes.Equal(a, c) {
				t.Errorf("%T as %+v has changed", img, o)
			}
			i, err := header(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if one := i.tiff.bits == 1; one != (o.OneBit && img == image.Image(two)) {
				t.Errorf("%+v has %d bits", o, i.tiff.bits)
			}
			p := Picture{got, i}
			if as := p.TIFF(); as.WhiteIsZero != o.WhiteIsZero || as.OneBit != (i.tiff.bits == 1) {
				t.Errorf("a file made as %+v is told to be %+v", o, as)
			}
		}
	}
}

// Both parts of a picture have its samples; a palette has white, or gets it.
func TestPart(t *testing.T) {
	region := image.Rect(1, 1, 3, 2)
	full := make(color.Palette, 256) // without white
	for i := range full {
		full[i] = color.RGBA{uint8(i), 1, 2, 255}
	}
	at := image.Rect(5, 6, 9, 9)
	for name, img := range map[string]image.Image{
		"gray": image.NewGray(at), "gray16": image.NewGray16(at), "rgb": opaque(image.NewNRGBA(at)), "nrgba": image.NewNRGBA(at),
		"rgba64": image.NewRGBA64(at), "nrgba64": image.NewNRGBA64(at), "translucent": image.NewRGBA(at),
		"palette": image.NewPaletted(at, color.Palette{color.Black}), "white": image.NewPaletted(at, color.Palette{color.White, color.Black}),
		"full": image.NewPaletted(at, full),
	} {
		if pix, _, size := rowsOf(img); name != "full" && name != "palette" && name != "white" {
			for i := range pix {
				pix[i] = byte(i % 7)
				if name == "rgb" && i%4 == 3 {
					pix[i] = 255
				}
			}
			if size > 8 {
				t.Fatal(size)
			}
		} else if name == "white" {
			for i := range pix {
				pix[i] = 1
			}
		}
		rest, alone := Part(img, region)
		if a, b := fmt.Sprintf("%T", img), fmt.Sprintf("%T", rest); a != b && name != "full" {
			t.Errorf("%s: %s has become %s", name, a, b)
		}
		for y := range 3 {
			for x := range 4 {
				c := img.At(5+x, 6+y)
				in := image.Pt(x, y).In(region)
				for _, g := range []struct {
					m     image.Image
					white bool
				}{{rest, in}, {alone, !in}} {
					got := g.m.At(x, y)
					if r, gr, b, a := got.RGBA(); g.white && (r != 0xffff || gr != 0xffff || b != 0xffff || a != 0xffff) || !g.white && !sameColour(got, c) {
						t.Errorf("%s at %d,%d: %v, source %v, white %v", name, x, y, got, c, g.white)
					}
				}
			}
		}
	}
}
