package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// The file below an object: how it is opened and locked.

// backing is a file that an object lies over.
type backing struct {
	file *os.File
	lock *kernel.Locks
	st   unix.Stat_t
	size int64  // of the object
	made string // its path, if it did not exist before
}

// openBacking opens s.File for s.Access. If it is missing and s.Size is given, openBacking makes
// it. It extends the file to s.Size. The contents stay. byName means that the caller opens an
// object over the file by the name of the object. This works even if the object excludes other
// users of the file.
func openBacking(s *Spec, byName bool) (b *backing, err error) {
	b = &backing{}
	defer func() {
		if err != nil {
			b.discard()
		}
	}()
	fd := -1
	for range 100 { // others may make and remove the file between the two calls
		// A path descriptor first: it has no effect on a file that is not a regular one.
		fd, err = kernel.Open(unix.AT_FDCWD, s.File, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != unix.ENOENT || s.Size == 0 || s.Access != layout.ReadWrite {
			break
		}
		perm := uint32(s.Perm.Perm()) & permBits
		if perm == 0 {
			perm = 0o600
		}
		fd, err = kernel.Open(unix.AT_FDCWD, s.File, unix.O_RDWR|unix.O_CLOEXEC|unix.O_CREAT|unix.O_EXCL, perm)
		if err == nil {
			b.made = s.File
			err = unix.Fchmod(fd, perm)
		}
		if err != unix.EEXIST {
			break
		}
	}
	if err != nil {
		return b, b.explain(s, err)
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &b.st); err != nil {
		return b, &fs.PathError{Op: "stat", Path: s.File, Err: err}
	}
	if b.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return b, fmt.Errorf("%s is a %s, want a regular file: %w", s.File, kernel.FileType(b.st.Mode), fs.ErrInvalid)
	}
	if b.file, err = kernel.Reopen(fd, s.File, kernel.AccessFlags(s.Access)); err != nil {
		if refused := (*fs.PathError)(nil); errors.As(err, &refused) {
			err = refused.Err
		}
		return b, b.explain(s, err)
	}
	if err := mappable(b.file, s.File, s.Access); err != nil {
		return b, err
	}
	if byName {
		b.lock, err = shareFile(b.file)
	} else {
		err = b.lockFile(s)
	}
	if err != nil {
		return b, err
	}
	if s.Truncate && b.st.Size > 0 {
		if err := b.file.Truncate(0); err != nil {
			return b, err
		}
		b.st.Size = 0
	}
	b.size = s.Size
	if s.Size == 0 {
		b.size = b.st.Size
	}
	if b.size > b.st.Size {
		if s.Access != layout.ReadWrite {
			return b, fmt.Errorf("%s has %d bytes, %v access cannot extend it to %d: %w", s.File, b.st.Size, s.Access, b.size, fs.ErrPermission)
		}
		if err := reserve(b.file, b.st.Size, b.size, s.Sparse); err != nil {
			if b.made == "" {
				_ = b.file.Truncate(b.st.Size)
			}
			return b, err
		}
	}
	return b, nil
}

// discard closes the file, and removes it if it was made here.
func (b *backing) discard() {
	if b.file != nil {
		_ = b.file.Close()
	}
	if b.lock != nil {
		removeMade(b.made, *b.lock)
		b.lock.Close()
	}
}

// removeMade removes a file that was made for an object that failed, unless another process
// uses it by now, or the path is another file.
func removeMade(path string, lock kernel.Locks) {
	var mine, there unix.Stat_t
	if path == "" || unix.Fstat(int(lock.F.Fd()), &mine) != nil {
		return
	}
	if ok, err := lock.TryExclusive(fileUserByte); !ok || err != nil {
		return
	}
	if unix.Lstat(path, &there) == nil && there.Dev == mine.Dev && there.Ino == mine.Ino {
		_ = unix.Unlink(path)
	}
}

