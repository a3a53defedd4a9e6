package frame

import (
	"fmt"
	"strconv"

	"samepage/layout"
)

// Format says how pixels lie in memory. The zero value is no format.
type Format uint32

// The formats.
const (
	Gray   Format = iota + 1 // 1 byte a pixel
	Gray16                   // 2 bytes a pixel, little-endian
	RGB                      // 3 bytes a pixel: red, green, blue
	BGR                      // 3 bytes a pixel: blue, green, red
	RGBA                     // 4 bytes a pixel: red, green, blue, alpha; not premultiplied
	BGRA                     // 4 bytes a pixel: blue, green, red, alpha; not premultiplied
	// NV12 has two planes: Y, and interleaved Cb and Cr. There is one pair of Cb and Cr for each
	// 2 by 2 pixels.
	NV12
	// I420, also known as planar YUV420, has three planes: Y, Cb and Cr. There is one Cb and one
	// Cr for each 2 by 2 pixels.
	I420
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

// Planes returns the number of planes of the format: 1 to 3, or 0 if f is not Known.
func (f Format) Planes() int { return layout.FrameFormat(f).Planes() }

// Bits returns the average number of bits of a pixel, or 0 if f is not Known.
func (f Format) Bits() int { return layout.FrameFormat(f).Bits() }

// Plane returns the shape of plane i of a picture of width x height pixels: the bytes of a row
// without padding, and the number of rows. Both are 0 if the format has no such plane.
func (f Format) Plane(i, width, height int) (row, rows int) {
	return layout.FrameFormat(f).Plane(i, width, height)
}

// String returns the name of the format, such as "bgr".
func (f Format) String() string { return layout.FrameFormat(f).String() }

// MarshalText returns the text of String.
func (f Format) MarshalText() ([]byte, error) { return layout.FrameFormat(f).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (f *Format) UnmarshalText(b []byte) error { return (*layout.FrameFormat)(f).UnmarshalText(b) }

// Siting says where the colour samples of NV12 and I420 lie among the pixels that share them.
type Siting uint8

// The sitings.
const (
	SitingUnknown Siting = iota
	SitingCentre         // in the middle of the four pixels, as in JPEG
	SitingLeft           // between the two left pixels, as in MPEG-2 and H.264
	// SitingPALDV: on the upper left pixel. Cb and Cr lie on different lines, as in DV video with
	// 625 lines.
	SitingPALDV
)

// String returns the name of the value.
func (s Siting) String() string { return layout.FrameSiting(s).String() }

// MarshalText returns the text of String.
func (s Siting) MarshalText() ([]byte, error) { return layout.FrameSiting(s).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (s *Siting) UnmarshalText(b []byte) error { return (*layout.FrameSiting)(s).UnmarshalText(b) }

// Range says which values the samples of NV12 and I420 have.
type Range uint8

// The ranges.
const (
	RangeUnknown Range = iota
	RangeFull          // 0 to 255, as in JPEG
	RangeLimited       // Y from 16 to 235, Cb and Cr from 16 to 240, as in video
)

// String returns the name of the value.
func (r Range) String() string { return layout.FrameRange(r).String() }

// MarshalText returns the text of String.
func (r Range) MarshalText() ([]byte, error) { return layout.FrameRange(r).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (r *Range) UnmarshalText(b []byte) error { return (*layout.FrameRange)(r).UnmarshalText(b) }

// Interlace says whether all lines of a frame were taken at one time.
type Interlace uint8

// The ways of interlacing.
const (
	InterlaceUnknown     Interlace = iota
	InterlaceNone                  // all at one time: progressive
	InterlaceTopFirst              // first the even lines, then the odd ones
	InterlaceBottomFirst           // first the odd lines, then the even ones
	InterlaceMixed                 // differs from frame to frame
)

// String returns the name of the value.
func (i Interlace) String() string { return layout.FrameInterlace(i).String() }

// MarshalText returns the text of String.
func (i Interlace) MarshalText() ([]byte, error) { return layout.FrameInterlace(i).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (i *Interlace) UnmarshalText(b []byte) error {
	return (*layout.FrameInterlace)(i).UnmarshalText(b)
}

// The numbers are the same as in package layout. A difference stops the build.
const (
	_ = -(uint32(Gray) ^ uint32(layout.FrameGray))
	_ = -(uint32(Gray16) ^ uint32(layout.FrameGray16))
	_ = -(uint32(RGB) ^ uint32(layout.FrameRGB))
	_ = -(uint32(BGR) ^ uint32(layout.FrameBGR))
	_ = -(uint32(RGBA) ^ uint32(layout.FrameRGBA))
	_ = -(uint32(BGRA) ^ uint32(layout.FrameBGRA))
	_ = -(uint32(NV12) ^ uint32(layout.FrameNV12))
	_ = -(uint32(I420) ^ uint32(layout.FrameI420))
	_ = -(uint32(SitingPALDV) ^ uint32(layout.SitingPALDV))
	_ = -(uint32(RangeLimited) ^ uint32(layout.RangeLimited))
	_ = -(uint32(MaxSide) ^ uint32(layout.MaxFrameSide))
	_ = -(uint32(InterlaceMixed) ^ uint32(layout.InterlaceMixed))
)
