package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// mappable sees whether a file that has bytes can be mapped for access a. Errors:
// errors.ErrUnsupported, fs.ErrPermission, ErrNoSpace.
func mappable(file windows.Handle, name string, a layout.Access) error {
	// Its own size, for a larger one would extend it.
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
	return fmt.Errorf("%s is on %s, where it cannot be mapped %v: %w (%w)", name, fileSystem(file), a, errors.ErrUnsupported, err)
}

// fileSystem names the file system of a file.
func fileSystem(file windows.Handle) string {
	b := make([]uint16, windows.MAX_PATH+1)
	if err := windows.GetVolumeInformationByHandle(file, nil, 0, nil, nil, nil, &b[0], uint32(len(b))); err != nil {
		return "an unknown file system"
	}
	return windows.UTF16ToString(b)
}
