package frame

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// YUV4MPEG2 is the format that ffmpeg and the mjpegtools pass through pipes. The first line of
// text describes the pictures. Then each picture is a line that begins with FRAME, followed by the
// planes, row after row without padding.

// ErrY4M: a stream is not a YUV4MPEG2 stream, or it is broken.
var ErrY4M = errors.New("bad YUV4MPEG2 stream")

// maxY4MLine is the length in bytes of the longest line that is read or written.
const maxY4MLine = 4096

const (
	y4mMagic = "YUV4MPEG2"
	y4mFrame = "FRAME"
)

// y4mColours lists the C tags with their format and siting. The first one that fits is written.
var y4mColours = []struct {
	tag    string
	format Format
	siting Siting
}{
	{"420jpeg", I420, SitingCentre},
	{"420mpeg2", I420, SitingLeft},
	{"420paldv", I420, SitingPALDV},
	{"420", I420, SitingUnknown},
	{"mono", Gray, SitingUnknown},
	{"mono16", Gray16, SitingUnknown},
}

func y4mTags() string {
	tags := make([]string, len(y4mColours))
	for i, c := range y4mColours {
		tags[i] = "C" + c.tag
	}
	return strings.Join(tags, ", ")
}

// Y4MHeader is the first line of a YUV4MPEG2 stream. It describes all frames of the stream.
type Y4MHeader struct {
	Format        Format // I420, Gray or Gray16
	Width, Height int
	Rate          Ratio // frames per second
	Interlace     Interlace
	Aspect        Ratio // width of a pixel divided by its height
	Siting        Siting
	Range         Range
	// Extensions are the X tags without their X: XYSCSS=420JPEG is "YSCSS=420JPEG". A reader puts
	// the tag of Range (COLORRANGE) here, too. A writer adds that tag if Range is known and
	// Extensions does not have it.
	Extensions []string
}

// Spec describes each frame of the stream.
func (h *Y4MHeader) Spec() Spec {
	return Spec{
		Format: h.Format, Width: h.Width, Height: h.Height,
		Siting: h.Siting, Range: h.Range, Interlace: h.Interlace, Aspect: h.Aspect,
	}
}

const y4mInterlaces = "?ptbm" // the I tag by Interlace

// append appends the header line.
func (h *Y4MHeader) append(b []byte) ([]byte, error) {
	if err := h.Spec().Check(); err != nil {
		return nil, err
	}
	if !h.Rate.ok() {
		return nil, badSpec("Rate", h.Rate, "two positive numbers or two zeros")
	}
	colour := ""
	for _, c := range y4mColours {
		if c.format == h.Format && (c.siting == h.Siting || h.Format != I420) {
			colour = c.tag
			break
		}
	}
	if colour == "" {
		return nil, fmt.Errorf("frame: write a YUV4MPEG2 stream of format %v, want %v, %v or %v: %w", h.Format, I420, Gray, Gray16, errors.ErrUnsupported)
	}
	b = fmt.Appendf(b, "%s W%d H%d F%v I%c A%v C%s", y4mMagic, h.Width, h.Height, h.Rate, y4mInterlaces[h.Interlace], h.Aspect, colour)
	ranged := false
	for _, x := range h.Extensions {
		if strings.ContainsAny(x, " \n") {
			return nil, fmt.Errorf("frame: write a YUV4MPEG2 header with extension %q, want no space and no line break: %w", x, ErrY4M)
		}
		_, is := y4mRange(x)
		ranged = ranged || is
		b = append(append(b, " X"...), x...)
	}
	if !ranged && h.Range != RangeUnknown {
		b = append(append(b, " XCOLORRANGE="...), strings.ToUpper(h.Range.String())...)
	}
	if b = append(b, '\n'); len(b) > maxY4MLine {
		return nil, fmt.Errorf("frame: write a YUV4MPEG2 header of %d bytes, want at most %d: %w", len(b), maxY4MLine, ErrY4M)
	}
	return b, nil
}

// y4mRange returns the range that an extension gives. It returns false if the extension is not
// COLORRANGE.
func y4mRange(x string) (Range, bool) {
	v, ok := strings.CutPrefix(x, "COLORRANGE=")
	switch v {
	case "FULL":
		return RangeFull, ok
	case "LIMITED":
		return RangeLimited, ok
	}
	return RangeUnknown, ok
}

// parseY4M reads the line, without the line break.
func parseY4M(line string) (*Y4MHeader, error) {
	tags, ok := strings.CutPrefix(line, y4mMagic)
	if !ok || tags != "" && tags[0] != ' ' {
		return nil, fmt.Errorf("frame: the stream begins with %.20q, want %q: %w", line, y4mMagic, ErrY4M)
	}
	h := &Y4MHeader{}
	for tag := range strings.FieldsFuncSeq(tags, func(r rune) bool { return r == ' ' }) {
		if err := h.parseTag(tag[0], tag[1:]); err != nil {
			return nil, err
		}
	}
	if h.Format == 0 {
		if err := h.withoutC(); err != nil {
			return nil, err
		}
	}
	if err := h.Spec().Check(); err != nil {
		return nil, fmt.Errorf("%v: %w", err, ErrY4M) // the stream is wrong, not the caller
	}
	return h, nil
}

