// Package kernel has calls of the system for the packages under internal/sys. It uses the names,
// access modes and errors of this project. Its functions differ between systems and contain no
// policy. Only packages under internal/sys use it.
package kernel

import (
	"fmt"
	"io/fs"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/syserr"
)

// OpenFile is CreateFile of the system; tests replace it.
var OpenFile = windows.CreateFile

// CreateFile opens or makes a file. Its error is an error number, or says that the path is not a
// possible one.
func CreateFile(path string, access, share uint32, sa *windows.SecurityAttributes, disposition, flags uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	h, err := OpenFile(p, access, share, sa, disposition, windows.FILE_ATTRIBUTE_NORMAL|flags, 0)
	if err != nil {
		return 0, err
	}
	return h, nil
}

// BeingDeleted says whether the error of an open means that another process is deleting the file,
// or has it open exclusively to find out whether it must delete it. If a file is deleted but still
// open somewhere, every open fails with access denied, also to read its attributes.
func BeingDeleted(path string, err error) bool {
	switch err {
	case windows.ERROR_SHARING_VIOLATION, windows.ERROR_DELETE_PENDING:
		return true
	case windows.ERROR_ACCESS_DENIED:
		p, err := windows.UTF16PtrFromString(path)
		if err != nil {
			return false
		}
		_, err = windows.GetFileAttributes(p)
		return err == windows.ERROR_ACCESS_DENIED || err == windows.ERROR_DELETE_PENDING
	}
	return false
}

// DeleteFile deletes a file.
func DeleteFile(path string) error {
	p, err := windows.UTF16PtrFromString(path)
	if err == nil {
		err = windows.DeleteFile(p)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

// Position is an offset in a file, in the form that reads, writes and locks need.
func Position(at int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(at), OffsetHigh: uint32(at >> 32)}
}

// WriteAt writes all of b.
func WriteAt(h windows.Handle, b []byte, at int64) error {
	for len(b) > 0 {
		var n uint32
		if err := windows.WriteFile(h, b[:min(len(b), 1<<30)], &n, Position(at)); err != nil {
			return syserr.Space(err)
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// TryLock locks a byte of a file. It returns false if another handle holds it.
func TryLock(h windows.Handle, at int64, exclusive bool) (bool, error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	switch err := windows.LockFileEx(h, flags, 0, 1, 0, Position(at)); err {
	case nil:
		return true, nil
	case windows.ERROR_LOCK_VIOLATION, windows.ERROR_IO_PENDING:
		return false, nil
	default:
		return false, fmt.Errorf("lock byte %#x: %w", at, err)
	}
}

// Unlock releases the lock of a byte.
func Unlock(h windows.Handle, at int64) { _ = windows.UnlockFileEx(h, 0, 1, 0, Position(at)) }
