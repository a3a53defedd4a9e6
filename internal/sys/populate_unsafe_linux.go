package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Populate makes the system provide the pages of b, so that the first writes cause no page faults.
// The content stays, also if others write at the same time. Populate is only about time: if there
// is no memory, or the file below has shrunk, it stops, and later accesses behave as without it.
//
// Preconditions:
//   - b lies in a writable mapping, and begins at a multiple of 4.
func Populate(b []byte) {
	if len(b) == 0 {
		return
	}
	p := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	back := p % uintptr(os.Getpagesize())
	// One call is faster than a page fault for each page, and it returns an error instead of a
	// signal. Kernels before 5.14 do not have it.
	_, _, e := unix.Syscall(unix.SYS_MADVISE, p-back, uintptr(len(b))+back, unix.MADV_POPULATE_WRITE)
	if e == unix.EINVAL {
		touch(b)
	}
}
