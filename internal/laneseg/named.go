package laneseg

import (
	"context"
	"fmt"
	"sync/atomic"

	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Named is the place of a named reader: the words that say up to where it has acknowledged the
// messages of each lane. They stay when the reader leaves or dies, as long as the segment exists.
// docs/protocol/lane.md, Named readers, has the protocol. Only one goroutine at a time may call the
// methods.
type Named struct {
	h     *segment.Handle
	set   *lane.Set
	place int
}

// ClaimNamed makes the member of h the reader of that name.
//
// Errors: object.ErrTooManyMembers (all places have other names), syserr.ErrBusy (a living member
// reads under this name), those of Handle.Reap.
func ClaimNamed(h *segment.Handle, set *lane.Set, name string) (*Named, error) {
	place, ok := findNamed(set, layout.NameKey(name))
	if !ok {
		return nil, fmt.Errorf("no place for the named reader %q, the topic has %d for others (see NamedReaders): %w", name, set.C.Named, object.ErrTooManyMembers)
	}
	own := set.NamedOwner(place)
	looks, claimed := 0, false
	err := segment.Until(context.Background(), func() (bool, error) {
		if claimed = atomic.CompareAndSwapUint64(own, 0, uint64(h.Me())); claimed {
			return true, nil
		}
		if o := layout.Owner(atomic.LoadUint64(own)); !o.Free() {
			if _, err := h.Reap(o); err != nil {
				return false, err
			}
		}
		claimed = atomic.CompareAndSwapUint64(own, 0, uint64(h.Me()))
		looks++
		return claimed || looks > 2, nil // the reaper of a dead one may still be at it
	})
	if err == nil && !claimed {
		err = fmt.Errorf("the reader %q is %s: %w", name, segment.Names(whoIs(h, layout.Owner(atomic.LoadUint64(own)))), syserr.ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	return &Named{h, set, place}, nil
}

func whoIs(h *segment.Handle, o layout.Owner) (all []segment.Who) {
	if w, ok := h.WhoIs(o); ok {
		all = append(all, w)
	}
	return all
}

// findNamed returns the place with that key. A place that is free gets it. Places get their keys in
// order and keep them, so no two have the same.
func findNamed(set *lane.Set, key uint64) (int, bool) {
	for p := range int(set.C.Named) {
		k := set.NamedKey(p)
		if atomic.CompareAndSwapUint64(k, 0, key) || atomic.LoadUint64(k) == key {
			return p, true
		}
	}
	return 0, false
}

// At returns the number of the next message of each lane; 0: none was acknowledged.
func (n *Named) At() []uint64 {
	at := make([]uint64, n.set.C.Lanes)
	for l := range at {
		if v := atomic.LoadUint64(n.set.NamedNext(n.place, l)); v < layout.MaxNumber {
			at[l] = v
		}
	}
	return at
}

// Acknowledge stores that all messages of lane l before next were acknowledged. 0 changes nothing.
//
// Preconditions:
//   - h is not closed.
func (n *Named) Acknowledge(l int, next uint64) {
	if next > 0 {
		atomic.StoreUint64(n.set.NamedNext(n.place, l), next)
	}
}

// Leave ends the reading under the name.
//
// Preconditions:
//   - h is not closed.
func (n *Named) Leave() {
	atomic.CompareAndSwapUint64(n.set.NamedOwner(n.place), uint64(n.h.Me()), 0)
}
