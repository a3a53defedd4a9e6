package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// mappable tries whether a file can be mapped shared for access a. Errors: errors.ErrUnsupported,
// fs.ErrPermission, ErrNoSpace.
func mappable(f *os.File, name string, a layout.Access) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	// One block: a file of large pages is mapped by blocks. A shorter file can be mapped as well;
	// only reading it there would fault.
	err := tryMap(int(f.Fd()), int64(st.Blksize), a)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.ENFILE):
		return fmt.Errorf("map a page of %s %v: %w", name, a, syserr.OfMapping(err))
	}
	return fmt.Errorf("%s is on %s, where it cannot be mapped shared and %v: %w (%w)", name, store.FileSystem(f), a, errors.ErrUnsupported, err)
}
