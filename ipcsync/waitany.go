package ipcsync

import (
	"context"
	"errors"
	"fmt"

	"samepage/internal/segment"
)

// Waiter is what WaitAny can wait for: a *Mutex, a *Semaphore or an *Event.
type Waiter interface {
	// waiter returns the member that waits, its condition, and a function that gives the error of
	// a successful wait.
	waiter() (*segment.Handle, segment.Condition, func() error, error)
}

func (m *Mutex) waiter() (*segment.Handle, segment.Condition, func() error, error) {
	return m.h, (*mutexWait)(m), func() error { return m.wrap("lock", m.died(m.owner())) }, nil
}

func (s *Semaphore) waiter() (*segment.Handle, segment.Condition, func() error, error) {
	return s.h, (*unitWait)(s), func() error { return nil }, nil
}

func (e *Event) waiter() (*segment.Handle, segment.Condition, func() error, error) {
	s, ok := e.backend.(*shared)
	if !ok {
		return nil, nil, nil, fmt.Errorf("an exact event of Windows cannot be waited for together with others: %w", errors.ErrUnsupported)
	}
	return s.h, (*eventWait)(s), func() error { return nil }, nil
}

// WaitAny waits until one of ws is available. Then it takes that one (locks the mutex, takes a
// unit, passes the event) and returns its index. If several are available, it takes the first of
// them. The objects may have different names and kinds. If the call does not have to wait, it
// ignores ctx.
//
// One thread sleeps for up to 127 objects (63 on Windows), and one more thread for each further
// 127 (63). If Linux has no futex_waitv (before 5.16, or forbidden in a container), one thread
// sleeps for each object. Go ends the process if it gets no more threads (RLIMIT_NPROC, the pids
// limit of a container).
//
// Without ws it waits until ctx ends.
//
// Errors: those of Lock, Acquire and Wait of these objects. With samepage.ErrOwnerDied the mutex
// of that index is locked; see Mutex.Lock. With any other error nothing was taken, and the index
// is -1. Exact events of Windows are errors.ErrUnsupported.
func WaitAny(ctx context.Context, ws ...Waiter) (int, error) {
	any := make([]segment.Candidate, len(ws))
	verdicts := make([]func() error, len(ws))
	for i, w := range ws {
		c := &any[i]
		var err error
		if c.Handle, c.Condition, verdicts[i], err = w.waiter(); err != nil {
			return -1, fmt.Errorf("ipcsync: wait for any of %d: %w", len(ws), err)
		}
	}
	i, err := segment.WaitAny(ctx, any)
	if err != nil {
		return -1, fmt.Errorf("ipcsync: wait for any of %d: %w", len(ws), segment.Deadline(err))
	}
	return i, verdicts[i]()
}
