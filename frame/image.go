package frame

import (
	"image"
	"image/color"
)

// order has the offsets of red, green, blue and alpha in a pixel, and its bytes. a is -1 if there
// is no alpha.
type order struct{ r, g, b, a, n int }

var orders = [...]order{
	RGB:  {0, 1, 2, -1, 3},
	BGR:  {2, 1, 0, -1, 3},
	RGBA: {0, 1, 2, 3, 4},
	BGRA: {2, 1, 0, 3, 4},
}

// PackedImage is an image.Image and draw.Image whose pixels have three or four bytes, in the order
// that Format says. Methods that only read may be called concurrently, as with the images of
// package image.
type PackedImage struct {
	Format Format // RGB, BGR, RGBA or BGRA
	Pix    []byte
	Stride int // bytes from a row to the next
	Rect   image.Rectangle

	whole *PackedImage // the image of which it is a SubImage; this keeps the bytes mapped
}

// ColorModel returns color.NRGBAModel, or color.RGBAModel if the format has no alpha.
func (p *PackedImage) ColorModel() color.Model {
	if orders[p.Format].a < 0 {
		return color.RGBAModel
	}
	return color.NRGBAModel
}

// Bounds returns the rectangle of the pixels.
func (p *PackedImage) Bounds() image.Rectangle { return p.Rect }

// PixOffset returns the index in Pix of the first byte of a pixel.
func (p *PackedImage) PixOffset(x, y int) int {
	return (y-p.Rect.Min.Y)*p.Stride + (x-p.Rect.Min.X)*orders[p.Format].n
}

// At returns the colour of a pixel, a color.NRGBA, or a color.RGBA if the format has no alpha.
func (p *PackedImage) At(x, y int) color.Color {
	c := p.NRGBAAt(x, y)
	if orders[p.Format].a < 0 {
		return color.RGBA(c)
	}
	return c
}

// NRGBAAt returns the colour of a pixel, or the zero colour outside the bounds.
func (p *PackedImage) NRGBAAt(x, y int) color.NRGBA {
	if !(image.Point{x, y}.In(p.Rect)) {
		return color.NRGBA{}
	}
	o := &orders[p.Format]
	s := p.Pix[p.PixOffset(x, y):]
	c := color.NRGBA{s[o.r], s[o.g], s[o.b], 0xff}
	if o.a >= 0 {
		c.A = s[o.a]
	}
	return c
}

// RGBA64At returns the colour of a pixel.
func (p *PackedImage) RGBA64At(x, y int) color.RGBA64 {
	r, g, b, a := p.NRGBAAt(x, y).RGBA()
	return color.RGBA64{uint16(r), uint16(g), uint16(b), uint16(a)}
}

// Set sets the colour of a pixel. Outside the bounds it does nothing. If the format has no alpha, a
// translucent colour becomes the colour that it has on a black background.
func (p *PackedImage) Set(x, y int, c color.Color) {
	if !(image.Point{x, y}.In(p.Rect)) {
		return
	}
	if orders[p.Format].a < 0 {
		p.SetNRGBA(x, y, color.NRGBA(color.RGBAModel.Convert(c).(color.RGBA)))
		return
	}
	p.SetNRGBA(x, y, color.NRGBAModel.Convert(c).(color.NRGBA))
}

// SetNRGBA sets the bytes of a pixel. If the format has no alpha, c.A is not used.
func (p *PackedImage) SetNRGBA(x, y int, c color.NRGBA) {
	if !(image.Point{x, y}.In(p.Rect)) {
		return
	}
	o := &orders[p.Format]
	s := p.Pix[p.PixOffset(x, y):]
	s[o.r], s[o.g], s[o.b] = c.R, c.G, c.B
	if o.a >= 0 {
		s[o.a] = c.A
	}
}

// SetRGBA64 sets the colour of a pixel.
func (p *PackedImage) SetRGBA64(x, y int, c color.RGBA64) {
	r, g, b, a := uint32(c.R), uint32(c.G), uint32(c.B), uint32(c.A)
	if orders[p.Format].a >= 0 && a != 0 && a != 0xffff {
		r, g, b = r*0xffff/a, g*0xffff/a, b*0xffff/a
	}
	p.SetNRGBA(x, y, color.NRGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)})
}

// SubImage returns the part of the image within r, a *PackedImage. It uses the same bytes.
func (p *PackedImage) SubImage(r image.Rectangle) image.Image {
	if r = r.Intersect(p.Rect); r.Empty() {
		return &PackedImage{Format: p.Format}
	}
	return &PackedImage{Format: p.Format, Pix: p.Pix[p.PixOffset(r.Min.X, r.Min.Y):], Stride: p.Stride, Rect: r, whole: p}
}

