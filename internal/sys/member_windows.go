package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/waker"
	"samepage/layout"
)

// memberByte is the first of the bytes that the members of a segment lock. Each member holds the
// lock of one byte while it lives.
const memberByte = 1<<40 + 1024

// MemberLocks is a handle of the sidecar of an object. It has the lock of one member, and this
// member checks the locks of others with it. Only one goroutine at a time may use it.
type MemberLocks struct{ h windows.Handle }

// OpenLocks opens a handle for one member. Of an object that is open for reading only it can only
// look at the members.
func (o *Object) OpenLocks() (*MemberLocks, error) {
	if o.entry == nil {
		return nil, fmt.Errorf("members of an object without a name of ours: %w", errors.ErrUnsupported)
	}
	access := uint32(windows.GENERIC_READ)
	if o.Access == layout.ReadWrite {
		access |= windows.GENERIC_WRITE
	}
	h, err := openSidecar(o.entry.path, access, nil, windows.OPEN_EXISTING)
	if err != nil {
		return nil, err
	}
	return &MemberLocks{h}, nil
}

// Take locks byte i, unless another member holds it.
func (l *MemberLocks) Take(i int) (bool, error) {
	return kernel.TryLock(l.h, memberByte+int64(i), true)
}

// Release unlocks byte i.
func (l *MemberLocks) Release(i int) { kernel.Unlock(l.h, memberByte+int64(i)) }

// Held says whether another member holds byte i: it takes the byte shared for a moment. It must
// not be asked about a byte that this handle holds.
func (l *MemberLocks) Held(i int) (bool, error) {
	free, err := kernel.TryLock(l.h, memberByte+int64(i), false)
	if free {
		kernel.Unlock(l.h, memberByte+int64(i))
	}
	return !free, err
}

// Close drops all locks.
func (l *MemberLocks) Close() error { return windows.CloseHandle(l.h) }

// Wakers returns the segment of the object's members, for package waker.
func (o *Object) Wakers() waker.Segment {
	s := waker.Segment{ID: o.ID, Scope: o.Scope}
	if o.entry != nil {
		s.Like = uintptr(o.entry.h)
	}
	return s
}
