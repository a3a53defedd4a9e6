package layout

import (
	"fmt"
	"slices"
)

// FrameFormat says how pixels lie in memory. The zero value is no format. Bits 0 to 7 are the
// shape: one of the constants. If bits 8 to 15 are not 0, they are the bits of a sample, one of
// FrameDepths: such a sample has two bytes, the less significant one first. The other bits are 0.
type FrameFormat uint32

// The formats whose bits 8 to 15 are 0.
const (
	FrameGray   FrameFormat = iota + 1 // one byte a pixel
	FrameGray16                        // two bytes a pixel, the less significant one first
	FrameRGB                           // three bytes a pixel: red, green, blue
	FrameBGR                           // three bytes a pixel: blue, green, red
	FrameRGBA                          // four bytes a pixel: red, green, blue, alpha; not premultiplied
	FrameBGRA                          // four bytes a pixel: blue, green, red, alpha; not premultiplied
	FrameNV12                          // two planes: Y; alternating Cb and Cr, one pair for 2 by 2 pixels
	FrameI420                          // three planes: Y; Cb and Cr, one sample for 2 by 2 pixels
	FrameI422                          // the same, one sample for 2 by 1 pixels
	FrameI444                          // the same, one sample for a pixel
	FrameI411                          // the same, one sample for 4 by 1 pixels
	FrameI444A                         // four planes: Y, Cb, Cr and alpha, one sample each for a pixel
	frameFormats
)

// frameDepths are the possible bits 8 to 15 of a FrameFormat, beside 0.
var frameDepths = [...]int{9, 10, 12, 14, 16}

// framePlane is the bytes of a sample, and the binary logarithms of the width and the height of
// the pixels that share a sample.
type framePlane struct{ bytes, across, down uint8 }

// frameShapes has the name of each format and describes its planes. deep says that there are
// formats of this shape with more than 8 bits a sample.
var frameShapes = [frameFormats]struct {
	name   string
	deep   bool
	planes []framePlane
}{
	FrameGray:   {"gray", true, []framePlane{{1, 0, 0}}},
	FrameGray16: {"gray16", false, []framePlane{{2, 0, 0}}},
	FrameRGB:    {"rgb", false, []framePlane{{3, 0, 0}}},
	FrameBGR:    {"bgr", false, []framePlane{{3, 0, 0}}},
	FrameRGBA:   {"rgba", false, []framePlane{{4, 0, 0}}},
	FrameBGRA:   {"bgra", false, []framePlane{{4, 0, 0}}},
	FrameNV12:   {"nv12", false, []framePlane{{1, 0, 0}, {2, 1, 1}}},
	FrameI420:   {"i420", true, []framePlane{{1, 0, 0}, {1, 1, 1}, {1, 1, 1}}},
	FrameI422:   {"i422", true, []framePlane{{1, 0, 0}, {1, 1, 0}, {1, 1, 0}}},
	FrameI444:   {"i444", true, []framePlane{{1, 0, 0}, {1, 0, 0}, {1, 0, 0}}},
	FrameI411:   {"i411", true, []framePlane{{1, 0, 0}, {1, 2, 0}, {1, 2, 0}}},
	FrameI444A:  {"i444a", true, []framePlane{{1, 0, 0}, {1, 0, 0}, {1, 0, 0}, {1, 0, 0}}},
}

// Shape is bits 0 to 7: the format of the same planes with 8 bits a sample. FrameGray16 is its
// own shape.
func (f FrameFormat) Shape() FrameFormat { return f & 0xff }

// WithDepth returns the format of the same shape with that many bits a sample. It returns 0 if
// there is none.
func (f FrameFormat) WithDepth(bits int) FrameFormat {
	switch s := f.Shape(); {
	case !f.Known():
		return 0
	case s == FrameGray16 && bits != 16:
		return FrameGray.WithDepth(bits)
	case s == FrameGray && bits == 16:
		return FrameGray16
	case f.Depth() == bits:
		return f
	case bits == 8:
		return s
	case bits > 0xff || bits < 0 || !(s | FrameFormat(bits)<<8).Known():
		return 0
	default:
		return s | FrameFormat(bits)<<8
	}
}

// Depth is the bits of a sample, 0 for an unknown format.
func (f FrameFormat) Depth() int {
	switch {
	case !f.Known():
		return 0
	case f == FrameGray16:
		return 16
	case f>>8 == 0:
		return 8
	}
	return int(f >> 8)
}

// Known says whether f is a format that this version knows.
func (f FrameFormat) Known() bool {
	s, deep := f.Shape(), int(f>>8)
	if s == 0 || s >= frameFormats {
		return false
	}
	// Gray of 16 bits is FrameGray16.
	return deep == 0 || frameShapes[s].deep && slices.Contains(frameDepths[:], deep) && (s != FrameGray || deep != 16)
}

// FrameFormats lists all formats.
func FrameFormats() (all []FrameFormat) {
	for f := FrameGray; f < frameFormats; f++ {
		all = append(all, f)
	}
	for _, bits := range frameDepths {
		for f := FrameGray; f < frameFormats; f++ {
			if deep := f | FrameFormat(bits)<<8; deep.Known() {
				all = append(all, deep)
			}
		}
	}
	return all
}

