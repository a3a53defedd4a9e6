package sys

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// The mappings of an object, by mmap(2).

// Granularity is what the offset of a mapping must be a multiple of, in bytes.
func Granularity() int { return os.Getpagesize() }

// Map maps n bytes of the object at off, which must be a multiple of Granularity. The bytes stay
// mapped after Close of the object, until Unmap.
//
// Errors: ErrAlignment, ErrTooLarge, fs.ErrPermission; layout.ErrCorrupt, when the file below has
// shrunk; ErrNoSpace, when there is no address space.
func (o *Object) Map(off int64, n int, a layout.Access) ([]byte, error) {
	if err := o.checkRange(off, n, a); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(o.file.Fd()), &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Size < off+int64(n) {
		return nil, fmt.Errorf("%s has shrunk to %d bytes, and cannot be mapped for %d bytes at %d: %w", o.path, st.Size, n, off, layout.ErrCorrupt)
	}
	prot, flags := unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED
	switch a {
	case layout.ReadOnly:
		prot = unix.PROT_READ
	case layout.CopyOnWrite:
		flags = unix.MAP_PRIVATE
	case layout.ReadWrite:
		// Locked, so that the file is not sealed between this look and the call.
		o.frozen.mu.Lock()
		defer o.frozen.mu.Unlock()
		if o.frozen.all != nil {
			return o.frozen.all[off : off+int64(n) : off+int64(n)], nil
		}
	}
	p, err := unix.MmapPtr(int(o.file.Fd()), off, nil, uintptr(n), prot, flags)
	if err != nil {
		return nil, fmt.Errorf("mmap %d bytes at %d of %s %v: %w", n, off, o.path, a, syserr.OfMapping(err))
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// Unmap unmaps what Map has mapped.
func (o *Object) Unmap(b []byte) error {
	if o.frozen.owns(b) {
		return nil
	}
	return munmap(b)
}

// tryMap maps n bytes of a file, rounded up to a page, and unmaps them.
func tryMap(fd int, n int64, a layout.Access) error {
	prot := unix.PROT_READ | unix.PROT_WRITE
	if a == layout.ReadOnly {
		prot = unix.PROT_READ
	}
	page := int64(os.Getpagesize())
	n = (max(n, 1) + page - 1) / page * page
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(n), prot, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	return unix.MunmapPtr(p, uintptr(n))
}

func munmap(b []byte) error {
	return os.NewSyscallError("munmap", unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))))
}

// Poison makes every later access to b fault. The addresses are never used again.
func (o *Object) Poison(b []byte) error {
	if o.frozen.owns(b) {
		return nil
	}
	_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)),
		unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED|unix.MAP_NORESERVE)
	return os.NewSyscallError("mmap", err)
}

// Flush writes the pages around b to the file below, and waits for it.
func (o *Object) Flush(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	back := uintptr(p) % uintptr(os.Getpagesize())
	_, _, e := unix.Syscall(unix.SYS_MSYNC, uintptr(p)-back, uintptr(len(b))+back, unix.MS_SYNC)
	if e != 0 {
		return os.NewSyscallError("msync", syserr.Space(e))
	}
	return nil
}

// frozen is the one writable mapping of an unnamed object that was handed over for reading only.
// The seal that keeps the receiver from writing, F_SEAL_FUTURE_WRITE, also keeps this process
// from mapping the object for writing again.
type frozen struct {
	mu   sync.Mutex
	all  []byte
	kept bool // also when the object is closed
}

// KeepMapped keeps all mappings until the process ends, also after the object is closed.
func (o *Object) KeepMapped() {
	o.frozen.mu.Lock()
	o.frozen.kept = true
	o.frozen.mu.Unlock()
}

// freeze maps all of a memfd and seals it against any other writer.
func (o *Object) freeze() error {
	o.frozen.mu.Lock()
	defer o.frozen.mu.Unlock()
	if o.frozen.all != nil {
		return nil
	}
	if o.Size != int64(int(o.Size)) {
		return fmt.Errorf("map all %d bytes before a read-only hand-over: %w", o.Size, syserr.ErrTooLarge)
	}
	p, err := unix.MmapPtr(int(o.file.Fd()), 0, nil, uintptr(o.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map all %d bytes before a read-only hand-over: %w", o.Size, syserr.OfMapping(err))
	}
	if _, err := unix.FcntlInt(o.file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE); err != nil {
		_ = unix.MunmapPtr(p, uintptr(o.Size))
		return fmt.Errorf("seal against writing (needs Linux 5.1): %w", err)
	}
	o.frozen.all = unsafe.Slice((*byte)(p), int(o.Size))
	return nil
}

func (z *frozen) owns(b []byte) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.all) == 0 || len(b) == 0 {
		return false
	}
	p, first := uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&z.all[0]))
	return p >= first && p < first+uintptr(len(z.all))
}

func (z *frozen) release() {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.all != nil && !z.kept {
		_ = munmap(z.all)
		z.all = nil
	}
}
