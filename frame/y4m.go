package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"samepage/internal/yuv"
	"samepage/layout"
)

// Y4MReader reads the frames of a YUV4MPEG2 stream. Streams one after the other are one stream,
// if their pictures have the same format, size, range and matrix. Lines of text may end with CR
// LF. Tags that are not known or have no known value are ignored, except W, H and C. Its methods
// must not be called concurrently. The zero value is not usable: use NewY4MReader.
type Y4MReader struct {
	r    io.Reader
	h    *Y4MHeader
	line []byte
}

// NewY4MReader reads the header of the stream. The Y4MReader reads no byte more from r than it
// needs. It reads planes directly into the frames. Each line of text takes at least one call of
// r.Read, so a bufio.Reader may be faster if pictures are small.
//
// Errors: ErrY4M; errors.ErrUnsupported for samples that no Format has, such as C410, or
// XYSCSS=410 without a C tag; those of r; io.EOF if r is empty.
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
// those of Spec. It sets the Params of f, and changes nothing else of its header.
//
// Errors: io.EOF after the last picture; ErrSpec; ErrY4M; io.ErrUnexpectedEOF if the stream ends
// within a picture; those of the reader. After ErrSpec nothing was read, and the caller may go on
// with another frame. After any other error the stream cannot be read any more.
func (y *Y4MReader) ReadFrame(f *Frame) error {
	if err := y.h.fits(f); err != nil {
		return err
	}
	for {
		if err := y.readLine(y4mFrame); err != nil {
			return err
		}
		if y.line[0] == y4mFrame[0] {
			break
		}
		if err := y.another(); err != nil {
			return err
		}
	}
	rest := y.line[len(y4mFrame):]
	if len(rest) > 0 && rest[0] != ' ' && rest[0] != '\t' {
		return fmt.Errorf("frame: the picture begins with the line %.20q, want %s and parameters: %w", y.line, y4mFrame, ErrY4M)
	}
	rest = rest[min(1, len(rest)):]
	if len(rest) > MaxParams || bytes.IndexByte(rest, 0) >= 0 {
		return fmt.Errorf("frame: a picture has %d bytes of parameters %.40q, want at most %d without zeros: %w", len(rest), rest, MaxParams, ErrY4M)
	}
	clear(f.h.Params[copy(f.h.Params[:], rest):])
	f.writeHeader()
	return eachRow(f, func(b []byte) error {
		_, err := io.ReadFull(y.r, b)
		return unexpected(err)
	})
}

// another checks the header of a stream that follows. It is in y.line.
func (y *Y4MReader) another() error {
	h, err := parseY4M(string(y.line))
	if err != nil {
		return err
	}
	if h.Format != y.h.Format || h.Width != y.h.Width || h.Height != y.h.Height || h.Range != y.h.Range || h.Matrix != y.h.Matrix {
		return fmt.Errorf("frame: a stream of %d x %d pixels, format %v, range %v, matrix %v follows one of %d x %d, format %v, range %v, matrix %v: %w",
			h.Width, h.Height, h.Format, h.Range, h.Matrix, y.h.Width, y.h.Height, y.h.Format, y.h.Range, y.h.Matrix, ErrY4M)
	}
	return nil
}

// readLine reads a line that begins with prefix into y.line, without its line break. A line that
// begins with y4mMagic is good, too. readLine returns io.EOF if r has no more bytes.
func (y *Y4MReader) readLine(prefix string) error {
	y.line = y.line[:0]
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
		if !bytes.HasPrefix(y.line, []byte(prefix)) && !bytes.HasPrefix([]byte(y4mMagic), y.line[:min(len(y.line), len(y4mMagic))]) {
			return fmt.Errorf("frame: a line of the stream begins with %q, want %s: %w", y.line, prefix, ErrY4M)
		}
		last := len(y.line) - 1
		if y.line[last] == '\n' {
			y.line = bytes.TrimSuffix(y.line[:last], []byte{'\r'})
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
	as   *Frame // frames that are converted are drawn here
}

// NewY4MWriter writes the header of the stream. Y4MHeaderFor makes one. With the header of a
// Y4MReader it writes the same stream again. Frames without padding are written one plane at a
// time, directly from the frame. If frames are small or have padding, a bufio.Writer may be
// faster.
//
// Errors: ErrSpec; ErrY4M for extensions that cannot be written; errors.ErrUnsupported for a format
// that a stream cannot have; those of w.
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

// WriteFrame writes f with its Params. Width and height of f must be those of the header. If f has
// another format, range or matrix, WriteFrame converts it as Draw does.
//
// Errors: ErrSpec (nothing was written); those of the writer.
func (y *Y4MWriter) WriteFrame(f *Frame) error {
	params := f.params()
	if f.Width() == y.h.Width && f.Height() == y.h.Height && !y.same(f) {
		if y.as == nil {
			spec := y.h.Spec()
			as, err := New(make([]byte, spec.Size()), spec)
			if err != nil {
				return err
			}
			y.as = as
		}
		Draw(y.as, f.Image())
		f = y.as
	}
	if err := y.h.fits(f); err != nil {
		return err
	}
	y.line = append(y.line[:0], y4mFrame...)
	if len(params) > 0 {
		y.line = append(append(y.line, ' '), params...)
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

// same says whether the samples of f mean the same as those of the stream.
func (y *Y4MWriter) same(f *Frame) bool {
	if f.Format() != y.h.Format {
		return false
	}
	depth := f.Format().Depth()
	return !f.Format().yuv() || f.yuv.space() == yuv.For(layout.FrameMatrix(y.h.Matrix), layout.FrameRange(y.h.Range), depth)
}
