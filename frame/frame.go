package frame

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"samepage/internal/option"
	"samepage/layout"
)

// MaxSide is the largest width and height, in pixels.
const MaxSide = 16384

// MaxParams is the largest length of the Params of a Spec, in bytes.
const MaxParams = layout.MaxFrameParams

// ErrSpec: a Spec is out of range, or a frame has another format or size than a stream needs. If
// a Spec is out of range the error also matches fs.ErrInvalid.
var ErrSpec = errors.New("wrong picture specification")

// badSpec returns the error for a field of a Spec that is out of range.
func badSpec(field string, value any, want string) error {
	return fmt.Errorf("frame: %w", &option.Error{Name: field, Value: fmt.Sprint(value), Want: want, Also: ErrSpec})
}

// Ratio is a fraction, such as frames per second, or the width of a pixel divided by its height.
// The zero value means that the ratio is not known.
type Ratio struct{ Num, Den int }

// String returns both numbers, such as "25:1".
func (r Ratio) String() string { return fmt.Sprintf("%d:%d", r.Num, r.Den) }

func (r Ratio) ok() bool {
	return r == Ratio{} || r.Num > 0 && r.Den > 0 && r.Num <= math.MaxInt32 && r.Den <= math.MaxInt32
}

// Spec describes a frame. Format, Width and Height are needed. The other fields may be zero.
type Spec struct {
	Format        Format
	Width, Height int // pixels, at most MaxSide
	// Stride is the number of bytes from the start of a row of the first plane to the start of
	// the next row. If it is 0, rows have no padding. The other planes have room for as many pixels:
	// the colour planes of I420 have half of this stride, rounded up to whole samples. The colour
	// plane of NV12 has this stride, rounded up to an even number.
	Stride int
	Seq    uint64    // the number of the frame, which the writer chooses
	Time   time.Time // when the picture was taken; zero: unknown
	// Region says which part of a larger picture this frame shows, in pixels of the larger
	// picture. The frame may be scaled: it need not have as many pixels as the region. Zero: the
	// frame is the whole picture.
	Region image.Rectangle

	Siting    Siting
	Range     Range
	Matrix    Matrix
	Interlace Interlace
	Aspect    Ratio // width of a pixel divided by its height
	Rate      Ratio // frames per second of the stream
	// Params is text about this frame, of one line and at most MaxParams bytes: the parameters after
	// FRAME in a YUV4MPEG2 stream. In streams with InterlaceMixed they say how the frame is
	// interlaced.
	Params string
}

// Size returns the number of bytes of the frame, with its header. New needs so many bytes, and
// the messages of a topic must have room for them. Size is 0 if Check returns an error.
func (s Spec) Size() int64 {
	h, err := s.header()
	if err != nil {
		return 0
	}
	return int64(h.Size)
}

// Check returns an error if a field is out of range. Errors: ErrSpec.
func (s Spec) Check() error {
	_, err := s.header()
	return err
}

