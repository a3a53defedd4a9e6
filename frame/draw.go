package frame

import (
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"runtime"
)

// Draw draws src onto dst. It does not scale: the upper left pixel of src is drawn onto the upper
// left pixel of dst. If src is larger than dst, it is cut. If it is smaller, the other pixels of
// dst do not change. Pixels are replaced, as with draw.Src.
//
// Translucent colours:
//   - If dst has no alpha, they are drawn as on a black background.
//   - If both images have alpha that is not premultiplied, colours do not change, whatever their
//     alpha is. draw.Draw would lose the colours whose alpha is 0. Such sources are NRGBA,
//     NRGBA64, palettes of such colours, and images with color.NRGBAModel.
//
// Y, Cb and Cr are converted as the Range and the Matrix of each side say. If they are unknown,
// they are the limited range and BT.601, as in ffmpeg; those of an image.YCbCr are the full range
// and BT.601. Results differ from exact arithmetic by at most 1. Colour samples are not
// interpolated: each one is the colour of all pixels that share it, and is made from the mean of
// these pixels. Gray of a picture with Y, Cb and Cr is its Y.
//
// In all other cases the result is the same as with draw.Draw, with one exception: gray of
// translucent colours may differ by 1.
//
// Colours pass with 8 bits a component, with these exceptions: if both sides have the same samples,
// and if dst is Gray16 or gray of another depth above 8.
//
// Gray, Gray16, RGBA, NRGBA and YCbCr of package image and the images of this package are drawn
// without allocations, once dst has drawn an image of that width. If both sides have the same
// samples, range and matrix, rows are copied. Other images are drawn by draw.Draw, or pixel by
// pixel. So are some of these images if dst is gray of more than 8 bits, and YCbCr images whose
// bounds are negative.
//
// Nothing else may use dst at the same time, and src must not share pixels with dst. If the frame
// is empty or the image is nil, Draw does nothing.
func Draw(dst *Frame, src image.Image) {
	if dst.image == nil || src == nil {
		return
	}
	// The bytes of both stay mapped while they are reachable.
	defer runtime.KeepAlive(dst)
	defer runtime.KeepAlive(src)
	b := src.Bounds()
	w, h := min(b.Dx(), dst.Width()), min(b.Dy(), dst.Height())
	if w <= 0 || h <= 0 || copySamples(dst, src, w, h) {
		return
	}
	if dst.hasAlpha() {
		if read := straightLines(src); read != nil {
			drawLines(dst, src, w, h, read)
			return
		}
	}
	if d, ok := dst.image.(draw.Image); ok && (!readable(src) || dst.image == &dst.gray16 && !shallow(src)) {
		draw.Draw(d, image.Rect(0, 0, w, h), src, b.Min, draw.Src)
		return
	}
	drawLines(dst, src, w, h, nil)
}

// straightLines returns a function that reads lines of an image whose colours are not
// premultiplied and that readLine has no fast path for. Lines have four bytes a pixel, red first.
// For other images it returns nil.
func straightLines(src image.Image) func(line []byte, y int) {
	b := src.Bounds()
	put := func(line []byte, c color.NRGBA) { line[0], line[1], line[2], line[3] = c.R, c.G, c.B, c.A }
	switch s := src.(type) {
	case *image.NRGBA64:
		return func(line []byte, y int) {
			for pix := s.Pix[s.PixOffset(b.Min.X, b.Min.Y+y):]; len(line) >= 4; line, pix = line[4:], pix[8:] {
				line[0], line[1], line[2], line[3] = pix[0], pix[2], pix[4], pix[6]
			}
		}
	case *image.Paletted:
		var colours [256]color.NRGBA
		for i, c := range s.Palette[:min(len(s.Palette), len(colours))] {
			colours[i] = color.NRGBAModel.Convert(c).(color.NRGBA)
		}
		return func(line []byte, y int) {
			for pix := s.Pix[s.PixOffset(b.Min.X, b.Min.Y+y):]; len(line) >= 4; line, pix = line[4:], pix[1:] {
				put(line, colours[pix[0]])
			}
		}
	}
	if readable(src) || src.ColorModel() != color.NRGBAModel {
		return nil
	}
	return func(line []byte, y int) {
		for x := b.Min.X; len(line) >= 4; line, x = line[4:], x+1 {
			put(line, color.NRGBAModel.Convert(src.At(x, b.Min.Y+y)).(color.NRGBA))
		}
	}
}

