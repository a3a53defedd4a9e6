package waker

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These are futex operations of linux/futex.h. They are not the private ones, because processes
// share the word.
const (
	futexWait = 0
	futexWake = 1
)

// Waker is the futex word of a member of a segment. The member sleeps on it.
type Waker struct{ word *uint32 }

// New makes the waker of the member in a slot. word is in the segment.
func (Segment) New(_ int, _ uint32, word *uint32) (*Waker, error) { return &Waker{word}, nil }

// Sleep sleeps until the waker is rung. If its word does not have the old value any more, it does
// not sleep. It may return early.
func (w *Waker) Sleep(old uint32) {
	// Syscall6, not RawSyscall6: the scheduler must know that this thread sleeps. Otherwise a garbage
	// collection waits for it, and other goroutines have a processor less (decision 0023).
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w.word)), futexWait, uintptr(old), 0, 0, 0)
}

// Close does nothing: the word belongs to the segment.
func (*Waker) Close() error { return nil }

// Ringer rings the wakers of a segment's members.
type Ringer struct{}

// NewRinger makes a ringer.
func (Segment) NewRinger() *Ringer { return &Ringer{} }

// Ring wakes the member in a slot. The caller must have changed its word.
func (*Ringer) Ring(_ int, _ uint32, word *uint32) { wake(word) }

// wake wakes all threads that sleep on a word.
func wake(word *uint32) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32, 0, 0, 0)
}

// Close does nothing: a ringer has nothing open.
func (*Ringer) Close() {}
