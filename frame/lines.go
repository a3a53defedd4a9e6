package frame

// The loops of Draw work on one line at a time: four bytes a pixel, red first. They compute the
// same values as package image/color. Those for Y, Cb and Cr are in internal/yuv. Slice
// expressions such as [:4] spare the bounds checks of the accesses after them.

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

// putGray16 writes gray of that many bits.
func putGray16(dst, line []byte, depth int) {
	for len(line) >= 4 && len(dst) >= 2 {
		y := flatten(uint16(luma(uint32(line[0])*0x101, uint32(line[1])*0x101, uint32(line[2])*0x101)>>16), depth)
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
