package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"
)

// FrameMagic starts each frame: "smpgFRAM" read as little-endian.
const FrameMagic = 0x4d41524667706d73

// FrameVersion is the layout version that this code writes. It reads no other version.
const FrameVersion = 1

// These are the limits of a frame.
const (
	FrameHeaderSize = 128     // bytes
	MaxFrameSide    = 16384   // largest width and height, in pixels
	MaxFrameStride  = 1 << 20 // bytes from one row to the next
	MaxFramePlanes  = 3
)

// FrameHeader is the first 128 bytes of a frame's message. The pixels follow it, in one to three
// planes. The maker of the message writes the header, and publishes it together with the pixels;
// the transport (a topic or a cell) orders the two. Readers first copy the header, and then check
// and use the copy.
type FrameHeader struct {
	Magic     uint64                 //   0 FrameMagic
	Version   uint32                 //   8 FrameVersion
	Format    FrameFormat            //  12
	Width     uint32                 //  16 pixels, 1 to MaxFrameSide
	Height    uint32                 //  20 the same
	Seq       uint64                 //  24 the writer's count
	Time      int64                  //  32 when the frame was taken, nanoseconds since 1970; 0: unknown
	Size      uint64                 //  40 bytes of the message, with this header
	Offset    [MaxFramePlanes]uint64 //  48 of each plane, from the start of the header; 0: no such plane
	Stride    [MaxFramePlanes]uint32 //  72 bytes from one row of the plane to the next; 0: no such plane
	Flags     uint32                 //  84 bits that a reader must understand; none yet
	RegionX   uint32                 //  88 the part of the whole picture that this frame shows,
	RegionY   uint32                 //  92 in pixels of the whole picture;
	RegionW   uint32                 //  96 this frame may have another number of pixels.
	RegionH   uint32                 // 100 All four 0: the frame shows the whole picture
	Siting    FrameSiting            // 104
	Range     FrameRange             // 105
	Interlace FrameInterlace         // 106
	_         uint8                  // 107
	AspectNum uint32                 // 108 width of a pixel
	AspectDen uint32                 // 112 divided by its height; both 0: unknown
	_         [8]byte                // 116
	CRC       uint32                 // 124 CRC-32C of bytes 0 to 123
}

// These lines stop the build if the structure differs from docs/layout.md.
const (
	_ = -(unsafe.Sizeof(FrameHeader{}) ^ FrameHeaderSize)
	_ = -(unsafe.Offsetof(FrameHeader{}.Seq) ^ 24)
	_ = -(unsafe.Offsetof(FrameHeader{}.Offset) ^ 48)
	_ = -(unsafe.Offsetof(FrameHeader{}.Stride) ^ 72)
	_ = -(unsafe.Offsetof(FrameHeader{}.RegionX) ^ 88)
	_ = -(unsafe.Offsetof(FrameHeader{}.Siting) ^ 104)
	_ = -(unsafe.Offsetof(FrameHeader{}.AspectNum) ^ 108)
	_ = -(unsafe.Offsetof(FrameHeader{}.CRC) ^ 124)
)

// FrameFormat says how pixels lie in memory. The zero value is no format.
type FrameFormat uint32

const (
	FrameGray   FrameFormat = iota + 1 // one byte per pixel
	FrameGray16                        // two bytes per pixel, the less significant one first
	FrameRGB                           // three bytes per pixel: red, green, blue
	FrameBGR                           // three bytes per pixel: blue, green, red
	FrameRGBA                          // four bytes per pixel: red, green, blue, alpha; not premultiplied
	FrameBGRA                          // four bytes per pixel: blue, green, red, alpha; not premultiplied
	FrameNV12                          // two planes: Y; alternating Cb and Cr, one pair for 2 by 2 pixels
	FrameI420                          // three planes: Y; Cb and Cr, one sample for 2 by 2 pixels
	frameFormats
)

type framePlane struct{ bytes, shift uint8 }

// frameShapes has the name of each format and describes its planes: the bytes of a sample, and
// the binary logarithm of the number of pixels, in each direction, that share a sample.
var frameShapes = [frameFormats]struct {
	name   string
	planes []framePlane
}{
	FrameGray:   {"gray", []framePlane{{1, 0}}},
	FrameGray16: {"gray16", []framePlane{{2, 0}}},
	FrameRGB:    {"rgb", []framePlane{{3, 0}}},
	FrameBGR:    {"bgr", []framePlane{{3, 0}}},
	FrameRGBA:   {"rgba", []framePlane{{4, 0}}},
	FrameBGRA:   {"bgra", []framePlane{{4, 0}}},
	FrameNV12:   {"nv12", []framePlane{{1, 0}, {2, 1}}},
	FrameI420:   {"i420", []framePlane{{1, 0}, {1, 1}, {1, 1}}},
}

// Known says whether f is a format that this version knows.
func (f FrameFormat) Known() bool { return f > 0 && f < frameFormats }

