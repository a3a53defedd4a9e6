package store

import (
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
)

// Remote says whether a directory is on another machine, and on which share: empty if not.
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
		return "", nil // some disks in memory have no such path; remote has seen the given one
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

// FileSystem names the file system of a file.
func FileSystem(file windows.Handle) string {
	b := make([]uint16, windows.MAX_PATH+1)
	if err := windows.GetVolumeInformationByHandle(file, nil, 0, nil, nil, nil, &b[0], uint32(len(b))); err != nil {
		return "an unknown file system"
	}
	return windows.UTF16ToString(b)
}
