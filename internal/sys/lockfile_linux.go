package sys

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

// LockFile is a file that is open together with others, or alone; being open is
// the lock. On Linux an open-file-description lock on the byte lockFileByte says
// so, on Windows the share mode.
type LockFile struct {
	// Not an *os.File: the garbage collector would close it, and so end the lock of one who
	// has forgotten it. On Windows a handle stays open as well.
	fd   int
	path string
}

// lockFileByte of a lock file is locked by each who has it open.
const lockFileByte = 1<<62 + 3

// OpenLockFile opens the lock file at path, which it makes when it is missing:
// exclusively alone, else together with others.
//
// Errors: ErrBusy, when somebody has it open who excludes that. Every other error
// says that it could not be opened at all.
func OpenLockFile(path string, exclusively bool) (*LockFile, error) {
	return withSpace(func() (*LockFile, error) { return openLockFile(path, exclusively, unix.O_CREAT) })
}

func openLockFile(path string, exclusively bool, create int) (*LockFile, error) {
	flags := unix.O_RDONLY
	if exclusively {
		flags = unix.O_RDWR
	}
	for {
		// O_NONBLOCK for a pipe somebody may have put there.
		fd, err := kernel.Open(unix.AT_FDCWD, path, flags|create|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0o600)
		if err != nil {
			return nil, &fs.PathError{Op: "open lock file", Path: path, Err: syserr.Space(err)}
		}
		l := &LockFile{fd, path}
		stands, err := l.take(exclusively)
		if err == nil && stands {
			return l, nil
		}
		_ = l.Close()
		if err != nil {
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		// It was removed between the two steps; who removes has it alone.
	}
}

// take locks the open file, and says whether it still has a name.
func (l *LockFile) take(exclusively bool) (stands bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, fmt.Errorf("it is a %s, want a file: %w", kernel.FileType(st.Mode), fs.ErrInvalid)
	}
	ok, err := kernel.TryLock(uintptr(l.fd), lockFileByte, exclusively)
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

// CheckName looks whether the file still has its name; if not, whoever locks gets another
// file. Errors: ErrNameGone.
func (l *LockFile) CheckName() error {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Nlink == 0 {
		return fmt.Errorf("lock file %s was removed: %w", l.path, syserr.ErrNameGone)
	}
	return nil
}

// Close ends the lock.
func (l *LockFile) Close() error {
	kernel.UnlockAll(uintptr(l.fd)) // as kernel.Locks.Close
	return os.NewSyscallError("close", unix.Close(l.fd))
}

// RemoveLockFile takes a lock file away that nobody has open.
//
// Errors: ErrBusy, fs.ErrNotExist.
func RemoveLockFile(path string) error {
	l, err := openLockFile(path, true, 0)
	if err != nil {
		return err
	}
	defer l.Close()
	// Nobody else removes it meanwhile, for that takes the lock.
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "remove lock file", Path: path, Err: err}
	}
	return nil
}

// LockFolder is the folder of that name in this user's own directory for shared
// memory, which it makes when it is missing, and verifies.
//
// Errors: ErrStore, fs.ErrPermission, ErrNoSpace.
func LockFolder(name string) (string, error) {
	return withSpace(func() (string, error) { return lockFolder(name) })
}

func lockFolder(name string) (string, error) {
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

// remoteFS are the file systems whose files lie on other machines, or may: their
// locks reach only some of those who have the file open.
var remoteFS = map[int64]string{
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS", unix.SMB2_SUPER_MAGIC: "SMB2",
	unix.V9FS_MAGIC: "9p", unix.AFS_SUPER_MAGIC: "AFS", 0x6b414653: "AFS", unix.CODA_SUPER_MAGIC: "Coda",
	unix.CEPH_SUPER_MAGIC: "Ceph", unix.NCP_SUPER_MAGIC: "NCP", unix.OCFS2_SUPER_MAGIC: "OCFS2", 0x01161970: "GFS2",
	0x0bd00bd0: "Lustre", 0x47504653: "GPFS", unix.FUSE_SUPER_MAGIC: "FUSE, which does not tell where",
}

// Remote says whether a directory lies on another machine, and on what.
func Remote(dir string) (what string, err error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", &fs.PathError{Op: "statfs", Path: dir, Err: err}
		}
		// The field has 32 bits on some systems, with a sign.
		return remoteFS[int64(uint32(st.Type))], nil //nolint:unconvert // not 64 bits everywhere
	}
}

// BootSeconds is when the machine started, in seconds since 1970, as the system has
// it now: it moves when the clock is set.
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
	return 0, fmt.Errorf("time of boot: none in /proc/stat: %w", errors.ErrUnsupported)
}
