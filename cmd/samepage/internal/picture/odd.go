package picture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"io"

	"samepage/frame"
)

// What decoders refuse is named here, and pictures that lie on their side are turned.

// isWebP says whether a RIFF file is a WebP.
func isWebP(s *io.SectionReader) bool {
	var b [4]byte
	_, err := s.ReadAt(b[:], 8)
	return err == nil && string(b[:]) == "WEBP"
}

// ofWebP returns the colours of a lossy WebP. Its samples have the limited range of BT.601, and
// those of an image.YCbCr would have the full range.
func ofWebP(img image.Image) image.Image {
	yuv := func(m *image.YCbCr) image.Image {
		return ofYUV(&frame.YUVImage{
			Format: frame.I420, Range: frame.RangeLimited, Matrix: frame.MatrixBT601,
			Y: m.Y, Cb: m.Cb, Cr: m.Cr, YStride: m.YStride, CStride: m.CStride, Rect: m.Rect,
		})
	}
	switch m := img.(type) {
	case *image.YCbCr:
		return yuv(m)
	case *image.NYCbCrA:
		rgb := yuv(&m.YCbCr).(*image.RGBA)
		n := &image.NRGBA{Pix: rgb.Pix, Stride: rgb.Stride, Rect: rgb.Rect}
		for y := range n.Rect.Dy() {
			a := m.A[y*m.AStride:]
			for x := range n.Rect.Dx() {
				n.Pix[y*n.Stride+4*x+3] = a[x]
			}
		}
		return n
	}
	return img
}

// errOdd is the end of the error for a file that is valid, but that no decoder here reads.
var errOdd = errors.New("which is not read here; convert it to PNG, for example with ffmpeg or ImageMagick")

// oddBMP says what a BMP is that x/image/bmp does not read.
func oddBMP(s *io.SectionReader) error {
	var b [34]byte
	if _, err := s.ReadAt(b[:], 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	head, bits, compression := le.Uint32(b[14:]), le.Uint16(b[28:]), le.Uint32(b[30:])
	what := fmt.Sprintf("a BMP with %d bits a pixel and compression %d", bits, compression)
	names := map[uint32]string{1: "RLE8", 2: "RLE4", 3: "bit fields", 4: "JPEG", 5: "PNG", 6: "bit fields with alpha"}
	switch {
	case head == 12 || head == 16 || head == 64:
		what = fmt.Sprintf("a BMP of OS/2, with a header of %d bytes", head)
	case names[compression] != "":
		what = fmt.Sprintf("a BMP with %d bits a pixel and %s", bits, names[compression])
	case bits == 16:
		what = "a BMP with 16 bits a pixel"
	}
	return fmt.Errorf("%s, %w", what, errOdd)
}

// oddTIFF says what a TIFF is that x/image/tiff does not read with the error err.
func oddTIFF(s *io.SectionReader, err error) error {
	t, terr := readTIFF(s)
	if t == nil || terr != nil {
		return err
	}
	return errors.Join(t.odd(), err)
}

// odd returns the error for a file that x/image/tiff does not read, or reads wrongly.
func (t *tiffInfo) odd() error {
	what := ""
	switch {
	case t.planar == 2 && t.samples > 1:
		what = "with a plane for each sample"
	case t.photometric == 5:
		what = "of CMYK"
	case t.photometric == 6:
		what = "of YCbCr"
	case t.photometric == 8:
		what = "of L*a*b*"
	case t.compression == 6 || t.compression == 7:
		what = "compressed as JPEG"
	default:
		return nil
	}
	return fmt.Errorf("a TIFF %s, %w", what, errOdd)
}

// orientationOf returns the orientation in an APP1 segment of a JPEG, 0 if there is none.
func orientationOf(b []byte) int {
	if len(b) < 14 || string(b[:6]) != "Exif\x00\x00" {
		return 0
	}
	b = b[6:]
	var order binary.ByteOrder = binary.LittleEndian
	if string(b[:2]) == "MM" {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(b[4:]))
	if at > int64(len(b))-2 {
		return 0
	}
	entries := b[at+2:]
	for n := order.Uint16(b[at:]); n > 0 && len(entries) >= 12; n, entries = n-1, entries[12:] {
		if order.Uint16(entries) == 0x0112 {
			if v := order.Uint16(entries[8:]); v <= 8 {
				return int(v)
			}
			return 0
		}
	}
	return 0
}

// turn changes the sides and the memory of a picture to those of the picture that is turned.
func (i *Info) turn() {
	if i.Orientation <= 1 {
		return
	}
	if i.Orientation >= 5 {
		i.Width, i.Height = i.Height, i.Width
	}
	i.Bytes += times(i.pixels(), 8) // a copy in RGBA, and the turned one
}

// Turned says in words that Read has turned the picture, and why. It is empty if it has not.
func (i *Info) Turned() string {
	if i.Orientation <= 1 {
		return ""
	}
	return fmt.Sprintf("turned or mirrored as its EXIF orientation %d says", i.Orientation)
}

// turned returns a picture that is turned and mirrored as the orientation says.
func turned(img image.Image, orientation int) image.Image {
	if orientation <= 1 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	r := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		r = image.Rect(0, 0, h, w)
	}
	var src, dst draw.Image
	if _, gray := img.(*image.Gray); gray {
		src, dst = image.NewGray(image.Rect(0, 0, w, h)), image.NewGray(r)
	} else {
		src, dst = image.NewRGBA(image.Rect(0, 0, w, h)), image.NewRGBA(r)
	}
	draw.Draw(src, src.Bounds(), img, b.Min, draw.Src)
	from, fromStride, n := rowsOf(src)
	to, toStride, _ := rowsOf(dst)
	for y := range r.Dy() {
		for x := range r.Dx() {
			u, v := x, y // in the file
			switch orientation {
			case 2:
				u = w - 1 - x
			case 3:
				u, v = w-1-x, h-1-y
			case 4:
				v = h - 1 - y
			case 5:
				u, v = y, x
			case 6:
				u, v = y, h-1-x
			case 7:
				u, v = w-1-y, h-1-x
			case 8:
				u, v = w-1-y, x
			}
			copy(to[y*toStride+x*n:][:n], from[v*fromStride+u*n:])
		}
	}
	return dst
}
