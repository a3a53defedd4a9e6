package waker

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futex operations of linux/futex.h. Not the private ones: the word is shared between
// processes.
const (
	futexWait = 0
	futexWake = 1
)

// Waker is what one member of a segment sleeps on: its futex word.
type Waker struct{ word *uint32 }

// New makes the waker of the member in a slot, whose word lies in the segment.
func (Segment) New(_ int, _ uint32, word *uint32) (*Waker, error) { return &Waker{word}, nil }

// Sleep sleeps until the waker is rung, and not at all when its word is not old any more. It
// may return early.
func (w *Waker) Sleep(old uint32) {
	// Syscall6, not RawSyscall6: the scheduler must know that this thread sleeps, or a
	// garbage collection waits for it.
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(w.word)), futexWait, uintptr(old), 0, 0, 0)
}

// Close does nothing: the word belongs to the segment.
func (*Waker) Close() error { return nil }

// Ringer rings the wakers of a segment's members.
type Ringer struct{}

// NewRinger makes a ringer.
func (Segment) NewRinger() *Ringer { return &Ringer{} }

// Ring wakes the member in a slot, whose word the caller has changed.
func (*Ringer) Ring(_ int, _ uint32, word *uint32) { wake(word) }

// wake wakes all threads that sleep on a word.
func wake(word *uint32) {
	_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32, 0, 0, 0)
}

// Close does nothing: a ringer has nothing open.
func (*Ringer) Close() {}
