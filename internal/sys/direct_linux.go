package sys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file reads and writes the bytes of an object through its descriptor, not through a mapping.
// So reading a hole gives zeros and takes no memory, and if bytes cannot be read or written there
// is an error instead of a fault.

// holes is the result of Holes.
type holes struct {
	look sync.Once
	has  bool
}

// Holes says whether the object had holes at the first call. Through a mapping each page of a
// hole that is read takes memory.
func (o *Object) Holes() bool {
	o.holes.look.Do(func() {
		var st unix.Stat_t
		o.holes.has = unix.Fstat(int(o.file.Fd()), &st) == nil && st.Blocks < st.Size/512
	})
	return o.holes.has
}

// ReadAt fills p from off on. Errors: layout.ErrCorrupt, when the file below has shrunk.
func (o *Object) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.file.ReadAt(p, off)
	if err == io.EOF {
		err = o.shrunk(off, len(p))
	}
	return n, err
}

// WriteAt writes p at off. Errors: layout.ErrCorrupt, when the file below has shrunk; ErrNoSpace.
func (o *Object) WriteAt(p []byte, off int64) (n int, err error) {
	if err := o.shrunk(off, len(p)); err != nil {
		return 0, err
	}
	return withSpace(func() (int, error) {
		more, err := o.file.WriteAt(p[n:], off+int64(n))
		n += more
		if !errors.Is(err, unix.ENOSPC) {
			return n, syserr.Space(err)
		}
		// A tmpfs with large pages refuses a large write although there is space for a part of it.
		page := int64(Granularity())
		for n < len(p) {
			at := off + int64(n)
			more, err := o.file.WriteAt(p[n:min(len(p), n+int(page-at%page))], at)
			n += more
			if err != nil {
				return n, syserr.Space(err)
			}
		}
		return n, nil
	})
}

// Fault says why the n mapped bytes at off cannot be used. Errors: layout.ErrCorrupt, when the
// file below has shrunk; otherwise ErrNoSpace.
func (o *Object) Fault(off int64, n int) error {
	if err := o.shrunk(off, n); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(o.file.Fd()), &st); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	return fmt.Errorf("no memory for a hole of %s, where %d bytes are free: %w", o.path, st.Bavail*uint64(st.Bsize), syserr.ErrNoSpace)
}

// shrunk says whether the file below has lost some of the n bytes at off.
func (o *Object) shrunk(off int64, n int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(o.file.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Size < off+int64(n) {
		return fmt.Errorf("%s has shrunk to %d bytes while it is mapped: %w", o.path, st.Size, layout.ErrCorrupt)
	}
	return nil
}
