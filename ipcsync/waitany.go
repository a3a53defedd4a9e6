package ipcsync

import (
	"context"
	"errors"
	"fmt"

	"samepage"
	"samepage/internal/segment"
	"samepage/layout"
)

// Waiter is what WaitAny waits for: a *Mutex, a *Semaphore or an *Event.
type Waiter interface {
	// waiter gives the member that waits, what it waits for, and the verdict once
	// that is taken.
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
		return nil, nil, nil, fmt.Errorf("an exact event among several: %w", errors.ErrUnsupported)
	}
	return s.h, (*eventWait)(s), func() error { return nil }, nil
}

// WaitAny waits until one of ws is to be had, takes that one (locks the mutex, takes
// a unit, passes the event), and returns its index. Of several it takes the first.
// The objects may have different names and kinds.
//
// Errors: those of the Lock, Acquire or Wait of each. With samepage.ErrOwnerDied the
// mutex of that index is locked, see Mutex.Lock; with any other error nothing was
// taken, and the index is -1. Exact events of Windows are errors.ErrUnsupported.
func WaitAny(ctx context.Context, ws ...Waiter) (int, error) {
	any := make([]candidate, len(ws))
	for i, w := range ws {
		c := &any[i]
		var err error
		if c.h, c.c, c.verdict, err = w.waiter(); err != nil {
			return -1, fmt.Errorf("ipcsync: wait for any of %d: %w", len(ws), err)
		}
	}
	i, err := waitAny(ctx, any)
	if err != nil {
		return -1, fmt.Errorf("ipcsync: wait for any of %d: %w", len(ws), secondFace(err))
	}
	return i, any[i].verdict()
}

type candidate struct {
	h       *segment.Handle
	c       segment.Condition
	verdict func() error
}

func waitAny(ctx context.Context, any []candidate) (int, error) {
	// One goroutine a candidate sleeps until that one is to be had, and takes
	// nothing: so no two are ever taken.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type news struct {
		i   int
		err error
	}
	ch := make(chan news, len(any))
	watch := func(i int) { ch <- news{i, any[i].h.Wait(ctx, peek{any[i].c})} }
	watching := make([]bool, len(any))
	defer func() {
		// Whoever was rung for one that was then not taken passes the ring on.
		cancel()
		for i := range any {
			for watching[i] {
				watching[(<-ch).i] = false
			}
			if any[i].c.Holds() {
				any[i].h.Wake(1)
			}
		}
	}()
	for {
		for i, c := range any {
			if c.h.Closed() {
				return -1, samepage.ErrClosed
			}
			if ok, err := c.c.Try(); ok || err != nil {
				return i, err
			}
		}
		if err := ctx.Err(); err != nil {
			return -1, context.Cause(ctx)
		}
		for i := range any {
			if !watching[i] {
				watching[i] = true
				go watch(i)
			}
		}
		n := <-ch
		watching[n.i] = false
		if n.err != nil && ctx.Err() == nil {
			return -1, n.err
		}
	}
}

// peek is a condition that is seen and not taken.
type peek struct{ c segment.Condition }

func (p peek) Try() (bool, error)      { return p.c.Holds(), nil }
func (p peek) Holds() bool             { return p.c.Holds() }
func (p peek) DependsOn() layout.Owner { return p.c.DependsOn() }
