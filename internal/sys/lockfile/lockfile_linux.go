package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Each process that has a lock file open locks its lockByte.
const lockByte = 1<<62 + 3

// File is an open lock file. The lock is held while the file is open.
type File struct {
	// This is not an *os.File: the garbage collector would close a forgotten one, and so release
	// its lock. On Windows a forgotten handle stays open, too.
	fd   int
	path string
}

// Open opens the lock file at path, exclusively or shared. If the file is missing, Open makes it.
//
// Errors: ErrBusy, if another process has it open in a way that excludes this. Every other error
// means that the file could not be opened at all.
func Open(path string, exclusively bool) (*File, error) {
	return open(path, exclusively, unix.O_CREAT)
}

func open(path string, exclusively bool, create int) (*File, error) {
	flags := unix.O_RDONLY
	if exclusively {
		flags = unix.O_RDWR
	}
	// O_NONBLOCK because somebody may have put a pipe there.
	flags |= create | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	for {
		fd, err := kernel.Open(unix.AT_FDCWD, path, flags, 0o600)
		if err != nil {
			return nil, &fs.PathError{Op: "open lock file", Path: path, Err: syserr.Space(err)}
		}
		l := &File{fd, path}
		stands, err := l.take(exclusively)
		if err == nil && stands {
			return l, nil
		}
		_ = l.Close()
		if err != nil {
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		// The file was removed between open and lock. Only a process with the exclusive lock does
		// so.
	}
}

// take locks the open file, and says whether the file still has a name.
func (l *File) take(exclusively bool) (stands bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, fmt.Errorf("it is a %s, want a file: %w", kernel.FileType(st.Mode), fs.ErrInvalid)
	}
	ok, err := kernel.TryLock(uintptr(l.fd), lockByte, exclusively)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, syserr.ErrBusy
	}
	if err := unix.Fstat(l.fd, &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	return st.Nlink > 0, nil
}

// CheckName checks whether the file still has its name. If not, the next process that locks gets
// another file. Errors: ErrNameGone.
func (l *File) CheckName() error {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Nlink == 0 {
		return fmt.Errorf("lock file %s was removed: %w", l.path, syserr.ErrNameGone)
	}
	return nil
}

// Close releases the lock.
func (l *File) Close() error {
	kernel.UnlockAll(uintptr(l.fd)) // before the close: see kernel.Locks.Close
	return os.NewSyscallError("close", unix.Close(l.fd))
}

// Remove removes a lock file that no process has open. Errors: ErrBusy, fs.ErrNotExist.
func Remove(path string) error {
	l, err := open(path, true, 0)
	if err != nil {
		return err
	}
	defer l.Close()
	// Nobody else can remove the file meanwhile, because that needs the lock.
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "remove lock file", Path: path, Err: err}
	}
	return nil
}

// Folder returns the folder of that name in this user's own directory for shared memory. It makes
// the folder if it is missing, and verifies it.
//
// Errors: ErrStore, fs.ErrPermission, ErrNoSpace.
func Folder(name string) (string, error) {
	d, err := store.Open(layout.Local, true)
	if err != nil {
		return "", err
	}
	defer d.Close()
	path := filepath.Join(d.Path, name)
	if err := unix.Mkdirat(d.FD(), name, 0o700); err != nil && err != unix.EEXIST {
		return "", &fs.PathError{Op: "make", Path: path, Err: syserr.Space(err)}
	}
	fd, err := kernel.Open(d.FD(), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", store.Planted(d.FD(), name, path, err)
	}
	sub := &store.Dir{F: kernel.NewFile(fd, path), Path: path, Scope: layout.Local}
	defer sub.Close()
	return path, sub.Verify()
}

// BootSeconds returns when the machine started, in seconds since 1970, computed from the present
// time of the clock. So it changes when somebody sets the clock.
func BootSeconds() (int64, error) {
	b, err := os.ReadFile("/proc/stat") // its line of interrupts has no bound
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("time of boot: %w: %w", syserr.OnlyNumber(err), errors.ErrUnsupported)
	}
	if err != nil {
		return 0, fmt.Errorf("time of boot: %w", syserr.OfFile(err))
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "btime "); ok {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 0 {
				return 0, fmt.Errorf("time of boot in /proc/stat is %q: %w", v, layout.ErrCorrupt)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("time of boot: /proc/stat has none: %w", errors.ErrUnsupported)
}
