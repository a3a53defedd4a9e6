package picture

import (
	"image"
	"image/color"
)

// Part returns img with a region painted white, and the region alone on white. Both have the
// size and the samples of img and begin at (0, 0). The region counts from the upper left
// corner of img.
func Part(img image.Image, region image.Rectangle) (rest, alone image.Image) {
	m := samples(img)
	r := image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy())
	region = region.Intersect(r)
	white := byte(0xff) // white is 0xff in every byte of all images except palettes
	if p, ok := m.(*image.Paletted); ok {
		palette, at := withWhite(p.Palette)
		if palette == nil {
			m = opaque(fromPalette(p))
		} else {
			m, white = &image.Paletted{Pix: p.Pix, Stride: p.Stride, Rect: p.Rect, Palette: palette}, at
		}
	}
	rest, alone = like(m, r), like(m, r)
	_, _, size := rowsOf(m)
	for y := range r.Dy() {
		from, to := row(rest, y), row(alone, y)
		copy(from, row(m, y))
		for i := range to {
			to[i] = white
		}
		if y < region.Min.Y || y >= region.Max.Y {
			continue
		}
		from, to = from[size*region.Min.X:size*region.Max.X], to[size*region.Min.X:size*region.Max.X]
		copy(to, from)
		for i := range from {
			from[i] = white
		}
	}
	return rest, alone
}

// withWhite returns a palette that has white, and its index; nil if there is no room for it.
func withWhite(p color.Palette) (color.Palette, byte) {
	for i, c := range p {
		if r, g, b, _ := c.RGBA(); r == 0xffff && g == 0xffff && b == 0xffff {
			return p, byte(i)
		}
	}
	if len(p) >= 256 {
		return nil, 0
	}
	return append(p[:len(p):len(p)], color.White), byte(len(p))
}

// like returns an empty image of the type of m.
func like(m image.Image, r image.Rectangle) image.Image {
	switch m := m.(type) {
	case *image.Gray:
		return image.NewGray(r)
	case *image.Gray16:
		return image.NewGray16(r)
	case *image.Paletted:
		return image.NewPaletted(r, m.Palette)
	case *image.RGBA:
		return image.NewRGBA(r)
	case *image.RGBA64:
		return image.NewRGBA64(r)
	case *image.NRGBA64:
		return image.NewNRGBA64(r)
	}
	return image.NewNRGBA(r)
}
