package baseimage

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"runtime"

	"samepage"
	"samepage/frame"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/internal/starter"
	"samepage/ipcsync"
)

// Sender is the base program. All methods may be called concurrently; pictures go one after
// the other. The zero value is not usable: call CreateSender or OpenOrCreateSender.
//
// A Sender writes each picture over the one before, and then sets the event. It never waits for a
// receiver, also not if nobody has taken the picture before. If a C++ receiver is still copying, it
// gets a torn picture; a Receiver of this package does not. If no picture may be lost, or if C++
// receivers are slow, the two programs need an answer for each picture: wait for it before the next
// Send.
type Sender struct {
	mine   chan struct{} // holds one while a call uses what follows
	closed bool
	opts   SenderOptions
	*held
	guard   forgotten.Guard
	scratch frame.Frame // for pictures that must be drawn first
	buf     []byte
	zeros   [maxAlign]byte
}

// held is what a Sender has open.
type held struct {
	role    *ipcsync.Mutex // locked by the only Sender of that name
	obj     objects
	starter *starter.Starter
}

// giveBack closes the objects of a Sender that nobody refers to any more.
func (h *held) giveBack() (kept bool) {
	_ = h.release()
	return false
}

// CreateSender makes the section and the event. It fails if a program has the section open:
// another base, or a receiver that waits for one. CreateSender cannot know which it is.
//
// Errors: fs.ErrExist, which also matches samepage.ErrBusy (a program has the section open,
// or another Sender of that name runs); fs.ErrInvalid; those of samepage.Create and
// ipcsync.CreateEvent, among them samepage.ErrKindMismatch.
func CreateSender(opts *SenderOptions) (*Sender, error) {
	s, _, err := newSender(opts, true)
	return s, err
}

// OpenOrCreateSender makes the section and the event, or takes over a section that a program has
// open. Use it if receivers wait for a new base. existed says whether the section existed. If the
// earlier base has sent a picture that nobody has taken, that picture is dropped, because it may be
// incomplete. If a C++ base still runs, OpenOrCreateSender does not notice it, and both write into
// the section.
//
// Errors: samepage.ErrBusy (another Sender of that name runs), fs.ErrExist (the section that
// exists is smaller than SenderOptions.Size), fs.ErrInvalid; those of samepage.OpenOrCreate
// and ipcsync.OpenOrCreateEvent, among them samepage.ErrKindMismatch.
func OpenOrCreateSender(opts *SenderOptions) (s *Sender, existed bool, err error) {
	return newSender(opts, false)
}

func newSender(opts *SenderOptions, create bool) (_ *Sender, existed bool, err error) {
	o, err := opts.filled()
	s := &Sender{opts: o, mine: make(chan struct{}, 1), held: &held{}}
	if err == nil {
		existed, err = s.open(create)
	}
	if err != nil {
		return nil, false, fmt.Errorf("baseimage: create section %q: %w", o.Name, err)
	}
	s.guard = forgotten.Watch(s, "sender of BaseImage", o.Name, (*held).giveBack, s.held)
	return s, existed, nil
}

func (s *Sender) open(create bool) (existed bool, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if s.role, _, err = ipcsync.OpenOrCreateMutex(s.opts.Name+".sender", nil); err != nil {
		return false, err
	}
	switch ok, err := tryRole(s.role); {
	case err != nil:
		return false, err
	case !ok && create:
		return false, fmt.Errorf("another sender runs: %w: %w", samepage.ErrBusy, fs.ErrExist)
	case !ok:
		return false, fmt.Errorf("another sender runs: %w", samepage.ErrBusy)
	}
	if create {
		s.obj.mem, err = samepage.Create(s.opts.Name, int64(s.opts.Size), memoryOptions())
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("a program has the section open, another base or a receiver that waits for one: %w: %w", samepage.ErrBusy, fs.ErrExist)
		}
	} else {
		s.obj.mem, existed, err = samepage.OpenOrCreate(s.opts.Name, int64(s.opts.Size), memoryOptions())
	}
	if err != nil {
		return false, err
	}
	if n := s.obj.mem.Size(); n < int64(s.opts.Size) {
		return false, fmt.Errorf("the section exists and has %d bytes, want %d: %w", n, s.opts.Size, fs.ErrExist)
	}
	if err := s.obj.mapped(); err != nil {
		return false, err
	}
	if s.obj.event, _, err = ipcsync.OpenOrCreateEvent(s.opts.Event, eventOptions()); err != nil {
		return false, err
	}
	if existed {
		// The base before may have died in the middle of a picture, and then its signal means
		// nothing. Clear the sides first: a receiver that is copying drops the picture.
		s.obj.words.width.Store(0)
		if err := s.obj.event.Reset(); err != nil {
			return false, err
		}
	}
	if s.opts.Start != nil {
		s.starter, err = starter.Open("baseimage."+s.opts.Name, nil)
	}
	return existed, err
}

