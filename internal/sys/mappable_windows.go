package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// mappable tries whether a file that is not empty can be mapped for access a. Errors:
// errors.ErrUnsupported, fs.ErrPermission, ErrNoSpace.
func mappable(file windows.Handle, name string, a layout.Access) error {
	// Of its own size: a larger one would extend the file.
	h, err := windows.CreateFileMapping(file, nil, protection(a), 0, 0, nil)
	if err == nil {
		var b []byte
		if b, err = view(h, 0, 1, a); err == nil {
			_ = unview(b)
		}
		_ = windows.CloseHandle(h)
	} else if h != 0 {
		_ = windows.CloseHandle(h)
	}
	if err == nil {
		return nil
	}
	if err := syserr.Space(err); errors.Is(err, syserr.ErrNoSpace) || errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return fmt.Errorf("map a page of %s %v: %w", name, a, err)
	}
	return fmt.Errorf("%s is on %s, where it cannot be mapped %v: %w (%w)", name, store.FileSystem(file), a, errors.ErrUnsupported, err)
}
