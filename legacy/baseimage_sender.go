package legacy

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

// BaseImageSender is the base program's side of BaseImage. Its methods may be called
// concurrently; pictures go one after the other. The zero value is not usable.
//
// A picture is written over the one before, whether a receiver has taken that or not,
// and the event is set: nothing ever waits for a receiver, and a C++ one that still
// copies gets a torn picture. (A BaseImageReceiver does not.) Whoever must not lose
// pictures, or sends to C++ receivers that are slow, has to agree with them on an
// answer, and wait for it.
type BaseImageSender struct {
	mine   chan struct{} // holds one while a call has what follows
	closed bool
	opts   BaseImageOptions
	*baseHeld
	guard   forgotten.Guard
	scratch frame.Frame // pictures that have to be drawn first
	buf     []byte
	zeros   [baseMaxAlign]byte
}

// baseHeld is what a sender has open.
type baseHeld struct {
	role    *ipcsync.Mutex // held by the one sender that is a Go program
	obj     baseObjects
	starter *starter.Starter
}

// giveBack closes what a sender has open that was forgotten.
func (h *baseHeld) giveBack() (kept bool) {
	_ = h.release()
	return false
}

// CreateBaseImage makes the section and the event, or takes them over from a base
// program that has ended while a receiver still had them open. What that one had sent
// last, and nobody has taken, is lost then: it may be half a picture.
//
// Errors: samepage.ErrBusy while another BaseImageSender lives, and with
// BaseImageOptions.NoTakeOver while anybody has the section; fs.ErrExist when there
// is a smaller section of that name; fs.ErrInvalid; those of samepage.Create and
// ipcsync.CreateEvent, among them samepage.ErrKindMismatch.
func CreateBaseImage(opts *BaseImageOptions) (*BaseImageSender, error) {
	o, err := opts.filled()
	if err != nil {
		return nil, fmt.Errorf("legacy: create BaseImage %q: %w", o.Name, err)
	}
	s := &BaseImageSender{opts: o, mine: make(chan struct{}, 1), baseHeld: &baseHeld{}}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("legacy: create BaseImage %q: %w", o.Name, err)
	}
	s.guard = forgotten.Watch(s, "sender of BaseImage", o.Name, (*baseHeld).giveBack, s.baseHeld)
	return s, nil
}

func (s *BaseImageSender) open() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if s.role, _, err = ipcsync.OpenOrCreateMutex(s.opts.Name+".sender", nil); err != nil {
		return err
	}
	switch ok, err := tryBaseLock(s.role); {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("there is another sender: %w", samepage.ErrBusy)
	}
	var existed bool
	if s.opts.NoTakeOver {
		s.obj.mem, err = samepage.Create(s.opts.Name, int64(s.opts.Size), memoryOptions())
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("a program has the section open, another base or a receiver that waits for one: %w", samepage.ErrBusy)
		}
	} else {
		s.obj.mem, existed, err = samepage.OpenOrCreate(s.opts.Name, int64(s.opts.Size), memoryOptions())
	}
	if err != nil {
		return err
	}
	if n := s.obj.mem.Size(); n < int64(s.opts.Size) {
		return fmt.Errorf("there is a section of %d bytes, want %d: %w", n, s.opts.Size, fs.ErrExist)
	}
	if err := s.obj.mapped(); err != nil {
		return err
	}
	if s.obj.event, _, err = ipcsync.OpenOrCreateEvent(s.opts.Event, baseEventOptions()); err != nil {
		return err
	}
	if existed {
		// What a base left that died in the middle of a picture is none, and its signal
		// tells of none. The sides first: a receiver that is at it throws it away.
		s.obj.words.width.Store(0)
		if err := s.obj.event.Reset(); err != nil {
			return err
		}
	}
	if s.opts.Start != nil {
		s.starter, err = starter.Open("baseimage."+s.opts.Name, nil)
	}
	return err
}

// tryBaseLock takes a lock also after its owner has died: what it guards is who has
// it.
func tryBaseLock(m *ipcsync.Mutex) (bool, error) {
	ok, err := m.TryLock()
	if errors.Is(err, samepage.ErrOwnerDied) {
		err = m.Consistent()
	}
	return ok, err
}