func (f FrameFormat) String() string {
	switch {
	case !f.Known():
		return fmt.Sprintf("format %d", uint32(f))
	case f>>8 == 0:
		return frameShapes[f].name
	case f.Shape() == FrameGray:
		return fmt.Sprintf("gray%d", f.Depth())
	}
	return fmt.Sprintf("%sp%d", frameShapes[f.Shape()].name, f.Depth())
}

// MarshalText gives the format's name.
func (f FrameFormat) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (f *FrameFormat) UnmarshalText(b []byte) error { return unmarshal(f, b, FrameFormats()...) }

// Planes is the number of planes of the format. It is 0 for an unknown format.
func (f FrameFormat) Planes() int {
	if !f.Known() {
		return 0
	}
	return len(frameShapes[f.Shape()].planes)
}

// Bits is the average number of bits that a pixel takes in memory. It is 0 for an unknown format.
func (f FrameFormat) Bits() int {
	bits := 0
	if f.Known() {
		for _, p := range frameShapes[f.Shape()].planes {
			bits += int(p.bytes) * 8 << f.wide() >> (p.across + p.down)
		}
	}
	return bits
}

// wide is 1 if samples have two bytes and the plane of the shape says one, else 0.
func (f FrameFormat) wide() int { return min(int(f>>8), 1) }

// Plane describes plane i of a picture of that many pixels: the bytes of a row, without padding,
// and the number of rows. Both are 0 for a plane that the format does not have.
func (f FrameFormat) Plane(i, width, height int) (row, rows int) {
	if i < 0 || i >= f.Planes() {
		return 0, 0
	}
	p := frameShapes[f.Shape()].planes[i]
	return (width + 1<<p.across - 1) >> p.across * int(p.bytes) << f.wide(), (height + 1<<p.down - 1) >> p.down
}

// Sharing says how many pixels share a sample of plane i, as binary logarithms of their width and
// height.
func (f FrameFormat) Sharing(i int) (across, down int) {
	if i < 0 || i >= f.Planes() {
		return 0, 0
	}
	p := frameShapes[f.Shape()].planes[i]
	return int(p.across), int(p.down)
}

// FrameSiting says where the colour samples lie among the pixels that share
// them.
type FrameSiting uint8

const (
	SitingUnknown FrameSiting = iota
	SitingCentre              // in the middle of the four pixels, as in JPEG and MPEG-1
	SitingLeft                // between the two pixels on the left, as in MPEG-2 and H.264
	SitingPALDV               // on the upper left pixel, Cb and Cr on different lines, as in 625-line DV
	sitings
)

func (s FrameSiting) String() string {
	return word(s, "siting", "unknown", "centre", "left", "paldv")
}

// MarshalText gives the siting's name.
func (s FrameSiting) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *FrameSiting) UnmarshalText(b []byte) error {
	return unmarshal(s, b, SitingUnknown, SitingCentre, SitingLeft, SitingPALDV)
}

// FrameRange says which values the samples Y, Cb and Cr have.
type FrameRange uint8

const (
	RangeUnknown FrameRange = iota
	RangeFull               // all values, as in JPEG: with 8 bits 0 to 255
	RangeLimited            // as in video: with 8 bits Y from 16 to 235, Cb and Cr from 16 to 240
	ranges
)

func (r FrameRange) String() string {
	return word(r, "range", "unknown", "full", "limited")
}

// MarshalText gives the range's name.
func (r FrameRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (r *FrameRange) UnmarshalText(b []byte) error {
	return unmarshal(r, b, RangeUnknown, RangeFull, RangeLimited)
}

// FrameInterlace says in which order the lines of a frame were taken.
type FrameInterlace uint8

const (
	InterlaceUnknown     FrameInterlace = iota
	InterlaceNone                       // all at the same time (progressive)
	InterlaceTopFirst                   // first the even lines, then the odd lines
	InterlaceBottomFirst                // first the odd lines, then the even lines
	InterlaceMixed                      // it differs from frame to frame of the stream
	interlaces
)

func (i FrameInterlace) String() string {
	return word(i, "interlace", "unknown", "none", "top first", "bottom first", "mixed")
}

// MarshalText gives the interlacing's name.
func (i FrameInterlace) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (i *FrameInterlace) UnmarshalText(b []byte) error {
	return unmarshal(i, b, InterlaceUnknown, InterlaceNone, InterlaceTopFirst, InterlaceBottomFirst, InterlaceMixed)
}

// FrameMatrix says how Y, Cb and Cr are computed from red, green and blue.
type FrameMatrix uint8

const (
	MatrixUnknown FrameMatrix = iota
	MatrixBT601               // ITU-R BT.601, as in JPEG and in video of 525 or 625 lines
	MatrixBT709               // ITU-R BT.709, as in HD video
	MatrixBT2020              // ITU-R BT.2020 with non-constant luminance, as in UHD video
	matrices
)

func (m FrameMatrix) String() string {
	return word(m, "matrix", "unknown", "bt601", "bt709", "bt2020")
}

// MarshalText gives the matrix's name.
func (m FrameMatrix) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (m *FrameMatrix) UnmarshalText(b []byte) error {
	return unmarshal(m, b, MatrixUnknown, MatrixBT601, MatrixBT709, MatrixBT2020)
}

// word is names[v], or the number if v is out of range.
func word[T ~uint8](v T, kind string, names ...string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s %d", kind, uint8(v))
}