// tryRole takes the lock of a role, also if its owner has died: it protects nothing but the
// role itself.
func tryRole(m *ipcsync.Mutex) (bool, error) {
	ok, err := m.TryLock()
	if errors.Is(err, samepage.ErrOwnerDied) {
		err = m.Consistent()
	}
	return ok, err
}

// release closes all that is open.
func (h *held) release() error {
	var errs []error
	if h.starter != nil {
		errs = append(errs, h.starter.Close())
	}
	if h.obj.mem != nil {
		errs = append(errs, h.obj.close())
	}
	if h.role != nil {
		if err := h.role.Unlock(); !errors.Is(err, samepage.ErrNotLocked) {
			errs = append(errs, err)
		}
		errs = append(errs, h.role.Close())
	}
	return errors.Join(errs...)
}

// Close closes the section and the event. They stay as long as a receiver has them open. A
// second Close does nothing.
func (s *Sender) Close() error {
	s.mine <- struct{}{}
	defer func() { <-s.mine }()
	if s.closed {
		return nil
	}
	s.closed = true
	s.guard.Done()
	if err := s.release(); err != nil {
		return fmt.Errorf("baseimage: close section %q: %w", s.opts.Name, err)
	}
	return nil
}

// Send sends a picture. Gray pictures have 8 or 16 bits a pixel, opaque ones 24, others 32. The
// pixels of *image.Gray, *frame.Gray16Image, and of *frame.PackedImage in BGR and BGRA are copied
// unchanged. Send draws other images first, with frame.Draw. Images that frame.Draw draws without
// allocations are sent without allocations, after the first picture of that size. If the call does
// not have to wait, it ignores ctx.
//
// Errors: frame.ErrSpec (the picture has no pixels, or a side of more than frame.MaxSide);
// samepage.ErrTooLarge (the picture does not fit, and the section stays as it is);
// samepage.ErrClosed; the error of ctx; and the errors of SenderOptions.Start and of
// starting its command, after which the picture has been sent anyway.
func (s *Sender) Send(ctx context.Context, img image.Image) error {
	return s.send(ctx, img, nil)
}

// SendFrame sends a frame: Gray, Gray16, BGR and BGRA unchanged, RGBA as BGRA, others as BGR. It
// allocates nothing after the first frame of that size. If the call does not have to wait, it
// ignores ctx.
//
// Errors: those of Send.
func (s *Sender) SendFrame(ctx context.Context, f *frame.Frame) error {
	return s.send(ctx, nil, f)
}

func (s *Sender) send(ctx context.Context, img image.Image, f *frame.Frame) error {
	err := takeMine(ctx, s.mine)
	if err != nil {
		return s.wrap(err)
	}
	defer func() { <-s.mine }()
	if s.closed {
		err = samepage.ErrClosed
	}
	var p picture
	if err == nil {
		p, err = s.picture(img, f)
	}
	if err == nil {
		err = s.write(p)
	}
	runtime.KeepAlive(img) // its pixels may be in memory that goes with it
	runtime.KeepAlive(f)
	if err == nil {
		// Start the receiver's program before the signal, as the base programs do. Signal the
		// picture in any case.
		if s.starter != nil {
			_, _, err = s.starter.Ensure(ctx, s.opts.Start)
		}
		err = errors.Join(err, s.obj.event.Set())
	}
	return s.wrap(err)
}

func (s *Sender) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("baseimage: send to section %q: %w", s.opts.Name, segment.Deadline(err))
	}
	return nil
}

