package sys

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"samepage/layout"
)

// futex operations of linux/futex.h. Not the private ones: the word is shared
// between processes.
const (
	futexWait = 0
	futexWake = 1
)

// Bell is how a process sleeps until another one has changed a shared word.
// On Linux the kernel waits on the word itself (futex(2)).
type Bell struct{}

// OpenBell opens the bell of an object.
func OpenBell(layout.ID, layout.Scope) (*Bell, error) { return &Bell{}, nil }

// CloseBell lets go of it.
func (*Bell) CloseBell() error { return nil }

// Wait sleeps until somebody rings, at most for d, and not at all when the
// word is not old. It may return early: the caller looks again. It is true when
// it slept for all of d.
func (*Bell) Wait(word *uint32, old uint32, d time.Duration) (late bool) {
	ts := unix.NsecToTimespec(int64(d))
	// Syscall6, not RawSyscall6: the scheduler must know that this thread
	// sleeps, or a garbage collection waits for it.
	_, _, e := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(old),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	return e == unix.ETIMEDOUT
}

// Ring wakes up to n of those that sleep on the word, which the caller has
// changed before.
func (*Bell) Ring(word *uint32, n int) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, uintptr(n), 0, 0, 0)
}
