package frame

import (
	"fmt"
	"strconv"

	"samepage/layout"
)

// Format says how pixels lie in memory. The zero value is no format. WithDepth makes formats with
// more than 8 bits a sample from some of the constants.
type Format uint32

// The formats with 8 bits a sample, and Gray16.
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
	I422 // as I420, with one Cb and one Cr for each 2 by 1 pixels
	I444 // as I420, with one Cb and one Cr for each pixel
	I411 // as I420, with one Cb and one Cr for each 4 by 1 pixels
	// I444A is I444 with a fourth plane: alpha. Y, Cb and Cr are not premultiplied. Alpha has all
	// values, whatever the range of the other planes is.
	I444A
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

// Planes returns the number of planes of the format: 1 to 4, or 0 if f is not Known.
func (f Format) Planes() int { return layout.FrameFormat(f).Planes() }

// WithDepth returns the format of the same planes with that many bits a sample: 8, 9, 10, 12, 14 or
// 16. With more than 8 bits a sample has 2 bytes, little-endian, and strides of bytes are twice as
// long. WithDepth returns 0 if there is no such format: only Gray, I420, I422, I444, I411 and I444A
// have several depths. I420.WithDepth(10) has the name "i420p10", Gray.WithDepth(16) is Gray16.
func (f Format) WithDepth(bits int) Format { return Format(layout.FrameFormat(f).WithDepth(bits)) }

// Depth returns the number of bits of a sample: 8 to 16, or 0 if f is not Known.
func (f Format) Depth() int { return layout.FrameFormat(f).Depth() }

// shape is the format with 8 bits a sample, and Gray16 for Gray16.
func (f Format) shape() Format { return Format(layout.FrameFormat(f).Shape()) }

// yuv says whether the planes are Y, Cb and Cr.
func (f Format) yuv() bool { return f.shape() >= NV12 }

// Bits returns the average number of bits that a pixel takes, or 0 if f is not Known.
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

// Siting says where colour samples lie among the pixels that share them. No conversion uses it.
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

// Range says which values the samples Y, Cb and Cr have. Those of Gray always have the full range.
type Range uint8

// The ranges.
const (
	RangeUnknown Range = iota // as RangeLimited, which is what ffmpeg does
	RangeFull                 // all values, as in JPEG: with 8 bits 0 to 255
	RangeLimited              // as in video: with 8 bits Y from 16 to 235, Cb and Cr from 16 to 240
)

// String returns the name of the value.
func (r Range) String() string { return layout.FrameRange(r).String() }

// MarshalText returns the text of String.
func (r Range) MarshalText() ([]byte, error) { return layout.FrameRange(r).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (r *Range) UnmarshalText(b []byte) error { return (*layout.FrameRange)(r).UnmarshalText(b) }

// Matrix says how Y, Cb and Cr are computed from red, green and blue.
type Matrix uint8

// The matrices.
const (
	MatrixUnknown Matrix = iota // as MatrixBT601, which is what ffmpeg does
	MatrixBT601                 // ITU-R BT.601, as in JPEG and in video of 525 or 625 lines
	MatrixBT709                 // ITU-R BT.709, as in HD video
	MatrixBT2020                // ITU-R BT.2020 with non-constant luminance, as in UHD video
)

// String returns the name of the value.
func (m Matrix) String() string { return layout.FrameMatrix(m).String() }

// MarshalText returns the text of String.
func (m Matrix) MarshalText() ([]byte, error) { return layout.FrameMatrix(m).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (m *Matrix) UnmarshalText(b []byte) error { return (*layout.FrameMatrix)(m).UnmarshalText(b) }

// Interlace says whether all lines of a frame were taken at one time.
type Interlace uint8

// The ways of interlacing.
const (
	InterlaceUnknown     Interlace = iota
	InterlaceNone                  // all at one time: progressive
	InterlaceTopFirst              // first the even lines, then the odd ones
	InterlaceBottomFirst           // first the odd lines, then the even ones
	InterlaceMixed                 // differs from frame to frame; Params of a Spec says how
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
	_ = -(uint32(I444A) ^ uint32(layout.FrameI444A))
	_ = -(uint32(MatrixBT2020) ^ uint32(layout.MatrixBT2020))
	_ = -(uint32(SitingPALDV) ^ uint32(layout.SitingPALDV))
	_ = -(uint32(RangeLimited) ^ uint32(layout.RangeLimited))
	_ = -(uint32(MaxSide) ^ uint32(layout.MaxFrameSide))
	_ = -(uint32(InterlaceMixed) ^ uint32(layout.InterlaceMixed))
)
