package frame

// The loops of Draw work on one line at a time: four bytes a pixel, red first. They compute the
// same values as package image/color. Slice expressions such as [:4] spare the bounds checks of
// the accesses after them.

// multiply multiplies the colours with alpha.
func multiply(line []byte) {
	for ; len(line) >= 4; line = line[4:] {
		if a := uint32(line[3]); a != 0xff {
			for i := range 3 {
				line[i] = uint8(uint32(line[i]) * 0x101 * a / 0xff >> 8)
			}
		}
	}
}

// unmultiply divides the colours by alpha.
func unmultiply(line []byte) {
	for ; len(line) >= 4; line = line[4:] {
		switch a := uint32(line[3]) * 0x101; a {
		case 0xffff:
		case 0:
			line[0], line[1], line[2] = 0, 0, 0
		default:
			for i := range 3 {
				line[i] = uint8(uint32(line[i]) * 0x101 * 0xffff / a >> 8)
			}
		}
	}
}

func putGray(dst, line []byte) {
	dst = dst[:len(line)/4]
	for i := range dst {
		p := line[4*i:][:4]
		dst[i] = uint8(luma(uint32(p[0])*0x101, uint32(p[1])*0x101, uint32(p[2])*0x101) >> 24)
	}
}

func putGray16(dst, line []byte) {
	for len(line) >= 4 && len(dst) >= 2 {
		y := luma(uint32(line[0])*0x101, uint32(line[1])*0x101, uint32(line[2])*0x101) >> 16
		dst[0], dst[1] = uint8(y), uint8(y>>8)
		dst, line = dst[2:], line[4:]
	}
}

// putPacked writes a line as pixels of a format. Precondition: f is RGB, BGR or BGRA.
func putPacked(dst, line []byte, f Format) {
	switch f {
	case RGB:
		for len(line) >= 4 && len(dst) >= 3 {
			dst[0], dst[1], dst[2] = line[0], line[1], line[2]
			dst, line = dst[3:], line[4:]
		}
	case BGR:
		for len(line) >= 4 && len(dst) >= 3 {
			dst[0], dst[1], dst[2] = line[2], line[1], line[0]
			dst, line = dst[3:], line[4:]
		}
	case BGRA:
		for len(line) >= 4 && len(dst) >= 4 {
			dst[0], dst[1], dst[2], dst[3] = line[2], line[1], line[0], line[3]
			dst, line = dst[4:], line[4:]
		}
	}
}

// getPacked fills a line with pixels of a format.
func getPacked(line, src []byte, f Format) {
	switch f {
	case RGB:
		for len(line) >= 4 && len(src) >= 3 {
			line[0], line[1], line[2], line[3] = src[0], src[1], src[2], 0xff
			src, line = src[3:], line[4:]
		}
	case BGR:
		for len(line) >= 4 && len(src) >= 3 {
			line[0], line[1], line[2], line[3] = src[2], src[1], src[0], 0xff
			src, line = src[3:], line[4:]
		}
	case RGBA:
		copy(line, src)
	case BGRA:
		for len(line) >= 4 && len(src) >= 4 {
			line[0], line[1], line[2], line[3] = src[2], src[1], src[0], src[3]
			src, line = src[4:], line[4:]
		}
	}
}

// getYCbCr fills a line with pixels of ys. Colour samples are step bytes apart. Each belongs to
// 1<<shift pixels, but the first one only to 1<<shift - phase pixels.
func getYCbCr(line, ys, cb, cr []byte, step, phase, shift int) {
	n := 1<<shift - phase // pixels of this colour
	for c := 0; len(ys) > 0; c += step {
		u, v := int32(cb[c])-128, int32(cr[c])-128
		r, g, b := 91881*v, -22554*u-46802*v, 116130*u
		n = min(n, len(ys))
		for _, y := range ys[:n] {
			y := int32(y) * 0x10101 // 0 to 255 with 16 fractional bits
			p := line[:4]
			p[0], p[1], p[2], p[3] = clamp(y+r), clamp(y+g), clamp(y+b), 0xff
			line = line[4:]
		}
		ys, n = ys[n:], 1<<shift
	}
}

// clamp returns the integer part of v, limited to 0 to 255. v has 16 fractional bits.
func clamp(v int32) uint8 {
	if uint32(v)>>24 == 0 {
		return uint8(v >> 16)
	}
	return uint8(^(v >> 31)) // 0 below, 255 above
}

// put420 writes line as line y of an NV12 or I420 frame and, if both is true, pair as line y+1.
// Each colour sample is the mean of four pixels, or at an odd edge of the pixels that exist.
// Preconditions: y is even; if both is false, pair is line.
func put420(dst *Frame, y int, line, pair []byte, both bool) {
	ys, ystride := dst.Pix(0), dst.Stride(0)
	putY(ys[y*ystride:], line)
	if both {
		putY(ys[(y+1)*ystride:], pair)
	}
	cb, cr, step := dst.Pix(1)[y/2*dst.Stride(1):], []byte(nil), 2
	if dst.Format() == I420 {
		cr, step = dst.Pix(2)[y/2*dst.Stride(2):], 1
	} else {
		cr = cb[1:]
	}
	for c := 0; len(line) > 0; c += step {
		right := min(4, len(line)-4) // 0 at an odd edge
		p, q, s, t := line[:3], line[right:][:3], pair[:3], pair[right:][:3]
		r := (int32(p[0]) + int32(q[0]) + int32(s[0]) + int32(t[0]) + 2) >> 2
		g := (int32(p[1]) + int32(q[1]) + int32(s[1]) + int32(t[1]) + 2) >> 2
		b := (int32(p[2]) + int32(q[2]) + int32(s[2]) + int32(t[2]) + 2) >> 2
		cb[c] = clamp(-11056*r - 21712*g + 32768*b + 257<<15)
		cr[c] = clamp(32768*r - 27440*g - 5328*b + 257<<15)
		line, pair = line[right+4:], pair[right+4:]
	}
}

// putY writes the Y of a line.
func putY(dst, line []byte) {
	dst = dst[:len(line)/4]
	for i := range dst {
		p := line[4*i:][:4]
		dst[i] = uint8(luma(uint32(p[0]), uint32(p[1]), uint32(p[2])) >> 16)
	}
}
