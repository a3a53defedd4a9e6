package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"strings"

	"golang.org/x/image/bmp"

	"samepage/frame"
)

// Written names the kinds of files that Encode makes, for messages and help texts.
const Written = "PNG, TIFF or BMP (.png, .tif, .bmp)"

// Kind is the kind of file that an extension stands for: "png", "tiff" or "bmp". It is empty
// for an extension that Encode does not know.
func Kind(ext string) string {
	switch strings.ToLower(ext) {
	case ".png":
		return "png"
	case ".tif", ".tiff":
		return "tiff"
	case ".bmp":
		return "bmp"
	}
	return ""
}

// Encode returns the file of a picture. The extension chooses its kind. Samples are written
// unchanged: no colour is multiplied with alpha. A picture with an alpha channel keeps it, even
// if all pixels are opaque; only a PNG then has none. TIFF files are not compressed.
//
// Samples that the file cannot have are converted: YCbCr and CMYK to RGB; in a BMP, which has
// 8 bits a sample, the upper 8 of 16 bits are kept. See LossOf.
func Encode(img image.Image, ext string) ([]byte, error) {
	var b bytes.Buffer
	var err error
	if img.Bounds().Empty() {
		return nil, errors.New("a picture without pixels")
	}
	switch m := samples(img); Kind(ext) {
	case "png":
		err = png.Encode(&b, m)
	case "tiff":
		b.Write(EncodeTIFF(m, nil))
	case "bmp":
		err = encodeBMP(&b, m)
	default:
		err = fmt.Errorf("a picture can be written to a file of %s, not to one of %q", Written, ext)
	}
	if err != nil {
		return nil, fmt.Errorf("encode a %s of %v: %w", ext, img.Bounds().Size(), err)
	}
	return b.Bytes(), nil
}

// jpegQuality is a little more than the default of package jpeg: these files are looked at.
const jpegQuality = 90

// JPEG returns the JPEG file of a picture. It keeps the samples only roughly, with 8 bits and
// without alpha.
func JPEG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	m := img
	switch img.(type) {
	case *image.YCbCr, *image.Gray: // as they are
	default:
		m = DropAlpha(img)
	}
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: jpegQuality}); err != nil {
		return nil, fmt.Errorf("encode a JPEG of %v: %w", img.Bounds().Size(), err)
	}
	return b.Bytes(), nil
}

// LossOf says what a file of this extension cannot keep of a picture. It is empty if nothing
// is lost.
func LossOf(img image.Image, ext string) string {
	if Kind(ext) != "bmp" {
		return ""
	}
	switch img.ColorModel() {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		return "a BMP has the upper 8 bits of each 16"
	}
	return ""
}

// DropAlpha returns img without its alpha channel, with its colours unchanged.
func DropAlpha(img image.Image) image.Image {
	switch m := samples(img).(type) {
	case *image.NRGBA:
		return opaque(m)
	case *image.NRGBA64:
		o := image.NewRGBA64(m.Rect)
		pixels(o, m, func(d, s []byte) {
			copy(d, s[:6])
			d[6], d[7] = 0xff, 0xff
		})
		return o
	case *image.RGBA, *image.RGBA64:
		if !m.(interface{ Opaque() bool }).Opaque() {
			return DropAlpha(unmultiplied(m))
		}
		return m
	default:
		return m
	}
}

// samples returns img as one of the image types whose samples files can have: *Gray, *Gray16,
// *Paletted with opaque colours, *RGBA, *RGBA64, *NRGBA, *NRGBA64. A pixel of an opaque RGBA
// has three samples, a pixel of other colour images four.
func samples(img image.Image) image.Image {
	switch m := img.(type) {
	case *image.Gray, *image.Gray16, *image.RGBA, *image.RGBA64, *image.NRGBA, *image.NRGBA64:
		return m
	case *image.Paletted:
		if opaquePalette(m.Palette) {
			return m
		}
		return fromPalette(m)
	case *frame.Gray16Image:
		g := image.NewGray16(m.Rect)
		for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
			for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
				g.SetGray16(x, y, m.Gray16At(x, y))
			}
		}
		return g
	case *frame.YUVImage:
		return ofYUV(m)
	case *frame.PackedImage:
		n := image.NewNRGBA(m.Rect)
		for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
			for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
				n.SetNRGBA(x, y, m.NRGBAAt(x, y))
			}
		}
		if m.Format == frame.RGB || m.Format == frame.BGR {
			return opaque(n)
		}
		return n
	}
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		m := image.NewRGBA(img.Bounds())
		draw.Draw(m, m.Rect, img, m.Rect.Min, draw.Src)
		return m
	}
	return unmultiplied(img)
}

