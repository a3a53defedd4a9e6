package waker

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/windows"
)

// Bell wakes the thread that sleeps with it in SleepAny. Unlike a waker it works only within this
// process.
type Bell struct {
	word uint32

	mu sync.Mutex
	h  windows.Handle // 0: closed
}

// NewBell makes a bell.
func NewBell() (*Bell, error) {
	h, err := windows.CreateEvent(nil, 0, 0, nil)
	if err != nil {
		return nil, err
	}
	return &Bell{h: h}, nil
}

// State returns a number that changes with each Ring.
func (b *Bell) State() uint32 { return atomic.LoadUint32(&b.word) }

// Ring makes the thread return from SleepAny, or not sleep if its State is older.
func (b *Bell) Ring() {
	atomic.AddUint32(&b.word, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.h != 0 {
		_ = windows.SetEvent(b.h)
	}
}

// Close closes the event.
func (b *Bell) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.h
	b.h = 0
	return windows.CloseHandle(h)
}

// maximumWaitObjects is MAXIMUM_WAIT_OBJECTS of winnt.h.
const maximumWaitObjects = 64

// SleepsOnAtMost returns on how many wakers, in addition to the bell, SleepAny can sleep.
func SleepsOnAtMost() int { return maximumWaitObjects - 1 }

// SleepAny sleeps until one of the wakers or the bell is rung. If one of their words does not have
// the old value any more, it does not sleep. It may return early.
func SleepAny(wakers []*Waker, old []uint32, bell *Bell, bellOld uint32) {
	handles := make([]windows.Handle, 1, maximumWaitObjects)
	handles[0] = bell.h
	for i, w := range wakers {
		if atomic.LoadUint32(w.word) != old[i] {
			return
		}
		handles = append(handles, w.h)
	}
	if bell.State() == bellOld {
		_, _ = windows.WaitForMultipleObjects(handles, false, windows.INFINITE)
	}
}
