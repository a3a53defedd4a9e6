// Package kernel has calls of the system for the packages under internal/sys. It repeats calls that
// a signal interrupts, uses the names and access modes of this project, and its errors say which
// limit was reached. Its functions differ between systems and contain no policy. Only packages
// under internal/sys use it.
package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// NewFile makes a file of a descriptor, and takes the descriptor over. name is for messages.
func NewFile(fd int, name string) *os.File { return os.NewFile(uintptr(fd), name) }

// ProcFD returns the path in /proc of a descriptor of this process.
func ProcFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// AccessFlags returns the flags of Open for access a to the bytes.
func AccessFlags(a layout.Access) int {
	if a == layout.ReadWrite {
		return unix.O_RDWR
	}
	return unix.O_RDONLY
}

// Openat is openat(2); tests replace it.
var Openat = unix.Openat

// Open is openat(2). Its error is an error number, except where syserr.Limit names a limit.
func Open(dir int, path string, flags int, perm uint32) (int, error) {
	for {
		fd, err := Openat(dir, path, flags, perm)
		if err != unix.EINTR {
			return fd, syserr.Limit(err)
		}
	}
}

// Reopen opens the file of fd again, with other flags, and so makes a new description. It also
// works for files without a name, and needs /proc. name is for messages.
func Reopen(fd int, name string, flags int) (*os.File, error) {
	flags |= unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	nfd, err := Open(unix.AT_FDCWD, ProcFD(fd), flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if _, perr := os.Stat("/proc/self/fd"); perr != nil {
			return nil, fmt.Errorf("%w: /proc is not mounted: %w", syserr.ErrStore, syserr.OnlyNumber(perr))
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "reopen", Path: name, Err: err}
	}
	return NewFile(nfd, name), nil
}

// FileType returns the name of the type of a file with that mode.
func FileType(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "regular file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFIFO:
		return "named pipe"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "device"
}

// UserName returns the name of a user, for messages.
func UserName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username + " (uid " + id + ")"
	}
	return "uid " + id
}
