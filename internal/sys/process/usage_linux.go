package process

import (
	"os"
	"strings"
)

// Usage counts the open descriptors and the mappings of this process, for leak checks. It counts
// only mappings of files, because all objects are files. The runtime and the C library map other
// memory when they need it, such as the stacks of threads.
func Usage() (handles, mappings int, err error) {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0, err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	for line := range strings.Lines(string(maps)) {
		// Range, rights, offset, device, inode, path (proc_pid_maps(5)).
		if f := strings.Fields(line); len(f) >= 5 && f[4] != "0" {
			mappings++
		}
	}
	return len(fds), mappings, err
}
