package waker

import (
	"time"

	"golang.org/x/sys/unix"
)

// Doze sleeps for d, or less. The thread sleeps in the kernel, which wakes fewer other threads of
// the Go scheduler than a timer does.
func Doze(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}
