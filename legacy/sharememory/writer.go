package sharememory

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io/fs"
	"math"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/option"
	"samepage/internal/segment"
)

// Writer writes the latest value of a block, as the C++ class ShareMemoryWrite does. A
// block may have several writers at the same time. All methods may be called concurrently.
// The zero value is not usable.
//
// A Writer that opens an existing block keeps its value. A C++ writer does not: it clears
// the header when it starts, without the lock, and then nobody sees the value until the
// next Write.
type Writer struct {
	block
	room int // of the section when it was opened; later changes of its header do not count
}

// A verb says what a writer does with a block that exists, or does not.
type verb int

const (
	create verb = iota
	openOrCreate
	open
)

// CreateWriter makes a block with room for a value of size bytes, and without a value. It does so
// under the write lock, so nobody who takes the lock sees the block half made. If the call does
// not have to wait, it ignores ctx.
//
// Errors: fs.ErrExist, samepage.ErrName, samepage.ErrNegativeSize, samepage.ErrZeroSize,
// samepage.ErrTooLarge (sizes have 31 bits), samepage.ErrKindMismatch, samepage.ErrNoSpace,
// and those of NewFileLock and FileLock.Lock.
func CreateWriter(ctx context.Context, name string, size int, opts *Options) (*Writer, error) {
	w, _, err := newWriter(ctx, name, size, opts, create)
	if err != nil {
		return nil, fmt.Errorf("sharememory: create block %q with room for %d bytes: %w", name, size, err)
	}
	return w, nil
}

// OpenWriter opens the block of that name for writing, and keeps its value. If the call does not
// have to wait, it ignores ctx.
//
// Errors: fs.ErrNotExist, samepage.ErrName, samepage.ErrKindMismatch, fs.ErrPermission;
// samepage.ErrVersion and samepage.ErrCorrupt (the header of the block does not say how
// large it is); those of NewFileLock and FileLock.Lock, among them samepage.ErrStore if the
// folder of the lock files does not exist: only the program that makes a block makes it.
func OpenWriter(ctx context.Context, name string, opts *Options) (*Writer, error) {
	w, _, err := newWriter(ctx, name, 0, opts, open)
	if err != nil {
		return nil, fmt.Errorf("sharememory: open block %q: %w", name, err)
	}
	return w, nil
}

// OpenOrCreateWriter opens the block of that name if it exists, and keeps its value and its room.
// Otherwise it makes one with room for a value of size bytes. With size 0 it opens a block with
// any room, and makes none. If the call does not have to wait, it ignores ctx.
//
// Errors: those of CreateWriter and OpenWriter except fs.ErrExist and fs.ErrNotExist;
// samepage.ErrTooLarge also if the block has room for less than size bytes, and
// samepage.ErrZeroSize if size is 0 and there is no block.
func OpenOrCreateWriter(ctx context.Context, name string, size int, opts *Options) (w *Writer, existed bool, err error) {
	w, existed, err = newWriter(ctx, name, size, opts, openOrCreate)
	if err != nil {
		return nil, false, fmt.Errorf("sharememory: open or create block %q with room for %d bytes: %w", name, size, err)
	}
	return w, existed, nil
}

