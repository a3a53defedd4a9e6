package frame

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// YUV4MPEG2 is what ffmpeg and the mjpegtools pass through pipes: a line of text that
// says what the pictures are, then for each picture a line that begins with FRAME and
// the planes, row after row without padding.

// ErrY4M: not a YUV4MPEG2 stream, or one that is broken.
var ErrY4M = errors.New("bad YUV4MPEG2 stream")

// maxY4MLine is the longest line of a stream that is read or written, in bytes.
const maxY4MLine = 4096

const (
	y4mMagic = "YUV4MPEG2"
	y4mFrame = "FRAME"
)

// y4mColours are the C tags, by format and siting; the first that fits is written.
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

// Y4MHeader is the first line of a YUV4MPEG2 stream, which tells of all its frames.
type Y4MHeader struct {
	Format        Format // I420, Gray or Gray16
	Width, Height int
	Rate          Ratio // frames per second
	Interlace     Interlace
	Aspect        Ratio // width of a pixel to its height
	Siting        Siting
	Range         Range
	// Extensions are the X tags, without the X: XYSCSS=420JPEG is "YSCSS=420JPEG".
	// That of Range is among them where it was read; it need not be to be written.
	Extensions []string
}

// Spec is that of each frame of the stream.
func (h *Y4MHeader) Spec() Spec {
	return Spec{
		Format: h.Format, Width: h.Width, Height: h.Height,
		Siting: h.Siting, Range: h.Range, Interlace: h.Interlace, Aspect: h.Aspect,
	}
}

const y4mInterlaces = "?ptbm" // by Interlace

// append appends the line.
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
		return nil, fmt.Errorf("frame: YUV4MPEG2 of %v; there are %v, %v, %v: %w", h.Format, I420, Gray, Gray16, errors.ErrUnsupported)
	}
	b = fmt.Appendf(b, "%s W%d H%d F%v I%c A%v C%s", y4mMagic, h.Width, h.Height, h.Rate, y4mInterlaces[h.Interlace], h.Aspect, colour)
	ranged := false
	for _, x := range h.Extensions {
		if strings.ContainsAny(x, " \n") {
			return nil, fmt.Errorf("frame: extension %q: %w", x, ErrY4M)
		}
		_, is := y4mRange(x)
		ranged = ranged || is
		b = append(append(b, " X"...), x...)
	}
	if !ranged && h.Range != RangeUnknown {
		b = append(append(b, " XCOLORRANGE="...), strings.ToUpper(h.Range.String())...)
	}
	if b = append(b, '\n'); len(b) > maxY4MLine {
		return nil, fmt.Errorf("frame: header of %d bytes, at most %d are possible: %w", len(b), maxY4MLine, ErrY4M)
	}
	return b, nil
}

// y4mRange is the range that an extension tells, if that is what it is for.
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
		return nil, fmt.Errorf("frame: stream that begins with %.20q: %w", line, ErrY4M)
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
		return nil, fmt.Errorf("%v: %w", err, ErrY4M) // of the stream, and not of the caller
	}
	return h, nil
}

// withoutC is what a header without a C tag stands for. mjpegtools and older versions of
// ffmpeg tell the samples by an extension, XYSCSS; ffmpeg heeds it where there is no C tag.
// Without that, too, they are those of C420jpeg.
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

// unsupportedY4M is the error for a tag of samples that no format has.
func unsupportedY4M(tag string) error {
	return fmt.Errorf("frame: stream of %.40q; there are %s, and XYSCSS=420JPEG, 420MPEG2, 420PALDV or 420 without a C tag; ffmpeg converts with -pix_fmt yuv420p, gray or gray16le: %w",
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
			return fmt.Errorf("frame: stream with interlacing %q, there are %q: %w", value, y4mInterlaces, ErrY4M)
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
		return fmt.Errorf("frame: stream with tag %c%.20q: %w: %w", name, value, err, ErrY4M)
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
		err = errors.New("no ratio")
	}
	return r, err
}

// Y4MReader reads the frames of a YUV4MPEG2 stream. Its methods must not be called
// concurrently. The zero value is not usable.
type Y4MReader struct {
	r      io.Reader
	h      *Y4MHeader
	line   []byte
	params []byte // of the last frame; part of line
}

