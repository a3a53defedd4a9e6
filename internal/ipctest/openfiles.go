package ipctest

import (
	"os"
	"runtime"
)

// OpenFiles is where the descriptors of this process lead, on Linux. Elsewhere it is nil. Under
// Wine, /proc/self would be Wine's server, which loses the lock on its folder if a program opens
// and closes its descriptors: then the next program starts a second server.
func OpenFiles() (all []string) {
	if runtime.GOOS != "linux" {
		return nil
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			all = append(all, to)
		}
	}
	return all
}