// withoutC sets format and siting for a header without a C tag. mjpegtools and older versions of
// ffmpeg write the extension XYSCSS instead, and ffmpeg reads it if there is no C tag. Without
// both, the samples are those of C420jpeg.
func (h *Y4MHeader) withoutC() error {
	h.Format, h.Siting = I420, SitingCentre
	for _, x := range h.Extensions {
		value, ok := strings.CutPrefix(x, "YSCSS=")
		if !ok {
			continue
		}
		known := false
		for _, c := range y4mColours {
			if c.format == I420 && strings.ToUpper(c.tag) == value {
				h.Siting, known = c.siting, true
			}
		}
		if !known {
			return unsupportedY4M("X" + x)
		}
	}
	return nil
}

// unsupportedY4M returns the error for a tag whose samples no Format has.
func unsupportedY4M(tag string) error {
	return fmt.Errorf("frame: the stream has the tag %.40q, want %s, or without a C tag XYSCSS=420JPEG, 420MPEG2, 420PALDV or 420; ffmpeg converts with -pix_fmt yuv420p, gray or gray16le: %w",
		tag, y4mTags(), errors.ErrUnsupported)
}

func (h *Y4MHeader) parseTag(name byte, value string) (err error) {
	switch name {
	case 'W':
		h.Width, err = strconv.Atoi(value)
	case 'H':
		h.Height, err = strconv.Atoi(value)
	case 'F':
		h.Rate, err = parseRatio(value)
	case 'A':
		h.Aspect, err = parseRatio(value)
	case 'I':
		i := strings.Index(y4mInterlaces, value)
		if len(value) != 1 || i < 0 {
			return fmt.Errorf("frame: the stream has the tag %.20q, want I and one of the characters %s: %w", "I"+value, y4mInterlaces, ErrY4M)
		}
		h.Interlace = Interlace(i)
	case 'C':
		for _, c := range y4mColours {
			if c.tag == value {
				h.Format, h.Siting = c.format, c.siting
				return nil
			}
		}
		return unsupportedY4M("C" + value)
	case 'X':
		h.Extensions = append(h.Extensions, value)
		if r, ok := y4mRange(value); ok {
			h.Range = r
		}
	default:
		err = errors.ErrUnsupported
	}
	if err != nil {
		return fmt.Errorf("frame: the stream has the tag %.20q: %w: %w", string(name)+value, err, ErrY4M)
	}
	return nil
}

// parseRatio reads two numbers, both positive or both 0.
func parseRatio(s string) (Ratio, error) {
	num, den, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(num, 10, 31)
	d, err2 := strconv.ParseUint(den, 10, 31)
	r := Ratio{int(n), int(d)}
	if err = errors.Join(err, err2); err == nil && !r.ok() {
		err = errors.New("want two positive numbers or two zeros")
	}
	return r, err
}

// Y4MReader reads the frames of a YUV4MPEG2 stream. Its methods must not be called concurrently.
// The zero value is not usable: use NewY4MReader.
type Y4MReader struct {
	r      io.Reader
	h      *Y4MHeader
	line   []byte
	params []byte // of the last frame; part of line
}

// NewY4MReader reads the header of the stream. The Y4MReader reads no byte more from r than it
// needs. It reads planes directly into the frames. Each line of text takes at least one call of
// r.Read, so a bufio.Reader may be faster if pictures are small.
//
// Errors: ErrY4M; errors.ErrUnsupported for samples that no Format has, such as C444, or
// XYSCSS=444 without a C tag; those of r; io.EOF if r is empty.
func NewY4MReader(r io.Reader) (*Y4MReader, error) {
	y := &Y4MReader{r: r, line: make([]byte, 0, 128)}
	if err := y.readLine(y4mMagic); err != nil {
		return nil, err
	}
	h, err := parseY4M(string(y.line))
	if err != nil {
		return nil, err
	}
	y.h = h
	return y, nil
}

// Header returns the header of the stream. The caller must not change it.
func (y *Y4MReader) Header() *Y4MHeader { return y.h }

// Spec describes the frames that ReadFrame fills.
func (y *Y4MReader) Spec() Spec { return y.h.Spec() }

// ReadFrame reads the next picture into the planes of f. Format, width and height of f must be
// those of Spec. ReadFrame does not set Seq and Time.
//
// Errors: io.EOF after the last picture; ErrSpec; ErrY4M; io.ErrUnexpectedEOF if the stream ends
// within a picture; those of the reader. After ErrSpec nothing was read, and the caller may go on
// with another frame. After any other error the stream cannot be read any more.
func (y *Y4MReader) ReadFrame(f *Frame) error {
	if err := y.h.fits(f); err != nil {
		return err
	}
	if err := y.readLine(y4mFrame); err != nil {
		return err
	}
	rest := y.line[len(y4mFrame):]
	if len(rest) > 0 && rest[0] != ' ' {
		return fmt.Errorf("frame: the picture begins with the line %.20q, want %s and parameters: %w", y.line, y4mFrame, ErrY4M)
	}
	y.params = rest[min(1, len(rest)):]
	return eachRow(f, func(b []byte) error {
		_, err := io.ReadFull(y.r, b)
		return unexpected(err)
	})
}