// ofYUV returns red, green, blue and perhaps alpha in place of Y, Cb and Cr.
func ofYUV(m *frame.YUVImage) image.Image {
	deep := m.Format.Depth() > 8
	var dst draw.Image
	switch {
	case deep && m.A != nil:
		dst = image.NewNRGBA64(m.Rect)
	case deep:
		dst = image.NewRGBA64(m.Rect)
	case m.A != nil:
		dst = image.NewNRGBA(m.Rect)
	default:
		dst = image.NewRGBA(m.Rect)
	}
	// An image.RGBA that is opaque has the bytes of a frame.
	spec := frame.Spec{Format: frame.RGBA, Width: m.Rect.Dx(), Height: m.Rect.Dy()}
	if f, err := frame.New(make([]byte, spec.Size()), spec); err == nil && !deep {
		frame.Draw(f, m)
		pix, _, _ := rowsOf(dst)
		copy(pix, f.Pix(0))
		return dst
	}
	for y := m.Rect.Min.Y; y < m.Rect.Max.Y; y++ {
		for x := m.Rect.Min.X; x < m.Rect.Max.X; x++ {
			dst.Set(x, y, m.At(x, y))
		}
	}
	return dst
}

// opaque returns an image of three samples with the colours of m, whatever its alpha.
func opaque(m *image.NRGBA) *image.RGBA {
	o := image.NewRGBA(m.Rect)
	pixels(o, m, func(d, s []byte) {
		copy(d, s[:3])
		d[3] = 0xff
	})
	return o
}

// unmultiplied returns img with colours that are not multiplied with alpha, as exactly as its
// colours allow. Colours that are not multiplied in img stay unchanged.
func unmultiplied(img image.Image) image.Image {
	r := img.Bounds()
	switch img.(type) {
	case *image.RGBA64:
		n := image.NewNRGBA64(r)
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				n.Set(x, y, img.At(x, y))
			}
		}
		return n
	default:
		n := image.NewNRGBA(r)
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				n.Set(x, y, img.At(x, y))
			}
		}
		return n
	}
}

func opaquePalette(p color.Palette) bool {
	for _, c := range p {
		if _, _, _, a := c.RGBA(); a != 0xffff {
			return false
		}
	}
	return true
}

// fromPalette returns m with its colours in place of the numbers of the palette.
func fromPalette(m *image.Paletted) *image.NRGBA {
	var colours [256]color.NRGBA
	for i, c := range m.Palette[:min(len(m.Palette), 256)] {
		colours[i] = color.NRGBAModel.Convert(c).(color.NRGBA)
	}
	n := image.NewNRGBA(m.Rect)
	pixels(n, m, func(d, s []byte) {
		c := colours[s[0]]
		d[0], d[1], d[2], d[3] = c.R, c.G, c.B, c.A
	})
	return n
}

// rowsOf returns the pixels of an image that samples returned, from the first one on, the
// bytes from one row to the next, and the bytes of a pixel.
func rowsOf(img image.Image) (pix []byte, stride, size int) {
	switch m := img.(type) {
	case *image.Gray:
		return m.Pix, m.Stride, 1
	case *image.Gray16:
		return m.Pix, m.Stride, 2
	case *image.Paletted:
		return m.Pix, m.Stride, 1
	case *image.RGBA:
		return m.Pix, m.Stride, 4
	case *image.RGBA64:
		return m.Pix, m.Stride, 8
	case *image.NRGBA:
		return m.Pix, m.Stride, 4
	case *image.NRGBA64:
		return m.Pix, m.Stride, 8
	}
	panic(fmt.Sprintf("picture: rows of a %T", img))
}

