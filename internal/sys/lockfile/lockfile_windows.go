package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
)

// File is an open lock file. The lock is held while the file is open.
type File struct{ h windows.Handle }

// Open opens the lock file at path, exclusively or shared. If the file is missing, Open makes it.
//
// Errors: ErrBusy, if another process has it open in a way that excludes this. Every other error
// means that the file could not be opened at all.
func Open(path string, exclusively bool) (*File, error) {
	return open(path, exclusively, windows.OPEN_ALWAYS)
}

func open(path string, exclusively bool, disposition uint32) (*File, error) {
	access, share := uint32(windows.GENERIC_READ), uint32(windows.FILE_SHARE_READ)
	if exclusively {
		access, share = windows.GENERIC_READ|windows.GENERIC_WRITE, 0
	}
	var p store.Patience
	h, err := kernel.CreateFile(path, access, share, nil, disposition, 0)
	for err != nil && err != windows.ERROR_SHARING_VIOLATION && kernel.BeingDeleted(path, err) && p.Wait() {
		h, err = kernel.CreateFile(path, access, share, nil, disposition, 0)
	}
	switch {
	case err == windows.ERROR_SHARING_VIOLATION:
		return nil, fmt.Errorf("lock file %s: %w (%w)", path, syserr.ErrBusy, err)
	case err != nil:
		return nil, &fs.PathError{Op: "open lock file", Path: path, Err: syserr.Space(err)}
	}
	// A device does not respect the share mode.
	if kind, err := windows.GetFileType(h); err != nil || kind != windows.FILE_TYPE_DISK {
		_ = windows.CloseHandle(h)
		return nil, fmt.Errorf("lock file %s: it is a device, want a file: %w", path, errors.Join(fs.ErrInvalid, err))
	}
	return &File{h}, nil
}

// CheckName returns nil: nobody can remove a file that is open in this way.
func (*File) CheckName() error { return nil }

// Close releases the lock.
func (l *File) Close() error { return windows.CloseHandle(l.h) }

// Remove removes a lock file that no process has open. Errors: ErrBusy, fs.ErrNotExist.
func Remove(path string) error {
	l, err := open(path, true, windows.OPEN_EXISTING)
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	// It fails if another process has opened the file meanwhile, because the share mode of that
	// process does not allow to delete the file.
	err = kernel.DeleteFile(path)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return fmt.Errorf("lock file %s: %w (%w)", path, syserr.ErrBusy, err)
	}
	return err
}

// Folder returns the folder of that name in the folder for temporary files (GetTempPath), where
// other programs look for it. It makes the folder if it is missing.
func Folder(name string) (string, error) {
	// Not os.TempDir, which is another folder for the system's own user.
	b := make([]uint16, windows.MAX_PATH+1)
	n, err := windows.GetTempPath(uint32(len(b)), &b[0])
	if err != nil || n == 0 || int(n) > len(b) {
		return "", fmt.Errorf("folder for temporary files: %w", errors.Join(fs.ErrNotExist, err))
	}
	path := filepath.Join(windows.UTF16ToString(b[:n]), name)
	return path, os.MkdirAll(path, 0o700)
}

// BootSeconds returns when the machine started, in seconds since 1970, computed from the present
// time of the clock. So it changes when somebody sets the clock.
func BootSeconds() (int64, error) {
	b, err := kernel.TimeOfDay()
	if err != nil {
		return 0, fmt.Errorf("time of boot: %w", err)
	}
	const from1601 = 11644473600 // to 1970
	return b.Boot/1e7 - from1601, nil
}
