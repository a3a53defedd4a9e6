// Package yuv converts lines of pixels between Y, Cb, Cr and red, green, blue.
//
// Lines of red, green and blue have four bytes a pixel, with alpha. Colour samples are not
// interpolated: each of them stands for all pixels that share it. With 8 bits a sample, every
// processor gives the same results. They differ from those of exact arithmetic by at most 1.
package yuv

import (
	"encoding/binary"
	"math"
	"sync"

	"samepage/layout"
)

// Space is how Y, Cb and Cr stand for red, green and blue. Its methods may be called concurrently.
type Space struct {
	depth int

	// From samples to colours. A colour is (y*(Y-yZero) + ...) >> fraction, from 0 to 255.
	yZero, cZero      int64
	y, rv, gu, gv, bu int64

	// From colours to samples. Luma is (Y[0]*red + Y[1]*green + Y[2]*blue + yAdd) >> fraction.
	toY, toCb, toCr [3]int64
	yAdd, cAdd      int64
	top             int64 // the largest sample

	// The same for 8 bits, with fewer bits behind the point.
	small  coeffs
	tables *tables // nil with more than 8 bits
	to8    [3][3]int32
	yAdd8  int32
	cAdd8  int32
}

const (
	fraction  = 32
	fraction8 = 16
)

// For returns the space of samples of that many bits: 8 to 16. An unknown matrix is BT.601, and an
// unknown range the limited one, as in ffmpeg. For allocates nothing after the first call with the
// same arguments.
func For(m layout.FrameMatrix, r layout.FrameRange, depth int) *Space {
	if m < layout.MatrixBT601 || m > layout.MatrixBT2020 {
		m = layout.MatrixBT601
	}
	full := 0
	if r == layout.RangeFull {
		full = 1
	}
	return spaces[m-layout.MatrixBT601][full][depth-8]()
}

var spaces = func() (all [3][2][9]func() *Space) {
	for m := range all {
		for full := range all[m] {
			for d := range all[m][full] {
				all[m][full][d] = sync.OnceValue(func() *Space { return newSpace(weights[m], full == 1, d+8) })
			}
		}
	}
	return all
}()

// weights are the parts of red and blue in luma, by matrix.
var weights = [3][2]float64{{0.299, 0.114}, {0.2126, 0.0722}, {0.2627, 0.0593}}

func newSpace(w [2]float64, full bool, depth int) *Space {
	kr, kb := w[0], w[1]
	kg := 1 - kr - kb
	unit := float64(int(1) << (depth - 8))
	s := &Space{depth: depth, cZero: 128 << (depth - 8), top: 1<<depth - 1}
	ySpan, cSpan := float64(s.top), float64(s.top) // the samples from black to white, from one end of a colour to the other
	if !full {
		s.yZero = 16 << (depth - 8)
		ySpan, cSpan = 219*unit, 224*unit
	}
	fixed := func(v float64, bits int) int64 { return int64(math.Round(v * float64(int64(1)<<bits))) }
	// How much one step of a sample changes a colour of 0 to 255.
	y, rv, bu := 255/ySpan, 2*(1-kr)*255/cSpan, 2*(1-kb)*255/cSpan
	gu, gv := -bu*kb/kg, -rv*kr/kg
	s.y, s.rv, s.bu = fixed(y, fraction), fixed(rv, fraction), fixed(bu, fraction)
	s.gu, s.gv = fixed(gu, fraction), fixed(gv, fraction)

	ys, cs := ySpan/255, cSpan/255
	back := [3][3]float64{
		{kr * ys, kg * ys, kb * ys},
		{-kr / (1 - kb) / 2 * cs, -kg / (1 - kb) / 2 * cs, cs / 2},
		{cs / 2, -kg / (1 - kr) / 2 * cs, -kb / (1 - kr) / 2 * cs},
	}
	for i, to := range []*[3]int64{&s.toY, &s.toCb, &s.toCr} {
		for k, v := range back[i] {
			to[k] = fixed(v, fraction)
			s.to8[i][k] = int32(fixed(v, fraction8))
		}
	}
	// Green gets what rounding left over, so that gray has no colour.
	for i, to := range []*[3]int64{&s.toCb, &s.toCr} {
		to[1] = -to[0] - to[2]
		s.to8[i+1][1] = -s.to8[i+1][0] - s.to8[i+1][2]
	}
	s.yAdd, s.cAdd = s.yZero<<fraction+1<<(fraction-1), s.cZero<<fraction+1<<(fraction-1)
	s.yAdd8, s.cAdd8 = int32(s.yZero<<fraction8+1<<(fraction8-1)), int32(s.cZero<<fraction8+1<<(fraction8-1))
	if depth == 8 {
		s.small = coeffs{
			y: int16(fixed(y, 14)), yAdd: int16(32 - fixed(y*float64(s.yZero), 6)),
			rv: int16(fixed(rv, 13)), gu: int16(fixed(gu, 13)), gv: int16(fixed(gv, 13)), bu: int16(fixed(bu, 13)),
		}
		s.tables = s.small.tables()
	}
	return s
}

// RGB returns the colour of a pixel, whose samples have 8 bits.
func (s *Space) RGB(y, cb, cr uint8) (r, g, b uint8) {
	t := s.tables
	l := int32(t.y[y])
	return clamp(l + int32(t.rv[cr])), clamp(l + int32(t.gu[cb]) + int32(t.gv[cr])), clamp(l + int32(t.bu[cb]))
}

