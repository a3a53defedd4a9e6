package yuv

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"samepage/layout"
)

var matrices = []layout.FrameMatrix{layout.MatrixBT601, layout.MatrixBT709, layout.MatrixBT2020}

// exact is a space with floating point numbers: the parts of a colour from 0 to 1.
type exact struct{ kr, kb, yZero, ySpan, cZero, cSpan float64 }

func exactly(m layout.FrameMatrix, r layout.FrameRange, depth int) exact {
	w := map[layout.FrameMatrix][2]float64{layout.MatrixBT601: {.299, .114}, layout.MatrixBT709: {.2126, .0722}, layout.MatrixBT2020: {.2627, .0593}}[m]
	unit := math.Exp2(float64(depth - 8))
	if r == layout.RangeFull {
		return exact{w[0], w[1], 0, 256*unit - 1, 128 * unit, 256*unit - 1}
	}
	return exact{w[0], w[1], 16 * unit, 219 * unit, 128 * unit, 224 * unit}
}

func (e exact) rgb(y, cb, cr int) (c [3]float64) {
	l, u, v := (float64(y)-e.yZero)/e.ySpan, (float64(cb)-e.cZero)/e.cSpan, (float64(cr)-e.cZero)/e.cSpan
	c[0], c[2] = l+2*(1-e.kr)*v, l+2*(1-e.kb)*u
	c[1] = (l - e.kr*c[0] - e.kb*c[2]) / (1 - e.kr - e.kb)
	for i := range c {
		c[i] = min(max(c[i], 0), 1)
	}
	return c
}

func (e exact) samples(r, g, b float64) (c [3]float64) {
	l := e.kr*r + (1-e.kr-e.kb)*g + e.kb*b
	return [3]float64{l*e.ySpan + e.yZero, (b-l)/2/(1-e.kb)*e.cSpan + e.cZero, (r-l)/2/(1-e.kr)*e.cSpan + e.cZero}
}

// off is how far v is from what is exact.
func off(v, exact float64) float64 { return math.Abs(v - exact) }

// Colours of 8 and 16 bits are those of exact arithmetic, at most a little more than the rounding
// away. 0.55 of a step still means that a result is at most 1 from the exact one rounded.
func TestExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, m := range matrices {
		for _, r := range []layout.FrameRange{layout.RangeFull, layout.RangeLimited} {
			s, e, worst := For(m, r, 8), exactly(m, r, 8), 0.0
			for v := 0; v < 1<<24; v += 1 + rnd.IntN(100) {
				y, cb, cr := v&255, v>>8&255, v>>16
				red, green, blue := s.RGB(uint8(y), uint8(cb), uint8(cr))
				want := e.rgb(y, cb, cr)
				worst = max(worst, off(float64(red), want[0]*255), off(float64(green), want[1]*255), off(float64(blue), want[2]*255))
			}
			if worst > 0.55 {
				t.Errorf("%v, %v: off by %v", m, r, worst)
			}
			for _, depth := range []int{9, 10, 12, 14, 16} {
				s, e, worst, worst8 := For(m, r, depth), exactly(m, r, depth), 0.0, 0.0
				for range 20_000 {
					y, cb, cr := rnd.IntN(1<<depth), rnd.IntN(1<<depth), rnd.IntN(1<<depth)
					red, green, blue := s.RGB16(uint16(y), uint16(cb), uint16(cr))
					want := e.rgb(y, cb, cr)
					worst = max(worst, off(float64(red), want[0]*65535), off(float64(green), want[1]*65535), off(float64(blue), want[2]*65535))
					word := func(v int) []byte { return []byte{byte(v), byte(v >> 8)} }
					var line [4]byte
					s.Line(line[:], &Samples{Y: word(y), Cb: word(cb), Cr: word(cr), Step: 2}, 1, false)
					worst8 = max(worst8, off(float64(line[0]), want[0]*255), off(float64(line[1]), want[1]*255), off(float64(line[2]), want[2]*255))
				}
				if worst > 0.7 || worst8 > 0.51 {
					t.Errorf("%v, %v, %d bits: off by %v of 65535, %v of 255", m, r, depth, worst, worst8)
				}
			}
		}
	}
	for _, same := range [][2]*Space{
		{For(layout.MatrixUnknown, layout.RangeFull, 8), For(layout.MatrixBT601, layout.RangeFull, 8)},
		{For(99, layout.RangeUnknown, 10), For(layout.MatrixBT601, layout.RangeLimited, 10)},
	} {
		if same[0] != same[1] {
			t.Error("what is unknown is not BT.601 with the limited range")
		}
	}
}

