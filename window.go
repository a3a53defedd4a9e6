package samepage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"samepage/internal/object"
	"samepage/layout"
)

// ReadAt and WriteAt of a Memory use a few mappings, the windows. So an object may be larger than
// the address space, and only a small part of it is mapped at a time.
const (
	windowSize  = 4 << 20 // bytes; a multiple of every system's granularity
	windowCount = 4
)

// windows are the mappings that ReadAt and WriteAt of one Memory keep.
type windows struct {
	mu    sync.Mutex
	slots [windowCount]struct {
		p    *object.Mapping
		at   int64  // offset in the object, a multiple of windowSize
		used uint64 // clock of its last use
	}
	clock uint64
}

// at returns the bytes from off to the end of the window that contains off. write says that the
// caller will write them. The caller holds w.mu.
func (w *windows) at(m *Memory, off int64, write bool) ([]byte, error) {
	w.clock++
	start := off - off%windowSize
	oldest := 0
	for i := range w.slots {
		s := &w.slots[i]
		if s.p != nil && s.at == start && (!write || s.p.Access == layout.ReadWrite) {
			s.used = w.clock
			return w.bytes(m, i)[off-start:], nil
		}
		if s.used < w.slots[oldest].used {
			oldest = i
		}
	}
	s := &w.slots[oldest]
	if s.p != nil {
		p := s.p
		s.p = nil
		if err := m.obj.Unmap(p); err != nil {
			return nil, err
		}
	}
	n := int(min(windowSize, m.Size()-start))
	p, err := m.obj.Map(start, n, layout.Access(m.access))
	if errors.Is(err, fs.ErrPermission) && !write {
		// Somebody has sealed the object against writing since it was opened.
		p, err = m.obj.Map(start, n, layout.ReadOnly)
	}
	if err != nil {
		return nil, err
	}
	s.p, s.at, s.used = p, start, w.clock
	return w.bytes(m, oldest)[off-start:], nil
}

// bytes are the bytes of window i, which may be part of a larger mapping.
func (w *windows) bytes(m *Memory, i int) []byte {
	s := &w.slots[i]
	n := min(windowSize, m.Size()-s.at)
	return s.p.At(s.at, int(n))
}

// drop unmaps all windows.
func (w *windows) drop(o *object.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.slots {
		if p := w.slots[i].p; p != nil {
			w.slots[i].p = nil
			_ = o.Unmap(p)
		}
	}
}

// lock locks w.mu, so that Close waits. Errors: ErrClosed, and then w.mu is not locked.
func (w *windows) lock(m *Memory) error {
	w.mu.Lock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	return nil
}

// each calls f for the n bytes at off, one window after the other. f returns how many bytes of
// the piece it has done.
func (m *Memory) each(off int64, n int, write bool, f func(piece []byte, done int) (int, error)) (int, error) {
	w := &m.windows
	if err := w.lock(m); err != nil {
		return 0, err
	}
	defer w.mu.Unlock()
	done := 0
	for done < n {
		b, err := w.at(m, off+int64(done), write)
		if err != nil {
			return done, err
		}
		b = b[:min(len(b), n-done)]
		more, err := f(b, done)
		done += more
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// read copies len(p) bytes at off. The caller has checked that the object has them.
func (m *Memory) read(p []byte, off int64) (int, error) {
	if m.obj.Sys.Holes() {
		if err := m.windows.lock(m); err != nil {
			return 0, err
		}
		defer m.windows.mu.Unlock()
		return m.obj.Sys.ReadAt(p, off)
	}
	return m.each(off, len(p), false, func(b []byte, done int) (int, error) {
		p := p[done : done+len(b)]
		if object.GuardedCopy(p, b, b) {
			return len(b), nil
		}
		return m.obj.Sys.ReadAt(p, off+int64(done))
	})
}

// ReadAt copies out of the object, as io.ReaderAt. It reads through windows and maps at most 16
// MiB at a time, so it works on objects of any size. io.NewSectionReader makes an io.ReadSeeker
// of it. On Linux an object with holes, such as a sparse one, is read through its descriptor:
// then a byte that was never written takes no memory, and each call costs a system call.
//
// Errors: io.EOF, ErrClosed, ErrNegativeSize, ErrCorrupt (the file that has the bytes has shrunk),
// ErrNoSpace.
func (m *Memory) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("samepage: read at %d of %v: %w", off, m, ErrNegativeSize)
	}
	if off >= m.Size() {
		if err := m.alive(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := m.read(p[:min(int64(len(p)), m.Size()-off)], off)
	if err != nil {
		return n, fmt.Errorf("samepage: read %d bytes at %d of %v: %w", len(p), off, m, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt copies into the object, as io.WriterAt. If not all of p fits, it writes nothing.
// io.NewOffsetWriter makes an io.WriteSeeker of it. If a sparse object finds no space, WriteAt
// first removes what dead processes have left, as Create does, and tries again.
//
// Errors: ErrRange, fs.ErrPermission, ErrClosed, ErrNegativeSize, ErrCorrupt, ErrNoSpace.
func (m *Memory) WriteAt(p []byte, off int64) (int, error) {
	fail := func(n int, err error) (int, error) {
		return n, fmt.Errorf("samepage: write %d bytes at %d of %v: %w", len(p), off, m, err)
	}
	switch {
	case m.access == ReadOnly:
		return fail(0, fs.ErrPermission)
	case off < 0:
		return fail(0, ErrNegativeSize)
	case off > m.Size() || int64(len(p)) > m.Size()-off:
		return fail(0, ErrRange)
	}
	n, err := m.each(off, len(p), true, func(b []byte, done int) (int, error) {
		p := p[done : done+len(b)]
		if object.GuardedCopy(b, p, b) {
			return len(b), nil
		}
		return m.obj.Sys.WriteAt(p, off+int64(done))
	})
	if err != nil {
		return fail(n, err)
	}
	return n, nil
}

// Flush writes the changes of all processes to the file (see File), and waits until the system has
// written them. If there is no file, it does nothing.
func (m *Memory) Flush() error {
	if m.access == ReadOnly || m.File() == "" {
		return m.alive()
	}
	for off := int64(0); off < m.Size(); off += windowSize {
		_, err := m.each(off, int(min(windowSize, m.Size()-off)), true, func(b []byte, _ int) (int, error) {
			return len(b), m.obj.Sys.Flush(b)
		})
		if err != nil {
			return fmt.Errorf("samepage: flush %v: %w", m, err)
		}
	}
	return nil
}

// alive is ErrClosed after Close, nil before.
func (m *Memory) alive() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("samepage: use %v: %w", m, ErrClosed)
	}
	return nil
}
