package sys

import (
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/waker"
	"samepage/layout"
)

// memberByte is the first of the bytes that the members of a segment lock. Each member holds the
// lock of one byte while it lives.
const memberByte = 1 << 61

// MemberLocks is an open file description of an object. It has the lock of one member, and this
// member checks the locks of others with it. Only one goroutine at a time may use it, because the
// locks of one description do not exclude each other.
type MemberLocks struct{ fd kernel.Locks }

// OpenLocks opens a description for one member. Of an object that is open for reading only it can
// only look at the members.
func (o *Object) OpenLocks() (*MemberLocks, error) {
	at := o.file
	if o.lock != nil {
		at = o.lock.F
	}
	return openLocks(int(at.Fd()), o.path, o.Access)
}

func openLocks(fd int, path string, a layout.Access) (*MemberLocks, error) {
	f, err := kernel.Reopen(fd, path, kernel.AccessFlags(a))
	if err != nil {
		return nil, err
	}
	return &MemberLocks{kernel.Locks{F: f}}, nil
}

// Take locks byte i, unless another member holds it.
func (l *MemberLocks) Take(i int) (bool, error) { return l.fd.TryExclusive(memberByte + int64(i)) }

// Release unlocks byte i.
func (l *MemberLocks) Release(i int) { l.fd.Unlock(memberByte + int64(i)) }

// Held says whether another member holds byte i. It does not see the locks of this description.
func (l *MemberLocks) Held(i int) (bool, error) {
	held, _, err := l.fd.Held(memberByte + int64(i))
	return held, err
}

// Close drops all locks.
func (l *MemberLocks) Close() error {
	l.fd.Close()
	return nil
}

// Wakers returns the segment of the object's members, for package waker.
func (o *Object) Wakers() waker.Segment { return waker.Segment{ID: o.ID, Scope: o.Scope} }
