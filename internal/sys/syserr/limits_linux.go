package syserr

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Limit names the limit that was reached, if err says that one was. (When no descriptor is free,
// all numbers below the limit are in use.)
func Limit(err error) error {
	switch err {
	case unix.EMFILE:
		var l unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
			return fmt.Errorf("%d of %d descriptors of this process are open (ulimit -n): %w", l.Cur, l.Cur, err)
		}
	case unix.ENFILE:
		// The superuser still gets one to read this with.
		open := "all"
		if f := strings.Fields(setting("/proc/sys/fs/file-nr")); len(f) == 3 {
			open = f[0] + " of " + f[2]
		}
		return fmt.Errorf("%s files of this machine are open (sysctl fs.file-max): %w", open, err)
	}
	return err
}

// OfFile is Limit for an error of package os.
func OfFile(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: p.Path, Err: Limit(p.Err)}
	}
	return err
}

func setting(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// OfMapping is Limit for a mapping that cannot be made for lack of memory: the kernel says
// ENOMEM also for other limits, which the text names where they are reached.
func OfMapping(err error) error {
	if err != unix.ENOMEM {
		return Space(err)
	}
	var limits []string
	maps, _ := os.ReadFile("/proc/self/maps")
	have := bytes.Count(maps, []byte("\n"))
	if most, err := strconv.Atoi(setting("/proc/sys/vm/max_map_count")); err == nil && have >= most-1 {
		limits = append(limits, fmt.Sprintf("%d of %d mappings of this process are there (sysctl vm.max_map_count)", have, most))
	}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &l) == nil && l.Cur < math.MaxInt64 {
		limits = append(limits, fmt.Sprintf("%d of %d bytes of address space are taken (ulimit -v)", addressSpace(), l.Cur))
	}
	if len(limits) == 0 {
		return Space(err)
	}
	return fmt.Errorf("%s: %w", strings.Join(limits, ", "), Space(err))
}

// addressSpace is how many bytes this process has mapped.
func addressSpace() uint64 {
	pages, _, _ := strings.Cut(setting("/proc/self/statm"), " ")
	n, _ := strconv.ParseUint(pages, 10, 64)
	return n * uint64(os.Getpagesize())
}

// Space makes the errors of a full or limited place match ErrNoSpace.
func Space(err error) error {
	switch {
	case errors.Is(err, ErrNoSpace), errors.Is(err, ErrTooLarge):
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, unix.EFBIG):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}
