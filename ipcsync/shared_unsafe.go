package ipcsync

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"samepage"
	"samepage/internal/sys"
	"samepage/layout"
)

// recheck is how long a sleeper sleeps at most before it looks again. Nobody
// rings for the dead: a process that is killed between setting the word and
// ringing, or after it was woken and before it took the event, leaves others
// asleep beside a set event. No decision follows from the time.
const recheck = 50 * time.Millisecond

// lateWakes counts the sleepers that only recheck has woken beside a set event.
// Without deaths there are none, for each Set rings.
var lateWakes atomic.Uint64

// shared is an event in shared memory; layout.EventBlock tells its words. The
// futex word may be any 32 bits of a hostile peer's liking: all of them mean
// set or not set and a number that is only compared.
type shared struct {
	mem      *samepage.Memory
	view     *samepage.View
	bell     *sys.Bell
	manual   bool
	state    *uint32 // EventBlock.State
	sleepers *uint32 // EventBlock.Sleepers

	// use is held for reading by each method that touches the words, and for
	// writing by Close, which takes the mapping away.
	use    sync.RWMutex
	closed atomic.Bool
}

// sharedEvent takes m over.
func sharedEvent(name string, m *samepage.Memory) (*Event, error) {
	s := &shared{mem: m}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return &Event{name, s}, nil
}

func (s *shared) open() error {
	if s.mem.Size() < layout.EventSize {
		return fmt.Errorf("%d bytes, an event has %d: %w", s.mem.Size(), layout.EventSize, samepage.ErrKindMismatch)
	}
	var head [24]byte
	if _, err := s.mem.ReadAt(head[:], 0); err != nil {
		return err
	}
	var err error
	if s.manual, err = layout.ValidateEvent(head[:]); err != nil {
		return err
	}
	if s.view, err = s.mem.View(0, layout.EventSize, samepage.ReadWrite); err != nil {
		return err
	}
	b := s.view.Bytes()
	s.state = (*uint32)(unsafe.Pointer(&b[layout.EventStateOffset]))
	s.sleepers = (*uint32)(unsafe.Pointer(&b[layout.EventSleepersOffset]))
	s.bell, err = sys.OpenBell(s.mem.ID(), s.mem.Scope())
	return err
}

func (s *shared) release() error {
	var err error
	if s.bell != nil {
		err = s.bell.CloseBell()
	}
	if s.view != nil {
		err = errors.Join(err, s.view.Close())
	}
	return errors.Join(err, s.mem.Close())
}

// enter keeps Close away until the matching use.RUnlock.
func (s *shared) enter() error {
	s.use.RLock()
	if s.closed.Load() {
		s.use.RUnlock()
		return samepage.ErrClosed
	}
	return nil
}

func (s *shared) Set() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.use.RUnlock()
	for {
		v := atomic.LoadUint32(s.state)
		if v&1 != 0 {
			return nil
		}
		// RELEASE: publishes what the caller wrote. Pairs with the ACQUIRE in
		// take. It is also ordered before the load of sleepers, whose add is
		// ordered before the sleeper's last look at state.
		if atomic.CompareAndSwapUint32(s.state, v, v|1) {
			break
		}
	}
	if n := atomic.LoadUint32(s.sleepers); n != 0 {
		if s.manual {
			s.ringAll(n)
		} else {
			s.bell.Ring(s.state, 1)
		}
	}
	return nil
}

func (s *shared) ringAll(sleepers uint32) {
	s.bell.Ring(s.state, int(min(sleepers, math.MaxInt32)))
}

func (s *shared) Reset() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.use.RUnlock()
	for {
		v := atomic.LoadUint32(s.state)
		if v&1 == 0 || atomic.CompareAndSwapUint32(s.state, v, v&^1) {
			return nil
		}
	}
}

// take passes a set event.
func (s *shared) take() bool {
	for {
		v := atomic.LoadUint32(s.state) // ACQUIRE: pairs with the RELEASE in Set
		if v&1 == 0 {
			return false
		}
		if s.manual || atomic.CompareAndSwapUint32(s.state, v, v&^1) {
			return true
		}
	}
}

func (s *shared) TryWait() (bool, error) {
	if err := s.enter(); err != nil {
		return false, err
	}
	defer s.use.RUnlock()
	return s.take(), nil
}

func (s *shared) Wait(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.use.RUnlock()
	if s.take() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, s.rouse)
	defer stop()
	atomic.AddUint32(s.sleepers, 1)
	defer atomic.AddUint32(s.sleepers, ^uint32(0))
	for {
		v := atomic.LoadUint32(s.state)
		switch {
		case s.take():
			return nil
		case s.closed.Load():
			return samepage.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case v&1 == 0:
			// Whoever sets the event, ends ctx or closes changes the word
			// after v was read, so the kernel does not let this sleep.
			if s.bell.Wait(s.state, v, recheck) && atomic.LoadUint32(s.state)&1 != 0 {
				lateWakes.Add(1)
			}
		}
	}
}

// rouse has every sleeper look again.
func (s *shared) rouse() {
	if s.enter() != nil {
		return
	}
	defer s.use.RUnlock()
	s.bump()
}

func (s *shared) bump() {
	atomic.AddUint32(s.state, 2) // leaves bit 0 alone
	if n := atomic.LoadUint32(s.sleepers); n != 0 {
		s.ringAll(n)
	}
}

func (s *shared) Close() error {
	s.use.RLock()
	if s.closed.Swap(true) {
		s.use.RUnlock()
		return nil
	}
	s.bump()
	s.use.RUnlock()
	s.use.Lock() // the last one has left
	defer s.use.Unlock()
	return s.release()
}

func deadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return deadlineError{err}
	}
	return err
}
