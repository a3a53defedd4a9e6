package sys

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/layout"
)

// memberByte is the first of the bytes that members of a segment hold for as
// long as they live, one each.
const memberByte = 1<<40 + 1024

// MemberLocks is a handle of an object's sidecar that carries one member's lock,
// and through which it looks at those of others. The caller sees to it that no
// two goroutines use it at a time.
type MemberLocks struct{ h windows.Handle }

// OpenLocks opens a handle for one member or, of an object that is open for reading only,
// for somebody who looks at the members.
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

// Held says whether another member holds byte i, by taking it together with
// others for a moment. It must not be asked of a byte that this handle holds.
func (l *MemberLocks) Held(i int) (bool, error) {
	free, err := kernel.TryLock(l.h, memberByte+int64(i), false)
	if free {
		kernel.Unlock(l.h, memberByte+int64(i))
	}
	return !free, err
}

// Close drops all locks.
func (l *MemberLocks) Close() error { return windows.CloseHandle(l.h) }

// Waker is what one member of a segment sleeps on: an auto-reset event with the
// segment's id, the slot and the incarnation in its name.
type Waker struct {
	h    windows.Handle
	word *uint32
}

func wakerName(id layout.ID, s layout.Scope, slot int, incarnation uint32) string {
	return kernel.Prefix(s) + "samepage.waker." + id.String() + "." + strconv.Itoa(slot) + "." + strconv.FormatUint(uint64(incarnation), 10)
}

// NewWaker makes the waker of the member in a slot, whose word lies in the
// segment. It has the rights of the segment's sidecar.
func (o *Object) NewWaker(slot int, incarnation uint32, word *uint32) (*Waker, error) {
	if o.entry == nil {
		return nil, fmt.Errorf("wakers of an object without a name of ours: %w", errors.ErrUnsupported)
	}
	sd, err := windows.GetSecurityInfo(o.entry.h, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return nil, fmt.Errorf("security descriptor of %s: %w", o.entry.path, err)
	}
	name := wakerName(o.ID, o.Scope, slot, incarnation)
	p, err := kernel.NamePtr(name)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateEvent(kernel.AttributesOf(sd), 0, 0, p)
	if err != nil && err != windows.ERROR_ALREADY_EXISTS { // one that a ringer of a dead member still has is as good
		return nil, kernel.Named(name, err)
	}
	return &Waker{h, word}, nil
}

// Close lets go of it.
func (w *Waker) Close() error { return windows.CloseHandle(w.h) }

// Sleep sleeps until the waker is rung, and not at all when its word is not
// old. It may return early.
func (w *Waker) Sleep(old uint32) {
	if atomic.LoadUint32(w.word) == old {
		_, _ = windows.WaitForSingleObject(w.h, windows.INFINITE)
	}
}

// Ringer rings the wakers of an object's members, and keeps them open.
type Ringer struct {
	o   *Object
	mu  sync.Mutex
	all map[int]openWaker
}

type openWaker struct {
	h           windows.Handle
	incarnation uint32
}

// NewRinger makes a ringer.
func (o *Object) NewRinger() *Ringer { return &Ringer{o: o, all: make(map[int]openWaker)} }

// Ring wakes the member in a slot, whose word the caller has changed. A member
// that is gone needs no waking.
func (r *Ringer) Ring(slot int, incarnation uint32, _ *uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		return
	}
	w, ok := r.all[slot]
	if !ok || w.incarnation != incarnation {
		p, err := kernel.NamePtr(wakerName(r.o.ID, r.o.Scope, slot, incarnation))
		if err != nil {
			return
		}
		h, err := windows.OpenEvent(windows.EVENT_MODIFY_STATE, false, p)
		if err != nil {
			return
		}
		if ok {
			_ = windows.CloseHandle(w.h)
		}
		w = openWaker{h, incarnation}
		r.all[slot] = w
	}
	_ = windows.SetEvent(w.h)
}

// Close lets go of what it has open.
func (r *Ringer) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.all {
		_ = windows.CloseHandle(w.h)
	}
	r.all = nil
}
