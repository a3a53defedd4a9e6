package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
)

// LockFile is a file that is open together with others, or alone; being open is
// the lock. On Linux an open-file-description lock on the byte lockFileByte says
// so, on Windows the share mode.
type LockFile struct{ h windows.Handle }

// OpenLockFile opens the lock file at path, which it makes when it is missing:
// exclusively alone, else together with others.
//
// Errors: ErrBusy, when somebody has it open who excludes that. Every other error
// says that it could not be opened at all.
func OpenLockFile(path string, exclusively bool) (*LockFile, error) {
	return openLockFile(path, exclusively, windows.OPEN_ALWAYS)
}

func openLockFile(path string, exclusively bool, disposition uint32) (*LockFile, error) {
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
	// A device is open to all at once.
	if kind, err := windows.GetFileType(h); err != nil || kind != windows.FILE_TYPE_DISK {
		_ = windows.CloseHandle(h)
		return nil, fmt.Errorf("lock file %s: it is no file: %w", path, errors.Join(fs.ErrInvalid, err))
	}
	return &LockFile{h}, nil
}

// CheckName finds nothing wrong: nobody can remove a file that is open so.
func (*LockFile) CheckName() error { return nil }

// Close ends the lock.
func (l *LockFile) Close() error { return windows.CloseHandle(l.h) }

// RemoveLockFile takes a lock file away that nobody has open.
//
// Errors: ErrBusy, fs.ErrNotExist.
func RemoveLockFile(path string) error {
	l, err := openLockFile(path, true, windows.OPEN_EXISTING)
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	// It fails when somebody has opened the file just now: the lock does not let
	// others delete.
	err = kernel.DeleteFile(path)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return fmt.Errorf("lock file %s: %w (%w)", path, syserr.ErrBusy, err)
	}
	return err
}

// LockFolder is the folder of that name in the one for temporary files
// (GetTempPath), where other programs look for it. It makes the folder when it is
// missing.
func LockFolder(name string) (string, error) {
	// Not os.TempDir, which is another folder for the system's own user.
	b := make([]uint16, windows.MAX_PATH+1)
	n, err := windows.GetTempPath(uint32(len(b)), &b[0])
	if err != nil || n == 0 || int(n) > len(b) {
		return "", fmt.Errorf("folder for temporary files: %w", errors.Join(fs.ErrNotExist, err))
	}
	path := filepath.Join(windows.UTF16ToString(b[:n]), name)
	return path, os.MkdirAll(path, 0o700)
}

// Remote says whether a directory lies on another machine, and on what.
func Remote(dir string) (what string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if what := remote(dir); what != "" {
		return what, nil
	}
	h, err := kernel.CreateFile(dir, windows.FILE_READ_ATTRIBUTES, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer func() { _ = windows.CloseHandle(h) }()
	b := make([]uint16, 1<<15)
	n, err := windows.GetFinalPathNameByHandle(h, &b[0], uint32(len(b)), 0)
	if err != nil || int(n) > len(b) {
		return "", nil // some disks in memory have none; its own path has told already
	}
	return remote(windows.UTF16ToString(b[:n])), nil
}

// remote says whether a full path without links is on another machine.
func remote(path string) string {
	rest := path
	for _, prefix := range []string{`\\?\`, `\\.\`} {
		rest = strings.TrimPrefix(rest, prefix)
	}
	if strings.HasPrefix(rest, `\\`) || strings.HasPrefix(strings.ToUpper(rest), `UNC\`) {
		return "the share " + path
	}
	drive := filepath.VolumeName(rest)
	if p, err := windows.UTF16PtrFromString(drive + `\`); err == nil && drive != "" && windows.GetDriveType(p) == windows.DRIVE_REMOTE {
		return "the network drive " + drive
	}
	return ""
}

// BootSeconds is when the machine started, in seconds since 1970, as the system has
// it now: it moves when the clock is set.
func BootSeconds() (int64, error) {
	b, err := kernel.TimeOfDay()
	if err != nil {
		return 0, fmt.Errorf("time of boot: %w", err)
	}
	const from1601 = 11644473600 // to 1970
	return b.Boot/1e7 - from1601, nil
}
