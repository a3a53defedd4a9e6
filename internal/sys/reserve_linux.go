package sys

import (
	"fmt"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
)

// Reserve reserves space for n bytes at off. Without it a write to a part of an object that was
// made with Spec.Later may fault. Errors: ErrNoSpace.
func (o *Object) Reserve(off, n int64) error {
	for {
		switch err := unix.Fallocate(int(o.file.Fd()), 0, off, n); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("reserve %d bytes at %d in %s: %w", n, off, o.file.Name(), syserr.Space(err))
		}
	}
}

// Discard gives the space of n bytes at off back to the system. They are zeros then. If the file
// system cannot do that, the space stays reserved.
func (o *Object) Discard(off, n int64) {
	for unix.Fallocate(int(o.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n) == unix.EINTR {
	}
}
