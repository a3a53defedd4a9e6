//go:build !linux && !windows

package sys

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/lockfile"
	"samepage/internal/sys/syserr"
	"samepage/internal/sys/waker"
	"samepage/layout"
)

// On these systems only files can be mapped. Their file locks do not belong to one descriptor, so
// there is no way to find out which process is alive.

type impl struct{ file *os.File }

// Create is not supported.
func Create(*Spec) (*Object, error) { return nil, syserr.Unsupported("a named object") }

// Open is not supported.
func Open(*Spec) (*Object, error) { return nil, syserr.Unsupported("a named object") }

// Remove is not supported.
func Remove(*Spec) error { return syserr.Unsupported("a named object") }

// Stat is not supported.
func Stat(*Spec) (Info, error) { return Info{}, syserr.Unsupported("a named object") }

// Absent is false: Open says that it is not supported.
func Absent(*Spec) bool { return false }

// List finds nothing: there are no named objects.
func List(layout.Scope) ([]Info, error) { return nil, nil }

// Clean finds nothing: there are no named objects.
func Clean(layout.Scope, bool) ([]Leftover, error) { return nil, nil }

// CreateUnnamed is not supported.
func CreateUnnamed(*Spec) (*Object, error) { return nil, syserr.Unsupported("unnamed memory") }

// Receive is not supported.
func Receive(*layout.Token) (*Object, error) { return nil, syserr.Unsupported("handing memory over") }

// Inherit is not supported.
func (o *Object) Inherit(*exec.Cmd, layout.Access) (uint64, error) {
	return 0, syserr.Unsupported("handing memory over")
}

// Grant is not supported.
func (o *Object) Grant(layout.Access) (uint64, error) {
	return 0, syserr.Unsupported("handing memory over")
}

// KeepMapped does nothing: mappings stay until the process ends anyway.
func (*Object) KeepMapped() {}

// Alone is not supported.
func (o *Object) Alone() (bool, error) { return false, syserr.Unsupported("counting users") }

// CheckName returns nil: there are no named objects.
func (o *Object) CheckName() error { return nil }

// MapFile opens an object without a name over s.File. It makes a file that is missing when s.Size
// is given. Errors: fs.ErrNotExist, fs.ErrPermission, errors.ErrUnsupported.
func MapFile(s *Spec) (*Object, error) {
	if s.Exclusive {
		return nil, syserr.Unsupported("exclusive access to " + s.File)
	}
	flags := os.O_RDONLY
	if s.Access == layout.ReadWrite {
		flags = os.O_RDWR
		if s.Size > 0 {
			flags |= os.O_CREATE
		}
	}
	perm := s.Perm.Perm()
	if perm == 0 {
		perm = 0o600
	}
	f, err := os.OpenFile(s.File, flags, perm)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && s.Size > st.Size() {
		err = f.Truncate(s.Size)
	}
	var sys unix.Stat_t
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &sys)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	o := &Object{
		Kind: s.Kind, Access: s.Access, Size: s.Size, Lifetime: layout.Persist, File: s.File, impl: impl{f},
		Key: fmt.Sprint(sys.Dev, ".", sys.Ino, ".", s.Size, ".", int(s.Access)),
	}
	copy(o.ID[:], strconv.FormatUint(uint64(sys.Ino), 36))
	if s.Size == 0 {
		o.Size = st.Size()
	}
	return o, nil
}

// Granularity is what the offset of a mapping must be a multiple of, in bytes.
func Granularity() int { return os.Getpagesize() }

// Map maps n bytes of the object at off.
func (o *Object) Map(off int64, n int, a layout.Access) ([]byte, error) {
	if err := o.checkRange(off, n, a); err != nil {
		return nil, err
	}
	prot, flags := unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED
	switch a {
	case layout.ReadOnly:
		prot = unix.PROT_READ
	case layout.CopyOnWrite:
		flags = unix.MAP_PRIVATE
	}
	b, err := unix.Mmap(int(o.file.Fd()), off, n, prot, flags)
	return b, os.NewSyscallError("mmap", err)
}

// Unmap unmaps what Map has mapped.
func (o *Object) Unmap(b []byte) error { return os.NewSyscallError("munmap", unix.Munmap(b)) }

// Poison makes every further access to b a fault.
func (o *Object) Poison(b []byte) error {
	return os.NewSyscallError("mprotect", unix.Mprotect(b, unix.PROT_NONE))
}

// Holes is false.
func (o *Object) Holes() bool { return false }

// ReadAt fills p from off on.
func (o *Object) ReadAt(p []byte, off int64) (int, error) { return o.file.ReadAt(p, off) }

// WriteAt writes p at off.
func (o *Object) WriteAt(p []byte, off int64) (int, error) { return o.file.WriteAt(p, off) }

// Fault is layout.ErrCorrupt: the file below has shrunk.
func (o *Object) Fault(int64, int) error {
	return fmt.Errorf("the file has shrunk while it is mapped: %w", layout.ErrCorrupt)
}

// Flush writes the whole file: b need not begin at a page.
func (o *Object) Flush([]byte) error { return o.file.Sync() }

// Close closes the file.
func (o *Object) Close() error { return o.file.Close() }

// MemberLocks would carry a member's lock.
type MemberLocks struct{}

// OpenLocks is not supported.
func (o *Object) OpenLocks() (*MemberLocks, error) { return nil, syserr.Unsupported("members") }

// Take locks byte i.
func (*MemberLocks) Take(int) (bool, error) { return false, syserr.Unsupported("members") }

// Release unlocks byte i.
func (*MemberLocks) Release(int) {}

// Held says whether another member holds byte i.
func (*MemberLocks) Held(int) (bool, error) { return false, syserr.Unsupported("members") }

// Close drops all locks.
func (*MemberLocks) Close() error { return nil }

// Wakers returns the segment of the object's members, for package waker.
func (o *Object) Wakers() waker.Segment { return waker.Segment{ID: o.ID, Scope: o.Scope} }

// OpenLockFile is not supported.
func OpenLockFile(path string, exclusively bool) (*lockfile.File, error) {
	return lockfile.Open(path, exclusively)
}

// LockFolder is not supported.
func LockFolder(name string) (string, error) { return lockfile.Folder(name) }