// FrameFormats lists all formats.
func FrameFormats() []FrameFormat {
	return []FrameFormat{FrameGray, FrameGray16, FrameRGB, FrameBGR, FrameRGBA, FrameBGRA, FrameNV12, FrameI420}
}

func (f FrameFormat) String() string {
	if f.Known() {
		return frameShapes[f].name
	}
	return fmt.Sprintf("format %d", uint32(f))
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
	return len(frameShapes[f].planes)
}

// Bits is the average number of bits per pixel. It is 0 for an unknown format.
func (f FrameFormat) Bits() int {
	bits := 0
	if f.Known() {
		for _, p := range frameShapes[f].planes {
			bits += int(p.bytes) * 8 >> (2 * p.shift)
		}
	}
	return bits
}

// Plane describes plane i of a picture of that many pixels: the bytes of a row, without padding,
// and the number of rows. Both are 0 for a plane that the format does not have.
func (f FrameFormat) Plane(i, width, height int) (row, rows int) {
	if i < 0 || i >= f.Planes() {
		return 0, 0
	}
	p := frameShapes[f].planes[i]
	up := 1<<p.shift - 1
	return (width + up) >> p.shift * int(p.bytes), (height + up) >> p.shift
}

// FrameSiting says where the colour samples of NV12 and I420 lie among the pixels that share
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

// FrameRange says which values the samples of NV12 and I420 have.
type FrameRange uint8

