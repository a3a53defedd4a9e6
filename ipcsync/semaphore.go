package ipcsync

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Semaphore is a named counting semaphore between processes. Like a semaphore of Windows it
// counts units without owners: anybody may release them. If a process dies, or a handle is
// dropped or closed, the units that it has acquired are not returned. A Semaphore that is dropped
// without Close is closed when it is garbage collected. All its methods may be called
// concurrently. The zero value is not usable.
type Semaphore struct {
	*handle
	count *uint64
	max   uint64
}

// CreateSemaphore makes a semaphore of count units. It never has more than max units at a time.
// Errors: fs.ErrInvalid (count above max, max of 0), fs.ErrExist, and those of samepage.Create.
func CreateSemaphore(name string, count, max uint32, opts *Options) (*Semaphore, error) {
	o, err := createSemaphore(name, count, max, opts)
	return newSemaphore("create", name, o, err)
}

func createSemaphore(name string, count, max uint32, opts *Options) (*handle, error) {
	if err := checkUnits(count, max); err != nil {
		return nil, err
	}
	return opts.create(layout.Semaphore, name, max, uint64(count))
}

func checkUnits(count, max uint32) error {
	if err := option.AtLeast("max", max, 1); err != nil {
		return err
	}
	return option.Range("count", count, 0, max)
}

// OpenSemaphore opens a semaphore that exists. Options that count only when a semaphore is made
// are refused (fs.ErrInvalid). Errors: fs.ErrNotExist, samepage.ErrTooManyMembers, and those of
// samepage.Open.
func OpenSemaphore(name string, opts *Options) (*Semaphore, error) {
	o, err := opts.openOnly(layout.Semaphore, name)
	return newSemaphore("open", name, o, err)
}

// AwaitSemaphore waits until a semaphore of that name exists, and opens it. While it waits it
// looks every 50 ms. If the call does not have to wait, it ignores ctx.
//
// Errors: the error of ctx, and those of OpenSemaphore except fs.ErrNotExist.
func AwaitSemaphore(ctx context.Context, name string, opts *Options) (*Semaphore, error) {
	return await(ctx, layout.Semaphore, name, func() (*Semaphore, error) { return OpenSemaphore(name, opts) })
}

// OpenOrCreateSemaphore opens a semaphore, or makes it if there is none. existed says which of
// the two it did. A semaphore that existed keeps its count and its limit.
func OpenOrCreateSemaphore(name string, count, max uint32, opts *Options) (s *Semaphore, existed bool, err error) {
	if err := checkUnits(count, max); err != nil {
		return nil, false, wrapNew("open or create", layout.Semaphore, name, err)
	}
	o, existed, err := object.OpenOrCreate(
		func() (*handle, error) { return opts.open(layout.Semaphore, name) },
		func() (*handle, error) { return createSemaphore(name, count, max, opts) })
	s, err = newSemaphore("open or create", name, o, err)
	return s, existed, err
}

func newSemaphore(op, name string, o *handle, err error) (*Semaphore, error) {
	if err != nil {
		return nil, wrapNew(op, layout.Semaphore, name, err)
	}
	return &Semaphore{o, o.h.Live64(layout.LockStateOffset), uint64(o.h.Flags())}, nil
}

// Acquire takes a unit, and sleeps until there is one. If the call does not have to wait, it
// ignores ctx.
//
// Errors: samepage.ErrNameGone (the name is gone, and all others who still have this semaphore
// open are waiting too), samepage.ErrClosed, the error of ctx; a deadline also matches
// os.ErrDeadlineExceeded.
func (s *Semaphore) Acquire(ctx context.Context) error {
	if ok, err := s.TryAcquire(); ok || err != nil {
		return err
	}
	return s.wrap("acquire", s.wait(ctx, (*unitWait)(s)))
}

// TryAcquire takes a unit if there is one, and returns whether it did.
func (s *Semaphore) TryAcquire() (bool, error) {
	if s.h.Closed() {
		return false, s.wrap("acquire", samepage.ErrClosed)
	}
	ok, _ := (*unitWait)(s).Try()
	runtime.KeepAlive(s)
	return ok, nil
}

// Release adds n units. If there would be more units than the limit, it adds none and returns
// samepage.ErrTooLarge. Other errors: samepage.ErrClosed.
func (s *Semaphore) Release(n uint32) error {
	if s.h.Closed() {
		return s.wrap("release", samepage.ErrClosed)
	}
	for {
		c := atomic.LoadUint64(s.count)
		if c > s.max || uint64(n) > s.max-c {
			return s.wrap("release", fmt.Errorf("%d units, while %d of at most %d are available: %w", n, c, s.max, samepage.ErrTooLarge))
		}
		s.edgeRelease(edgeLock)
		if atomic.CompareAndSwapUint64(s.count, c, c+uint64(n)) { // RELEASE, and a full fence
			break
		}
	}
	fault.At(fault.ReleaseUnrung)
	s.h.Wake(int(min(n, math.MaxInt32)))
	runtime.KeepAlive(s)
	return nil
}

// Count is the number of units that are available now.
func (s *Semaphore) Count() uint32 {
	defer runtime.KeepAlive(s)
	return uint32(min(atomic.LoadUint64(s.count), math.MaxUint32))
}

// Close closes the semaphore. Calls that wait with it return samepage.ErrClosed. A second Close
// does nothing. Units that were acquired are not returned; see Semaphore.
func (s *Semaphore) Close() error { return s.wrap("close", s.handle.close()) }

// unitWait is the segment.Condition of those who acquire.
type unitWait Semaphore

func (s *unitWait) Try() (bool, error) {
	for {
		c := atomic.LoadUint64(s.count)
		if c == 0 {
			return false, nil
		}
		if atomic.CompareAndSwapUint64(s.count, c, c-1) { // ACQUIRE
			s.edgeAcquire(edgeLock)
			fault.At(fault.AcquireTaken)
			return true, nil
		}
	}
}

func (s *unitWait) Holds() bool              { return atomic.LoadUint64(s.count) != 0 }
func (*unitWait) DependsOn(int) layout.Owner { return 0 }

// NeedsName is as for eventWait.
func (s *unitWait) NeedsName() bool { return !s.h.Others(awake) }

var _ segment.Condition = (*unitWait)(nil)
