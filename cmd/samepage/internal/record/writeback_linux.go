package record

import (
	"os"

	"golang.org/x/sys/unix"
)

// writeBack tells the system to write the last n bytes of the first size bytes of a file to the
// disk now, and to keep nothing of them in memory that is written. It does not wait. Without it
// the system would keep gigabytes of a recording in memory, which nobody reads, and for which it
// has to find new memory, and then write them all at once.
func writeBack(f *os.File, size, n uint64) {
	// What was written some chunks before is on the disk now.
	const before = 64 << 20
	from := int64(size-min(n, size)) - before
	_ = unix.Fadvise(int(f.Fd()), max(from, 0), int64(size)-max(from, 0), unix.FADV_DONTNEED) // it is only advice
}
