package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// WriteBack is for a file that grows, and that nobody reads soon: its first size bytes are written,
// the last n of them just now. It tells the system to write them to the disk now, and to forget
// what is on the disk. Otherwise the system would keep gigabytes of the file in memory, for which
// it has to find new memory, and then write them all at once. It does not wait, and changes no
// content. On other systems than Linux it does nothing.
func WriteBack(f *os.File, size, n uint64) {
	// What was written some calls before is on the disk now.
	const before = 64 << 20
	from := int64(size-min(n, size)) - before
	_ = unix.Fadvise(int(f.Fd()), max(from, 0), int64(size)-max(from, 0), unix.FADV_DONTNEED) // it is only advice
}
