package kernel

import (
	"os"

	"golang.org/x/sys/unix"
)

// Locks is a descriptor that is used only for locks of single bytes. They are open-file-description
// locks (fcntl(2)): they belong to the description that open(2) made. So two descriptions in one
// process exclude each other. The kernel releases the locks when the last copy of the descriptor is
// closed, also when the process dies. Therefore a descriptor with locks is never copied.
type Locks struct{ F *os.File }

// TryShared locks the byte shared. It returns false if another description holds it exclusively.
func (l Locks) TryShared(at int64) (bool, error) { return TryLock(l.F.Fd(), at, false) }

// TryExclusive locks the byte exclusively. It returns false if another description holds it, and
// also if the descriptor is open for reading only: a reader never removes an entry as its last
// user.
func (l Locks) TryExclusive(at int64) (bool, error) {
	_, err := ofd(l.F.Fd(), unix.F_OFD_SETLK, unix.F_WRLCK, at)
	if err == unix.EBADF {
		return false, nil
	}
	return verdict(err)
}

// Unlock drops the lock of the byte.
func (l Locks) Unlock(at int64) { _, _ = ofd(l.F.Fd(), unix.F_OFD_SETLK, unix.F_UNLCK, at) }

// Held says whether another description holds the byte, and whether exclusively.
func (l Locks) Held(at int64) (held, exclusively bool, err error) {
	fl, err := ofd(l.F.Fd(), unix.F_OFD_GETLK, unix.F_WRLCK, at)
	if err != nil {
		return false, false, os.NewSyscallError("fcntl", err)
	}
	return fl.Type != unix.F_UNLCK, fl.Type == unix.F_WRLCK, nil
}

// Close releases all locks and closes the descriptor. It releases the locks first, because a child
// that another goroutine is starting has a copy of the descriptor until it calls exec.
func (l Locks) Close() {
	UnlockAll(l.F.Fd())
	_ = l.F.Close()
}

// TryLock locks a byte of the file of fd. It returns false if another description holds it.
func TryLock(fd uintptr, at int64, exclusively bool) (bool, error) {
	typ := int16(unix.F_RDLCK)
	if exclusively {
		typ = unix.F_WRLCK
	}
	_, err := ofd(fd, unix.F_OFD_SETLK, typ, at)
	return verdict(err)
}

// UnlockAll drops all locks of a description.
func UnlockAll(fd uintptr) {
	fl := unix.Flock_t{Type: unix.F_UNLCK, Whence: unix.SEEK_SET}
	_ = unix.FcntlFlock(fd, unix.F_OFD_SETLK, &fl)
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

// verdict says from the error of fcntl whether a lock was taken.
func verdict(err error) (bool, error) {
	switch err {
	case nil:
		return true, nil
	case unix.EAGAIN, unix.EACCES:
		return false, nil
	}
	return false, os.NewSyscallError("fcntl", err)
}