// row is line y, counted from 0, of an image that samples returned.
func row(img image.Image, y int) []byte {
	pix, stride, size := rowsOf(img)
	return pix[y*stride:][:size*img.Bounds().Dx()]
}

// pixels calls do for each pixel of two images of the same bounds.
func pixels(dst, src image.Image, do func(d, s []byte)) {
	_, _, dn := rowsOf(dst)
	_, _, sn := rowsOf(src)
	for y := range dst.Bounds().Dy() {
		d, s := row(dst, y), row(src, y)
		for ; len(d) > 0; d, s = d[dn:], s[sn:] {
			do(d[:dn], s[:sn])
		}
	}
}

// encodeBMP writes 8 bits a pixel for gray and palettes, 24 for opaque RGBA, and else 32.
func encodeBMP(b *bytes.Buffer, m image.Image) error {
	r := m.Bounds()
	switch s := m.(type) {
	case *image.Gray16:
		g := image.NewGray(r)
		pixels(g, s, func(d, s []byte) { d[0] = s[0] })
		return bmp.Encode(b, g)
	case *image.RGBA64:
		if !s.Opaque() {
			return encodeBMP(b, unmultiplied(s))
		}
		o := image.NewRGBA(r)
		pixels(o, s, func(d, s []byte) { d[0], d[1], d[2], d[3] = s[0], s[2], s[4], 0xff })
		return bmp.Encode(b, o)
	case *image.NRGBA64:
		n := image.NewNRGBA(r)
		pixels(n, s, func(d, s []byte) { d[0], d[1], d[2], d[3] = s[0], s[2], s[4], s[6] })
		encodeBMP32(b, n)
		return nil
	case *image.RGBA:
		if !s.Opaque() {
			encodeBMP32(b, unmultiplied(s).(*image.NRGBA))
			return nil
		}
	case *image.NRGBA:
		encodeBMP32(b, s)
		return nil
	}
	return bmp.Encode(b, m)
}

// A BMP with 32 bits a pixel gets a header that says which of them are alpha
// (BITMAPV4HEADER): with the older one (BITMAPINFOHEADER) readers ignore the fourth byte.
// If all pixels are opaque, it gets the older one, which more programs can read.
const (
	bmpFileHeader = 14
	bmpInfoHeader = 40
	bmpV4Header   = 108
	bmpBitfields  = 3
	bmpSRGB       = 0x73524742
)

func encodeBMP32(b *bytes.Buffer, m *image.NRGBA) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	head := make([]byte, bmpFileHeader+bmpInfoHeader, bmpFileHeader+bmpV4Header)
	if !m.Opaque() {
		head = head[:cap(head)]
	}
	le := binary.LittleEndian
	copy(head, "BM")
	le.PutUint32(head[2:], uint32(len(head)+4*w*h))
	le.PutUint32(head[10:], uint32(len(head)))
	info := head[bmpFileHeader:]
	le.PutUint32(info[0:], uint32(len(info)))
	le.PutUint32(info[4:], uint32(w))
	le.PutUint32(info[8:], uint32(h)) // the lower row first
	le.PutUint16(info[12:], 1)        // planes
	le.PutUint16(info[14:], 32)
	le.PutUint32(info[20:], uint32(4*w*h))
	if len(info) == bmpV4Header {
		le.PutUint32(info[16:], bmpBitfields)
		for i, mask := range []uint32{0xff0000, 0xff00, 0xff, 0xff000000} { // red, green, blue, alpha
			le.PutUint32(info[40+4*i:], mask)
		}
		le.PutUint32(info[56:], bmpSRGB)
	}
	b.Grow(len(head) + 4*w*h)
	b.Write(head)
	for y := h - 1; y >= 0; y-- {
		for s := row(m, y); len(s) > 0; s = s[4:] {
			b.Write([]byte{s[2], s[1], s[0], s[3]})
		}
	}
}
