package sys

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

// limitError names the limit that has been reached, where err says that one is. When no
// descriptor is free, all numbers below the limit are taken.
func limitError(err error) error {
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

// fileError is limitError for an error of package os.
func fileError(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: p.Path, Err: limitError(p.Err)}
	}
	return err
}

func setting(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// mapError is limitError for a mapping that cannot be made for lack of memory, which says
// ENOMEM also for other limits.
func mapError(err error) error {
	if err != unix.ENOMEM {
		return spaceError(err)
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
		return spaceError(err)
	}
	return fmt.Errorf("%s: %w", strings.Join(limits, ", "), spaceError(err))
}

// addressSpace is how many bytes this process has mapped.
func addressSpace() uint64 {
	pages, _, _ := strings.Cut(setting("/proc/self/statm"), " ")
	n, _ := strconv.ParseUint(pages, 10, 64)
	return n * uint64(os.Getpagesize())
}
