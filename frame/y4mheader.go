package frame

import (
	"errors"
	"fmt"
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

// y4mColour is a C tag with its format and siting.
type y4mColour struct {
	tag    string
	format Format
	siting Siting
}

// y4mColours lists the C tags. The first one that fits is written.
var y4mColours = func() []y4mColour {
	all := []y4mColour{
		{"420jpeg", I420, SitingCentre},
		{"420mpeg2", I420, SitingLeft},
		{"420paldv", I420, SitingPALDV},
		{"420", I420, SitingUnknown},
		{"411", I411, SitingUnknown},
		{"422", I422, SitingUnknown},
		{"444", I444, SitingUnknown},
		{"444alpha", I444A, SitingUnknown},
		{"mono", Gray, SitingUnknown},
	}
	for _, bits := range []int{9, 10, 12, 14, 16} {
		for _, of := range []y4mColour{{"420p", I420, SitingUnknown}, {"422p", I422, SitingUnknown}, {"444p", I444, SitingUnknown}, {"mono", Gray, SitingUnknown}} {
			if of.format != Gray || bits != 14 { // ffmpeg does not know mono14
				all = append(all, y4mColour{of.tag + strconv.Itoa(bits), of.format.WithDepth(bits), SitingUnknown})
			}
		}
	}
	return all
}()

// y4mTag returns the C tag of a format, or "" if there is none.
func y4mTag(format Format, siting Siting) string {
	for _, c := range y4mColours {
		// Only 4:2:0 with 8 bits has a tag for each siting.
		if c.format == format && (c.siting == siting || format != I420) {
			return c.tag
		}
	}
	return ""
}

// y4mNear returns a format that a stream can have, for one that it cannot have, and the options
// with which ffmpeg writes it.
func y4mNear(f Format) (near Format, option string) {
	switch f.shape() {
	case Gray, Gray16:
		return Gray16, "-pix_fmt gray16le -strict -1"
	case I411:
		near = I422.WithDepth(f.Depth())
		return near, fmt.Sprintf("-pix_fmt yuv422p%dle -strict -1", f.Depth())
	case RGB, BGR:
		return I444, "-pix_fmt yuv444p"
	case I444A, RGBA, BGRA:
		return I444A, "-pix_fmt yuva444p -strict -1"
	}
	return I420, "-pix_fmt yuv420p"
}

// Y4MHeader is the first line of a YUV4MPEG2 stream. It describes all frames of the stream.
type Y4MHeader struct {
	// Format is Gray, I420, I422, I444 (all with 8, 9, 10, 12 or 16 bits a sample, the last three also
	// with 14), I411 or I444A.
	Format        Format
	Width, Height int
	Rate          Ratio // frames per second
	Interlace     Interlace
	Aspect        Ratio  // width of a pixel divided by its height
	Siting        Siting // used for I420
	Range         Range
	// Matrix is an extension of this package, the tag XMATRIX=BT601, BT709 or BT2020. ffmpeg ignores
	// it, and assumes BT.601.
	Matrix Matrix
	// Extensions are the X tags without their X: XYSCSS=420JPEG is "YSCSS=420JPEG". A reader puts
	// the tags of Range (COLORRANGE) and Matrix here, too. A writer adds each of them if its value
	// is known and Extensions does not have it.
	Extensions []string
}

// Y4MHeaderFor returns the header of a stream for frames of this description. If a stream cannot
// carry the format, the header has another one, to which a Y4MWriter converts: I420 for NV12, I444
// with the full range for RGB and BGR, and I444A with the full range for RGBA and BGRA.
//
// Errors: errors.ErrUnsupported for the formats for which there is none: I411 and I444A with more
// than 8 bits, and Gray with 14.
func Y4MHeaderFor(s Spec) (*Y4MHeader, error) {
	h := &Y4MHeader{
		Format: s.Format, Width: s.Width, Height: s.Height, Rate: s.Rate, Interlace: s.Interlace, Aspect: s.Aspect,
		Siting: s.Siting, Range: s.Range, Matrix: s.Matrix,
	}
	switch s.Format {
	case NV12:
		h.Format = I420
	case RGB, BGR:
		h.Format, h.Range, h.Matrix = I444, RangeFull, MatrixBT601
	case RGBA, BGRA:
		h.Format, h.Range, h.Matrix = I444A, RangeFull, MatrixBT601
	}
	_, err := h.append(nil)
	return h, err
}

// Spec describes each frame of the stream.
func (h *Y4MHeader) Spec() Spec {
	return Spec{
		Format: h.Format, Width: h.Width, Height: h.Height, Rate: h.Rate,
		Siting: h.Siting, Range: h.Range, Matrix: h.Matrix, Interlace: h.Interlace, Aspect: h.Aspect,
	}
}

const y4mInterlaces = "?ptbm" // the I tag by Interlace

// append appends the header line.
func (h *Y4MHeader) append(b []byte) ([]byte, error) {
	if err := h.Spec().Check(); err != nil {
		return nil, err
	}
	colour := y4mTag(h.Format, h.Siting)
	if colour == "" {
		near, option := y4mNear(h.Format)
		return nil, fmt.Errorf("frame: a YUV4MPEG2 stream cannot have the format %v, only those of the tags %s; convert the frames with Draw, for example to %v; a stream of ffmpeg has this format with %s: %w",
			h.Format, y4mTags(), near, option, errors.ErrUnsupported)
	}
	b = fmt.Appendf(b, "%s W%d H%d F%v I%c A%v C%s", y4mMagic, h.Width, h.Height, h.Rate, y4mInterlaces[h.Interlace], h.Aspect, colour)
	ranged, matrixed := h.Range == RangeUnknown, h.Matrix == MatrixUnknown
	for _, x := range h.Extensions {
		if strings.ContainsAny(x, " \t\r\n") {
			return nil, fmt.Errorf("frame: write a YUV4MPEG2 header with extension %q, want no space and no line break: %w", x, ErrY4M)
		}
		ranged = ranged || strings.HasPrefix(x, y4mRange)
		matrixed = matrixed || strings.HasPrefix(x, y4mMatrix)
		b = append(append(b, " X"...), x...)
	}
	if !ranged {
		b = append(append(b, " X"+y4mRange...), strings.ToUpper(h.Range.String())...)
	}
	if !matrixed {
		b = append(append(b, " X"+y4mMatrix...), strings.ToUpper(h.Matrix.String())...)
	}
	if b = append(b, '\n'); len(b) > maxY4MLine {
		return nil, fmt.Errorf("frame: write a YUV4MPEG2 header of %d bytes, want at most %d: %w", len(b), maxY4MLine, ErrY4M)
	}
	return b, nil
}

// The beginnings of extensions.
const (
	y4mShape  = "YSCSS="
	y4mRange  = "COLORRANGE="
	y4mMatrix = "MATRIX="
)

func y4mTags() string {
	tags := make([]string, len(y4mColours))
	for i, c := range y4mColours {
		tags[i] = "C" + c.tag
	}
	return strings.Join(tags, ", ")
}

// parseY4M reads the line, without the line break. It is as tolerant as ffmpeg: it ignores what it
// does not know, if the bytes of the pictures do not depend on it.
func parseY4M(line string) (*Y4MHeader, error) {
	tags, ok := strings.CutPrefix(line, y4mMagic)
	if !ok || tags != "" && tags[0] != ' ' && tags[0] != '\t' {
		return nil, fmt.Errorf("frame: the stream begins with %.20q, want %q: %w", line, y4mMagic, ErrY4M)
	}
	h := &Y4MHeader{}
	for tag := range strings.FieldsFuncSeq(tags, func(r rune) bool { return r == ' ' || r == '\t' }) {
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
		value, ok := strings.CutPrefix(x, y4mShape)
		if !ok {
			continue
		}
		known := false
		for _, c := range y4mColours {
			if strings.EqualFold(c.tag, value) && c.format.yuv() {
				h.Format, h.Siting, known = c.format, c.siting, true
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
	return fmt.Errorf("frame: the stream has the tag %.40q, want %s, or without a C tag XYSCSS with one of these values; ffmpeg converts with -pix_fmt yuv420p: %w",
		tag, y4mTags(), errors.ErrUnsupported)
}

func (h *Y4MHeader) parseTag(name byte, value string) (err error) {
	switch name {
	case 'W':
		h.Width, err = strconv.Atoi(value)
	case 'H':
		h.Height, err = strconv.Atoi(value)
	case 'F':
		h.Rate = parseRatio(value)
	case 'A':
		h.Aspect = parseRatio(value)
	case 'I':
		if value != "" {
			h.Interlace = Interlace(max(strings.IndexByte(y4mInterlaces, value[0]), 0))
		}
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
		if v, ok := strings.CutPrefix(value, y4mRange); ok {
			h.Range = wordOf[Range](v)
		}
		if v, ok := strings.CutPrefix(value, y4mMatrix); ok {
			h.Matrix = wordOf[Matrix](v)
		}
	}
	if err != nil {
		return fmt.Errorf("frame: the stream has the tag %.20q: %w: %w", string(name)+value, err, ErrY4M)
	}
	return nil
}

// wordOf returns the value with that name in upper case, or 0 if there is none.
func wordOf[T Range | Matrix](s string) (v T) {
	for v = 0; v < 8; v++ {
		if name := any(v).(fmt.Stringer).String(); strings.ToUpper(name) == s {
			return v
		}
	}
	return 0
}

// parseRatio reads two numbers, or one. It returns the zero Ratio if they are not both positive.
func parseRatio(s string) Ratio {
	num, den, two := strings.Cut(s, ":")
	if !two {
		den = "1"
	}
	n, err := strconv.ParseUint(num, 10, 31)
	d, err2 := strconv.ParseUint(den, 10, 31)
	if r := (Ratio{int(n), int(d)}); err == nil && err2 == nil && r.ok() {
		return r
	}
	return Ratio{}
}