// AwaitWriter waits until the block of that name exists, and opens it as OpenWriter does. If the
// call does not have to wait, it ignores ctx.
//
// Errors: those of OpenWriter except fs.ErrNotExist, and the error of ctx (a deadline also
// matches os.ErrDeadlineExceeded).
func AwaitWriter(ctx context.Context, name string, opts *Options) (*Writer, error) {
	var w *Writer
	err := segment.Until(ctx, func() (_ bool, err error) {
		w, _, err = newWriter(ctx, name, 0, opts, open)
		if missing(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("sharememory: wait for block %q: %w", name, segment.Deadline(err))
	}
	return w, nil
}

func newWriter(ctx context.Context, name string, size int, opts *Options, how verb) (w *Writer, existed bool, err error) {
	if how == openOrCreate && size == 0 {
		if w, existed, err = newWriter(ctx, name, size, opts, open); missing(err) {
			err = fmt.Errorf("there is no block, and size 0 opens one that exists: %w: %w", samepage.ErrZeroSize, err)
		}
		return w, existed, err
	}
	s, err := newBlock(name, opts, how != open)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	if how == open {
		err = s.checkExists()
	} else {
		err = option.Size("size", int64(size), int64(math.MaxInt32-s.opts.Layout.around()))
	}
	if err != nil {
		return nil, false, err
	}
	if s.opts.Layout == Head {
		// A file that cannot be removed blocks nobody.
		_, _ = CleanFileLocks(&s.opts.Lock)
	}
	if err := s.lock.Lock(ctx); err != nil {
		return nil, false, inner(err)
	}
	w = &Writer{block: block{name: name, section: s.section, opts: s.opts, lock: s.lock, opened: &opened{}}}
	existed, err = w.enter(size, how)
	if err := errors.Join(err, inner(s.lock.Unlock())); err != nil {
		if w.mem != nil {
			err = errors.Join(err, w.mem.Close())
		}
		return nil, false, err
	}
	w.guard = forgotten.Watch(w, "writer of ShareMemory", name, (*opened).giveBack, w.opened)
	return w, existed, nil
}

// enter makes the section, or opens it. The caller holds the write lock.
func (w *Writer) enter(size int, how verb) (existed bool, err error) {
	o := memoryOptions(samepage.ReadWrite)
	o.Init = w.opts.Layout.header(size, 0, 0).encode()
	all := int64(size + w.opts.Layout.around())
	switch how {
	case create:
		w.mem, err = samepage.Create(w.section, all, o)
	case open:
		w.mem, err = w.open(samepage.ReadWrite)
		existed = true
	default:
		w.mem, existed, err = samepage.OpenOrCreate(w.section, all, o)
	}
	if err != nil {
		return false, err
	}
	w.room = size
	if existed {
		err = w.adopt(size)
	}
	return existed, err
}

// adopt takes over a section that another program has made. A size other than 0 is the room
// that is needed.
func (w *Writer) adopt(size int) error {
	h, err := w.readHeader()
	if err != nil {
		return err
	}
	l, section := w.opts.Layout, min(w.mem.Size(), math.MaxInt32)
	unmade := h == header{} // its maker has died, or does not lock: the C++ writer does not
	if unmade {
		// The room that the section has. On Windows nobody knows better: the size of the
		// section is known rounded up.
		h = *l.header(int(section)-l.around(), 0, 0)
	}
	if w.room, err = l.room(&h, w.mem.Size()); err != nil {
		return err
	}
	if size > w.room {
		return fmt.Errorf("the block exists and has room for %d: %w", w.room, samepage.ErrTooLarge)
	}
	if !unmade {
		return nil
	}
	if size > 0 {
		w.room = size
	}
	_, err = w.mem.WriteAt(l.header(w.room, 0, 0).encode(), 0)
	return err
}

// Cap returns the size of the largest value that fits, in bytes.
func (w *Writer) Cap() int { return w.room }

// Write makes p the latest value, under the write lock, and returns the number of bytes written.
// It also writes the whole header again from what this Writer knows, so it repairs a header that
// another program has damaged. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrTooLarge (nothing is written), samepage.ErrTruncated (with
// Options.Truncate: only the first Cap bytes are written), fs.ErrInvalid (p is nil; an
// empty value that is not nil is allowed), and those of FileLock.Lock.
func (w *Writer) Write(ctx context.Context, p []byte) (n int, err error) {
	n, err = w.write(ctx, p)
	return n, w.wrap("write", err)
}

func (w *Writer) write(ctx context.Context, p []byte) (n int, err error) {
	if p == nil {
		return 0, fmt.Errorf("the value is nil: %w", fs.ErrInvalid)
	}
	var cut error
	if len(p) > w.room {
		what := samepage.ErrTooLarge
		if w.opts.Truncate {
			what = samepage.ErrTruncated
		}
		cut = fmt.Errorf("the value has %d bytes, the block has room for %d: %w", len(p), w.room, what)
		if !w.opts.Truncate {
			return 0, cut
		}
		p = p[:w.room]
	}
	head := w.opts.Layout.header(w.room, len(p), crc64.Checksum(p, crcTable)).encode()
	if err := w.lock.Lock(ctx); err != nil {
		return 0, inner(err)
	}
	defer func() { err = errors.Join(err, inner(w.lock.Unlock())) }()
	// The tail first. A writer that dies between two of these steps leaves the old value, or a
	// value that does not match its checksum.
	if tail := w.opts.Layout.tail(); tail > 0 {
		if _, err := w.mem.WriteAt(make([]byte, tail), int64(headSize+len(p))); err != nil {
			return 0, err
		}
	}
	if _, err := w.mem.WriteAt(head, 0); err != nil {
		return 0, err
	}
	if n, err = w.mem.WriteAt(p, headSize); err != nil {
		return n, err
	}
	return n, cut
}
