package ipcsync

import (
	"fmt"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/segment"
	"samepage/internal/sys/process"
	"samepage/layout"
)

// owned is common to Mutex and the writers of RWMutex: the owner word of docs/protocol/locks.md.
type owned struct {
	*handle
	state *uint64 // the owner word
	me    uint64  // the owner word while this handle holds the lock and the data is clean
	// sleepers is the first word of the bitmap. If many is false, it is the whole bitmap.
	sleepers *uint64
	many     bool
}

func newOwned(o *handle) owned {
	return owned{
		handle: o, state: o.h.Live64(layout.LockStateOffset), me: uint64(o.h.Me() | layout.HeldBit),
		sleepers: o.h.Live64(layout.LockSleepersOffset), many: o.h.Members() > 64,
	}
}

func (l *owned) owner() layout.Owner { return layout.Owner(atomic.LoadUint64(l.state)) }

// ownerOnly is the k-th member on which a waiter depends that waits only for the owner.
func (l *owned) ownerOnly(k int) layout.Owner {
	if k > 0 {
		return 0
	}
	return l.owner()
}

// claim makes this handle the owner, with the bits of held, if there is no owner.
func (l *owned) claim(held layout.Owner) bool {
	w := l.owner()
	// ACQUIRE, and a full fence. Pairs with the RELEASE of release (L1, W1).
	return w.Free() && atomic.CompareAndSwapUint64(l.state, uint64(w), uint64(w&layout.Dirty|l.h.Me()|held))
}

// mine says whether this handle holds the lock.
func (l *owned) mine(w layout.Owner) bool {
	return w.Names(layout.Owner(l.me)) && w&layout.HeldBit != 0
}

// release unlocks, if this handle holds the lock.
func (l *owned) release() error {
	for {
		w := l.owner()
		if !l.mine(w) {
			return samepage.ErrNotLocked
		}
		l.edgeRelease(edgeLock)
		if atomic.CompareAndSwapUint64(l.state, uint64(w), uint64(w&layout.Dirty)) { // RELEASE, and a full fence (U1)
			return nil
		}
	}
}

// anyAsleep says whether there may be a sleeper to wake.
func (l *owned) anyAsleep() bool { return atomic.LoadUint64(l.sleepers) != 0 || l.many }

// died is an OwnerDiedError if w has the dirty bit.
func (l *owned) died(w layout.Owner) error {
	if w&layout.Dirty == 0 {
		return nil
	}
	return whoDied(l.h)
}

func whoDied(h *segment.Handle) *OwnerDiedError {
	space := atomic.LoadUint64(h.Live64(layout.LockDiedSpaceOffset))
	return &OwnerDiedError{
		Foreign: space != 0 && space != process.PIDSpace(),
		PID:     int(uint32(atomic.LoadUint64(h.Live64(layout.LockDiedPIDOffset)))),
		Name:    h.LiveText(layout.LockDiedNameOffset),
		At:      time.Unix(0, int64(atomic.LoadUint64(h.Live64(layout.LockDiedAtOffset)))),
	}
}

func (l *owned) consistent() error {
	for {
		w := l.owner()
		if !l.mine(w) {
			return samepage.ErrNotLocked
		}
		if atomic.CompareAndSwapUint64(l.state, uint64(w), uint64(w&^layout.Dirty)) {
			return nil
		}
	}
}

// errHeld is the error of Close while this handle holds the lock.
var errHeld = fmt.Errorf("this handle holds the lock (unlock it first): %w", samepage.ErrUnreleased)

// close leaves the segment, unless this handle holds the lock.
func (l *owned) close() error {
	if !l.h.Closed() && l.owner().Names(layout.Owner(l.me)) {
		return errHeld
	}
	return l.handle.close()
}

// repairOwner frees a lock whose owner died. It is the segment.Repair of all kinds. For a kind
// without an owner word it does nothing.
func repairOwner(h *segment.Handle, dead layout.Owner, who segment.Who) {
	if k := h.Kind(); k != layout.Mutex && k != layout.RWMutex {
		return
	}
	state := h.Live64(layout.LockStateOffset)
	w := layout.Owner(atomic.LoadUint64(state))
	if w.Free() || !w.Names(dead) {
		return
	}
	next := w & layout.Dirty
	if w&layout.HeldBit != 0 {
		atomic.StoreUint64(h.Live64(layout.LockDiedPIDOffset), uint64(who.PID))
		atomic.StoreUint64(h.Live64(layout.LockDiedSpaceOffset), who.Space)
		atomic.StoreUint64(h.Live64(layout.LockDiedAtOffset), uint64(time.Now().UnixNano()))
		h.PutLiveText(layout.LockDiedNameOffset, who.Name)
		next = layout.Dirty
	}
	atomic.CompareAndSwapUint64(state, uint64(w), uint64(next))
}
