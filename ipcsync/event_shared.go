package ipcsync

import (
	"context"
	"runtime"
	"sync/atomic"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/segment"
	"samepage/layout"
)

// shared is an event in a segment. Bit 0 of its state says whether it is set;
// docs/protocol/locks.md.
type shared struct {
	*handle
	manual bool
	state  *uint64
}

func newSharedEvent(o *handle, err error) (*Event, error) {
	if err != nil {
		return nil, err
	}
	s := &shared{o, o.h.Flags()&layout.EventManual != 0, o.h.Live64(layout.LockStateOffset)}
	return &Event{name: o.name, backend: s}, nil
}

func (s *shared) Set() error {
	if s.h.Closed() {
		return samepage.ErrClosed
	}
	s.edgeRelease(edgeLock)
	// RELEASE, and a full fence before the check for sleepers. Pairs with Try. The word is stored
	// even if it is set already: a compare-and-swap that fails releases nothing, and the Wait
	// that passes would miss what came before this Set.
	if atomic.SwapUint64(s.state, 1) == 1 {
		return nil // the one that has set it has woken the waiters
	}
	fault.At(fault.ReleaseUnrung)
	if s.manual {
		s.h.WakeAll()
	} else {
		s.h.Wake(1)
	}
	runtime.KeepAlive(s)
	return nil
}

func (s *shared) Reset() error {
	if s.h.Closed() {
		return samepage.ErrClosed
	}
	atomic.SwapUint64(s.state, 0) // a swap, not a store: so later Waits also come after earlier Sets
	runtime.KeepAlive(s)
	return nil
}

func (s *shared) TryWait() (bool, error) {
	if s.h.Closed() {
		return false, samepage.ErrClosed
	}
	defer runtime.KeepAlive(s)
	return (*eventWait)(s).Try()
}

func (s *shared) Wait(ctx context.Context) error {
	if s.h.Closed() {
		return samepage.ErrClosed
	}
	return s.h.Wait(ctx, (*eventWait)(s))
}

func (s *shared) Close() error { return s.handle.close() }

// eventWait is the segment.Condition of those who wait for an event.
type eventWait shared

func (s *eventWait) Try() (bool, error) {
	if s.manual {
		if !s.Holds() {
			return false, nil
		}
		s.edgeAcquire(edgeLock)
		return true, nil
	}
	if s.Holds() && atomic.CompareAndSwapUint64(s.state, 1, 0) { // ACQUIRE
		s.edgeAcquire(edgeLock)
		fault.At(fault.AcquireTaken)
		return true, nil
	}
	return false, nil
}

func (s *eventWait) Holds() bool              { return atomic.LoadUint64(s.state)&1 != 0 }
func (*eventWait) DependsOn(int) layout.Owner { return 0 }

// NeedsName: a member that sleeps here too will not set the event.
func (s *eventWait) NeedsName() bool { return !s.h.Others(awake) }

// awake is for Handle.Others.
func awake(_ uint32, asleep bool) bool { return !asleep }

var _ segment.Condition = (*eventWait)(nil)