// picture is a picture in the format in which it is sent, without the padding.
type picture struct {
	format        frame.Format
	width, height int
	pix           []byte
	stride        int // of pix
}

// picture finds the pixels of img or of f, or draws them.
func (s *Sender) picture(img image.Image, f *frame.Frame) (picture, error) {
	if f != nil {
		img = f.Image()
	}
	if img == nil {
		return picture{}, fmt.Errorf("the frame is empty: %w", frame.ErrSpec)
	}
	b := img.Bounds()
	spec := frame.Spec{Width: b.Dx(), Height: b.Dy()}
	var pix []byte
	switch i := img.(type) {
	case *image.Gray:
		spec.Format, spec.Stride, pix = frame.Gray, i.Stride, i.Pix
		pix = from(pix, i.PixOffset(b.Min.X, b.Min.Y))
	case *frame.Gray16Image:
		spec.Format, spec.Stride, pix = frame.Gray16, i.Stride, i.Pix
		pix = from(pix, i.PixOffset(b.Min.X, b.Min.Y))
	case *frame.PackedImage:
		switch i.Format {
		case frame.BGR, frame.BGRA:
			spec.Format, spec.Stride = i.Format, i.Stride
			pix = from(i.Pix, i.PixOffset(b.Min.X, b.Min.Y))
		}
	}
	if spec.Format == 0 {
		spec.Format = drawnFormat(img)
		if err := s.check(spec); err != nil {
			return picture{}, err
		}
		if n := int(spec.Size()); len(s.buf) < n {
			s.buf = make([]byte, n)
		}
		if err := s.scratch.Reset(s.buf, spec); err != nil {
			return picture{}, err
		}
		frame.Draw(&s.scratch, img)
		spec.Stride, pix = s.scratch.Stride(0), s.scratch.Pix(0)
	} else if err := s.check(spec); err != nil {
		return picture{}, err
	}
	return picture{spec.Format, spec.Width, spec.Height, pix, spec.Stride}, nil
}

// from returns b from byte i on, or nil if the image has no pixels.
func from(b []byte, i int) []byte { return b[min(max(i, 0), len(b)):] }

// check returns an error if there cannot be such a picture, or if it does not fit.
func (s *Sender) check(spec frame.Spec) error {
	if err := spec.Check(); err != nil {
		return err
	}
	room := s.obj.view.Len() - headerSize
	if n := int64(s.stride(spec.Width, spec.Format)) * int64(spec.Height); n > int64(room) {
		return fmt.Errorf("%d x %d pixels of %d bits need %d bytes, the section has room for %d: %w",
			spec.Width, spec.Height, spec.Format.Bits(), n, room, samepage.ErrTooLarge)
	}
	return nil
}

// stride returns the bytes from the start of a row to the start of the next in the section.
func (s *Sender) stride(width int, f frame.Format) int {
	row, _ := f.Plane(0, width, 1)
	return (row + s.opts.Align - 1) / s.opts.Align * s.opts.Align
}

// drawnFormat returns the format for an image whose pixels cannot be copied unchanged.
func drawnFormat(img image.Image) frame.Format {
	switch img.ColorModel() {
	case color.GrayModel:
		return frame.Gray
	case color.Gray16Model:
		return frame.Gray16
	}
	if o, ok := img.(interface{ Opaque() bool }); ok && !o.Opaque() {
		return frame.BGRA
	}
	return frame.BGR
}

// write writes the header and the pixels of p. Precondition: check accepted p.
func (s *Sender) write(p picture) error {
	row, _ := p.format.Plane(0, p.width, 1)
	stride := s.stride(p.width, p.format)
	s.obj.words.begin(header{
		length: int32(stride * p.height), width: int32(p.width), height: int32(p.height), bits: int32(p.format.Bits()),
	})
	v := s.obj.view
	if p.stride == row && stride == row {
		_, err := v.WriteAt(p.pix[:row*p.height], headerSize)
		return err
	}
	for y := range p.height {
		at := int64(headerSize + y*stride)
		if _, err := v.WriteAt(p.pix[y*p.stride:][:row], at); err != nil {
			return err
		}
		if _, err := v.WriteAt(s.zeros[:stride-row], at+int64(row)); err != nil {
			return err
		}
	}
	return nil
}
