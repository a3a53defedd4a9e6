package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Exact objects are the objects of shm_open(3): plain files below /dev/shm that any program may
// have made. They have no presence byte, and Close never removes them.

// exactPath is the path of an exact object. Errors: fs.ErrInvalid.
func exactPath(s *Spec) (string, error) {
	if s.File != "" {
		return "", fmt.Errorf("an exact name such as %q is no name over a file on Linux: %w", s.Name, fs.ErrInvalid)
	}
	if err := layout.CheckName(s.Name); err != nil || s.Name == "." || s.Name == ".." {
		return "", fmt.Errorf("%q is no name for shm_open: %w", s.Name, fs.ErrInvalid)
	}
	return filepath.Join(store.BaseDir(), s.Name), nil
}

// exactObject returns the object over an open file.
func exactObject(s *Spec, f *os.File, path string) (*Object, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%s is a %s owned by %s: %w", path, kernel.FileType(st.Mode), kernel.UserName(st.Uid), fs.ErrPermission)
	}
	if s.Owner != "" {
		if err := store.CheckOwner(s.Owner, s.Scope, path, st.Uid); err != nil {
			return nil, err
		}
	}
	if st.Size == 0 {
		return nil, fmt.Errorf("%s has no bytes yet: %w", path, layout.ErrCorrupt)
	}
	o := &Object{
		ID: fileID(&st), Kind: s.Kind, Scope: s.Scope, Name: s.Name, Exact: true, Access: s.Access,
		Size: st.Size, Lifetime: layout.Persist, impl: impl{file: f, path: path, at: placeOf(&st)},
	}
	o.setKey(&st)
	return o, nil
}

func createExact(s *Spec) (*Object, error) {
	path, err := exactPath(s)
	if err != nil {
		return nil, err
	}
	base := filepath.Dir(path)
	fd, err := kernel.Open(unix.AT_FDCWD, base, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		err = syserr.Space(err)
		return nil, store.Unusable(fmt.Errorf("make a file in %s: %w", base, syserr.OnlyNumber(err)), err)
	}
	f := kernel.NewFile(fd, path)
	err = mappable(f, path, layout.ReadWrite)
	if err == nil {
		err = reserve(f, 0, s.Size, s.Sparse)
	}
	if err == nil {
		_, err = f.WriteAt(s.Init, 0)
		err = syserr.Space(err)
	}
	if perm := uint32(s.Perm.Perm()) & permBits; err == nil && perm != 0 {
		err = unix.Fchmod(fd, perm)
	}
	if err == nil {
		if lerr := unix.Linkat(unix.AT_FDCWD, kernel.ProcFD(fd), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW); lerr != nil {
			err = &fs.PathError{Op: "create", Path: path, Err: lerr}
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	t := *s
	t.Access = layout.ReadWrite
	return exactObject(&t, f, path)
}

func openExact(s *Spec) (*Object, error) {
	path, err := exactPath(s)
	if err != nil {
		return nil, err
	}
	flags := kernel.AccessFlags(s.Access) | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := kernel.Open(unix.AT_FDCWD, path, flags, 0)
	if err != nil {
		return nil, store.Planted(unix.AT_FDCWD, path, path, err)
	}
	f := kernel.NewFile(fd, path)
	o, err := exactObject(s, f, path)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return o, nil
}

func removeExact(s *Spec) error {
	path, err := exactPath(s)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s is a %s owned by %s: %w", path, kernel.FileType(st.Mode), kernel.UserName(st.Uid), fs.ErrPermission)
	}
	if err := unix.Unlink(path); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

func statExact(s *Spec) (Info, error) {
	path, err := exactPath(s)
	if err != nil {
		return Info{}, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	info := Info{
		Name: s.Name, Kind: s.Kind, Scope: s.Scope, Lifetime: layout.Persist, Path: path, Exact: true,
		Err: fmt.Errorf("who uses an exact name is not counted: %w", errors.ErrUnsupported),
	}
	info.fill(&st)
	info.Created = birth(unix.AT_FDCWD, path)
	return info, nil
}
