package sys

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
)

// CheckName checks whether the name with which the object was opened still leads to it. It costs
// one system call. For objects without a name it returns nil.
//
// Errors: ErrNameGone; any other error means that the check failed.
func (o *Object) CheckName() error {
	if o.dir == nil && !o.Exact {
		return nil
	}
	at, path := unix.AT_FDCWD, o.path
	if !filepath.IsAbs(path) && o.dir != nil { // SAMEPAGE_DIR is relative, and the working directory may have changed
		var st unix.Stat_t
		if err := unix.Fstat(o.dir.FD(), &st); err == nil && st.Nlink == 0 {
			return fmt.Errorf("directory %s was removed: %w", o.dir.Path, syserr.ErrNameGone)
		}
		at, path = o.dir.FD(), o.entry
	}
	var st unix.Stat_t
	err := unix.Fstatat(at, path, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s was removed: %w", o.path, syserr.ErrNameGone)
	case err != nil:
		return fmt.Errorf("look at %s: %w", o.path, err)
	case placeOf(&st) != o.at:
		return fmt.Errorf("%s is another file by now: %w", o.path, syserr.ErrNameGone)
	}
	return nil
}
