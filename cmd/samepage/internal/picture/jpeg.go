package picture

import (
	"bytes"
	"fmt"
	"image/jpeg"

	"samepage"
	"samepage/frame"
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
	samples frame.Frame // what a JPEG has: Y, Cb and Cr
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

// DrawJPEG draws a JPEG of the same size onto a frame.
//
// Errors: samepage.ErrCorrupt.
func DrawJPEG(f *frame.Frame, b []byte) error {
	// The most that any JPEG needs: a progressive one of three samples a pixel, and its colours.
	most := int64(f.Width()) * int64(f.Height()) * 20
	p, err := Decode(bytes.NewReader(b), int64(len(b)), most)
	if err != nil {
		return fmt.Errorf("decode a JPEG: %w: %w", err, samepage.ErrCorrupt)
	}
	if p.Kind != "jpeg" || p.Width != f.Width() || p.Height != f.Height() {
		return fmt.Errorf("a %s of %d x %d pixels for a frame of %d x %d: %w", p.Kind, p.Width, p.Height, f.Width(), f.Height(), samepage.ErrCorrupt)
	}
	frame.Draw(f, p.Image)
	return nil
}
