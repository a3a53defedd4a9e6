package frame

import (
	"image"
	"image/color"

	"samepage/internal/yuv"
	"samepage/layout"
)

// YUVImage is an image.Image of the samples Y, Cb and Cr, and perhaps alpha. It has no Set, because
// a colour sample may belong to several pixels; see Draw. Its methods may be called concurrently.
type YUVImage struct {
	Format Format // NV12, I420, I422, I444, I411, I444A, or one of these with more bits
	Range  Range
	Matrix Matrix
	// The planes. Samples of more than 8 bits have 2 bytes, little-endian. With NV12, Cb and Cr
	// alternate: Cr is Cb from the second byte on. A is nil if there is no alpha.
	Y, Cb, Cr, A []byte
	// Bytes from a row to the next. Cb and Cr have the same.
	YStride, CStride, AStride int
	Rect                      image.Rectangle

	whole *YUVImage // as in PackedImage
}

// space returns how the samples stand for colours.
func (p *YUVImage) space() *yuv.Space {
	return yuv.For(layout.FrameMatrix(p.Matrix), layout.FrameRange(p.Range), p.Format.Depth())
}

// sharing returns how many pixels share a colour sample, as binary logarithms.
func (p *YUVImage) sharing() (across, down int) { return layout.FrameFormat(p.Format).Sharing(1) }

// unit is the bytes of a sample.
func (p *YUVImage) unit() int { return (p.Format.Depth() + 7) / 8 }

// step is the bytes from a colour sample to the next.
func (p *YUVImage) step() int {
	if p.Format == NV12 {
		return 2
	}
	return p.unit()
}

// jpeg says whether the samples are those of an image.YCbCr, and returns its ratio.
func (p *YUVImage) jpeg() (image.YCbCrSubsampleRatio, bool) {
	if p.Range != RangeFull || p.Matrix > MatrixBT601 {
		return 0, false
	}
	switch p.Format {
	case I420:
		return image.YCbCrSubsampleRatio420, true
	case I422:
		return image.YCbCrSubsampleRatio422, true
	case I444:
		return image.YCbCrSubsampleRatio444, true
	case I411:
		return image.YCbCrSubsampleRatio411, true
	}
	return 0, false
}

// ColorModel returns color.RGBAModel, or color.RGBA64Model if samples have more than 8 bits. With
// alpha it is color.NRGBAModel or color.NRGBA64Model.
func (p *YUVImage) ColorModel() color.Model {
	switch deep := p.Format.Depth() > 8; {
	case deep && p.A != nil:
		return color.NRGBA64Model
	case deep:
		return color.RGBA64Model
	case p.A != nil:
		return color.NRGBAModel
	}
	return color.RGBAModel
}

// Bounds returns the rectangle of the pixels.
func (p *YUVImage) Bounds() image.Rectangle { return p.Rect }

// YOffset returns the index in Y of the first byte of a pixel.
func (p *YUVImage) YOffset(x, y int) int {
	return (y-p.Rect.Min.Y)*p.YStride + (x-p.Rect.Min.X)*p.unit()
}

// COffset returns the index in Cb and Cr of the first byte of the samples of a pixel.
func (p *YUVImage) COffset(x, y int) int {
	across, down := p.sharing()
	return (y>>down-p.Rect.Min.Y>>down)*p.CStride + (x>>across-p.Rect.Min.X>>across)*p.step()
}

// AOffset returns the index in A of the first byte of a pixel.
func (p *YUVImage) AOffset(x, y int) int {
	return (y-p.Rect.Min.Y)*p.AStride + (x-p.Rect.Min.X)*p.unit()
}

// At returns the colour of a pixel, of a type that fits to ColorModel.
func (p *YUVImage) At(x, y int) color.Color {
	switch c := p.nrgba64At(x, y); p.ColorModel() {
	case color.NRGBA64Model:
		return c
	case color.RGBA64Model:
		return color.RGBA64(c)
	case color.NRGBAModel:
		return color.NRGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), uint8(c.A >> 8)}
	default:
		return color.RGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), uint8(c.A >> 8)}
	}
}

// RGBA64At returns the colour of a pixel, or the zero colour outside the bounds.
func (p *YUVImage) RGBA64At(x, y int) color.RGBA64 {
	r, g, b, a := p.nrgba64At(x, y).RGBA()
	return color.RGBA64{uint16(r), uint16(g), uint16(b), uint16(a)}
}

// nrgba64At is the colour of a pixel. If samples have 8 bits, so has the colour: both bytes of a
// component are the same.
func (p *YUVImage) nrgba64At(x, y int) (c color.NRGBA64) {
	if !(image.Point{x, y}.In(p.Rect)) {
		return c
	}
	l, k, s := p.YOffset(x, y), p.COffset(x, y), p.space()
	c.A = 0xffff
	if p.Format.Depth() == 8 {
		r, g, b := s.RGB(p.Y[l], p.Cb[k], p.Cr[k])
		c.R, c.G, c.B = uint16(r)*0x101, uint16(g)*0x101, uint16(b)*0x101
		if p.A != nil {
			c.A = uint16(p.A[p.AOffset(x, y)]) * 0x101
		}
		return c
	}
	word := func(b []byte, i int) uint16 { return uint16(b[i]) | uint16(b[i+1])<<8 }
	c.R, c.G, c.B = s.RGB16(word(p.Y, l), word(p.Cb, k), word(p.Cr, k))
	if p.A != nil {
		c.A = deepen(uint32(word(p.A, p.AOffset(x, y))), p.Format.Depth())
	}
	return c
}

// SubImage returns the part of the image within r, a *YUVImage. It uses the same bytes.
func (p *YUVImage) SubImage(r image.Rectangle) image.Image {
	if r = r.Intersect(p.Rect); r.Empty() {
		return &YUVImage{Format: p.Format}
	}
	q := *p
	at, c := r.Min, p.COffset(r.Min.X, r.Min.Y)
	q.Y, q.Cb, q.Cr, q.Rect, q.whole = p.Y[p.YOffset(at.X, at.Y):], p.Cb[c:], p.Cr[c:], r, p
	if p.A != nil {
		q.A = p.A[p.AOffset(at.X, at.Y):]
	}
	return &q
}

// Opaque says whether all pixels are opaque.
func (p *YUVImage) Opaque() bool {
	if p.A == nil {
		return true
	}
	for y := p.Rect.Min.Y; y < p.Rect.Max.Y; y++ {
		for x := p.Rect.Min.X; x < p.Rect.Max.X; x++ {
			if p.nrgba64At(x, y).A != 0xffff {
				return false
			}
		}
	}
	return true
}