// NewY4MReader reads the stream's header. The reader takes what it needs from r, and no
// byte more: planes come without a copy between, and each line takes a call or more of
// its own, so that a bufio.Reader may pay where pictures are small.
//
// Errors: ErrY4M; errors.ErrUnsupported for samples that no format has, such as C444, or
// XYSCSS=444 without a C tag;
// those of r, io.EOF of an empty one.
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

// Header is that of the stream. It is the reader's own.
func (y *Y4MReader) Header() *Y4MHeader { return y.h }

// Spec is what ReadFrame wants frames to be.
func (y *Y4MReader) Spec() Spec { return y.h.Spec() }

// ReadFrame reads the next picture into f's planes. Format and sides of f must be
// those of Spec; count and time are its caller's to set. It is io.EOF after the last
// picture.
//
// Errors: ErrSpec, when nothing was read; ErrY4M; io.ErrUnexpectedEOF where the stream
// ends within a picture; those of the reader below. After one the stream cannot be
// read on, but after ErrSpec.
func (y *Y4MReader) ReadFrame(f *Frame) error {
	if err := y.h.fits(f); err != nil {
		return err
	}
	if err := y.readLine(y4mFrame); err != nil {
		return err
	}
	rest := y.line[len(y4mFrame):]
	if len(rest) > 0 && rest[0] != ' ' {
		return fmt.Errorf("frame: picture that begins with %.20q: %w", y.line, ErrY4M)
	}
	y.params = rest[min(1, len(rest)):]
	return eachRow(f, func(b []byte) error {
		_, err := io.ReadFull(y.r, b)
		return unexpected(err)
	})
}

// Params are the parameters of the picture that was read last, as they stand behind
// FRAME: "It X..."; mostly there are none. The slice is valid until the next call of
// ReadFrame.
func (y *Y4MReader) Params() []byte { return y.params }

// readLine reads a line that begins with prefix into y.line, without its break. It is
// io.EOF when there is not a byte.
func (y *Y4MReader) readLine(prefix string) error {
	y.line, y.params = y.line[:0], nil
	// The prefix and what follows it is there in every line: one call for most.
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
			return fmt.Errorf("frame: line that begins with %q, want %s: %w", y.line, prefix, ErrY4M)
		}
		last := len(y.line) - 1
		if y.line[last] == '\n' {
			y.line = y.line[:last]
			return nil
		}
		if len(y.line) >= maxY4MLine {
			return fmt.Errorf("frame: line of more than %d bytes: %w", maxY4MLine, ErrY4M)
		}
		n = 1
	}
}

// unexpected is err where more should have come.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// fits says whether f is a picture of the stream.
func (h *Y4MHeader) fits(f *Frame) error {
	if f.Format() != h.Format || f.Width() != h.Width || f.Height() != h.Height {
		return fmt.Errorf("frame: %d x %d pixels of %v, the stream has %d x %d of %v: %w",
			f.Width(), f.Height(), f.Format(), h.Width, h.Height, h.Format, ErrSpec)
	}
	return nil
}

// eachRow calls do with all pixels of f, plane after plane: with the whole plane where
// there is no padding, else row by row.
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

// Y4MWriter writes frames as a YUV4MPEG2 stream. Its methods must not be called
// concurrently. The zero value is not usable.
type Y4MWriter struct {
	w    io.Writer
	h    Y4MHeader
	line []byte
}

// NewY4MWriter writes the stream's header. A reader's header makes the same stream
// again. Frames without padding are written a plane at a time, from where they are; for
// others, and for small ones, a bufio.Writer may pay.
//
// Errors: ErrSpec; ErrY4M for extensions that cannot be written;
// errors.ErrUnsupported for formats but I420, Gray and Gray16; those of w.
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

// WriteFrame writes f, with parameters as Y4MReader.Params has them, or nil. Format and
// sides of f must be those of the header.
//
// Errors: ErrSpec and ErrY4M, when nothing was written; those of the writer below.
func (y *Y4MWriter) WriteFrame(f *Frame, params []byte) error {
	if err := y.h.fits(f); err != nil {
		return err
	}
	if n := len(y4mFrame) + len(params) + 2; n > maxY4MLine {
		return fmt.Errorf("frame: line of %d bytes, at most %d are possible: %w", n, maxY4MLine, ErrY4M)
	}
	y.line = append(y.line[:0], y4mFrame...)
	for i, c := range params {
		if c == '\n' {
			return fmt.Errorf("frame: line break in parameters %.20q: %w", params, ErrY4M)
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
