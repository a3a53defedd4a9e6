package frame

import (
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"time"

	"samepage/internal/option"
	"samepage/layout"
)

// MaxSide is the largest width and height, in pixels.
const MaxSide = 16384

// ErrSpec: a picture that cannot be, or not the one that was wanted. For a Spec out of
// range the error also matches fs.ErrInvalid.
var ErrSpec = errors.New("not a possible picture")

// badSpec says that a field of a Spec is out of range.
func badSpec(field string, value any, want string) error {
	return fmt.Errorf("frame: %w", &option.Error{Name: field, Value: fmt.Sprint(value), Want: want, Also: ErrSpec})
}

// Ratio is a fraction, such as frames per second or the width of a pixel to its
// height. The zero value means that it is not known.
type Ratio struct{ Num, Den int }

// String gives both numbers: "25:1".
func (r Ratio) String() string { return fmt.Sprintf("%d:%d", r.Num, r.Den) }

func (r Ratio) ok() bool {
	return r == Ratio{} || r.Num > 0 && r.Den > 0 && r.Num <= math.MaxInt32 && r.Den <= math.MaxInt32
}

// Spec says what a frame is. Format, Width and Height are needed; the others may
// be zero.
type Spec struct {
	Format        Format
	Width, Height int // pixels, at most MaxSide
	// Stride is the bytes from a row of the first plane to the next; 0: as many
	// as a row has. The colour of I420 has half of it, that of NV12 all of it,
	// rounded up.
	Stride int
	Seq    uint64    // the writer's count
	Time   time.Time // when the picture was taken; zero: unknown
	// Region is which part of a larger picture this one is, in pixels of that one,
	// which need not be as many as this one has. Zero: it is all of it.
	Region image.Rectangle

	Siting    Siting
	Range     Range
	Interlace Interlace
	Aspect    Ratio // width of a pixel to its height
}

// Size is the bytes of a frame, with its header: what New needs, and what a topic
// must allow for a message. It is 0 for a spec that Check refuses.
func (s Spec) Size() int64 {
	h, err := s.header()
	if err != nil {
		return 0
	}
	return int64(h.Size)
}

// Check says whether there can be such a frame. Errors: ErrSpec.
func (s Spec) Check() error {
	_, err := s.header()
	return err
}

// planeAlign is where planes start, for the vector instructions of whoever
// computes with them.
const planeAlign = 64

