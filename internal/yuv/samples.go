package yuv

import "encoding/binary"

// PutY writes the luma of a line of pixels, which have four bytes each, red first.
func (s *Space) PutY(dst, line []byte) {
	if s.depth > 8 {
		for c := &s.toY; len(line) >= 4 && len(dst) >= 2; dst, line = dst[2:], line[4:] {
			y := (c[0]*int64(line[0]) + c[1]*int64(line[1]) + c[2]*int64(line[2]) + s.yAdd) >> fraction
			binary.LittleEndian.PutUint16(dst, uint16(y))
		}
		return
	}
	r, g, b, add := s.to8[0][0], s.to8[0][1], s.to8[0][2], s.yAdd8
	dst = dst[:len(line)/4]
	for i := range dst {
		p := line[4*i:][:4]
		dst[i] = uint8((r*int32(p[0]) + g*int32(p[1]) + b*int32(p[2]) + add) >> fraction8)
	}
}

// PutColours writes the colour samples that the pixels of line and pair share, step bytes apart in
// each of cb and cr. line and pair are the same line, or two lines of the same length. 1<<across
// pixels of a line share a sample, at the right end perhaps fewer. A sample is that of the mean of
// its pixels.
func (s *Space) PutColours(cb, cr []byte, step int, line, pair []byte, across int) {
	if s.depth == 8 && across == 1 {
		s.putColours8(cb, cr, step, line, pair)
		return
	}
	for at := 0; len(line) >= 4; at += step {
		n := min(4<<across, len(line))
		var sum [3]int64
		for i := 0; i+4 <= n; i += 4 {
			p, q := line[i:][:4], pair[i:][:4]
			for k := range sum {
				sum[k] += int64(p[k]) + int64(q[k])
			}
		}
		u, v := s.colour(&s.toCb, &sum, int64(n/2)), s.colour(&s.toCr, &sum, int64(n/2))
		if s.depth > 8 {
			binary.LittleEndian.PutUint16(cb[at:], uint16(u))
			binary.LittleEndian.PutUint16(cr[at:], uint16(v))
		} else {
			cb[at], cr[at] = uint8(u), uint8(v)
		}
		line, pair = line[n:], pair[n:]
	}
}

// colour returns a colour sample of the mean of n pixels.
func (s *Space) colour(to, sum *[3]int64, n int64) int64 {
	return min((to[0]*sum[0]+to[1]*sum[1]+to[2]*sum[2]+n*s.cAdd)/n>>fraction, s.top)
}

// putColours8 is PutColours for 8 bits a sample and pairs of pixels.
func (s *Space) putColours8(cb, cr []byte, step int, line, pair []byte) {
	ur, ug, ub := s.to8[1][0], s.to8[1][1], s.to8[1][2]
	vr, vg, vb := s.to8[2][0], s.to8[2][1], s.to8[2][2]
	add := 4 * s.cAdd8
	for at := 0; len(line) >= 4; at += step {
		right := min(4, len(line)-4) // 0 at an odd edge
		p, q, t, w := line[:3], line[right:][:3], pair[:3], pair[right:][:3]
		r := int32(p[0]) + int32(q[0]) + int32(t[0]) + int32(w[0])
		g := int32(p[1]) + int32(q[1]) + int32(t[1]) + int32(w[1])
		b := int32(p[2]) + int32(q[2]) + int32(t[2]) + int32(w[2])
		cb[at] = uint8(min((ur*r+ug*g+ub*b+add)>>(fraction8+2), 255))
		cr[at] = uint8(min((vr*r+vg*g+vb*b+add)>>(fraction8+2), 255))
		line, pair = line[right+4:], pair[right+4:]
	}
}
