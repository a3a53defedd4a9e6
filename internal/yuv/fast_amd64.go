package yuv

import "golang.org/x/sys/cpu"

// fast converts the first pixels of a line, a multiple of 32, and returns how many. dst has 4 bytes
// for each pixel of the line. Preconditions: Across is 0 or 1, Phase is 0.
func (c *coeffs) fast(dst []byte, l *Samples, swap bool) int {
	n := len(dst) / 4 &^ 31
	if n == 0 || !cpu.X86.HasAVX2 {
		return 0
	}
	// The assembly checks no bounds, so they are checked here.
	colours := (n>>l.Across-1)*l.Step + 1
	y, cb, cr := l.Y[:n], l.Cb[:colours], l.Cr[:colours]
	use := *c
	switch {
	case l.Step == 2 && l.Across == 1:
		// It reads Cb and Cr by pairs, from the first Cb to the last Cr.
		if &l.Cb[1] != &l.Cr[0] {
			return 0
		}
		alternating(&dst[0], &y[0], &cb[0], n, c, swap)
		return n
	case l.Step != 1:
		return 0
	case swap:
		cb, cr = cr, cb
		use.rv, use.bu, use.gu, use.gv = c.bu, c.rv, c.gv, c.gu
	}
	if l.Across == 1 {
		halved(&dst[0], &y[0], &cb[0], &cr[0], n, &use)
	} else {
		whole(&dst[0], &y[0], &cb[0], &cr[0], n, &use)
	}
	return n
}

// Each of these converts n pixels, a positive multiple of 32. halved and alternating read a colour
// sample for two pixels, whole one for each pixel.

//go:noescape
func halved(dst, y, cb, cr *byte, n int, c *coeffs)

//go:noescape
func whole(dst, y, cb, cr *byte, n int, c *coeffs)

//go:noescape
func alternating(dst, y, colours *byte, n int, c *coeffs, swap bool)