func (s Spec) header() (layout.FrameHeader, error) {
	switch {
	case !s.Format.Known():
		return layout.FrameHeader{}, badSpec("Format", s.Format, fmt.Sprint("one of ", Formats()))
	case s.Width <= 0 || s.Width > MaxSide:
		return layout.FrameHeader{}, badSpec("Width", s.Width, fmt.Sprintf("1 to %d", MaxSide))
	case s.Height <= 0 || s.Height > MaxSide:
		return layout.FrameHeader{}, badSpec("Height", s.Height, fmt.Sprintf("1 to %d", MaxSide))
	case s.Stride < 0 || s.Stride > layout.MaxFrameStride:
		return layout.FrameHeader{}, badSpec("Stride", s.Stride, fmt.Sprintf("0 to %d", layout.MaxFrameStride))
	case !s.Aspect.ok():
		return layout.FrameHeader{}, badSpec("Aspect", s.Aspect, "two positive numbers or two zeros")
	case s.Siting > SitingPALDV:
		return layout.FrameHeader{}, badSpec("Siting", s.Siting, fmt.Sprint("one of ", []Siting{SitingUnknown, SitingCentre, SitingLeft, SitingPALDV}))
	case s.Range > RangeLimited:
		return layout.FrameHeader{}, badSpec("Range", s.Range, fmt.Sprint("one of ", []Range{RangeUnknown, RangeFull, RangeLimited}))
	case s.Interlace > InterlaceMixed:
		return layout.FrameHeader{}, badSpec("Interlace", s.Interlace, fmt.Sprint("one of ", []Interlace{InterlaceUnknown, InterlaceNone, InterlaceTopFirst, InterlaceBottomFirst, InterlaceMixed}))
	}
	h := layout.FrameHeader{
		Format: layout.FrameFormat(s.Format), Width: uint32(s.Width), Height: uint32(s.Height), Seq: s.Seq, Time: nanos(s.Time),
		Siting: layout.FrameSiting(s.Siting), Range: layout.FrameRange(s.Range), Interlace: layout.FrameInterlace(s.Interlace),
		AspectNum: uint32(s.Aspect.Num), AspectDen: uint32(s.Aspect.Den),
	}
	if r := s.Region; r != (image.Rectangle{}) {
		if r.Empty() || r.Min.X < 0 || r.Min.Y < 0 || r.Max.X > math.MaxInt32 || r.Max.Y > math.MaxInt32 {
			return h, badSpec("Region", r, "one that is not empty, within 0 and 2147483647")
		}
		h.RegionX, h.RegionY, h.RegionW, h.RegionH = uint32(r.Min.X), uint32(r.Min.Y), uint32(r.Dx()), uint32(r.Dy())
	}
	stride := s.Stride
	if stride == 0 {
		stride, _ = s.Format.Plane(0, s.Width, s.Height)
	}
	end := uint64(layout.FrameHeaderSize)
	for i := range s.Format.Planes() {
		if i == 1 {
			stride = (stride + 1) / 2
			if s.Format == NV12 {
				stride *= 2
			}
		}
		row, rows := s.Format.Plane(i, s.Width, s.Height)
		if stride < row {
			return h, badSpec("Stride", s.Stride, fmt.Sprintf("0, or enough for rows of %d bytes", row))
		}
		end = (end + planeAlign - 1) &^ (planeAlign - 1)
		h.Offset[i], h.Stride[i] = end, uint32(stride)
		end += uint64(stride) * uint64(rows)
	}
	h.Size = end
	if err := h.Validate(math.MaxInt64); err != nil {
		return h, fmt.Errorf("frame: %v: %w", err, ErrSpec)
	}
	return h, nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Frame is a picture in bytes that others see too: a header and pixels. The zero
// value is an empty frame, ready for Reset and Attach; it must not be copied after
// that. Of a frame in bytes of a View the caller keeps the View.
//
// Methods that only look may be called concurrently. Reset, Attach, SetSeq, SetTime
// and drawing into the frame need it alone; what orders them with other processes
// is the matter of whatever carries the message.
type Frame struct {
	h     layout.FrameHeader
	buf   []byte                       // the message; nil: empty
	head  [layout.FrameHeaderSize]byte // the header's private copy
	lines []byte                       // of Draw, kept for the next one

	// Views of the pixels, kept here so that Image allocates nothing. image is one
	// of them.
	image  image.Image
	gray   image.Gray
	nrgba  image.NRGBA
	ycbcr  image.YCbCr
	gray16 Gray16Image
	packed PackedImage
	nv12   NV12Image
}

// New makes a frame in buf, see Frame.Reset.
func New(buf []byte, spec Spec) (*Frame, error) {
	f := &Frame{}
	if err := f.Reset(buf, spec); err != nil {
		return nil, err
	}
	return f, nil
}

// Open reads the frame that is in buf, see Frame.Attach.
func Open(buf []byte) (*Frame, error) {
	f := &Frame{}
	if err := f.Attach(buf); err != nil {
		return nil, err
	}
	return f, nil
}

// Reset makes f a new frame in buf: it writes the header. The pixels are what buf
// had there; the caller fills them. Images of what f was before must not be used any
// more. After an error f is empty.
//
// Errors: ErrSpec; io.ErrShortBuffer when buf has less than spec.Size() bytes.
func (f *Frame) Reset(buf []byte, spec Spec) error {
	f.clear()
	h, err := spec.header()
	if err != nil {
		return err
	}
	if uint64(len(buf)) < h.Size {
		return fmt.Errorf("frame: %d x %d pixels of %v take %d bytes, there are %d: %w", h.Width, h.Height, h.Format, h.Size, len(buf), io.ErrShortBuffer)
	}
	f.set(h, buf)
	f.writeHeader()
	return nil
}

// Attach makes f the frame that is in buf. It reads the header, and writes nothing;
// buf may be read-only, if nothing is drawn or set later. It may be longer than the
// frame. Images of what f was before must not be used any more. After an error f is
// empty.
//
// Errors: samepage.ErrKindMismatch when there is no frame, samepage.ErrVersion,
// samepage.ErrCorrupt.
func (f *Frame) Attach(buf []byte) error {
	f.clear()
	copy(f.head[:], buf)
	h, err := layout.ParseFrame(f.head[:], int64(len(buf)))
	if err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	f.set(h, buf)
	return nil
}

// clear makes f empty, and with it the images that callers have of it: the bytes
// below may go.
func (f *Frame) clear() {
	f.h, f.buf, f.image = layout.FrameHeader{}, nil, nil
	f.gray, f.nrgba, f.ycbcr = image.Gray{}, image.NRGBA{}, image.YCbCr{}
	f.gray16, f.packed, f.nv12 = Gray16Image{}, PackedImage{Format: RGB}, NV12Image{}
}

// set makes f the frame that h, which is checked against buf, describes.
func (f *Frame) set(h layout.FrameHeader, buf []byte) {
	f.h, f.buf = h, buf[:h.Size:h.Size]
	r := image.Rect(0, 0, int(h.Width), int(h.Height))
	pix, stride := f.Pix(0), f.Stride(0)
	switch Format(h.Format) {
	case Gray:
		f.gray = image.Gray{Pix: pix, Stride: stride, Rect: r}
		f.image = &f.gray
	case Gray16:
		f.gray16 = Gray16Image{Pix: pix, Stride: stride, Rect: r}
		f.image = &f.gray16
	case RGBA:
		f.nrgba = image.NRGBA{Pix: pix, Stride: stride, Rect: r}
		f.image = &f.nrgba
	case RGB, BGR, BGRA:
		f.packed = PackedImage{Format: Format(h.Format), Pix: pix, Stride: stride, Rect: r}
		f.image = &f.packed
	case NV12:
		f.nv12 = NV12Image{Y: pix, CbCr: f.Pix(1), YStride: stride, CStride: f.Stride(1), Rect: r}
		f.image = &f.nv12
	case I420:
		f.ycbcr = image.YCbCr{
			Y: pix, Cb: f.Pix(1), Cr: f.Pix(2), YStride: stride, CStride: f.Stride(1),
			SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: r,
		}
		f.image = &f.ycbcr
	}
}

// writeHeader writes the header at once, from the private copy.
func (f *Frame) writeHeader() {
	f.h.Encode(f.head[:])
	copy(f.buf, f.head[:])
}

// Bytes is the whole frame, as it is to be published: header and pixels, nothing
// that stood behind it in the buffer. It is nil for an empty frame.
func (f *Frame) Bytes() []byte { return f.buf }

// Format is how the pixels stand in memory; 0 for an empty frame.
func (f *Frame) Format() Format { return Format(f.h.Format) }

// Width is in pixels.
func (f *Frame) Width() int { return int(f.h.Width) }

// Height is in pixels.
func (f *Frame) Height() int { return int(f.h.Height) }

// Bits is how many bits a pixel takes on average.
func (f *Frame) Bits() int { return f.h.Format.Bits() }

// Planes is how many planes the frame has, 1 to 3; 0 for an empty one.
func (f *Frame) Planes() int { return f.h.Format.Planes() }

// Pix is the bytes of a plane, in the frame itself, from the first byte of the first
// row to the last one of the last row, without the padding behind it. It is nil
// where there is no such plane.
func (f *Frame) Pix(plane int) []byte {
	row, rows := f.Plane(plane)
	if rows == 0 {
		return nil
	}
	from := int(f.h.Offset[plane])
	to := from + int(f.h.Stride[plane])*(rows-1) + row
	return f.buf[from:to:to]
}

// Plane is what a plane has: bytes of a row, without padding, and rows. Both are 0
// where there is no such plane.
func (f *Frame) Plane(plane int) (row, rows int) {
	return f.h.Format.Plane(plane, int(f.h.Width), int(f.h.Height))
}

// Stride is the bytes from a row of a plane to the next, 0 where there is no such
// plane.
func (f *Frame) Stride(plane int) int {
	if plane < 0 || plane >= layout.MaxFramePlanes {
		return 0
	}
	return int(f.h.Stride[plane])
}

// Seq is the writer's count.
func (f *Frame) Seq() uint64 { return f.h.Seq }

// SetSeq changes the count in the header. The frame must not be empty.
func (f *Frame) SetSeq(n uint64) {
	f.h.Seq = n
	f.writeHeader()
}

// Time is when the picture was taken; the zero Time where that is not known.
func (f *Frame) Time() time.Time {
	if f.h.Time == 0 {
		return time.Time{}
	}
	return time.Unix(0, f.h.Time)
}

// SetTime changes the time in the header, to the nanosecond. The frame must not be
// empty.
func (f *Frame) SetTime(t time.Time) {
	f.h.Time = nanos(t)
	f.writeHeader()
}

// Region is which part of a larger picture the frame is, in pixels of that one; the
// zero Rectangle: it is all of it.
func (f *Frame) Region() image.Rectangle {
	x, y := int(f.h.RegionX), int(f.h.RegionY)
	return image.Rect(x, y, x+int(f.h.RegionW), y+int(f.h.RegionH))
}

// Spec is what Reset needs to make such a frame. Planes come to stand where Reset
// puts them, which need not be where the writer of f put its own.
func (f *Frame) Spec() Spec {
	return Spec{
		Format: f.Format(), Width: f.Width(), Height: f.Height(), Stride: f.Stride(0), Seq: f.h.Seq, Time: f.Time(), Region: f.Region(),
		Siting: Siting(f.h.Siting), Range: Range(f.h.Range), Interlace: Interlace(f.h.Interlace),
		Aspect: Ratio{int(f.h.AspectNum), int(f.h.AspectDen)},
	}
}

// Image is the pixels as an image, from (0, 0) on; the package comment says of which
// type. It copies nothing: it reads and writes the frame's own bytes, and is good until
// f is Reset or Attached. It is nil for an empty frame.
//
// The image keeps f, and with it the loan or message that f is part of, from being given
// back; so do its parts, but for those that SubImage of the images of package image makes.
func (f *Frame) Image() image.Image { return f.image }
