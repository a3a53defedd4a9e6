package sys

import (
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/waker"
)

// memberByte is the first of the bytes that members of a segment hold for as long as they live,
// one each.
const memberByte = 1 << 61

// MemberLocks is a description of an object's file that carries one member's lock, and through
// which that member looks at the locks of others. Only one goroutine may use it at a time: a
// description never excludes itself.
type MemberLocks struct{ fd kernel.Locks }

// OpenLocks opens a description for one member. Of an object that is open for reading only it can
// only look at the members.
func (o *Object) OpenLocks() (*MemberLocks, error) {
	at := o.file
	if o.lock != nil {
		at = o.lock.F
	}
	f, err := kernel.Reopen(int(at.Fd()), o.path, kernel.AccessFlags(o.Access))
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

// Wakers are those of the object's members.
func (o *Object) Wakers() waker.Segment { return waker.Segment{ID: o.ID, Scope: o.Scope} }
