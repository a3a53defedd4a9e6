//go:build unix

package ipctest

import "os"

// Threads is the number of threads of this process, or 0 where the system does not tell.
func Threads() int {
	all, _ := os.ReadDir("/proc/self/task")
	return len(all)
}