// hasAlpha says whether pixels have alpha.
func (f *Frame) hasAlpha() bool { return f.Format() == RGBA || f.Format() == BGRA || f.yuv.A != nil }

// drawLines draws line by line. Lines have eight bits a component. If read is not nil, it reads
// them.
func drawLines(dst *Frame, src image.Image, w, h int, read func(line []byte, y int)) {
	if n := 8 * w; len(dst.lines) < n {
		dst.lines = make([]byte, n)
	}
	first, second := dst.lines[:4*w], dst.lines[4*w:8*w]
	b := src.Bounds()
	want := premultiplied
	if dst.hasAlpha() {
		want = straight
	}
	samples, isYUV := samplesOf(src)
	get := func(line []byte, y int) {
		switch {
		case read != nil:
			read(line, y)
		case isYUV && dst.Format() == Gray:
			samples.grayLine(line, b.Min.X, b.Min.Y+y, w)
		default:
			readLine(line, src, b.Min.X, b.Min.Y+y, w, want)
		}
	}
	for y := 0; y < h; y++ {
		if isYUV && !samples.hasAlpha() && (dst.Format() == RGBA || dst.Format() == BGRA) {
			samples.line(dst.Pix(0)[y*dst.Stride(0):], b.Min.X, b.Min.Y+y, w, dst.Format() == BGRA)
			continue
		}
		get(first, y)
		switch format := dst.Format(); format.shape() {
		case Gray, Gray16:
			if format == Gray {
				putGray(dst.gray.Pix[y*dst.gray.Stride:], first)
			} else {
				putGray16(dst.gray16.Pix[y*dst.gray16.Stride:], first, format.Depth())
			}
		case RGBA:
			copy(dst.nrgba.Pix[y*dst.nrgba.Stride:], first)
		case RGB, BGR, BGRA:
			putPacked(dst.packed.Pix[y*dst.packed.Stride:], first, dst.packed.Format)
		default:
			pair := first
			if _, down := dst.yuv.sharing(); down > 0 && y+1 < h {
				get(second, y+1)
				pair = second
			}
			dst.yuv.put(y, first, pair, &pair[0] != &first[0])
			if _, down := dst.yuv.sharing(); down > 0 {
				y++
			}
		}
	}
}

// copySamples draws if dst has the same samples as src, in the same order or in an order that is
// easy to change. It returns false if it drew nothing.
func copySamples(dst *Frame, src image.Image, w, h int) bool {
	pix, stride, at := dst.Pix(0), dst.Stride(0), src.Bounds().Min
	switch s := src.(type) {
	case *image.Gray:
		if dst.Format() == Gray {
			return copyLines(pix, stride, s.Pix[s.PixOffset(at.X, at.Y):], s.Stride, w, h)
		}
	case *Gray16Image:
		if dst.image == &dst.gray16 && dst.Format().Depth() == cmp.Or(s.Depth, 16) {
			return copyLines(pix, stride, s.Pix[s.PixOffset(at.X, at.Y):], s.Stride, 2*w, h)
		}
	case *image.Gray16:
		if dst.Format() == Gray16 {
			for y := range h {
				d, s := pix[y*stride:][:2*w], s.Pix[s.PixOffset(at.X, at.Y+y):][:2*w]
				for i := 0; i+1 < len(d) && i+1 < len(s); i += 2 {
					d[i], d[i+1] = s[i+1], s[i]
				}
			}
			return true
		}
	case *image.NRGBA:
		if dst.Format() == RGBA {
			return copyLines(pix, stride, s.Pix[s.PixOffset(at.X, at.Y):], s.Stride, 4*w, h)
		}
	case *PackedImage:
		if dst.Format() == s.Format {
			return copyLines(pix, stride, s.Pix[s.PixOffset(at.X, at.Y):], s.Stride, orders[s.Format].n*w, h)
		}
	default:
		if from, ok := samplesOf(src); ok {
			return from.copyTo(dst, at, w, h)
		}
	}
	return false
}