// release gives up all that is open.
func (h *baseHeld) release() error {
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

// Close gives section and event up. They stay for as long as a receiver has them
// open. A second Close does nothing.
func (s *BaseImageSender) Close() error {
	s.mine <- struct{}{}
	defer func() { <-s.mine }()
	if s.closed {
		return nil
	}
	s.closed = true
	s.guard.Done()
	if err := s.release(); err != nil {
		return fmt.Errorf("legacy: close BaseImage %q: %w", s.opts.Name, err)
	}
	return nil
}

// Send sends a picture: gray ones with 8 or 16 bits a pixel, opaque ones with 24, others
// with 32. *image.Gray, *frame.Gray16Image and *frame.PackedImage of BGR and BGRA go as
// they stand, others are drawn first (frame.Draw). Images of packages image and frame
// allocate nothing, once one as large was sent.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: frame.ErrSpec for a picture without pixels, or with sides of more than
// frame.MaxSide; samepage.ErrTooLarge for one that has no room in the section, which
// stays as it is; samepage.ErrClosed; the error of ctx; those of Options.Start and of
// starting what it made: then the picture is sent all the same.
func (s *BaseImageSender) Send(ctx context.Context, img image.Image) error {
	return s.send(ctx, img, nil)
}

// SendFrame sends a frame: Gray, Gray16, BGR and BGRA as they stand, RGBA as BGRA,
// others as BGR. It allocates nothing, once a frame as large was sent. Errors: those of
// Send.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (s *BaseImageSender) SendFrame(ctx context.Context, f *frame.Frame) error {
	return s.send(ctx, nil, f)
}

func (s *BaseImageSender) send(ctx context.Context, img image.Image, f *frame.Frame) error {
	err := takeMine(ctx, s.mine)
	if err != nil {
		return s.wrap(err)
	}
	defer func() { <-s.mine }()
	if s.closed {
		err = samepage.ErrClosed
	}
	var p basePicture
	if err == nil {
		p, err = s.picture(img, f)
	}
	if err == nil {
		err = s.write(p)
	}
	runtime.KeepAlive(img) // it may be in memory that goes with it
	runtime.KeepAlive(f)
	if err == nil {
		// The receiver's program first, as the base programs do; but a picture that
		// is there is told of in any case.
		if s.starter != nil {
			_, _, err = s.starter.Ensure(ctx, s.opts.Start)
		}
		err = errors.Join(err, s.obj.event.Set())
	}
	return s.wrap(err)
}

func (s *BaseImageSender) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("legacy: send BaseImage %q: %w", s.opts.Name, segment.Deadline(err))
	}
	return nil
}

// basePicture is a picture as it is to be sent, but for the padding.
type basePicture struct {
	format        frame.Format
	width, height int
	pix           []byte
	stride        int // of pix
}

// picture finds the pixels of img, or else of f, or draws them.
func (s *BaseImageSender) picture(img image.Image, f *frame.Frame) (basePicture, error) {
	if f != nil {
		img = f.Image()
	}
	if img == nil {
		return basePicture{}, fmt.Errorf("an empty frame: %w", frame.ErrSpec)
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
			return basePicture{}, err
		}
		if n := int(spec.Size()); len(s.buf) < n {
			s.buf = make([]byte, n)
		}
		if err := s.scratch.Reset(s.buf, spec); err != nil {
			return basePicture{}, err
		}
		frame.Draw(&s.scratch, img)
		spec.Stride, pix = s.scratch.Stride(0), s.scratch.Pix(0)
	} else if err := s.check(spec); err != nil {
		return basePicture{}, err
	}
	return basePicture{spec.Format, spec.Width, spec.Height, pix, spec.Stride}, nil
}

// from is b from byte i on; none of an image without pixels.
func from(b []byte, i int) []byte { return b[min(max(i, 0), len(b)):] }

// check says whether there can be such a picture, and whether it has room.
func (s *BaseImageSender) check(spec frame.Spec) error {
	if err := spec.Check(); err != nil {
		return err
	}
	room := s.obj.view.Len() - baseHeaderSize
	if n := int64(s.stride(spec.Width, spec.Format)) * int64(spec.Height); n > int64(room) {
		return fmt.Errorf("%d x %d pixels of %d bits take %d bytes, and the section has room for %d: %w",
			spec.Width, spec.Height, spec.Format.Bits(), n, room, samepage.ErrTooLarge)
	}
	return nil
}

// stride is the bytes from a row to the next in the section.
func (s *BaseImageSender) stride(width int, f frame.Format) int {
	row, _ := f.Plane(0, width, 1)
	return (row + s.opts.Align - 1) / s.opts.Align * s.opts.Align
}

// drawnFormat is what an image is drawn as that cannot go as it stands.
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

// write writes header and pixels. p was checked.
func (s *BaseImageSender) write(p basePicture) error {
	row, _ := p.format.Plane(0, p.width, 1)
	stride := s.stride(p.width, p.format)
	s.obj.words.begin(baseHeader{
		length: int32(stride * p.height), width: int32(p.width), height: int32(p.height), bits: int32(p.format.Bits()),
	})
	v := s.obj.view
	if p.stride == row && stride == row {
		_, err := v.WriteAt(p.pix[:row*p.height], baseHeaderSize)
		return err
	}
	for y := range p.height {
		at := int64(baseHeaderSize + y*stride)
		if _, err := v.WriteAt(p.pix[y*p.stride:][:row], at); err != nil {
			return err
		}
		if _, err := v.WriteAt(s.zeros[:stride-row], at+int64(row)); err != nil {
			return err
		}
	}
	return nil
}
