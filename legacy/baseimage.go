package legacy

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/option"
	"samepage/ipcsync"
)

// BaseImage is how a base program hands the pictures of a camera to an algorithm's
// program: one section with a header of four integers and the pixels of one picture
// behind it, and an event that is set when there is a new one. See wire.h.
//
// Of bytes of a picture: 8 bits a pixel are frame.Gray, 16 frame.Gray16, 24 frame.BGR
// and 32 frame.BGRA, as in Windows bitmaps, the upper row first.

// BaseImageOptions refine both sides of BaseImage. The zero value, and nil, mean the
// default of each field.
type BaseImageOptions struct {
	// Name and Event are those of the section and of the event. Default BaseImage
	// and BaseImageMutex.
	Name, Event string
	// Size is that of the section that a sender makes, in bytes, with the header of 16.
	// Default 33,554,432. A receiver takes the section as it is.
	Size int
	// Align is what the bytes of a row that is sent are a multiple of, 1 to 4096: 4 for
	// a receiver that wants Windows bitmaps. Default 1.
	Align int
	// Settle is how long a receiver that has copied a picture watches whether it was
	// finished when the copy began, where the sender's next step does not show that
	// before: a Grab of less time never has the picture of a sender that rests. It must be longer than a sender takes to write a picture, and may be
	// stopped in the middle of it; see BaseImageReceiver. It costs
	// time only where the sender rests. Default 100 ms; negative: it does not watch, for
	// a sender that waits for an answer to each picture.
	Settle time.Duration
	// NoTakeOver has a sender refuse a section that a program has open already, with
	// samepage.ErrBusy: a base program in C++ perhaps, whose pictures it would write over,
	// or a receiver that a base left, for nothing tells the one from the other. Default:
	// it takes the section over.
	NoTakeOver bool
	// Start makes the command of the receiver's program, which a sender starts before
	// it sends a picture when it does not run: one, however many processes send to
	// receivers of one name. It is not killed when the sender ends; who sends when all
	// senders have ended knows nothing of it, and starts another one. On Windows it must be
	// one that this process may open. Default: none is started.
	Start func() (*exec.Cmd, error)
}

const (
	baseHeaderSize = 16
	baseSize       = 33554432
	baseMaxAlign   = 4096
	baseSettle     = 100 * time.Millisecond
	// baseWatch is how often one who waits looks whether the others live: that of the
	// death watch of package ipcsync.
	baseWatch = 50 * time.Millisecond
)

// filled is a copy of o with the defaults in it. Errors: fs.ErrInvalid.
func (o *BaseImageOptions) filled() (BaseImageOptions, error) {
	var f BaseImageOptions
	if o != nil {
		f = *o
	}
	if f.Name == "" {
		f.Name = "BaseImage"
	}
	if f.Event == "" {
		f.Event = "BaseImageMutex"
	}
	if f.Size == 0 {
		f.Size = baseSize
	}
	if f.Align == 0 {
		f.Align = 1
	}
	if f.Settle == 0 {
		f.Settle = baseSettle
	}
	if err := option.SizeOption("Size", int64(f.Size), math.MaxInt32); err != nil {
		return f, err
	}
	if err := option.Range("Size", f.Size, baseHeaderSize+1, math.MaxInt32); err != nil {
		return f, err
	}
	return f, option.Range("Align", f.Align, 1, baseMaxAlign)
}

// baseHeader is what stands before the pixels.
type baseHeader struct {
	length, width, height, bits int32
}

func (h baseHeader) String() string {
	return fmt.Sprintf("length %d, width %d, height %d, %d bits a pixel", h.length, h.width, h.height, h.bits)
}

