package waker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitv is struct futex_waitv of linux/futex.h.
type waitv struct {
	val   uint64
	uaddr uint64
	flags uint32
	_     uint32
}

const (
	futex32     = 2   // FUTEX2_SIZE_U32; shared, because the words of wakers are shared
	waitvAtMost = 128 // FUTEX_WAITV_MAX
)

// Bell wakes the thread that sleeps with it in SleepAny. Unlike a waker it works only within this
// process.
type Bell struct{ word uint32 }

// NewBell makes a bell.
func NewBell() (*Bell, error) { return &Bell{}, nil }

// State returns a number that changes with each Ring.
func (b *Bell) State() uint32 { return atomic.LoadUint32(&b.word) }

// Ring makes the thread return from SleepAny, or not sleep if its State is older.
func (b *Bell) Ring() {
	atomic.AddUint32(&b.word, 1)
	wake(&b.word)
}

// Close does nothing.
func (*Bell) Close() error { return nil }

// SleepsOnAtMost returns on how many wakers, in addition to the bell, SleepAny can sleep. It is 0
// if the system cannot do it (futex_waitv came with Linux 5.16, and a container may forbid it).
var SleepsOnAtMost = sync.OnceValue(func() int {
	w := waitv{uaddr: uint64(uintptr(unsafe.Pointer(new(uint32)))), val: 1, flags: futex32}
	if _, _, err := unix.Syscall6(unix.SYS_FUTEX_WAITV, uintptr(unsafe.Pointer(&w)), 1, 0, 0, 0, 0); err != unix.EAGAIN {
		return 0
	}
	return waitvAtMost - 1
})

// SleepAny sleeps until one of the wakers or the bell is rung. If one of their words does not have
// the old value any more, it does not sleep. It may return early.
func SleepAny(wakers []*Waker, old []uint32, bell *Bell, bellOld uint32) {
	var all [waitvAtMost]waitv
	all[0] = waitv{uint64(bellOld), uint64(uintptr(unsafe.Pointer(&bell.word))), futex32, 0}
	for i, w := range wakers {
		all[i+1] = waitv{uint64(old[i]), uint64(uintptr(unsafe.Pointer(w.word))), futex32, 0}
	}
	// Not raw: see Waker.Sleep.
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX_WAITV, uintptr(unsafe.Pointer(&all[0])), uintptr(len(wakers)+1), 0, 0, 0, 0)
	runtime.KeepAlive(bell)
}