// Opaque says whether all pixels are opaque.
func (p *PackedImage) Opaque() bool {
	o := &orders[p.Format]
	if o.a < 0 {
		return true
	}
	for y := p.Rect.Min.Y; y < p.Rect.Max.Y; y++ {
		i := p.PixOffset(p.Rect.Min.X, y)
		for n := p.Rect.Dx(); n > 0; n-- {
			if p.Pix[i+o.a] != 0xff {
				return false
			}
			i += o.n
		}
	}
	return true
}

// Gray16Image is an image.Image and draw.Image of gray pixels of 9 to 16 bits. They are
// little-endian, as cameras and C++ programs on today's machines write them. Those of image.Gray16
// are big-endian. Methods that only read may be called concurrently, as with the images of package
// image.
type Gray16Image struct {
	Depth  int // bits of a pixel, 9 to 16; 0 is 16
	Pix    []byte
	Stride int // bytes from a row to the next
	Rect   image.Rectangle

	whole *Gray16Image // as in PackedImage
}

// ColorModel returns color.Gray16Model.
func (p *Gray16Image) ColorModel() color.Model { return color.Gray16Model }

// Bounds returns the rectangle of the pixels.
func (p *Gray16Image) Bounds() image.Rectangle { return p.Rect }

// PixOffset returns the index in Pix of the first byte of a pixel.
func (p *Gray16Image) PixOffset(x, y int) int {
	return (y-p.Rect.Min.Y)*p.Stride + (x-p.Rect.Min.X)*2
}

// At returns the colour of a pixel, a color.Gray16.
func (p *Gray16Image) At(x, y int) color.Color { return p.Gray16At(x, y) }

// Gray16At returns the colour of a pixel with 16 bits, or black outside the bounds.
func (p *Gray16Image) Gray16At(x, y int) color.Gray16 {
	if !(image.Point{x, y}.In(p.Rect)) {
		return color.Gray16{}
	}
	i := p.PixOffset(x, y)
	return color.Gray16{Y: deepen(uint32(p.Pix[i])|uint32(p.Pix[i+1])<<8, p.Depth)}
}

// deepen returns a sample of that many bits with 16 bits. It limits a sample that has more bits.
func deepen(v uint32, depth int) uint16 {
	if depth == 0 || depth == 16 {
		return uint16(v)
	}
	top := uint32(1)<<depth - 1
	return uint16((min(v, top)*0xffff + top/2) / top)
}

// flatten is the inverse of deepen.
func flatten(v uint16, depth int) uint16 {
	if depth == 0 || depth == 16 {
		return v
	}
	return uint16((uint32(v)*(1<<depth-1) + 0x7fff) / 0xffff)
}

// RGBA64At returns the colour of a pixel.
func (p *Gray16Image) RGBA64At(x, y int) color.RGBA64 {
	v := p.Gray16At(x, y).Y
	return color.RGBA64{v, v, v, 0xffff}
}

// Set sets the colour of a pixel. Outside the bounds it does nothing.
func (p *Gray16Image) Set(x, y int, c color.Color) {
	if (image.Point{x, y}.In(p.Rect)) {
		p.SetGray16(x, y, color.Gray16Model.Convert(c).(color.Gray16))
	}
}

// SetGray16 sets the colour of a pixel.
func (p *Gray16Image) SetGray16(x, y int, c color.Gray16) {
	if !(image.Point{x, y}.In(p.Rect)) {
		return
	}
	i, v := p.PixOffset(x, y), flatten(c.Y, p.Depth)
	p.Pix[i], p.Pix[i+1] = uint8(v), uint8(v>>8)
}

// SetRGBA64 sets the colour of a pixel.
func (p *Gray16Image) SetRGBA64(x, y int, c color.RGBA64) {
	p.SetGray16(x, y, color.Gray16{Y: uint16(luma(uint32(c.R), uint32(c.G), uint32(c.B)) >> 16)})
}

// SubImage returns the part of the image within r, a *Gray16Image. It uses the same bytes.
func (p *Gray16Image) SubImage(r image.Rectangle) image.Image {
	if r = r.Intersect(p.Rect); r.Empty() {
		return &Gray16Image{}
	}
	return &Gray16Image{Depth: p.Depth, Pix: p.Pix[p.PixOffset(r.Min.X, r.Min.Y):], Stride: p.Stride, Rect: r, whole: p}
}

// Opaque returns true.
func (p *Gray16Image) Opaque() bool { return true }

// luma returns the brightness of a colour, times 65536, with the weights of package image/color.
func luma(r, g, b uint32) uint32 { return 19595*r + 38470*g + 7471*b + 1<<15 }