// baseFormat is that of pixels of so many bits, 0 if there is none.
func baseFormat(bits int32) frame.Format {
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

// baseShape is what a header that was checked describes.
type baseShape struct {
	format        frame.Format
	width, height int
	stride        int   // bytes from a row to the next
	length        int32 // the true one
	marked        bool  // the header had the length less one: a reader's mark
}

// pixels is how many bytes there are from the first pixel to the last one.
func (s *baseShape) pixels() int {
	return s.stride*(s.height-1) + s.width*s.format.Bits()/8
}

// shape checks a header against the room for pixels, in bytes. The rows are packed, or
// padded: what the length has for each of them. A length that is that of no picture,
// but with one more is, was marked by a reader, see markBase.
//
// Errors: samepage.ErrCorrupt.
func (h baseHeader) shape(room int) (baseShape, error) {
	refuse := func(format string, args ...any) (baseShape, error) {
		return baseShape{}, fmt.Errorf("%v: %s: %w", h, fmt.Sprintf(format, args...), samepage.ErrCorrupt)
	}
	s := baseShape{format: baseFormat(h.bits), width: int(h.width), height: int(h.height), length: h.length}
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
		return length <= room && length%s.height == 0 && s.stride >= row && s.stride <= baseMaxStride
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

// baseMaxStride is the longest row that a frame can have, in bytes.
const baseMaxStride = 1 << 20

// baseWords are the header in the section, for atomic use.
type baseWords struct {
	length, width, height, bits *atomic.Uint32
}

func newBaseWords(v *samepage.View) (w baseWords, err error) {
	var errs [4]error
	w.length, errs[0] = v.Uint32(0)
	w.width, errs[1] = v.Uint32(4)
	w.height, errs[2] = v.Uint32(8)
	w.bits, errs[3] = v.Uint32(12)
	return w, errors.Join(errs[:]...)
}

// load reads the header, the length first: what a sender writes first.
func (w *baseWords) load() (h baseHeader) {
	h.length = int32(w.length.Load())
	h.width, h.height, h.bits = w.sides()
	return h
}

func (w *baseWords) sides() (width, height, bits int32) {
	return int32(w.width.Load()), int32(w.height.Load()), int32(w.bits.Load())
}

// begin writes the header of a new picture: the length first, which takes a reader's
// mark away, and all of it before any pixel.
func (w *baseWords) begin(h baseHeader) {
	w.length.Store(uint32(h.length)) // B1
	w.width.Store(uint32(h.width))
	w.height.Store(uint32(h.height))
	w.bits.Store(uint32(h.bits))
	// The loads keep what follows behind the stores also where an atomic store alone
	// does not (arm64: a load-acquire stays behind a store-release, and all after it).
	w.load()
}

// baseObjects are the section and the event, open.
type baseObjects struct {
	mem   *samepage.Memory
	view  *samepage.View
	words baseWords
	event *ipcsync.Event
}

func (b *baseObjects) close() error {
	var err error
	if b.view != nil {
		err = b.view.Close()
	}
	return errors.Join(err, b.closeUnmapped())
}

func (b *baseObjects) closeUnmapped() error {
	err := b.mem.Close()
	if b.event != nil {
		err = errors.Join(err, b.event.Close())
	}
	return err
}

// mapped maps the section, which is open.
func (b *baseObjects) mapped() (err error) {
	if n := b.mem.Size(); n <= baseHeaderSize {
		return fmt.Errorf("it has %d bytes, and the header alone has %d: %w", n, baseHeaderSize, samepage.ErrCorrupt)
	}
	// No length in the header says more.
	n := min(b.mem.Size(), math.MaxInt32)
	if b.view, err = b.mem.View(0, n, samepage.ReadWrite); err != nil {
		return err
	}
	b.words, err = newBaseWords(b.view)
	return err
}

func baseEventOptions() *ipcsync.EventOptions { return &ipcsync.EventOptions{Exact: bareNames} }

// takeMine takes a turn that one goroutine has at a time.
func takeMine(ctx context.Context, mine chan struct{}) error {
	select {
	case mine <- struct{}{}: // also when ctx has ended
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
