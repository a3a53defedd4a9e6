package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
)

// The bytes that are locked lie far behind the end of any file. The locks are
// open-file-description locks (fcntl(2)): they belong to the description that
// open(2) made, so two of them in one process exclude each other, and the
// kernel drops them when the last copy of the descriptor is closed, also by
// death. Whence the rule that a descriptor with a lock is never copied.
const (
	presenceByte  = 1 << 62   // shared by each user of a named object
	exclusiveByte = 1<<62 + 1 // of a file that is mapped: by who wants it alone, or by all others
	fileUserByte  = 1<<62 + 2 // of a file that is mapped: by each user, also beside one who wants it alone
)

// lockFD is a descriptor that carries locks and does nothing else.
type lockFD struct{ f *os.File }

func (l lockFD) ofd(cmd int, typ int16, at int64) (unix.Flock_t, error) {
	return ofd(l.f.Fd(), cmd, typ, at)
}

// ofd does one fcntl of the given kind on one byte.
func ofd(fd uintptr, cmd int, typ int16, at int64) (unix.Flock_t, error) {
	fl := unix.Flock_t{Type: typ, Whence: unix.SEEK_SET, Start: at, Len: 1}
	for {
		err := unix.FcntlFlock(fd, cmd, &fl)
		if err != unix.EINTR {
			return fl, err
		}
	}
}

// tryShared takes the byte together with others. It is false when somebody
// holds it exclusively.
func (l lockFD) tryShared(at int64) (bool, error) {
	_, err := l.ofd(unix.F_OFD_SETLK, unix.F_RDLCK, at)
	return lockVerdict(err)
}

// tryExclusive takes the byte alone. It is false when somebody else holds it,
// and also when the descriptor is open for reading only: a reader is never the
// last.
func (l lockFD) tryExclusive(at int64) (bool, error) {
	_, err := l.ofd(unix.F_OFD_SETLK, unix.F_WRLCK, at)
	if err == unix.EBADF {
		return false, nil
	}
	return lockVerdict(err)
}

func lockVerdict(err error) (bool, error) {
	switch err {
	case nil:
		return true, nil
	case unix.EAGAIN, unix.EACCES:
		return false, nil
	}
	return false, os.NewSyscallError("fcntl", err)
}

// close drops all locks and closes the descriptor. The locks go first: a child
// that another goroutine is just starting has a copy of the descriptor until it
// calls exec.
func (l lockFD) close() {
	unlockAll(l.f.Fd())
	_ = l.f.Close()
}

func unlockAll(fd uintptr) {
	fl := unix.Flock_t{Type: unix.F_UNLCK, Whence: unix.SEEK_SET}
	_ = unix.FcntlFlock(fd, unix.F_OFD_SETLK, &fl)
}

func (l lockFD) unlock(at int64) { _, _ = l.ofd(unix.F_OFD_SETLK, unix.F_UNLCK, at) }

// held says whether another description holds the byte, and whether
// exclusively.
func (l lockFD) held(at int64) (held, exclusively bool, err error) {
	fl, err := l.ofd(unix.F_OFD_GETLK, unix.F_WRLCK, at)
	if err != nil {
		return false, false, os.NewSyscallError("fcntl", err)
	}
	return fl.Type != unix.F_UNLCK, fl.Type == unix.F_WRLCK, nil
}

// reopen gives a new description of the file behind fd, with flags of its own.
// It works on files without a name and needs /proc. name is for messages.
func reopen(fd int, name string, flags int) (*os.File, error) {
	path := procFD(fd)
	nfd, err := openEINTR(unix.AT_FDCWD, path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if _, perr := os.Stat("/proc/self/fd"); perr != nil {
			return nil, fmt.Errorf("%w: /proc is not mounted: %w", syserr.ErrStore, syserr.OnlyNumber(perr))
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "reopen", Path: name, Err: err}
	}
	return newFile(nfd, name), nil
}

// openat is replaced by tests.
var openat = unix.Openat

// openEINTR is openat. Its error is an error number, except where syserr.Limit
// has one to name.
func openEINTR(dir int, path string, flags int, perm uint32) (int, error) {
	for {
		fd, err := openat(dir, path, flags, perm)
		if err != unix.EINTR {
			return fd, syserr.Limit(err)
		}
	}
}
