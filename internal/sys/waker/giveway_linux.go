package waker

import "golang.org/x/sys/unix"

// GiveWay lets another thread run, of any process, if one waits for the processor of this one. The
// Go scheduler does not learn of it: no other goroutine gets the P of the caller. If no thread
// waits, it takes less than a microsecond.
func GiveWay() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
