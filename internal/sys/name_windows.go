package sys

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
)

// CheckName checks whether the name with which the object was opened still leads to it. It opens
// the sidecar for a moment, in a way that does not prevent its removal. For objects without a
// sidecar it returns nil: a bare kernel name exists while any process has a handle.
//
// Errors: ErrNameGone; any other error means that the check failed.
func (o *Object) CheckName() error {
	if o.entry == nil {
		return nil
	}
	path := o.entry.path
	const all = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	h, err := kernel.CreateFile(path, windows.FILE_READ_ATTRIBUTES, all, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s was removed: %w", path, syserr.ErrNameGone)
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	defer func() { _ = windows.CloseHandle(h) }()
	var is, was windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &is); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if err := windows.GetFileInformationByHandle(o.entry.h, &was); err != nil {
		return fmt.Errorf("look at the own handle of %s: %w", path, err)
	}
	if is.VolumeSerialNumber != was.VolumeSerialNumber || fileIndex(&is) != fileIndex(&was) {
		return fmt.Errorf("%s is another file by now: %w", path, syserr.ErrNameGone)
	}
	return nil
}