// Samples made of colours are those of exact arithmetic, and gray has no colour.
func TestExactSamples(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, m := range matrices {
		for _, r := range []layout.FrameRange{layout.RangeFull, layout.RangeLimited} {
			for _, depth := range []int{8, 9, 10, 12, 14, 16} {
				s, e := For(m, r, depth), exactly(m, r, depth)
				top := math.Exp2(float64(depth)) - 1
				for i := range 20_000 {
					c := [4]byte{byte(rnd.Uint32()), byte(rnd.Uint32()), byte(rnd.Uint32()), 0xff}
					if i < 256 {
						c = [4]byte{byte(i), byte(i), byte(i), 0xff}
					}
					if i < 256+8 && i >= 256 {
						c = [4]byte{byte(i & 1 * 255), byte(i >> 1 & 1 * 255), byte(i >> 2 & 1 * 255), 0xff}
					}
					want := e.samples(float64(c[0])/255, float64(c[1])/255, float64(c[2])/255)
					got := samplesOf(s, c)
					for k := range got {
						if off(float64(got[k]), min(want[k], top)) > 0.51 {
							t.Fatalf("%v, %v, %d bits: %v is %v, want %v", m, r, depth, c, got, want)
						}
					}
					if i < 256 && (got[1] != 128<<(depth-8) || got[2] != got[1]) {
						t.Fatalf("%v, %v, %d bits: gray %d has the colours %v", m, r, depth, i, got)
					}
				}
			}
		}
	}
}

// samplesOf is Y, Cb and Cr of a pixel.
func samplesOf(s *Space, c [4]byte) (got [3]int) {
	var b [3][2]byte
	n := 1
	if s.depth > 8 {
		n = 2
	}
	s.PutY(b[0][:n], c[:])
	s.PutColours(b[1][:n], b[2][:n], n, c[:], c[:], 0)
	for k := range got {
		got[k] = int(b[k][0]) | int(b[k][1])<<8
	}
	return got
}

// All ways to convert a line give the same bytes, for lines of every length from every place on,
// and write nothing else.
func TestLines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
			if rnd.IntN(8) == 0 { // the ends are where values are limited
				b[i] = byte(rnd.IntN(2) * 255)
			}
		}
		return b
	}
	for n := 1; n < 140; n++ {
		for _, across := range []int{0, 1, 2} {
			for phase := range 1 << across {
				for _, step := range []int{1, 2} {
					for _, swap := range []bool{false, true} {
						s := For(matrices[rnd.IntN(3)], layout.FrameRange(1+rnd.IntN(2)), 8)
						colours := (n+phase-1)>>across + 1
						l := &Samples{Y: random(n), Cb: random(colours * step), Step: step, Across: across, Phase: phase}
						l.Cr = random(colours)
						if step == 2 {
							l.Cr = l.Cb[1:]
						}
						got, want := make([]byte, 4*n+8), make([]byte, 4*n+8)
						s.Line(got, l, n, swap)
						for x := range n {
							c := (x + phase) >> across * step
							p := want[4*x:]
							p[0], p[1], p[2] = s.RGB(l.Y[x], l.Cb[c], l.Cr[c])
							if p[3] = 255; swap {
								p[0], p[2] = p[2], p[0]
							}
						}
						if !bytes.Equal(got, want) {
							t.Fatalf("%d pixels, across %d, phase %d, step %d, swap %v:\n%v\n%v", n, across, phase, step, swap, got, want)
						}
					}
				}
			}
		}
	}
}

func BenchmarkLine(b *testing.B) {
	const w, h = 1920, 1080
	plane := make([]byte, w*h*3)
	for i := range plane {
		plane[i] = byte(i * 7)
	}
	dst := make([]byte, w*h*4)
	s := For(layout.MatrixBT709, layout.RangeLimited, 8)
	for _, c := range []struct {
		name         string
		across, step int
		swap, slow   bool
	}{{"I420", 1, 1, false, false}, {"I420-swap", 1, 1, true, false}, {"NV12", 1, 2, false, false}, {"I444", 0, 1, false, false}, {"I420-Go", 1, 1, false, true}} {
		b.Run(fmt.Sprint(c.name), func(b *testing.B) {
			b.SetBytes(w * h)
			for b.Loop() {
				for y := range h {
					l := &Samples{Y: plane[y*w:], Step: c.step, Across: c.across}
					l.Cb = plane[w*h+y>>1*w:]
					l.Cr = l.Cb[1:]
					if c.step == 1 {
						l.Cr = l.Cb[w*h/2:]
					}
					if c.slow {
						s.tables.line(dst[y*w*4:][:w*4], l, c.swap)
					} else {
						s.Line(dst[y*w*4:], l, w, c.swap)
					}
				}
			}
		})
	}
}
