package laneseg

import (
	"fmt"
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/internal/lane"
	"samepage/internal/segment"
	"samepage/layout"
)

// Retire retires a segment: nobody can become a member of it any more, and its readers get
// layout.ErrRetired when they have taken all messages. The segment goes when all members have left.
// docs/protocol/lane.md, Retiring, has the protocol.
//
// Preconditions:
//   - h has joined, and is the writer of no lane.
//
// The user must close h next.
//
// Errors: ErrNoLane (a lane has a living writer; nothing has changed then), those of Handle.Reap.
func Retire(h *segment.Handle, set *lane.Set) error {
	mine := 0
	defer func() {
		for l := range mine {
			atomic.CompareAndSwapUint64(set.Owner(l), uint64(h.Me()), 0)
		}
		h.WakeAll()
	}()
	for ; mine < int(set.C.Lanes); mine++ { // R1
		if claimLane(h, set, mine) {
			continue
		}
		if err := reapWriter(h, set, mine); err != nil {
			return err
		}
		if !claimLane(h, set, mine) {
			return ErrNoLane
		}
	}
	// R2. RELEASE, and a full fence before WakeAll: after all messages.
	atomic.StoreUint64(set.Retired(), 1)
	fault.At(fault.LaneRetired)
	return nil
}

// retired is the error of those who come to a segment that was retired.
func retired(h *segment.Handle) error {
	me, others := h.Me(), []segment.Who(nil)
	for _, w := range h.List() {
		if !me.Names(layout.OwnerOf(w.Slot, w.Incarnation)) {
			others = append(others, w)
		}
	}
	if len(others) == 0 {
		return layout.ErrRetired
	}
	return fmt.Errorf("still used by %s: %w", segment.Names(others), layout.ErrRetired)
}
