package samepage

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/layout"
)

// View is a part of a Memory that is mapped into this process. Its methods may be called
// concurrently. The zero value is a closed View.
//
// A View that is dropped without Close is unmapped when the View and its Memory are garbage
// collected. Exception: if Bytes, Uint32, Uint64, As or Slice was ever called, the caller may
// still use what it returned. Then the bytes stay mapped, and take memory, until the process
// ends. But they do not keep the View or the Memory from being collected, so the name goes.
type View struct {
	m      *Memory
	access Access
	off    int64
	*viewed

	mu sync.RWMutex // locked for reading while a method touches b
	b  []byte       // nil when closed
}

// viewed has the resources of a View.
type viewed struct {
	p     *object.Mapping
	taken [8]uintptr  // the stack of the call that took the view
	out   atomic.Bool // the caller has got addresses in the view
}

// View maps length bytes at offset. The offset need not be aligned. Length 0 means all bytes from
// offset to the end. Views of one process on the same bytes share one mapping, except
// copy-on-write views.
//
// Errors: ErrClosed, fs.ErrPermission (the text names both modes), ErrRange, ErrNegativeSize,
// ErrZeroSize, ErrTooLarge (more than the address space holds), ErrNoSpace, ErrCorrupt (the file
// below has shrunk).
func (m *Memory) View(offset, length int64, access Access) (_ *View, err error) {
	defer wrap(&err, "map a %v view of %d bytes at %d of %v", access, length, offset, m)
	switch {
	case !layout.Access(access).Known():
		return nil, option.OneOf("access", access, ReadWrite, ReadOnly, CopyOnWrite)
	case access == ReadWrite && m.access == ReadOnly:
		return nil, fmt.Errorf("the memory is open %v: %w", m.access, fs.ErrPermission)
	case offset < 0 || length < 0:
		return nil, ErrNegativeSize
	case offset > m.Size() || length > m.Size()-offset:
		return nil, ErrRange
	}
	if length == 0 {
		length = m.Size() - offset
	}
	if length == 0 {
		return nil, ErrZeroSize
	}
	if length > math.MaxInt-1<<20 {
		return nil, fmt.Errorf("the address space cannot hold so many bytes: %w", ErrTooLarge)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	p, err := m.obj.Map(offset, int(length), layout.Access(access))
	if err != nil {
		return nil, err
	}
	v := &View{m: m, access: access, off: offset, viewed: &viewed{p: p}, b: p.At(offset, int(length))}
	runtime.Callers(2, v.taken[:])
	if m.views == nil {
		m.views = map[*viewed]struct{}{}
	}
	m.views[v.viewed] = struct{}{}
	return v, nil
}

// Bytes is the shared memory itself: a read sees what other processes write, and a write through
// a read-write view is seen by them. Bytes is nil when the view is closed. The slice must not be
// touched after Close.
func (v *View) Bytes() []byte {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.b != nil {
		v.handOut()
	}
	return v.b
}

// handOut notes that the caller knows addresses in the view.
func (v *viewed) handOut() {
	if !v.out.Load() {
		v.out.Store(true)
	}
}

// Len is the length in bytes. It is 0 when the view is closed.
func (v *View) Len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.b)
}

// Offset is where the view begins in the Memory, in bytes.
func (v *View) Offset() int64 { return v.off }

// Access is what may be done through the view.
func (v *View) Access() Access { return v.access }