// planeAlign is the alignment of planes in bytes. It suits vector instructions.
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
	case s.Matrix > MatrixBT2020:
		return layout.FrameHeader{}, badSpec("Matrix", s.Matrix, fmt.Sprint("one of ", []Matrix{MatrixUnknown, MatrixBT601, MatrixBT709, MatrixBT2020}))
	case !s.Rate.ok():
		return layout.FrameHeader{}, badSpec("Rate", s.Rate, "two positive numbers or two zeros")
	case len(s.Params) > MaxParams || strings.ContainsAny(s.Params, "\n\x00"):
		return layout.FrameHeader{}, badSpec("Params", strconv.Quote(s.Params), fmt.Sprintf("at most %d bytes without line breaks and zeros", MaxParams))
	case s.Interlace > InterlaceMixed:
		return layout.FrameHeader{}, badSpec("Interlace", s.Interlace, fmt.Sprint("one of ", []Interlace{InterlaceUnknown, InterlaceNone, InterlaceTopFirst, InterlaceBottomFirst, InterlaceMixed}))
	}
	h := layout.FrameHeader{
		Format: layout.FrameFormat(s.Format), Width: uint32(s.Width), Height: uint32(s.Height), Seq: s.Seq, Time: nanos(s.Time),
		Siting: layout.FrameSiting(s.Siting), Range: layout.FrameRange(s.Range), Interlace: layout.FrameInterlace(s.Interlace),
		Matrix: layout.FrameMatrix(s.Matrix), AspectNum: uint32(s.Aspect.Num), AspectDen: uint32(s.Aspect.Den),
		RateNum: uint32(s.Rate.Num), RateDen: uint32(s.Rate.Den),
	}
	copy(h.Params[:], s.Params)
	if r := s.Region; r != (image.Rectangle{}) {
		if r.Empty() || r.Min.X < 0 || r.Min.Y < 0 || r.Max.X > math.MaxInt32 || r.Max.Y > math.MaxInt32 {
			return h, badSpec("Region", r, "a rectangle that is not empty, with coordinates from 0 to 2147483647")
		}
		h.RegionX, h.RegionY, h.RegionW, h.RegionH = uint32(r.Min.X), uint32(r.Min.Y), uint32(r.Dx()), uint32(r.Dy())
	}
	stride := s.Stride
	if stride == 0 {
		stride, _ = s.Format.Plane(0, s.Width, s.Height)
	}
	end, first := uint64(layout.FrameHeaderSize), stride
	for i := range s.Format.Planes() {
		if i > 0 {
			stride = s.strideOf(i, first)
		}
		row, rows := s.Format.Plane(i, s.Width, s.Height)
		if stride < row {
			return h, badSpec("Stride", s.Stride, fmt.Sprintf("0, or at least the %d bytes of a row", row))
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

// strideOf returns the stride of plane i, which is not the first one. The first one has the stride
// first.
func (s *Spec) strideOf(i, first int) int {
	unit := (s.Format.Depth() + 7) / 8
	across, _ := layout.FrameFormat(s.Format).Sharing(i)
	samples := ((first+unit-1)/unit + 1<<across - 1) >> across
	if s.Format == NV12 {
		samples *= 2
	}
	return samples * unit
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Frame is a picture in shared bytes: a header and pixels. The zero value is an empty frame,
// ready for Reset and Attach. After that it must not be copied. If the bytes are from a View, the
// caller must keep the View reachable.
//
// Methods that only read may be called concurrently. Reset, Attach, SetSeq, SetTime and drawing
// must not run concurrently with anything else on the frame. A Frame does not synchronise with
// other processes: the topic, or a lock, does that.
type Frame struct {
	h     layout.FrameHeader
	buf   []byte                       // the message; nil: empty
	head  [layout.FrameHeaderSize]byte // the header's private copy
	lines []byte                       // the buffer of Draw, kept for the next call

	// The images of the pixels are kept here, so that Image allocates nothing. image is one of
	// them.
	image  image.Image
	gray   image.Gray
	nrgba  image.NRGBA
	ycbcr  image.YCbCr
	gray16 Gray16Image
	packed PackedImage
	yuv    YUVImage // also of formats whose image is ycbcr
}

// New makes a new frame in buf. Errors: those of Frame.Reset.
func New(buf []byte, spec Spec) (*Frame, error) {
	f := &Frame{}
	if err := f.Reset(buf, spec); err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens the frame that is in buf. Errors: those of Frame.Attach.
func Open(buf []byte) (*Frame, error) {
	f := &Frame{}
	if err := f.Attach(buf); err != nil {
		return nil, err
	}
	return f, nil
}

// Reset makes f a new frame in buf. It writes the header only: the caller fills the pixels.
// Images that f returned before must not be used any more. After an error f is empty.
//
// Errors: ErrSpec; io.ErrShortBuffer if buf has less than spec.Size() bytes.
func (f *Frame) Reset(buf []byte, spec Spec) error {
	f.clear()
	h, err := spec.header()
	if err != nil {
		return err
	}
	if uint64(len(buf)) < h.Size {
		return fmt.Errorf("frame: a frame of %d x %d pixels, format %v, needs %d bytes, the buffer has %d: %w", h.Width, h.Height, h.Format, h.Size, len(buf), io.ErrShortBuffer)
	}
	f.set(h, buf)
	f.writeHeader()
	return nil
}

// Attach makes f the frame that is in buf. It reads the header and writes nothing. So buf may be
// read-only, if nothing is drawn or set later. buf may be longer than the frame. Images that f
// returned before must not be used any more. After an error f is empty.
//
// Errors: samepage.ErrKindMismatch if buf has no frame, samepage.ErrVersion, samepage.ErrCorrupt.
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

// clear makes f and all images of it empty. Callers may still have these images, and the bytes
// may be unmapped or used again.
func (f *Frame) clear() {
	f.h, f.buf, f.image = layout.FrameHeader{}, nil, nil
	f.gray, f.nrgba, f.ycbcr = image.Gray{}, image.NRGBA{}, image.YCbCr{}
	f.gray16, f.packed, f.yuv = Gray16Image{}, PackedImage{Format: RGB}, YUVImage{}
}

// set makes f the frame that h describes. Precondition: h was checked against len(buf).
func (f *Frame) set(h layout.FrameHeader, buf []byte) {
	f.h, f.buf = h, buf[:h.Size:h.Size]
	r := image.Rect(0, 0, int(h.Width), int(h.Height))
	pix, stride := f.Pix(0), f.Stride(0)
	switch format := Format(h.Format); format.shape() {
	case Gray, Gray16:
		if format == Gray {
			f.gray = image.Gray{Pix: pix, Stride: stride, Rect: r}
			f.image = &f.gray
			return
		}
		f.gray16 = Gray16Image{Depth: format.Depth(), Pix: pix, Stride: stride, Rect: r}
		f.image = &f.gray16
	case RGBA:
		f.nrgba = image.NRGBA{Pix: pix, Stride: stride, Rect: r}
		f.image = &f.nrgba
	case RGB, BGR, BGRA:
		f.packed = PackedImage{Format: format, Pix: pix, Stride: stride, Rect: r}
		f.image = &f.packed
	default:
		f.yuv = YUVImage{
			Format: format, Range: Range(h.Range), Matrix: Matrix(h.Matrix),
			Y: pix, Cb: f.Pix(1), Cr: f.Pix(2), A: f.Pix(3), YStride: stride, CStride: f.Stride(1), AStride: f.Stride(3), Rect: r,
		}
		if format == NV12 {
			f.yuv.Cr = f.yuv.Cb[1:]
		}
		f.image = &f.yuv
		if ratio, ok := f.yuv.jpeg(); ok {
			f.ycbcr = image.YCbCr{Y: pix, Cb: f.yuv.Cb, Cr: f.yuv.Cr, YStride: stride, CStride: f.yuv.CStride, SubsampleRatio: ratio, Rect: r}
			f.image = &f.ycbcr
		}
	}
}

// writeHeader encodes the header into the private copy, and copies that into the message.
func (f *Frame) writeHeader() {
	f.h.Encode(f.head[:])
	copy(f.buf, f.head[:])
}

// Bytes returns the header and the pixels, without the bytes that follow them in the buffer. It
// is nil for an empty frame.
func (f *Frame) Bytes() []byte { return f.buf }

// Format returns the format of the pixels, 0 for an empty frame.
func (f *Frame) Format() Format { return Format(f.h.Format) }

// Width returns the width in pixels.
func (f *Frame) Width() int { return int(f.h.Width) }

// Height returns the height in pixels.
func (f *Frame) Height() int { return int(f.h.Height) }

// Bits returns the average number of bits that a pixel takes.
func (f *Frame) Bits() int { return f.h.Format.Bits() }

// Planes returns the number of planes: 1 to 4, or 0 for an empty frame.
func (f *Frame) Planes() int { return f.h.Format.Planes() }

// Pix returns the frame's own bytes of a plane, from the first pixel to the last one. The padding
// after the last row is not part of them. Pix is nil if there is no such plane.
func (f *Frame) Pix(plane int) []byte {
	row, rows := f.Plane(plane)
	if rows == 0 {
		return nil
	}
	from := int(f.h.Offset[plane])
	to := from + int(f.h.Stride[plane])*(rows-1) + row
	return f.buf[from:to:to]
}

// Plane returns the shape of a plane: the bytes of a row without padding, and the number of rows.
// Both are 0 if there is no such plane.
func (f *Frame) Plane(plane int) (row, rows int) {
	return f.h.Format.Plane(plane, int(f.h.Width), int(f.h.Height))
}

// Stride returns the number of bytes from the start of a row of a plane to the start of the next
// row. It is 0 if there is no such plane.
func (f *Frame) Stride(plane int) int {
	if plane < 0 || plane >= layout.MaxFramePlanes {
		return 0
	}
	return int(f.h.Stride[plane])
}

// Seq returns the number of the frame, which its writer chose.
func (f *Frame) Seq() uint64 { return f.h.Seq }

// SetSeq changes the number in the header. The frame must not be empty.
func (f *Frame) SetSeq(n uint64) {
	f.h.Seq = n
	f.writeHeader()
}

// Time returns when the picture was taken. It is the zero Time if that is not known.
func (f *Frame) Time() time.Time {
	if f.h.Time == 0 {
		return time.Time{}
	}
	return time.Unix(0, f.h.Time)
}

// SetTime changes the time in the header, which counts nanoseconds. The frame must not be empty.
func (f *Frame) SetTime(t time.Time) {
	f.h.Time = nanos(t)
	f.writeHeader()
}

// Region returns which part of a larger picture the frame shows, in pixels of the larger picture.
// The zero Rectangle means the whole picture.
func (f *Frame) Region() image.Rectangle {
	x, y := int(f.h.RegionX), int(f.h.RegionY)
	return image.Rect(x, y, x+int(f.h.RegionW), y+int(f.h.RegionH))
}

// Spec returns a description with which Reset makes a frame like this one. The new frame may have
// its planes at other offsets than f.
func (f *Frame) Spec() Spec {
	return Spec{
		Format: f.Format(), Width: f.Width(), Height: f.Height(), Stride: f.Stride(0), Seq: f.h.Seq, Time: f.Time(), Region: f.Region(),
		Siting: Siting(f.h.Siting), Range: Range(f.h.Range), Interlace: Interlace(f.h.Interlace),
		Matrix: Matrix(f.h.Matrix), Aspect: Ratio{int(f.h.AspectNum), int(f.h.AspectDen)}, Rate: Ratio{int(f.h.RateNum), int(f.h.RateDen)},
		Params: string(f.params()),
	}
}

// params returns the text in the header's private copy.
func (f *Frame) params() []byte {
	text, _, _ := bytes.Cut(f.h.Params[:], []byte{0})
	return text
}

// Image returns the pixels as an image that starts at (0, 0). The package comment lists the types
// by format. The image copies nothing: it reads and writes the frame's own bytes. It is good until
// f is Reset or Attached. It is nil for an empty frame.
//
// While the image is reachable, f and the loan or message that f is part of are not collected, so
// the bytes stay mapped. This also holds for a SubImage of the image types of this package, but
// not for a SubImage of the types of package image.
func (f *Frame) Image() image.Image { return f.image }
