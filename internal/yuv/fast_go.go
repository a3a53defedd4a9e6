//go:build !amd64

package yuv

// fast converts no pixel.
func (c *coeffs) fast([]byte, *Samples, bool) int { return 0 }