// copyLines copies rows of n bytes, and returns true.
func copyLines(dst []byte, dstStride int, src []byte, srcStride, n, rows int) bool {
	if n == dstStride && n == srcStride {
		copy(dst[:n*rows], src[:n*rows])
		return true
	}
	for y := range rows {
		copy(dst[y*dstStride:][:n], src[y*srcStride:][:n])
	}
	return true
}

// alpha says how the colours of a line are related to its alpha. A line has four bytes a pixel.
type alpha int

const (
	premultiplied alpha = iota // multiplied with alpha
	straight                   // not multiplied
	opaque                     // alpha is 255, so both are the same
)

// readable says whether readLine has a fast path for an image.
func readable(src image.Image) bool {
	switch s := src.(type) {
	case *image.Gray, *image.Gray16, *Gray16Image, *image.RGBA, *image.NRGBA, *PackedImage, *YUVImage:
		return true
	case *image.YCbCr:
		return s.Rect.Min.X >= 0 && s.Rect.Min.Y >= 0
	}
	return false
}

// shallow says whether eight bits a component are enough for the premultiplied colours of a
// readable image.
func shallow(src image.Image) bool {
	switch s := src.(type) {
	case *image.Gray, *image.RGBA:
		return true
	case *PackedImage:
		return orders[s.Format].a < 0
	}
	return false
}

// readLine sets line to w pixels of src from (x, y) on: four bytes a pixel, red first.
func readLine(line []byte, src image.Image, x, y, w int, want alpha) {
	has := opaque
	switch s := src.(type) {
	case *image.Gray:
		for i, v := range s.Pix[s.PixOffset(x, y):][:w] {
			p := line[4*i:][:4]
			p[0], p[1], p[2], p[3] = v, v, v, 0xff
		}
	case *image.Gray16:
		putHigh(line, s.Pix[s.PixOffset(x, y):])
	case *Gray16Image:
		if s.Depth == 0 || s.Depth == 16 {
			putHigh(line, s.Pix[s.PixOffset(x, y)+1:])
			break
		}
		for i := range w {
			v, p := uint8(s.Gray16At(x+i, y).Y>>8), line[4*i:][:4]
			p[0], p[1], p[2], p[3] = v, v, v, 0xff
		}
	case *image.RGBA:
		copy(line, s.Pix[s.PixOffset(x, y):][:4*w])
		has = premultiplied
	case *image.NRGBA:
		copy(line, s.Pix[s.PixOffset(x, y):][:4*w])
		has = straight
	case *PackedImage:
		getPacked(line, s.Pix[s.PixOffset(x, y):], s.Format)
		if orders[s.Format].a >= 0 {
			has = straight
		}
	case *image.YCbCr, *YUVImage:
		samples, ok := samplesOf(src)
		if !ok {
			has = readAny(line, src, x, y, w)
			break
		}
		samples.line(line, x, y, w, false)
		if samples.hasAlpha() {
			samples.alphaLine(line, x, y, w)
			has = straight
		}
	default:
		has = readAny(line, src, x, y, w)
	}
	if has == premultiplied && want == straight {
		unmultiply(line)
	}
	if has == straight && want == premultiplied {
		multiply(line)
	}
}

// putHigh fills a line with gray pixels. Their values are every second byte of pix.
func putHigh(line, pix []byte) {
	for i := 0; 4*i < len(line); i++ {
		v, p := pix[2*i], line[4*i:][:4]
		p[0], p[1], p[2], p[3] = v, v, v, 0xff
	}
}

// readAny reads a line of any image through its methods.
func readAny(line []byte, src image.Image, x, y, w int) alpha {
	deep, ok := src.(image.RGBA64Image)
	for i := range w {
		var c color.RGBA64
		if ok {
			c = deep.RGBA64At(x+i, y)
		} else {
			r, g, b, a := src.At(x+i, y).RGBA()
			c = color.RGBA64{uint16(r), uint16(g), uint16(b), uint16(a)}
		}
		p := line[4*i:][:4]
		p[0], p[1], p[2], p[3] = uint8(c.R>>8), uint8(c.G>>8), uint8(c.B>>8), uint8(c.A>>8)
	}
	return premultiplied
}
