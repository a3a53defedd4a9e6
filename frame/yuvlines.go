package frame

import (
	"image"

	"samepage/internal/yuv"
	"samepage/layout"
)

// samples are the samples of an image with Y, Cb and Cr.
type samples struct {
	YUVImage     // Format is 0 if no format has these samples
	space        *yuv.Space
	depth        int
	across, down int     // as sharing
	flat         [2]byte // a colour sample of gray
}

// samplesOf returns the samples of an image. It returns false if the image has none, or if Draw
// reads it through its methods.
func samplesOf(src image.Image) (s samples, ok bool) {
	switch p := src.(type) {
	case *YUVImage:
		s.YUVImage, s.depth = *p, p.Format.Depth()
		s.across, s.down = p.sharing()
	case *image.YCbCr:
		if !readable(src) {
			return s, false
		}
		s.YUVImage = YUVImage{
			Range: RangeFull, Matrix: MatrixBT601, Y: p.Y, Cb: p.Cb, Cr: p.Cr, YStride: p.YStride, CStride: p.CStride, Rect: p.Rect,
		}
		s.depth = 8
		switch p.SubsampleRatio {
		case image.YCbCrSubsampleRatio444:
			s.Format = I444
		case image.YCbCrSubsampleRatio422:
			s.Format, s.across = I422, 1
		case image.YCbCrSubsampleRatio420:
			s.Format, s.across, s.down = I420, 1, 1
		case image.YCbCrSubsampleRatio411:
			s.Format, s.across = I411, 2
		case image.YCbCrSubsampleRatio440:
			s.down = 1
		case image.YCbCrSubsampleRatio410:
			s.across, s.down = 2, 1
		}
	default:
		return s, false
	}
	if s.depth == 0 { // the image of a frame that is empty now
		return s, false
	}
	s.space = yuv.For(layout.FrameMatrix(s.Matrix), layout.FrameRange(s.Range), s.depth)
	half := 1 << (s.depth - 1)
	s.flat = [2]byte{byte(half), byte(half >> 8)}
	return s, true
}

// unit is the bytes of a sample.
func (s *samples) unit() int { return (s.depth + 7) / 8 }

// step is the bytes from a colour sample to the next.
func (s *samples) step() int {
	if s.Format == NV12 {
		return 2
	}
	return s.unit()
}

// yFrom returns the samples Y from a pixel on.
func (s *samples) yFrom(x, y int) []byte {
	return s.Y[(y-s.Rect.Min.Y)*s.YStride+(x-s.Rect.Min.X)*s.unit():]
}

// aFrom returns the alpha from a pixel on.
func (s *samples) aFrom(x, y int) []byte {
	return s.A[(y-s.Rect.Min.Y)*s.AStride+(x-s.Rect.Min.X)*s.unit():]
}

// cOffset returns the index in Cb and Cr of the first byte of the samples of a pixel.
func (s *samples) cOffset(x, y int) int {
	return (y>>s.down-s.Rect.Min.Y>>s.down)*s.CStride + (x>>s.across-s.Rect.Min.X>>s.across)*s.step()
}

func (s *samples) hasAlpha() bool { return s.A != nil }

// line converts w pixels from (x, y) on. With swap, blue comes first.
func (s *samples) line(dst []byte, x, y, w int, swap bool) {
	c := s.cOffset(x, y)
	s.space.Line(dst, &yuv.Samples{
		Y: s.yFrom(x, y), Cb: s.Cb[c:], Cr: s.Cr[c:], Step: s.step(), Across: s.across, Phase: x & (1<<s.across - 1),
	}, w, swap)
}

// grayLine is line without colour.
func (s *samples) grayLine(dst []byte, x, y, w int) {
	s.space.Line(dst, &yuv.Samples{Y: s.yFrom(x, y), Cb: s.flat[:], Cr: s.flat[:]}, w, false)
}

// alphaLine sets the alpha of a line.
func (s *samples) alphaLine(dst []byte, x, y, w int) {
	a := s.aFrom(x, y)
	for i := range w {
		if s.depth == 8 {
			dst[4*i+3] = a[i]
		} else {
			dst[4*i+3] = uint8(deepen(uint32(a[2*i])|uint32(a[2*i+1])<<8, s.depth) >> 8)
		}
	}
}

// copyTo copies the samples of w x h pixels from at on, if dst has the same ones.
func (s *samples) copyTo(dst *Frame, at image.Point, w, h int) bool {
	d := &dst.yuv
	if dst.Format() == Gray && s.depth == 8 && s.Range == RangeFull {
		return copyLines(dst.Pix(0), dst.Stride(0), s.yFrom(at.X, at.Y), s.YStride, w, h)
	}
	same := d.Format == s.Format || d.Format == NV12 && s.Format == I420 || d.Format == I420 && s.Format == NV12
	if !same || !d.Format.yuv() || d.space() != s.space || at.X&(1<<s.across-1) != 0 || at.Y&(1<<s.down-1) != 0 {
		return false
	}
	cw, ch, c := (w+1<<s.across-1)>>s.across, (h+1<<s.down-1)>>s.down, s.cOffset(at.X, at.Y)
	switch cb, cr := s.Cb[c:], s.Cr[c:]; {
	case d.Format == NV12 && s.Format == NV12:
		copyLines(d.Cb, d.CStride, cb, s.CStride, 2*cw, ch)
	case d.Format == NV12:
		for y := range ch {
			d, cb, cr := d.Cb[y*d.CStride:][:2*cw], cb[y*s.CStride:][:cw], cr[y*s.CStride:][:cw]
			for i := range cb {
				d[2*i], d[2*i+1] = cb[i], cr[i]
			}
		}
	case s.Format == NV12:
		for y := range ch {
			cb, cr, c := d.Cb[y*d.CStride:][:cw], d.Cr[y*d.CStride:][:cw], cb[y*s.CStride:][:2*cw]
			for i := range cb {
				cb[i], cr[i] = c[2*i], c[2*i+1]
			}
		}
	default:
		copyLines(d.Cb, d.CStride, cb, s.CStride, cw*s.unit(), ch)
		copyLines(d.Cr, d.CStride, cr, s.CStride, cw*s.unit(), ch)
	}
	if s.hasAlpha() {
		copyLines(d.A, d.AStride, s.aFrom(at.X, at.Y), s.AStride, w*s.unit(), h)
	}
	return copyLines(d.Y, d.YStride, s.yFrom(at.X, at.Y), s.YStride, w*s.unit(), h)
}

// put writes line as line y of the image and, if both is true, pair as line y+1. Preconditions: y
// is the upper one of the lines that share colour samples; if both is false, pair is line.
func (p *YUVImage) put(y int, line, pair []byte, both bool) {
	s, n := p.space(), len(line)/4*p.unit()
	s.PutY(p.Y[y*p.YStride:][:n], line)
	if both {
		s.PutY(p.Y[(y+1)*p.YStride:][:n], pair)
	}
	across, down := p.sharing()
	c := y >> down * p.CStride
	s.PutColours(p.Cb[c:], p.Cr[c:], p.step(), line, pair, across)
	if p.A == nil {
		return
	}
	a, depth := p.A[y*p.AStride:], p.Format.Depth()
	for i := 0; 4*i < len(line); i++ {
		if v := line[4*i+3]; depth == 8 {
			a[i] = v
		} else {
			v := flatten(uint16(v)*0x101, depth)
			a[2*i], a[2*i+1] = uint8(v), uint8(v>>8)
		}
	}
}
