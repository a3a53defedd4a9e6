package sys

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
)

// reservePiece is how much is reserved in one call. So a signal does not have to wait until the
// kernel has cleared gigabytes.
const reservePiece = 64 << 20

// reserve makes the file size bytes long; it has the first have bytes already. Unless sparse is
// set it reserves space for all of them, so that a lack of space is an error here and never a
// fault later.
func reserve(f *os.File, have, size int64, sparse bool) error {
	if !sparse {
		return allocate(f, have, size-have, size-have)
	}
	if size > have {
		if err := unix.Ftruncate(int(f.Fd()), size); err != nil {
			return fmt.Errorf("extend %s to %d bytes: %w", f.Name(), size, syserr.Space(err))
		}
	}
	return nil
}

// allocate reserves space for n bytes at off. more of them probably have none yet.
func allocate(f *os.File, off, n, more int64) error {
	if more >= reservePiece {
		if err := checkRoom(f, more); err != nil {
			return err
		}
	}
	for end := off + n; off < end; {
		piece := min(reservePiece, end-off)
		switch err := unix.Fallocate(int(f.Fd()), 0, off, piece); err {
		case nil:
			off += piece
		case unix.EINTR:
		case unix.EOPNOTSUPP:
			return fmt.Errorf("the file system of %s cannot reserve space (use Sparse): %w", f.Name(), err)
		default:
			return noRoom(f, n, syserr.Space(err))
		}
	}
	return nil
}

// noRoom adds to an error how much was wanted, and how much there is.
func noRoom(f *os.File, need int64, cause error) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || !errors.Is(cause, syserr.ErrNoSpace) {
		return fmt.Errorf("reserve %d bytes in %s: %w", need, f.Name(), cause)
	}
	return fmt.Errorf("reserve %d bytes in %s, whose file system has %d free of %d (docker run --shm-size makes that of a container larger): %w",
		need, f.Name(), st.Bavail*uint64(st.Bsize), st.Blocks*uint64(st.Bsize), cause)
}

// checkRoom returns an error if there is not enough room, before any of it is reserved: when all
// memory is reserved, the kernel kills processes, and not always this one.
func checkRoom(f *os.File, need int64) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	if st.Blocks > 0 && uint64(need)/uint64(st.Bsize) > st.Bavail {
		return noRoom(f, need, syserr.ErrNoSpace)
	}
	if st.Type != unix.TMPFS_MAGIC {
		return nil
	}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil // then the kernel decides
	}
	var free int64
	for line := range strings.Lines(string(b)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			free += kib << 10
		} else if n, _ := fmt.Sscanf(line, "SwapFree: %d kB", &kib); n == 1 {
			free += kib << 10
		}
	}
	if free > 0 && need > free {
		return fmt.Errorf("reserve %d bytes of memory, of which %d are available: %w", need, free, syserr.ErrNoSpace)
	}
	return nil
}

// Reserve reserves space for n bytes at off, of an object that was made with Spec.Later. Without it
// an access may fault. It may be called again for bytes that have space: that changes nothing, also
// if it fails. more says how many of the bytes probably have none: for these, Reserve first checks
// how much memory is left, and removes what dead processes left if there is no space.
//
// Errors: ErrNoSpace.
func (o *Object) Reserve(off, n, more int64) error {
	try := func() (any, error) { return nil, allocate(o.file, off, n, more) }
	if more == 0 {
		_, err := try()
		return err
	}
	_, err := withSpace(try)
	return err
}

// Discard gives the space of n bytes at off back to the system. They are zeros then. If the file
// system cannot do that, the space stays reserved.
func (o *Object) Discard(off, n int64) {
	for unix.Fallocate(int(o.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n) == unix.EINTR {
	}
}
