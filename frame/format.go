package frame

import (
	"fmt"
	"strconv"

	"samepage/layout"
)

// Format is how the pixels lie in memory. The zero value is no format.
type Format uint32

// The formats.
const (
	Gray   = Format(layout.FrameGray)   // 1 byte a pixel
	Gray16 = Format(layout.FrameGray16) // 2 bytes a pixel, the less significant one first
	RGB    = Format(layout.FrameRGB)    // 3 bytes a pixel: red, green, blue
	BGR    = Format(layout.FrameBGR)    // 3 bytes a pixel: blue, green, red
	RGBA   = Format(layout.FrameRGBA)   // 4 bytes a pixel: red, green, blue, alpha; not premultiplied
	BGRA   = Format(layout.FrameBGRA)   // 4 bytes a pixel: blue, green, red, alpha; not premultiplied
	// NV12 has two planes: Y, then Cb and Cr in turn, one pair for each 2 by 2 pixels.
	NV12 = Format(layout.FrameNV12)
	// I420, also known as YUV420 planar, has three planes: Y, then Cb, then Cr, one sample
	// of each for each 2 by 2 pixels.
	I420 = Format(layout.FrameI420)
)

// Formats lists all formats.
func Formats() []Format {
	var all []Format
	for _, f := range layout.FrameFormats() {
		all = append(all, Format(f))
	}
	return all
}

// ParseFormat is the inverse of Format.String. Errors: ErrSpec.
func ParseFormat(s string) (Format, error) {
	var f Format
	if err := f.UnmarshalText([]byte(s)); err != nil {
		return 0, badSpec("format", strconv.Quote(s), fmt.Sprint("one of ", Formats()))
	}
	return f, nil
}

// Known says whether f is one of Formats.
func (f Format) Known() bool { return layout.FrameFormat(f).Known() }

// Planes is how many planes the format has: 1 to 3, or 0 for one that is not known.
func (f Format) Planes() int { return layout.FrameFormat(f).Planes() }

// Bits is how many bits a pixel takes on average, 0 for a format that is not known.
func (f Format) Bits() int { return layout.FrameFormat(f).Bits() }

// Plane is the shape of plane i of a picture of that many pixels: the bytes of a row
// without padding, and the number of rows. Both are 0 if the format has no such plane.
func (f Format) Plane(i, width, height int) (row, rows int) {
	return layout.FrameFormat(f).Plane(i, width, height)
}

// String is the name of the value.
func (f Format) String() string { return layout.FrameFormat(f).String() }

// MarshalText gives what String gives.
func (f Format) MarshalText() ([]byte, error) { return layout.FrameFormat(f).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (f *Format) UnmarshalText(b []byte) error { return (*layout.FrameFormat)(f).UnmarshalText(b) }

// Siting is where the colour samples of NV12 and I420 lie among the pixels that share them.
type Siting uint8

// The sitings.
const (
	SitingUnknown = Siting(layout.SitingUnknown)
	SitingCentre  = Siting(layout.SitingCentre) // in the middle of the four pixels, as in JPEG
	SitingLeft    = Siting(layout.SitingLeft)   // between the two left pixels, as in MPEG-2 and H.264
	// SitingPALDV is on the upper left pixel, with Cb and Cr on lines of their own, as in DV
	// video with 625 lines.
	SitingPALDV = Siting(layout.SitingPALDV)
)

// String is the name of the value.
func (s Siting) String() string { return layout.FrameSiting(s).String() }

// MarshalText gives what String gives.
func (s Siting) MarshalText() ([]byte, error) { return layout.FrameSiting(s).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (s *Siting) UnmarshalText(b []byte) error { return (*layout.FrameSiting)(s).UnmarshalText(b) }

// Range is which values the samples of NV12 and I420 take.
type Range uint8

// The ranges.
const (
	RangeUnknown = Range(layout.RangeUnknown)
	RangeFull    = Range(layout.RangeFull)    // 0 to 255, as in JPEG
	RangeLimited = Range(layout.RangeLimited) // Y from 16 to 235, Cb and Cr from 16 to 240, as in video
)

// String is the name of the value.
func (r Range) String() string { return layout.FrameRange(r).String() }

// MarshalText gives what String gives.
func (r Range) MarshalText() ([]byte, error) { return layout.FrameRange(r).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (r *Range) UnmarshalText(b []byte) error { return (*layout.FrameRange)(r).UnmarshalText(b) }

// Interlace is whether all lines of a frame were taken at one time.
type Interlace uint8

// The ways of interlacing.
const (
	InterlaceUnknown     = Interlace(layout.InterlaceUnknown)
	InterlaceNone        = Interlace(layout.InterlaceNone)        // all at one time: progressive
	InterlaceTopFirst    = Interlace(layout.InterlaceTopFirst)    // first the even lines, then the odd ones
	InterlaceBottomFirst = Interlace(layout.InterlaceBottomFirst) // first the odd lines, then the even ones
	InterlaceMixed       = Interlace(layout.InterlaceMixed)       // each frame of the stream says
)

// String is the name of the value.
func (i Interlace) String() string { return layout.FrameInterlace(i).String() }

// MarshalText gives what String gives.
func (i Interlace) MarshalText() ([]byte, error) { return layout.FrameInterlace(i).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (i *Interlace) UnmarshalText(b []byte) error {
	return (*layout.FrameInterlace)(i).UnmarshalText(b)
}