// RGB16 returns the colour of a pixel with 16 bits a component.
func (s *Space) RGB16(y, cb, cr uint16) (r, g, b uint16) {
	l, u, v := s.y*(int64(y)-s.yZero), int64(cb)-s.cZero, int64(cr)-s.cZero
	deep := func(c int64) uint16 {
		return uint16(min(max((c*0x101+1<<(fraction-1))>>fraction, 0), 0xffff))
	}
	return deep(l + s.rv*v), deep(l + s.gu*u + s.gv*v), deep(l + s.bu*u)
}

// Samples is a line of samples.
type Samples struct {
	Y, Cb, Cr []byte
	Step      int // bytes from a colour sample to the next: 2 if Cb and Cr alternate, else those of a sample
	Across    int // binary logarithm of the number of pixels that share a colour sample
	Phase     int // so many of these pixels are to the left of the line
}

// Line converts n pixels to n*4 bytes of red, green, blue and opaque alpha. With swap, blue comes
// first and red third. Preconditions: Y has a sample for each pixel; Cb and Cr have those that
// the pixels share.
func (s *Space) Line(dst []byte, from *Samples, n int, swap bool) {
	if s.depth > 8 {
		s.deepLine(dst[:4*n], from, swap)
		return
	}
	done := 0
	if l := *from; l.Across <= 1 && n >= 32+l.Phase {
		if l.Phase > 0 { // the pixel before the first whole pair
			s.tables.line(dst[:4], from, swap)
			done, l.Y, l.Cb, l.Cr = 1, l.Y[1:], l.Cb[l.Step:], l.Cr[l.Step:]
		}
		done += s.small.fast(dst[4*done:4*n], &l, swap)
	}
	if done < n {
		rest := *from
		rest.Y, rest.Phase = rest.Y[done:], rest.Phase+done
		skip := rest.Phase >> rest.Across * rest.Step
		rest.Cb, rest.Cr, rest.Phase = rest.Cb[skip:], rest.Cr[skip:], rest.Phase&(1<<rest.Across-1)
		s.tables.line(dst[4*done:4*n], &rest, swap)
	}
}

func (s *Space) deepLine(dst []byte, l *Samples, swap bool) {
	first := 0
	if swap {
		first = 2
	}
	at := func(b []byte, i int) int64 { return int64(b[i]) | int64(b[i+1])<<8 }
	small := func(c int64) uint8 { return uint8(min(max(c>>fraction, 0), 255)) }
	for i, c, left := 0, 0, 1<<l.Across-l.Phase; len(dst) >= 4; i, left = i+2, left-1 {
		if left == 0 {
			c, left = c+l.Step, 1<<l.Across
		}
		y := s.y*(at(l.Y, i)-s.yZero) + 1<<(fraction-1)
		u, v := at(l.Cb, c)-s.cZero, at(l.Cr, c)-s.cZero
		p := dst[:4]
		p[first], p[1], p[2-first], p[3] = small(y+s.rv*v), small(y+s.gu*u+s.gv*v), small(y+s.bu*u), 0xff
		dst = dst[4:]
	}
}

// tables have what a sample adds to a colour, in 1/64.
type tables struct{ y, rv, gu, gv, bu [256]int16 }

// coeffs are how much a step of a sample changes a colour. y has 14 bits behind the point, the
// others have 13. yAdd is added to the 1/64 that Y gives. yuv_amd64.s knows the order.
type coeffs struct{ y, yAdd, rv, bu, gv, gu int16 }

// tables computes what the instruction VPMULHRSW gives.
func (c *coeffs) tables() *tables {
	t := &tables{}
	high := func(a int, b int16) int16 { return int16((a*int(b) + 1<<14) >> 15) }
	for i := range 256 {
		t.y[i] = high(i<<7, c.y) + c.yAdd
		k := (i - 128) << 8
		t.rv[i], t.gu[i], t.gv[i], t.bu[i] = high(k, c.rv), high(k, c.gu), high(k, c.gv), high(k, c.bu)
	}
	return t
}

// line fills dst.
func (t *tables) line(dst []byte, l *Samples, swap bool) {
	first := 0
	if swap {
		first = 16
	}
	third := 16 - first
	ys := l.Y[:len(dst)/4]
	n := 1<<l.Across - l.Phase // pixels of this colour
	for c := 0; len(ys) > 0; c += l.Step {
		u, v := l.Cb[c], l.Cr[c]
		r, g, b := int32(t.rv[v]), int32(t.gu[u])+int32(t.gv[v]), int32(t.bu[u])
		n = min(n, len(ys))
		for _, y := range ys[:n] {
			y := int32(t.y[y])
			binary.LittleEndian.PutUint32(dst, 0xff<<24|uint32(clamp(y+r))<<first|uint32(clamp(y+g))<<8|uint32(clamp(y+b))<<third)
			dst = dst[4:]
		}
		ys, n = ys[n:], 1<<l.Across
	}
}

// clamp returns the integer part of v, which counts 1/64, limited to 0 to 255.
func clamp(v int32) uint8 {
	if uint32(v)>>14 == 0 {
		return uint8(v >> 6)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}