// explain adds to an error the wanted mode and the mode of the file.
func (b *backing) explain(s *Spec, cause error) error {
	if cause == unix.EACCES || cause == unix.EROFS || cause == unix.EPERM {
		var st unix.Stat_t
		if unix.Stat(s.File, &st) == nil {
			return fmt.Errorf("%v access to %s, which has mode %#o and owner %s: %w (%w)",
				s.Access, s.File, st.Mode&0o7777, kernel.UserName(st.Uid), fs.ErrPermission, cause)
		}
	}
	return &fs.PathError{Op: "open", Path: s.File, Err: syserr.Space(cause)}
}

// The bytes of a file below an object that are locked.
const (
	// exclusiveByte is locked shared by each user that opened the file by its path, and
	// exclusively by a user that has the file for itself alone. A process that opened the name of
	// an object over the file, or got the object handed over, does not lock it.
	exclusiveByte = 1<<62 + 1
	// fileUserByte is locked shared by each user of the file, also if one of them has
	// exclusiveByte. A process that wants the file alone first locks this byte exclusively for a
	// moment: that succeeds only if there is no other user.
	fileUserByte = 1<<62 + 2
)

// lockFile either excludes other users of this library from a file, or shares it with them. It does
// not stop programs that do not know these locks: Linux has no mandatory locks.
func (b *backing) lockFile(s *Spec) error {
	if !s.Exclusive {
		lock, err := shareFile(b.file)
		if err != nil || lock == nil {
			return err
		}
		b.lock = lock
		ok, err := lock.TryShared(exclusiveByte)
		if err == nil && !ok {
			err = fmt.Errorf("%s is held exclusively by another user: %w", s.File, syserr.ErrBusy)
		}
		return err
	}
	f, err := kernel.Reopen(int(b.file.Fd()), s.File, unix.O_RDWR)
	if err != nil {
		return fmt.Errorf("exclusive access to %s: %w", s.File, err)
	}
	b.lock = &kernel.Locks{F: f}
	ok, err := b.lock.TryExclusive(fileUserByte)
	if err == nil && ok {
		ok, err = b.lock.TryExclusive(exclusiveByte)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", s.File, err)
	}
	if !ok {
		return fmt.Errorf("%s is open elsewhere, exclusive access is not available: %w", s.File, syserr.ErrBusy)
	}
	_, err = b.lock.TryShared(fileUserByte)
	return err
}

// shareFile makes the caller a user of the file. It returns nil on a file system without locks,
// where no process can have a file alone.
func shareFile(file *os.File) (*kernel.Locks, error) {
	f, err := kernel.Reopen(int(file.Fd()), file.Name(), unix.O_RDWR)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		f, err = kernel.Reopen(int(file.Fd()), file.Name(), unix.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	lock := kernel.Locks{F: f}
	var p store.Patience
	for {
		ok, err := lock.TryShared(fileUserByte)
		if ok {
			return &lock, nil
		}
		if err != nil || !p.Wait() {
			lock.Close()
			switch {
			case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EOPNOTSUPP):
				return nil, nil // no locks here
			case err != nil:
				return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
			}
			return nil, fmt.Errorf("another user is just taking %s for itself alone: %w", file.Name(), syserr.ErrBusy)
		}
	}
}

// MapFile opens an object without a name over s.File. Errors: fs.ErrNotExist, fs.ErrPermission,
// fs.ErrInvalid, ErrBusy, ErrNoSpace, ErrTooLarge, errors.ErrUnsupported.
func MapFile(s *Spec) (*Object, error) {
	return withSpace(func() (*Object, error) { return mapFile(s) })
}

func mapFile(s *Spec) (*Object, error) {
	b, err := openBacking(s, false)
	if err != nil {
		return nil, err
	}
	o := &Object{
		ID: fileID(&b.st), Kind: s.Kind, Access: s.Access, Size: b.size, Lifetime: layout.Persist, File: s.File,
		impl: impl{file: b.file, path: s.File, fileLock: b.lock},
	}
	o.setKey(&b.st)
	return o, nil
}
