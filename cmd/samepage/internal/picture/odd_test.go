package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"os"
	"strings"
	"testing"
)

// oriented is a JPEG of four corners with an EXIF orientation.
func oriented(t *testing.T, order binary.AppendByteOrder, orientation uint16) []byte {
	m := image.NewGray(image.Rect(0, 0, 32, 16))
	for y := range 16 {
		for x := range 32 {
			m.SetGray(x, y, color.Gray{uint8(x/16*80 + y/8*160)}) // 0 80, 160 240
		}
	}
	b := encoded(t, func(w io.Writer) error { return jpeg.Encode(w, m, &jpeg.Options{Quality: 100}) })
	exif := []byte("Exif\x00\x00")
	if order.String() == binary.LittleEndian.String() {
		exif = append(exif, "II"...)
	} else {
		exif = append(exif, "MM"...)
	}
	exif = order.AppendUint32(order.AppendUint16(exif, 42), 8)
	exif = order.AppendUint16(exif, 2) // entries
	exif = append(exif, make([]byte, 12)...)
	exif = order.AppendUint32(order.AppendUint16(order.AppendUint16(exif, 0x0112), 3), 1)
	exif = order.AppendUint16(order.AppendUint16(exif, orientation), 0)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(len(exif)+2))
	return append(append(head, exif...), b[2:]...)
}

// The orientation of EXIF is applied to a JPEG, and counted in its size and its memory.
func TestOrientation(t *testing.T) {
	for orientation, want := range map[uint16][4]int{
		0: {0, 80, 160, 240}, 1: {0, 80, 160, 240}, 2: {80, 0, 240, 160}, 3: {240, 160, 80, 0}, 4: {160, 240, 0, 80},
		5: {0, 160, 80, 240}, 6: {160, 0, 240, 80}, 7: {240, 80, 160, 0}, 8: {80, 240, 0, 160}, 9: {0, 80, 160, 240},
	} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			b := oriented(t, order, orientation)
			p, err := Decode(bytes.NewReader(b), int64(len(b)), DefaultLimit)
			if err != nil {
				t.Fatal(err)
			}
			w, h := 32, 16
			if orientation >= 5 && orientation <= 8 {
				w, h = h, w
			}
			if p.Width != w || p.Height != h || p.Bounds() != image.Rect(0, 0, w, h) {
				t.Errorf("orientation %d: %d x %d, %v", orientation, p.Width, p.Height, p.Bounds())
			}
			for i, at := range []image.Point{{2, 2}, {w - 3, 2}, {2, h - 3}, {w - 3, h - 3}} {
				if got := int(color.GrayModel.Convert(p.At(at.X, at.Y)).(color.Gray).Y); got < want[i]-4 || got > want[i]+4 {
					t.Errorf("orientation %d: corner %d is %d, want %d", orientation, i, got, want[i])
				}
			}
			for cut := range 60 { // no cut makes it panic
				_ = orientationOf(b[6 : 6+cut])
			}
		}
	}
}

// A lossy WebP has its own colours. The files were made by ffmpeg: white and red halves, with and
// without alpha, and one without loss.
func TestWebP(t *testing.T) {
	for name, want := range map[string][2]color.NRGBA{
		"lossy.webp":    {{255, 255, 255, 255}, {255, 0, 0, 255}},
		"alpha.webp":    {{255, 255, 255, 128}, {255, 0, 0, 128}},
		"lossless.webp": {{255, 255, 255, 255}, {255, 0, 0, 255}},
	} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Decode(bytes.NewReader(b), int64(len(b)), DefaultLimit)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.Kind != "webp" || p.Width != 32 || p.Height != 16 {
			t.Errorf("%s is a %s of %d x %d", name, p.Kind, p.Width, p.Height)
		}
		for i, at := range []image.Point{{4, 8}, {27, 8}} {
			got := color.NRGBAModel.Convert(p.At(at.X, at.Y)).(color.NRGBA)
			for _, d := range []int{int(got.R) - int(want[i].R), int(got.G) - int(want[i].G), int(got.B) - int(want[i].B), int(got.A) - int(want[i].A)} {
				if d > 4 || d < -4 {
					t.Errorf("%s at %v is %v, want %v", name, at, got, want[i])
					break
				}
			}
		}
		if _, err := Decode(bytes.NewReader(b), int64(len(b)), 100); err == nil {
			t.Errorf("%s passes the limit", name)
		}
	}
}

// What is valid but not read here is refused by what it is.
func TestOddFiles(t *testing.T) {
	bmpWith := func(change func(b []byte)) []byte {
		b := bmpOf(8, 8, 24)
		change(b)
		return append(b, make([]byte, 500)...)
	}
	le := binary.LittleEndian
	cmyk := tiffOf(8, 8, 4, 8, 1, [2]uint32{tagPhotometric, 5})
	for want, b := range map[string][]byte{
		"a BMP with 16 bits a pixel, ":                   bmpWith(func(b []byte) { le.PutUint16(b[28:], 16) }),
		"a BMP with 16 bits a pixel and bit fields, ":    bmpWith(func(b []byte) { le.PutUint16(b[28:], 16); le.PutUint32(b[30:], 3) }),
		"a BMP with 8 bits a pixel and RLE8, ":           bmpWith(func(b []byte) { le.PutUint16(b[28:], 8); le.PutUint32(b[30:], 1) }),
		"a BMP of OS/2, with a header of 12 bytes, ":     bmpWith(func(b []byte) { le.PutUint32(b[14:], 12) }),
		"a TIFF with a plane for each sample, ":          tiffOf(8, 8, 3, 8, 1, [2]uint32{tagPlanar, 2}),
		"a TIFF of CMYK, ":                               cmyk,
		"a TIFF compressed as JPEG, ":                    tiffOf(8, 8, 3, 8, 7),
		"a WebP that is animated, or broken: ":           []byte("RIFF\x00\x00\x00\x00WEBPVP8X"),
		"unknown format: want PNG, JPEG, GIF, TIFF, BMP": []byte("RIFF\x00\x00\x00\x00WAVEfmt "),
	} {
		_, err := Decode(bytes.NewReader(b), int64(len(b)), DefaultLimit)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
