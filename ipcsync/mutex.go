package ipcsync

import (
	"context"
	"runtime"
	"sync/atomic"

	"samepage"
	"samepage/internal/edge"
	"samepage/internal/fault"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Mutex is a named mutual exclusion lock between processes, and between the goroutines of each
// process. It outlives its owner: when a process dies while holding it, the next Lock gets it,
// together with an error that says so.
//
// All its methods may be called concurrently. As with sync.Mutex, any goroutine of the process
// may unlock what another goroutine locked through the same Mutex. Two Mutexes that a process
// opens by one name exclude each other. The zero value is not usable.
//
// A Mutex that is dropped without Close is closed when it is garbage collected. Exception: if it
// is locked, it stays open and locked until its process ends. So a process that locks a mutex to
// be the only running instance of its program need not keep the Mutex.
type Mutex struct {
	owned
}

// CreateMutex makes a mutex. Errors: fs.ErrExist, and those of samepage.Create.
func CreateMutex(name string, opts *Options) (*Mutex, error) {
	o, err := opts.create(layout.Mutex, name, 0, 0)
	return newMutex("create", name, o, err)
}

// OpenMutex opens a mutex that exists. Options that count only when a mutex is made are refused
// (fs.ErrInvalid). Errors: fs.ErrNotExist, samepage.ErrTooManyMembers, and those of
// samepage.Open.
func OpenMutex(name string, opts *Options) (*Mutex, error) {
	o, err := opts.openOnly(layout.Mutex, name)
	return newMutex("open", name, o, err)
}

// AwaitMutex waits until a mutex of that name exists, and opens it. While it waits it looks every
// 50 ms. If the call does not have to wait, it ignores ctx.
//
// Errors: the error of ctx, and those of OpenMutex except fs.ErrNotExist.
func AwaitMutex(ctx context.Context, name string, opts *Options) (*Mutex, error) {
	return await(ctx, layout.Mutex, name, func() (*Mutex, error) { return OpenMutex(name, opts) })
}

// OpenOrCreateMutex opens a mutex, or makes it if there is none. existed says which of the two it
// did.
func OpenOrCreateMutex(name string, opts *Options) (m *Mutex, existed bool, err error) {
	o, existed, err := object.OpenOrCreate(
		func() (*handle, error) { return opts.open(layout.Mutex, name) },
		func() (*handle, error) { return opts.create(layout.Mutex, name, 0, 0) })
	m, err = newMutex("open or create", name, o, err)
	return m, existed, err
}

func newMutex(op, name string, o *handle, err error) (*Mutex, error) {
	if err != nil {
		return nil, wrapNew(op, layout.Mutex, name, err)
	}
	return &Mutex{newOwned(o)}, nil
}

// Lock locks the mutex. While another holds it, Lock sleeps. If the call does not have to wait, it
// ignores ctx.
//
// With samepage.ErrOwnerDied (an *OwnerDiedError) the caller holds the lock. A process died while
// holding it, so the data that it guards may be half changed. Repair that, call Consistent, and
// Unlock. Until somebody calls Consistent, each Lock returns this error again.
//
// With any other error the caller does not hold the lock: samepage.ErrClosed,
// samepage.ErrCorrupt, samepage.ErrNameGone, or the error of ctx (a deadline also matches
// os.ErrDeadlineExceeded). samepage.ErrNameGone comes only from a Lock that has to wait: a
// process that opens the name now gets another mutex, so this one does not exclude it.
func (m *Mutex) Lock(ctx context.Context) error {
	if !m.h.Closed() && atomic.CompareAndSwapUint64(m.state, 0, m.me) { // L1
		m.edgeAcquire(edgeLock)
		fault.At(fault.LockTaken)
		runtime.KeepAlive(m)
		return nil
	}
	return m.lockSlow(ctx)
}

func (m *Mutex) lockSlow(ctx context.Context) error {
	err := samepage.ErrClosed
	if !m.h.Closed() {
		err = m.wait(ctx, (*mutexWait)(m))
	}
	if err == nil {
		fault.At(fault.LockTaken)
		err = m.died(m.owner())
	}
	return m.wrap("lock", err)
}

// TryLock locks the mutex if it is free, and returns whether it did. It may return true together
// with samepage.ErrOwnerDied; see Lock. A lock that a dead process holds is free.
func (m *Mutex) TryLock() (bool, error) {
	if m.h.Closed() {
		return false, m.wrap("try", samepage.ErrClosed)
	}
	ok, _ := (*mutexWait)(m).Try()
	if w := m.owner(); !ok && !w.Free() {
		reaped, err := m.h.Reap(w)
		if err != nil {
			return false, m.wrap("try", err)
		}
		if reaped {
			ok, _ = (*mutexWait)(m).Try()
		}
	}
	if !ok {
		return false, nil
	}
	fault.At(fault.LockTaken)
	return true, m.wrap("lock", m.died(m.owner()))
}

// Unlock unlocks the mutex. Errors: samepage.ErrNotLocked (this handle does not hold it),
// samepage.ErrClosed.
func (m *Mutex) Unlock() error {
	if edge.Enabled && m.mine(m.owner()) {
		m.edgeRelease(edgeLock)
	}
	if !atomic.CompareAndSwapUint64(m.state, m.me, 0) { // U1
		if err := m.unlockSlow(); err != nil {
			return err
		}
	}
	fault.At(fault.UnlockUnrung)
	if m.anyAsleep() { // U2
		m.h.Wake(1)
	}
	runtime.KeepAlive(m)
	return nil
}

func (m *Mutex) unlockSlow() error {
	err := m.release()
	if m.h.Closed() {
		err = samepage.ErrClosed
	}
	return m.wrap("unlock", err)
}

// Consistent declares that the data that the mutex guards is consistent again, after a Lock that
// returned samepage.ErrOwnerDied. The caller holds the lock. Errors: samepage.ErrNotLocked.
func (m *Mutex) Consistent() error {
	err := m.consistent()
	fault.At(fault.ConsistentDone)
	return m.wrap("declare consistent", err)
}

// Close closes the mutex. Calls that wait with it return samepage.ErrClosed. A second Close does
// nothing.
//
// Errors: samepage.ErrUnreleased if this handle holds the lock. Then the mutex stays open and
// locked, because only the holder knows whether the data that the mutex guards is consistent. So
// a deferred Close does nothing if a function returns or panics between Lock and Unlock: the
// process holds the lock until it ends. Therefore defer Unlock after each Lock that succeeds.
// Deferred calls run in reverse order, so it runs before a Close that was deferred earlier.
func (m *Mutex) Close() error { return m.wrap("close", m.close()) }

// mutexWait is the segment.Condition of those who lock.
type mutexWait Mutex

func (m *mutexWait) Try() (bool, error) {
	if !m.claim(layout.HeldBit) {
		return false, nil
	}
	m.edgeAcquire(edgeLock)
	return true, nil
}

func (m *mutexWait) Holds() bool                  { return m.owner().Free() }
func (m *mutexWait) DependsOn(k int) layout.Owner { return m.ownerOnly(k) }

// NeedsName: the owner will unlock, but the lock would not exclude a process that opens the name
// from now on.
func (*mutexWait) NeedsName() bool { return true }

var _ segment.Condition = (*mutexWait)(nil)