const (
	RangeUnknown FrameRange = iota
	RangeFull               // 0 to 255, as in JPEG
	RangeLimited            // Y from 16 to 235, Cb and Cr from 16 to 240, as in video
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

// word is names[v], or the number if v is out of range.
func word[T ~uint8](v T, kind string, names ...string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s %d", kind, uint8(v))
}

// Encode writes the header into the first FrameHeaderSize bytes of b. It fills in magic, version
// and CRC.
func (h *FrameHeader) Encode(b []byte) {
	h.Magic, h.Version = FrameMagic, FrameVersion
	le := binary.LittleEndian
	b = b[:FrameHeaderSize]
	le.PutUint64(b[0:], h.Magic)
	le.PutUint32(b[8:], h.Version)
	le.PutUint32(b[12:], uint32(h.Format))
	le.PutUint32(b[16:], h.Width)
	le.PutUint32(b[20:], h.Height)
	le.PutUint64(b[24:], h.Seq)
	le.PutUint64(b[32:], uint64(h.Time))
	le.PutUint64(b[40:], h.Size)
	for i := range MaxFramePlanes {
		le.PutUint64(b[48+8*i:], h.Offset[i])
		le.PutUint32(b[72+4*i:], h.Stride[i])
	}
	le.PutUint32(b[84:], h.Flags)
	le.PutUint32(b[88:], h.RegionX)
	le.PutUint32(b[92:], h.RegionY)
	le.PutUint32(b[96:], h.RegionW)
	le.PutUint32(b[100:], h.RegionH)
	b[104], b[105], b[106], b[107] = byte(h.Siting), byte(h.Range), byte(h.Interlace), 0
	le.PutUint32(b[108:], h.AspectNum)
	le.PutUint32(b[112:], h.AspectDen)
	clear(b[116:124])
	h.CRC = crc32.Checksum(b[:124], castagnoli)
	le.PutUint32(b[124:], h.CRC)
}

// ParseFrame checks a frame's header against the real size of the message in bytes. b is a
// private copy of the header. All planes of the result lie within size, after the header, and do
// not overlap.
//
// Errors: ErrKindMismatch, ErrVersion, ErrCorrupt.
func ParseFrame(b []byte, size int64) (FrameHeader, error) {
	le := binary.LittleEndian
	if len(b) < FrameHeaderSize || size < FrameHeaderSize {
		return FrameHeader{}, fmt.Errorf("frame of %d bytes, but a frame header has %d: %w", size, FrameHeaderSize, ErrCorrupt)
	}
	if m := le.Uint64(b); m != FrameMagic {
		return FrameHeader{}, fmt.Errorf("%d bytes that are not a frame, with magic %#016x, want %#016x: %w", size, m, uint64(FrameMagic), ErrKindMismatch)
	}
	if v := le.Uint32(b[8:]); v != FrameVersion {
		return FrameHeader{}, fmt.Errorf("frame of version %d, but this program reads version %d: %w", v, FrameVersion, ErrVersion)
	}
	if got, want := le.Uint32(b[124:]), crc32.Checksum(b[:124], castagnoli); got != want {
		return FrameHeader{}, fmt.Errorf("frame header has CRC %#08x, but its bytes give %#08x: %w", got, want, ErrCorrupt)
	}
	h := FrameHeader{
		Magic: FrameMagic, Version: FrameVersion, Format: FrameFormat(le.Uint32(b[12:])),
		Width: le.Uint32(b[16:]), Height: le.Uint32(b[20:]), Seq: le.Uint64(b[24:]), Time: int64(le.Uint64(b[32:])), Size: le.Uint64(b[40:]),
		Offset:  [MaxFramePlanes]uint64{le.Uint64(b[48:]), le.Uint64(b[56:]), le.Uint64(b[64:])},
		Stride:  [MaxFramePlanes]uint32{le.Uint32(b[72:]), le.Uint32(b[76:]), le.Uint32(b[80:])},
		Flags:   le.Uint32(b[84:]),
		RegionX: le.Uint32(b[88:]), RegionY: le.Uint32(b[92:]), RegionW: le.Uint32(b[96:]), RegionH: le.Uint32(b[100:]),
		Siting: FrameSiting(b[104]), Range: FrameRange(b[105]), Interlace: FrameInterlace(b[106]),
		AspectNum: le.Uint32(b[108:]), AspectDen: le.Uint32(b[112:]), CRC: le.Uint32(b[124:]),
	}
	return h, h.Validate(size)
}

// Validate checks the values of the header against the real size of the message in bytes.
// ParseFrame calls it.
//
// Errors: ErrVersion if this version does not know the format or another word, else ErrCorrupt.
func (h *FrameHeader) Validate(size int64) error {
	if !h.Format.Known() || h.Flags != 0 || h.Siting >= sitings || h.Range >= ranges || h.Interlace >= interlaces {
		return fmt.Errorf("frame with format %v, flags %#x, siting %v, range %v, interlacing %v, not all known to version %d: %w",
			h.Format, h.Flags, h.Siting, h.Range, h.Interlace, FrameVersion, ErrVersion)
	}
	if h.Width == 0 || h.Height == 0 || h.Width > MaxFrameSide || h.Height > MaxFrameSide {
		return fmt.Errorf("frame of %d x %d pixels, want 1 x 1 to %d x %d: %w", h.Width, h.Height, MaxFrameSide, MaxFrameSide, ErrCorrupt)
	}
	if size < 0 || h.Size < FrameHeaderSize || h.Size > uint64(size) {
		return fmt.Errorf("frame of %d bytes in a message of %d: %w", h.Size, size, ErrCorrupt)
	}
	if err := h.checkPlanes(); err != nil {
		return err
	}
	// The corners of the region must fit into a signed integer of 32 bits.
	if r := [...]uint32{h.RegionX, h.RegionY, h.RegionW, h.RegionH}; r != [4]uint32{} &&
		(r[2] == 0 || r[3] == 0 || uint64(r[0])+uint64(r[2]) > math.MaxInt32 || uint64(r[1])+uint64(r[3]) > math.MaxInt32) {
		return fmt.Errorf("frame of a region of %d x %d at %d, %d: %w", h.RegionW, h.RegionH, h.RegionX, h.RegionY, ErrCorrupt)
	}
	if (h.AspectNum == 0) != (h.AspectDen == 0) || h.AspectNum > math.MaxInt32 || h.AspectDen > math.MaxInt32 {
		return fmt.Errorf("frame with a pixel aspect of %d:%d: %w", h.AspectNum, h.AspectDen, ErrCorrupt)
	}
	return nil
}

// checkPlanes checks the planes. Format, sides and Size have been checked already.
func (h *FrameHeader) checkPlanes() error {
	var end [MaxFramePlanes]uint64
	for i := range MaxFramePlanes {
		off, stride := h.Offset[i], uint64(h.Stride[i])
		row, rows := h.Format.Plane(i, int(h.Width), int(h.Height))
		if rows == 0 {
			if off != 0 || stride != 0 {
				return fmt.Errorf("frame of %v has plane %d at %d with stride %d, but the format has no such plane: %w", h.Format, i, off, stride, ErrCorrupt)
			}
			continue
		}
		if stride < uint64(row) || stride > MaxFrameStride {
			return fmt.Errorf("frame has a stride of %d in plane %d, want %d to %d: %w", stride, i, row, MaxFrameStride, ErrCorrupt)
		}
		// The last row needs no padding.
		n := stride*uint64(rows-1) + uint64(row)
		if off < FrameHeaderSize || off > h.Size || n > h.Size-off {
			return fmt.Errorf("frame of %d bytes has a plane of %d bytes at %d: %w", h.Size, n, off, ErrCorrupt)
		}
		end[i] = off + n
		for j := range i {
			if off < end[j] && h.Offset[j] < end[i] {
				return fmt.Errorf("frame has planes at %d to %d and %d to %d, which overlap: %w", h.Offset[j], end[j], off, end[i], ErrCorrupt)
			}
		}
	}
	// image.YCbCr has one stride for both planes.
	if h.Format == FrameI420 && h.Stride[1] != h.Stride[2] {
		return fmt.Errorf("frame has strides of %d for Cb and %d for Cr, want the same: %w", h.Stride[1], h.Stride[2], ErrCorrupt)
	}
	return nil
}
