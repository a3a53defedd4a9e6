package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/process"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file is for memory that is handed over by a bare descriptor, as programs do that do not know
// tokens. The receiver has only the number, and can check only the file itself.

// InheritRaw gives the object to a child that cmd will start, and returns the number of the
// descriptor in the child. The object must stay open until cmd.Start returns.
func (o *Object) InheritRaw(cmd *exec.Cmd, a layout.Access) (uint64, error) {
	return o.Inherit(cmd, a)
}

// OfferRaw returns the number with which TakeRaw finds the object in this process, while the object
// is open here.
func (o *Object) OfferRaw(a layout.Access) (uint64, error) {
	if err := o.handOut(a); err != nil {
		return 0, err
	}
	f, err := o.fileFor(a)
	if err != nil {
		return 0, err
	}
	return uint64(f.Fd()), nil
}

// GrantRaw is not supported.
func (o *Object) GrantRaw(int, layout.Access) (uint64, error) { return 0, errNoPush }

// RevokeRaw is not supported.
func RevokeRaw(int, uint64) error { return errNoPush }

var errNoPush = fmt.Errorf("no process can put a descriptor into another one on Linux; the other process has to take it: %w", errors.ErrUnsupported)

// AdoptRaw makes an object of a descriptor that this process inherited, and takes the descriptor
// over. If it fails, the descriptor stays open and unchanged. Size 0 means the size of the file.
// Errors: layout.ErrBadToken, fs.ErrPermission.
func AdoptRaw(value uint64, size int64, a layout.Access, _ func(func(*Object) bool) bool) (*Object, error) {
	if value < 3 || value > 1<<30 {
		return nil, fmt.Errorf("descriptor %d: %w", value, layout.ErrBadToken)
	}
	receiving.Lock()
	defer receiving.Unlock()
	fd := int(value)
	// The same rule as for a token: descriptors that this process has opened itself are closed on
	// exec.
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is not inherited, or was taken already: %w: %w", fd, err, layout.ErrBadToken)
	}
	if flags&unix.FD_CLOEXEC != 0 {
		return nil, fmt.Errorf("descriptor %d is not inherited: %w", fd, layout.ErrBadToken)
	}
	mode, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, fmt.Errorf("mode of descriptor %d: %w: %w", fd, err, layout.ErrBadToken)
	}
	o, err := rawObject(fd, value, size, mode, a, func() (*os.File, error) {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, fmt.Errorf("copy descriptor %d: %w", fd, syserr.Limit(err))
		}
		return kernel.NewFile(own, handedOver), nil
	})
	if err == nil {
		_ = unix.Close(fd)
	}
	return o, err
}

// TakeRaw makes an object of the file that a descriptor of a running process refers to.
// Errors: layout.ErrBadToken, ErrPeerNotStarted, fs.ErrPermission.
func TakeRaw(pid int, value uint64, size int64, a layout.Access) (*Object, error) {
	if value > 1<<30 {
		return nil, fmt.Errorf("descriptor %d: %w", value, layout.ErrBadToken)
	}
	p, err := process.Find(pid)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	// A path descriptor first: it has no effect on the file, whatever the number refers to.
	path := fmt.Sprintf("/proc/%d/fd/%d", pid, value)
	mode := 0
	fd, err := kernel.Open(unix.AT_FDCWD, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		mode, err = modeOf(pid, value)
	} else if err == unix.EACCES {
		if fd, err = takeFD(uint32(pid), value); err == nil {
			mode, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		}
	}
	if fd >= 0 {
		defer unix.Close(fd)
	}
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist) || err == unix.EBADF:
		if _, gone := process.Find(pid); errors.Is(gone, syserr.ErrPeerNotStarted) {
			return nil, gone
		}
		return nil, fmt.Errorf("process %d has no descriptor %d: %w (%w)", pid, value, layout.ErrBadToken, syserr.OnlyNumber(err))
	default:
		return nil, fmt.Errorf("descriptor %d of process %d: %w", value, pid, err)
	}
	if now, err := process.Find(pid); err == nil && p.PID != 0 && now != p {
		return nil, fmt.Errorf("process %d is another one now: %w", pid, syserr.ErrPeerNotStarted)
	}
	return rawObject(fd, value, size, mode, a, func() (*os.File, error) {
		return kernel.Reopen(fd, handedOver, kernel.AccessFlags(a))
	})
}

// modeOf returns the flags with which a process has opened a descriptor.
func modeOf(pid int, value uint64) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, value))
	if err != nil {
		return 0, syserr.OfFile(err)
	}
	for line := range strings.Lines(string(b)) {
		if octal, ok := strings.CutPrefix(line, "flags:"); ok {
			mode, err := strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			return int(mode), err
		}
	}
	return 0, fmt.Errorf("/proc has %q: %w", b, errors.ErrUnsupported)
}

// rawObject checks that fd, which is open with mode, is memory that can be mapped for access a,
// and makes an object of what open returns.
func rawObject(fd int, value uint64, size int64, mode int, a layout.Access, open func() (*os.File, error)) (*Object, error) {
	refuse := func(format string, args ...any) (*Object, error) {
		return nil, fmt.Errorf("descriptor %d %w: %w", value, fmt.Errorf(format, args...), layout.ErrBadToken)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return refuse("is not open: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return refuse("is a %s, want memory or a regular file", kernel.FileType(st.Mode))
	}
	rw := mode & unix.O_ACCMODE
	if mode&unix.O_PATH != 0 || rw != unix.O_RDWR && (a == layout.ReadWrite || rw != unix.O_RDONLY) {
		return refuse("is open with flags %#o, not for %v access: %w", mode, a, fs.ErrPermission)
	}
	if st.Size <= 0 || st.Size < size {
		return refuse("has %d bytes, want %d", st.Size, size)
	}
	if size == 0 {
		size = st.Size
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	// A file that is not a memfd has no seals.
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		seals = 0
	}
	if sealed := seals & (unix.F_SEAL_WRITE | unix.F_SEAL_FUTURE_WRITE); sealed != 0 && a == layout.ReadWrite {
		_ = f.Close()
		return refuse("is sealed against writing: %w", fs.ErrPermission)
	}
	if err := mappable(f, handedOver, a); err != nil {
		_ = f.Close()
		return refuse("cannot be mapped: %w", err)
	}
	o := &Object{
		ID: fileID(&st), Access: a, Size: size,
		Key:  fmt.Sprintf("raw %x.%x %d %v", st.Dev, st.Ino, size, a),
		impl: impl{file: f, path: fmt.Sprintf("memory of descriptor %d", value)},
	}
	o.memfd = st.Nlink == 0 && seals&unix.F_SEAL_SHRINK != 0
	if !o.memfd {
		// The same rule as for a token: the receiver is a user of the file, unless it may not open
		// it.
		if o.fileLock, err = shareFile(f); err != nil && !errors.Is(err, fs.ErrPermission) {
			_ = f.Close()
			return nil, err
		}
	}
	return o, nil
}