// ReadAt copies out of the view, as io.ReaderAt. It has two advantages over a read of Bytes. If
// the file that has the bytes has shrunk, it returns ErrCorrupt. And it reads the holes of a
// sparse object without taking memory for them (see Memory.ReadAt), except through a copy-on-write
// view.
func (v *View) ReadAt(p []byte, off int64) (int, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.b == nil {
		return 0, fmt.Errorf("samepage: read from a view: %w", ErrClosed)
	}
	if off < 0 {
		return 0, fmt.Errorf("samepage: read at offset %d of a view: %w", off, ErrNegativeSize)
	}
	if off >= int64(len(v.b)) {
		return 0, io.EOF
	}
	n := min(len(p), len(v.b)-int(off))
	if done, err := v.read(p[:n], off); err != nil {
		return done, fmt.Errorf("samepage: read %d bytes at %d of %v: %w", n, v.off+off, v.m, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// read copies len(p) bytes at off of the view. The caller has checked that the view has them.
// What was written to a copy-on-write view exists only in the view.
func (v *View) read(p []byte, off int64) (int, error) {
	o := v.m.obj.Sys
	if v.access != CopyOnWrite && o.Holes() {
		return o.ReadAt(p, v.off+off)
	}
	if object.GuardedCopy(p, v.b[off:], v.b) {
		return len(p), nil
	}
	if v.access == CopyOnWrite {
		return 0, o.Fault(v.off+off, len(p))
	}
	return o.ReadAt(p, v.off+off)
}

// WriteAt copies into the view, as io.WriterAt. If not all of p fits, it writes nothing
// (ErrRange). It has two advantages over a write to Bytes. If the file that has the bytes has
// shrunk, it returns ErrCorrupt. If a sparse object finds no space, it returns ErrNoSpace.
func (v *View) WriteAt(p []byte, off int64) (int, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	switch {
	case v.b == nil:
		return 0, fmt.Errorf("samepage: write to a view: %w", ErrClosed)
	case v.access == ReadOnly:
		return 0, fmt.Errorf("samepage: write through a %v view of %v: %w", v.access, v.m, fs.ErrPermission)
	case off < 0:
		return 0, fmt.Errorf("samepage: write at offset %d of a view: %w", off, ErrNegativeSize)
	case off > int64(len(v.b)) || len(p) > len(v.b)-int(off):
		return 0, fmt.Errorf("samepage: write %d bytes at offset %d of a view of %d bytes: %w", len(p), off, len(v.b), ErrRange)
	}
	if object.GuardedCopy(v.b[off:], p, v.b) {
		return len(p), nil
	}
	var n int
	var err error
	if v.access == CopyOnWrite {
		err = v.m.obj.Sys.Fault(v.off+off, len(p))
	} else {
		n, err = v.m.obj.Sys.WriteAt(p, v.off+off)
	}
	if err != nil {
		return n, fmt.Errorf("samepage: write %d bytes at %d of %v: %w", len(p), v.off+off, v.m, err)
	}
	return n, nil
}

// Flush writes the changes to the file (see Memory.File) and waits until the system has written
// them (msync; FlushViewOfFile and FlushFileBuffers). If there is no file, it does nothing.
func (v *View) Flush() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.b == nil {
		return fmt.Errorf("samepage: flush a view: %w", ErrClosed)
	}
	if v.access != ReadWrite {
		return nil
	}
	if err := v.m.obj.Sys.Flush(v.b); err != nil {
		return fmt.Errorf("samepage: flush %d bytes at %d of %v: %w", len(v.b), v.off, v.m, err)
	}
	return nil
}

// Close closes the view. Its Bytes must not be touched afterwards. A second Close does nothing.
func (v *View) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.b == nil {
		return nil
	}
	v.b = nil
	// Unmap first: as long as the Memory knows the view, the Memory cannot be closed.
	err := v.m.obj.Unmap(v.p)
	v.m.mu.Lock()
	delete(v.m.views, v.viewed)
	v.m.mu.Unlock()
	if err != nil {
		return fmt.Errorf("samepage: close a view of %v: %w", v.m, err)
	}
	return nil
}

// takenAt says where open views were taken. It names at most three.
func takenAt(views map[*viewed]struct{}) string {
	var b strings.Builder
	told := 0
	for v := range views {
		if told++; told > 3 {
			b.WriteString(", ...")
			break
		}
		n := 0
		for n < len(v.taken) && v.taken[n] != 0 {
			n++
		}
		f, _ := runtime.CallersFrames(v.taken[:n]).Next()
		sep := ", taken at"
		if told > 1 {
			sep = ","
		}
		fmt.Fprintf(&b, "%s %s:%d", sep, f.File, f.Line)
	}
	return b.String()
}
