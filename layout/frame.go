package layout

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"
)

// FrameMagic starts each frame: "smpgFRAM" read as little-endian.
const FrameMagic = 0x4d41524667706d73

// FrameVersion is the layout version that this code writes. It reads no other version.
const FrameVersion = 2

// These are the limits of a frame.
const (
	FrameHeaderSize = 256     // bytes
	MaxFrameSide    = 16384   // largest width and height, in pixels
	MaxFrameStride  = 1 << 20 // bytes from one row to the next
	MaxFramePlanes  = 4
	MaxFrameParams  = 80 // bytes of text
)

// FrameHeader is the first 256 bytes of a frame's message. The pixels follow it, in one to four
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
	Stride    [MaxFramePlanes]uint32 //  80 bytes from one row of the plane to the next; 0: no such plane
	Flags     uint32                 //  96 bits that a reader must understand; none yet
	RegionX   uint32                 // 100 the part of the whole picture that this frame shows,
	RegionY   uint32                 // 104 in pixels of the whole picture;
	RegionW   uint32                 // 108 this frame may have another number of pixels.
	RegionH   uint32                 // 112 All four 0: the frame shows the whole picture
	Siting    FrameSiting            // 116
	Range     FrameRange             // 117
	Interlace FrameInterlace         // 118
	Matrix    FrameMatrix            // 119
	AspectNum uint32                 // 120 width of a pixel
	AspectDen uint32                 // 124 divided by its height; both 0: unknown
	RateNum   uint32                 // 128 frames
	RateDen   uint32                 // 132 in that many seconds; both 0: unknown
	Params    [MaxFrameParams]byte   // 136 text about this frame; zeros follow it
	_         [36]byte               // 216
	CRC       uint32                 // 252 CRC-32C of bytes 0 to 251
}

// These lines stop the build if the structure differs from docs/layout.md.
const (
	_ = -(unsafe.Sizeof(FrameHeader{}) ^ FrameHeaderSize)
	_ = -(unsafe.Offsetof(FrameHeader{}.Seq) ^ 24)
	_ = -(unsafe.Offsetof(FrameHeader{}.Offset) ^ 48)
	_ = -(unsafe.Offsetof(FrameHeader{}.Stride) ^ 80)
	_ = -(unsafe.Offsetof(FrameHeader{}.RegionX) ^ 100)
	_ = -(unsafe.Offsetof(FrameHeader{}.Siting) ^ 116)
	_ = -(unsafe.Offsetof(FrameHeader{}.AspectNum) ^ 120)
	_ = -(unsafe.Offsetof(FrameHeader{}.Params) ^ 136)
	_ = -(unsafe.Offsetof(FrameHeader{}.CRC) ^ frameCRC)
)

const frameCRC = 252 // the offset of FrameHeader.CRC

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
		le.PutUint32(b[80+4*i:], h.Stride[i])
	}
	for i, v := range [...]uint32{h.Flags, h.RegionX, h.RegionY, h.RegionW, h.RegionH} {
		le.PutUint32(b[96+4*i:], v)
	}
	b[116], b[117], b[118], b[119] = byte(h.Siting), byte(h.Range), byte(h.Interlace), byte(h.Matrix)
	for i, v := range [...]uint32{h.AspectNum, h.AspectDen, h.RateNum, h.RateDen} {
		le.PutUint32(b[120+4*i:], v)
	}
	copy(b[136:], h.Params[:])
	clear(b[136+MaxFrameParams : frameCRC])
	h.CRC = crc32.Checksum(b[:frameCRC], castagnoli)
	le.PutUint32(b[frameCRC:], h.CRC)
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
	if got, want := le.Uint32(b[frameCRC:]), crc32.Checksum(b[:frameCRC], castagnoli); got != want {
		return FrameHeader{}, fmt.Errorf("frame header has CRC %#08x, but its bytes give %#08x: %w", got, want, ErrCorrupt)
	}
	h := FrameHeader{
		Magic: FrameMagic, Version: FrameVersion, Format: FrameFormat(le.Uint32(b[12:])),
		Width: le.Uint32(b[16:]), Height: le.Uint32(b[20:]), Seq: le.Uint64(b[24:]), Time: int64(le.Uint64(b[32:])), Size: le.Uint64(b[40:]),
		Flags:   le.Uint32(b[96:]),
		RegionX: le.Uint32(b[100:]), RegionY: le.Uint32(b[104:]), RegionW: le.Uint32(b[108:]), RegionH: le.Uint32(b[112:]),
		Siting: FrameSiting(b[116]), Range: FrameRange(b[117]), Interlace: FrameInterlace(b[118]), Matrix: FrameMatrix(b[119]),
		AspectNum: le.Uint32(b[120:]), AspectDen: le.Uint32(b[124:]), RateNum: le.Uint32(b[128:]), RateDen: le.Uint32(b[132:]),
		CRC: le.Uint32(b[frameCRC:]),
	}
	for i := range MaxFramePlanes {
		h.Offset[i], h.Stride[i] = le.Uint64(b[48+8*i:]), le.Uint32(b[80+4*i:])
	}
	copy(h.Params[:], b[136:])
	return h, h.Validate(size)
}

// Validate checks the values of the header against the real size of the message in bytes.
// ParseFrame calls it.
//
// Errors: ErrVersion if this version does not know the format or another word, else ErrCorrupt.
func (h *FrameHeader) Validate(size int64) error {
	if !h.Format.Known() || h.Flags != 0 || h.Siting >= sitings || h.Range >= ranges ||
		h.Interlace >= interlaces || h.Matrix >= matrices {
		return fmt.Errorf("frame with format %v, flags %#x, siting %v, range %v, interlacing %v, matrix %v, not all known to version %d: %w",
			h.Format, h.Flags, h.Siting, h.Range, h.Interlace, h.Matrix, FrameVersion, ErrVersion)
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
	if !ratioOK(h.AspectNum, h.AspectDen) || !ratioOK(h.RateNum, h.RateDen) {
		return fmt.Errorf("frame with a pixel aspect of %d:%d and %d:%d frames a second: %w", h.AspectNum, h.AspectDen, h.RateNum, h.RateDen, ErrCorrupt)
	}
	text, _, _ := bytes.Cut(h.Params[:], []byte{0})
	if bytes.IndexByte(text, '\n') >= 0 || len(bytes.Trim(h.Params[len(text):], "\x00")) > 0 {
		return fmt.Errorf("frame with the parameters %q, want text of one line and then zeros: %w", string(h.Params[:]), ErrCorrupt)
	}
	return nil
}

// ratioOK says whether both numbers are 0, or positive integers of 32 bits with a sign.
func ratioOK(num, den uint32) bool {
	return (num == 0) == (den == 0) && num <= math.MaxInt32 && den <= math.MaxInt32
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
	if h.Format.Planes() > 2 && h.Stride[1] != h.Stride[2] {
		return fmt.Errorf("frame has strides of %d for Cb and %d for Cr, want the same: %w", h.Stride[1], h.Stride[2], ErrCorrupt)
	}
	return nil
}
