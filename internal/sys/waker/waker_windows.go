package waker

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
)

// name returns the name of the event that is the waker of a member.
func (s Segment) name(slot int, incarnation uint32) string {
	return kernel.Prefix(s.Scope) + "samepage.waker." + s.ID.String() + "." + strconv.Itoa(slot) + "." + strconv.FormatUint(uint64(incarnation), 10)
}

// Waker is an auto-reset event of a member of a segment. The member sleeps on it. Its name has the
// id of the segment, the slot and the incarnation.
type Waker struct {
	h    windows.Handle
	word *uint32
}

// New makes the waker of the member in a slot. word is in the segment. Errors:
// errors.ErrUnsupported, if there is no file from which the waker gets its rights.
func (s Segment) New(slot int, incarnation uint32, word *uint32) (*Waker, error) {
	if s.Like == 0 {
		return nil, fmt.Errorf("wakers of an object without a name of ours: %w", errors.ErrUnsupported)
	}
	name := s.name(slot, incarnation)
	sd, err := windows.GetSecurityInfo(windows.Handle(s.Like), windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return nil, fmt.Errorf("security descriptor for %s: %w", name, err)
	}
	p, err := kernel.NamePtr(name)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateEvent(kernel.AttributesOf(sd), 0, 0, p)
	if err != nil && err != windows.ERROR_ALREADY_EXISTS { // a ringer may still have the event of a dead member: it can be used
		return nil, kernel.Named(name, err)
	}
	return &Waker{h, word}, nil
}

// Sleep sleeps until the waker is rung. If its word does not have the old value any more, it does
// not sleep. It may return early.
func (w *Waker) Sleep(old uint32) {
	if atomic.LoadUint32(w.word) == old {
		_, _ = windows.WaitForSingleObject(w.h, windows.INFINITE)
	}
}

// Close closes the event.
func (w *Waker) Close() error { return windows.CloseHandle(w.h) }

// Ringer rings the wakers of a segment's members, and keeps them open.
type Ringer struct {
	segment Segment
	mu      sync.Mutex
	all     map[int]openWaker // by slot; nil when the ringer is closed
}

type openWaker struct {
	h           windows.Handle
	incarnation uint32
}

// NewRinger makes a ringer.
func (s Segment) NewRinger() *Ringer { return &Ringer{segment: s, all: make(map[int]openWaker)} }

// Ring wakes the member in a slot. The caller must have changed its word. It does nothing
// for a member that has left.
func (r *Ringer) Ring(slot int, incarnation uint32, _ *uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		return
	}
	w, ok := r.all[slot]
	if !ok || w.incarnation != incarnation {
		p, err := kernel.NamePtr(r.segment.name(slot, incarnation))
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

// Close closes the wakers that the ringer has open.
func (r *Ringer) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.all {
		_ = windows.CloseHandle(w.h)
	}
	r.all = nil
}
