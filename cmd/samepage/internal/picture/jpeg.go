package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"

	"samepage"
	"samepage/frame"
	"samepage/layout"
)

// NoJPEG says why frames of a format cannot be a JPEG, not even roughly. It is empty if they can.
func NoJPEG(f frame.Format) string {
	switch {
	case !f.Known():
		return "the format is unknown"
	case f.Depth() > 8:
		return fmt.Sprintf("a JPEG has 8 bits a sample, and %v has %d", f, f.Depth())
	case f == frame.RGBA || f == frame.BGRA || f == frame.I444A:
		return fmt.Sprintf("a JPEG has no alpha, and %v has", f)
	}
	return ""
}

// JPEGEncoder makes JPEGs of frames. The zero value is ready. Only one goroutine at a time may use
// it.
type JPEGEncoder struct {
	header  [layout.FrameHeaderSize]byte // a copy that cannot change
	frame   frame.Frame                  // of Message
	samples frame.Frame                  // what a JPEG has: Y, Cb and Cr
	out     bytes.Buffer
}

// Encode returns the JPEG of a frame, for whose format NoJPEG returns "". quality is 1 to 100. One
// Cb and one Cr stand for 2 x 2 pixels. The result is good until the next call.
func (e *JPEGEncoder) Encode(f *frame.Frame, quality int) ([]byte, error) {
	img := f.Image()
	if f.Format() != frame.Gray {
		// With the same size the buffer is used again.
		spec := frame.Spec{Format: frame.I420, Width: f.Width(), Height: f.Height(), Range: frame.RangeFull, Matrix: frame.MatrixBT601}
		b := e.samples.Bytes()
		if n := int(spec.Size()); len(b) != n {
			b = make([]byte, n)
		}
		if err := e.samples.Reset(b, spec); err != nil {
			return nil, err
		}
		frame.Draw(&e.samples, img)
		img = e.samples.Image()
	}
	e.out.Reset()
	if err := jpeg.Encode(&e.out, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encode a JPEG of %d x %d pixels: %w", f.Width(), f.Height(), err)
	}
	return e.out.Bytes(), nil
}

// JPEGMessage is the message of a frame, with a JPEG in place of its pixels.
type JPEGMessage struct {
	Size   int64  // bytes of the message
	Time   int64  // when the frame was taken, in nanoseconds since 1970; 0: unknown
	Header []byte // of the frame
	Data   []byte // the JPEG
	Extra  []byte // the bytes of the message after the frame
}

// Message makes a JPEG of the frame in a message, whose bytes may change at any time. The result is
// good until the next call; its Extra has memory of b. why says why there is no JPEG of this
// message. quality is 1 to 100.
func (e *JPEGEncoder) Message(b []byte, quality int) (m JPEGMessage, why string, err error) {
	copy(e.header[:], b)
	h, err := layout.ParseFrame(e.header[:], int64(len(b)))
	if err != nil {
		return m, "a message is no frame", nil
	}
	if why := NoJPEG(frame.Format(h.Format)); why != "" {
		return m, why, nil
	}
	// The frame has a header of its own, which is read later.
	if f := &e.frame; f.Attach(b) != nil || f.Width() != int(h.Width) || f.Height() != int(h.Height) || f.Format() != frame.Format(h.Format) {
		return m, "a message changed while it was read", nil
	}
	data, err := e.Encode(&e.frame, quality)
	return JPEGMessage{int64(len(b)), h.Time, e.header[:], data, b[h.Size:]}, "", err
}

// Draw makes the message of a frame in b, which has m.Size bytes. m may come from anybody.
//
// Errors: samepage.ErrCorrupt.
func (m *JPEGMessage) Draw(b []byte) error {
	if m.Size != int64(len(b)) || len(m.Header) != layout.FrameHeaderSize || int64(len(m.Extra)) > m.Size-layout.FrameHeaderSize {
		return fmt.Errorf("a message of %d bytes for %d, with a header of %d bytes and %d bytes after the frame: %w", m.Size, len(b), len(m.Header), len(m.Extra), samepage.ErrCorrupt)
	}
	clear(b)
	copy(b, m.Header)
	rest := b[len(b)-len(m.Extra):]
	copy(rest, m.Extra)
	f, err := frame.Open(b)
	if err != nil {
		return fmt.Errorf("%w: %w", err, samepage.ErrCorrupt)
	}
	if len(f.Bytes())+len(rest) != len(b) {
		return fmt.Errorf("the frame has %d bytes, and its message %d before those after the frame: %w", len(f.Bytes()), len(b)-len(rest), samepage.ErrCorrupt)
	}
	return drawJPEG(f, m.Data)
}

// drawJPEG draws a JPEG of the same size onto a frame. It does not take more memory than the frame
// has: a JPEG that an encoder makes does not need more.
//
// Errors: samepage.ErrCorrupt.
func drawJPEG(f *frame.Frame, b []byte) error {
	most := int64(f.Width()) * int64(f.Height())
	if f.Format() != frame.Gray {
		most += (most + 1) / 2 // each other format has as much
	}
	p, err := Decode(bytes.NewReader(b), int64(len(b)), most)
	if errors.Is(err, samepage.ErrTooLarge) {
		return fmt.Errorf("a JPEG that needs more than the %d bytes of its frame when it is decoded: %w", most, samepage.ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("decode a JPEG: %w: %w", err, samepage.ErrCorrupt)
	}
	if p.Kind != "jpeg" || p.Width != f.Width() || p.Height != f.Height() {
		return fmt.Errorf("a %s of %d x %d pixels for a frame of %d x %d: %w", p.Kind, p.Width, p.Height, f.Width(), f.Height(), samepage.ErrCorrupt)
	}
	frame.Draw(f, p.Image)
	return nil
}