// Params returns the parameters of the picture that was read last: the text after FRAME, such as
// "It X...". Most streams have none. The slice is valid until the next call of ReadFrame.
func (y *Y4MReader) Params() []byte { return y.params }

// readLine reads a line that begins with prefix into y.line, without its line break. It returns
// io.EOF if r has no more bytes.
func (y *Y4MReader) readLine(prefix string) error {
	y.line, y.params = y.line[:0], nil
	// Every line has the prefix and at least one byte after it. So one read is enough for most.
	n := len(prefix) + 1
	for {
		if len(y.line)+n > cap(y.line) {
			y.line = append(make([]byte, 0, 2*cap(y.line)), y.line...)
		}
		from := len(y.line)
		y.line = y.line[:from+n]
		if got, err := io.ReadFull(y.r, y.line[from:]); err != nil {
			if from+got > 0 {
				err = unexpected(err)
			}
			return err
		}
		if string(y.line[:len(prefix)]) != prefix {
			return fmt.Errorf("frame: a line of the stream begins with %q, want %s: %w", y.line, prefix, ErrY4M)
		}
		last := len(y.line) - 1
		if y.line[last] == '\n' {
			y.line = y.line[:last]
			return nil
		}
		if len(y.line) >= maxY4MLine {
			return fmt.Errorf("frame: a line of the stream has more than %d bytes: %w", maxY4MLine, ErrY4M)
		}
		n = 1
	}
}

// unexpected returns err, or io.ErrUnexpectedEOF instead of io.EOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fits returns an error if f does not have the format, width and height of the stream.
func (h *Y4MHeader) fits(f *Frame) error {
	if f.Format() != h.Format || f.Width() != h.Width || f.Height() != h.Height {
		return fmt.Errorf("frame: the frame has %d x %d pixels, format %v, the stream has %d x %d, format %v: %w",
			f.Width(), f.Height(), f.Format(), h.Width, h.Height, h.Format, ErrSpec)
	}
	return nil
}

// eachRow calls do with all pixels of f, plane after plane. If a plane has no padding, do gets the
// whole plane at once, else row by row.
func eachRow(f *Frame, do func([]byte) error) error {
	for i := range f.Planes() {
		pix, stride := f.Pix(i), f.Stride(i)
		row, rows := f.Plane(i)
		if stride == row {
			row, rows = len(pix), 1
		}
		for y := range rows {
			if err := do(pix[y*stride:][:row]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Y4MWriter writes frames as a YUV4MPEG2 stream. Its methods must not be called concurrently. The
// zero value is not usable: use NewY4MWriter.
type Y4MWriter struct {
	w    io.Writer
	h    Y4MHeader
	line []byte
}

// NewY4MWriter writes the header of the stream. With the header of a Y4MReader it writes the same
// stream again. Frames without padding are written one plane at a time, directly from the frame. If
// frames are small or have padding, a bufio.Writer may be faster.
//
// Errors: ErrSpec; ErrY4M for extensions that cannot be written; errors.ErrUnsupported for a format
// other than I420, Gray and Gray16; those of w.
func NewY4MWriter(w io.Writer, h *Y4MHeader) (*Y4MWriter, error) {
	line, err := h.append(nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(line); err != nil {
		return nil, err
	}
	return &Y4MWriter{w: w, h: *h}, nil
}

// WriteFrame writes f. params is like the result of Y4MReader.Params, or nil. Format, width and
// height of f must be those of the header.
//
// Errors: ErrSpec and ErrY4M (nothing was written); those of the writer.
func (y *Y4MWriter) WriteFrame(f *Frame, params []byte) error {
	if err := y.h.fits(f); err != nil {
		return err
	}
	if n := len(y4mFrame) + len(params) + 2; n > maxY4MLine {
		return fmt.Errorf("frame: write a picture whose first line has %d bytes, want at most %d: %w", n, maxY4MLine, ErrY4M)
	}
	y.line = append(y.line[:0], y4mFrame...)
	for i, c := range params {
		if c == '\n' {
			return fmt.Errorf("frame: write a picture with a line break in its parameters %.20q: %w", params, ErrY4M)
		}
		if i == 0 {
			y.line = append(y.line, ' ')
		}
		y.line = append(y.line, c)
	}
	y.line = append(y.line, '\n')
	if _, err := y.w.Write(y.line); err != nil {
		return err
	}
	return eachRow(f, func(b []byte) error {
		_, err := y.w.Write(b)
		return err
	})
}
