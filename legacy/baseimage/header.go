package baseimage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"samepage"
	"samepage/frame"
	"samepage/ipcsync"
)

const headerSize = 16

// header is what comes before the pixels.
type header struct {
	length, width, height, bits int32
}

func (h header) String() string {
	return fmt.Sprintf("length %d, width %d, height %d, %d bits a pixel", h.length, h.width, h.height, h.bits)
}

// formatOf returns the format of pixels with so many bits, 0 if there is none.
func formatOf(bits int32) frame.Format {
	switch bits {
	case 8:
		return frame.Gray
	case 16:
		return frame.Gray16
	case 24:
		return frame.BGR
	case 32:
		return frame.BGRA
	}
	return 0
}

// shape is what a checked header describes.
type shape struct {
	format        frame.Format
	width, height int
	stride        int   // bytes from the start of a row to the start of the next
	length        int32 // the true one
	marked        bool  // the header has length-1: the mark of a receiver
}

// pixels returns the number of bytes from the first pixel to the last one.
func (s *shape) pixels() int {
	return s.stride*(s.height-1) + s.width*s.format.Bits()/8
}

// shape checks a header against the room for pixels, in bytes. A row has length/height
// bytes, so rows may be padded. If the length is wrong but length+1 would be right, a
// receiver has marked the header; see Receiver.mark.
//
// Errors: samepage.ErrCorrupt.
func (h header) shape(room int) (shape, error) {
	refuse := func(format string, args ...any) (shape, error) {
		return shape{}, fmt.Errorf("%v: %s: %w", h, fmt.Sprintf(format, args...), samepage.ErrCorrupt)
	}
	s := shape{format: formatOf(h.bits), width: int(h.width), height: int(h.height), length: h.length}
	switch {
	case s.format == 0:
		return refuse("want 8, 16, 24 or 32 bits a pixel")
	case h.width <= 0 || h.height <= 0 || h.width > frame.MaxSide || h.height > frame.MaxSide:
		return refuse("want 1 x 1 to %d x %d pixels", frame.MaxSide, frame.MaxSide)
	case h.length < 0 || int(h.length) > room:
		return refuse("want 1 to %d bytes", room)
	}
	row := s.width * s.format.Bits() / 8
	fits := func(length int) bool {
		s.stride = length / s.height
		return length <= room && length%s.height == 0 && s.stride >= row && s.stride <= maxStride
	}
	if fits(int(h.length)) {
		return s, nil
	}
	if s.marked = fits(int(h.length) + 1); s.marked {
		s.length++
		return s, nil
	}
	return refuse("want %d rows of one length, of at least %d bytes", s.height, row)
}

// maxStride is the length of the longest row of a frame, in bytes.
const maxStride = 1 << 20

// words are the words of the header in the section, for atomic use. The base writes all of
// them; a receiver writes only the length, to mark it and to take the mark back.
type words struct {
	length, width, height, bits *atomic.Uint32
}

func newWords(v *samepage.View) (w words, err error) {
	var errs [4]error
	w.length, errs[0] = v.Uint32(0)
	w.width, errs[1] = v.Uint32(4)
	w.height, errs[2] = v.Uint32(8)
	w.bits, errs[3] = v.Uint32(12)
	return w, errors.Join(errs[:]...)
}

// load reads the header, and the length first: a sender writes it first.
func (w *words) load() (h header) {
	h.length = int32(w.length.Load())
	h.width, h.height, h.bits = w.sides()
	return h
}

func (w *words) sides() (width, height, bits int32) {
	return int32(w.width.Load()), int32(w.height.Load()), int32(w.bits.Load())
}

// begin writes the header of a new picture: first the length, which removes the mark of a
// receiver, and all of it before any pixel.
func (w *words) begin(h header) {
	w.length.Store(uint32(h.length)) // B1
	w.width.Store(uint32(h.width))
	w.height.Store(uint32(h.height))
	w.bits.Store(uint32(h.bits))
	// The loads keep the pixels behind these stores, also on arm64, where an atomic store
	// alone does not: a load-acquire stays behind a store-release, and everything after it
	// stays behind the load.
	w.load()
}

// objects are the section and the event, open in this process.
type objects struct {
	mem   *samepage.Memory
	view  *samepage.View
	words words
	event *ipcsync.Event
}

func (b *objects) close() error {
	var err error
	if b.view != nil {
		err = b.view.Close()
	}
	return errors.Join(err, b.closeUnmapped())
}

func (b *objects) closeUnmapped() error {
	err := b.mem.Close()
	if b.event != nil {
		err = errors.Join(err, b.event.Close())
	}
	return err
}

// mapped maps the open section.
func (b *objects) mapped() (err error) {
	if err := checkSize(b.mem.Size()); err != nil {
		return err
	}
	if b.view, err = b.mem.View(0, min(b.mem.Size(), maxSection), samepage.ReadWrite); err != nil {
		return err
	}
	b.words, err = newWords(b.view)
	return err
}

// maxSection is how much of a section is used: the length in the header has 31 bits.
const maxSection = math.MaxInt32

func checkSize(n int64) error {
	if n <= headerSize {
		return fmt.Errorf("the section has %d bytes, want at least the %d of the header: %w", n, headerSize, samepage.ErrCorrupt)
	}
	return nil
}

// takeMine takes the turn of this end, which one goroutine has at a time.
func takeMine(ctx context.Context, mine chan struct{}) error {
	select {
	case mine <- struct{}{}: // even if ctx has ended
		return nil
	default:
	}
	select {
	case mine <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
