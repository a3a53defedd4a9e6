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

// RWMutex is a named reader/writer mutual exclusion lock between processes, and between the
// goroutines of each process. Any number of readers or one writer hold it. A writer that waits
// keeps new readers out, so it waits only for the readers that hold the lock already. Readers
// write no memory that other readers touch.
//
// When a reader dies, its read locks are released. When a writer dies while holding the lock, the
// next holders, also readers, get it with an error that says so.
//
// All its methods may be called concurrently. As with sync.RWMutex, any goroutine may unlock what
// another goroutine locked through the same handle. A goroutine that holds a read lock must not
// ask for another one, because a writer may have begun to wait meanwhile. Then the two would wait
// for each other. The zero value is not usable.
//
// An RWMutex that is dropped without Close is closed when it is garbage collected. Exception: if
// it is locked, also for reading, it stays open and locked until its process ends.
type RWMutex struct {
	owned
	held *uint64 // number of read locks of this handle: Member.Held
}

// CreateRWMutex makes a reader/writer mutex. Errors: fs.ErrExist, and those of samepage.Create.
func CreateRWMutex(name string, opts *Options) (*RWMutex, error) {
	o, err := opts.create(layout.RWMutex, name, 0, 0)
	return newRWMutex("create", name, o, err)
}

// OpenRWMutex opens a reader/writer mutex that exists. Options that count only when a mutex is
// made are refused (fs.ErrInvalid). Errors: fs.ErrNotExist, samepage.ErrTooManyMembers, and those
// of samepage.Open.
func OpenRWMutex(name string, opts *Options) (*RWMutex, error) {
	o, err := opts.openOnly(layout.RWMutex, name)
	return newRWMutex("open", name, o, err)
}

// AwaitRWMutex waits until a reader/writer mutex of that name exists, and opens it. While it waits
// it looks every 50 ms. If the call does not have to wait, it ignores ctx.
//
// Errors: the error of ctx, and those of OpenRWMutex except fs.ErrNotExist.
func AwaitRWMutex(ctx context.Context, name string, opts *Options) (*RWMutex, error) {
	return await(ctx, layout.RWMutex, name, func() (*RWMutex, error) { return OpenRWMutex(name, opts) })
}

// OpenOrCreateRWMutex opens a reader/writer mutex, or makes it if there is none. existed says
// which of the two it did.
func OpenOrCreateRWMutex(name string, opts *Options) (m *RWMutex, existed bool, err error) {
	o, existed, err := object.OpenOrCreate(
		func() (*handle, error) { return opts.open(layout.RWMutex, name) },
		func() (*handle, error) { return opts.create(layout.RWMutex, name, 0, 0) })
	m, err = newRWMutex("open or create", name, o, err)
	return m, existed, err
}

func newRWMutex(op, name string, o *handle, err error) (*RWMutex, error) {
	if err != nil {
		return nil, wrapNew(op, layout.RWMutex, name, err)
	}
	return &RWMutex{newOwned(o), o.h.Held()}, nil
}

// RLock takes a read lock. While a writer holds the lock or waits for it, RLock sleeps. If the
// call does not have to wait, it ignores ctx.
//
// With samepage.ErrOwnerDied (an *OwnerDiedError) the caller holds the read lock. A writer died,
// and no writer has called Consistent since, so the data that the lock guards may be half changed.
// With any other error the caller does not hold the read lock; Mutex.Lock lists these errors.
func (m *RWMutex) RLock(ctx context.Context) error {
	if m.h.Closed() {
		return m.wrap("read-lock", samepage.ErrClosed)
	}
	atomic.AddUint64(m.held, 1) // A1, a full fence: before the load of the owner word
	fault.At(fault.ReadCounted)
	if atomic.LoadUint64(m.state) == 0 { // A2, ACQUIRE: pairs with the RELEASE of a writer's unlock
		m.edgeAcquire(edgeLock)
		fault.At(fault.ReadHeld)
		runtime.KeepAlive(m)
		return nil
	}
	return m.rlockSlow(ctx)
}

func (m *RWMutex) rlockSlow(ctx context.Context) error {
	w := m.owner()
	if !w.Free() {
		m.uncount() // A3
		if err := m.wait(ctx, (*readWait)(m)); err != nil {
			return m.wrap("read-lock", err)
		}
		w = m.owner()
	}
	m.edgeAcquire(edgeLock)
	fault.At(fault.ReadHeld)
	return m.wrap("read-lock", m.died(w))
}

// TryRLock takes a read lock if it is available at once, and returns whether it did. See RLock and
// Mutex.TryLock.
func (m *RWMutex) TryRLock() (bool, error) {
	if m.h.Closed() {
		return false, m.wrap("try", samepage.ErrClosed)
	}
	ok, _ := (*readWait)(m).Try()
	if w := m.owner(); !ok && !w.Free() {
		reaped, err := m.h.Reap(w)
		if err != nil {
			return false, m.wrap("try", err)
		}
		if reaped {
			ok, _ = (*readWait)(m).Try()
		}
	}
	if !ok {
		return false, nil
	}
	return true, m.wrap("read-lock", m.died(m.owner()))
}

// RUnlock releases a read lock. Errors: samepage.ErrNotLocked (this handle has no read lock),
// samepage.ErrClosed.
func (m *RWMutex) RUnlock() error {
	if m.h.Closed() {
		return m.wrap("read-unlock", samepage.ErrClosed)
	}
	if edge.Enabled && atomic.LoadUint64(m.held) != 0 {
		m.edgeRelease(edgeReaders)
	}
	n := atomic.AddUint64(m.held, ^uint64(0)) // B1, RELEASE and a full fence
	if n == ^uint64(0) {
		if atomic.AddUint64(m.held, 1) == 0 { // a writer may have seen it
			m.ringWriter()
		}
		return m.wrap("read-unlock", samepage.ErrNotLocked)
	}
	fault.At(fault.ReadUncounted)
	if n == 0 {
		m.ringWriter() // B2
	}
	runtime.KeepAlive(m)
	return nil
}

// uncount takes back a count that did not become a read lock.
func (m *RWMutex) uncount() {
	if atomic.AddUint64(m.held, ^uint64(0)) == 0 {
		m.ringWriter()
	}
}

// ringWriter rings the writer that the owner word names now. A writer that was seen before Held
// changed may be another one.
func (m *RWMutex) ringWriter() {
	if w := m.owner(); !w.Free() {
		m.h.Ring(w.Slot())
	}
}

// readWait is the segment.Condition of readers.
type readWait RWMutex

func (m *readWait) Try() (bool, error) {
	if !m.owner().Free() {
		return false, nil
	}
	atomic.AddUint64(m.held, 1)
	if m.owner().Free() {
		m.edgeAcquire(edgeLock)
		return true, nil
	}
	(*RWMutex)(m).uncount()
	return false, nil
}

func (m *readWait) Holds() bool                  { return m.owner().Free() }
func (m *readWait) DependsOn(k int) layout.Owner { return m.ownerOnly(k) }

// NeedsName is as for mutexWait.
func (*readWait) NeedsName() bool { return true }

// Lock locks for writing. While others hold the lock, it sleeps. If the call does not have to
// wait, it ignores ctx. Errors: those of Mutex.Lock.
func (m *RWMutex) Lock(ctx context.Context) error {
	if m.h.Closed() {
		return m.wrap("lock", samepage.ErrClosed)
	}
	if !m.claim(0) { // W1
		if err := m.wait(ctx, (*claimWait)(m)); err != nil {
			return m.wrap("lock", err)
		}
	}
	fault.At(fault.WriteClaimed)
	if ok, _ := (*drainWait)(m).Try(); !ok { // W2
		if err := segment.Deadline(m.h.Wait(ctx, (*drainWait)(m))); err != nil {
			m.unclaim()
			return m.wrap("lock", err)
		}
	}
	return m.hold()
}

// hold is W3.
func (m *RWMutex) hold() error {
	for {
		w := m.owner()
		if !w.Names(layout.Owner(m.me)) {
			return m.wrap("lock", samepage.ErrCorrupt)
		}
		if atomic.CompareAndSwapUint64(m.state, uint64(w), uint64(w|layout.HeldBit)) {
			m.edgeAcquire(edgeLock)
			m.edgeAcquire(edgeReaders)
			fault.At(fault.WriteHeld)
			return m.wrap("lock", m.died(w))
		}
	}
}

// unclaim gives the claim back, and lets readers in again.
func (m *RWMutex) unclaim() {
	for w := m.owner(); w.Names(layout.Owner(m.me)); w = m.owner() {
		if atomic.CompareAndSwapUint64(m.state, uint64(w), uint64(w&layout.Dirty)) {
			m.h.WakeAll()
			return
		}
	}
}

// TryLock locks for writing if that is possible at once, and returns whether it did. See
// Mutex.TryLock.
func (m *RWMutex) TryLock() (bool, error) {
	if m.h.Closed() {
		return false, m.wrap("try", samepage.ErrClosed)
	}
	for range 2 { // a second time, if a dead member was the blocker
		var blocker layout.Owner
		if m.claim(0) {
			blocker = (*drainWait)(m).DependsOn(0)
			if blocker.Free() {
				return true, m.hold()
			}
			m.unclaim()
		} else {
			blocker = m.owner()
		}
		if blocker.Free() {
			continue
		}
		if reaped, err := m.h.Reap(blocker); err != nil || !reaped {
			return false, m.wrap("try", err)
		}
	}
	return false, nil
}

// Unlock releases the write lock. Errors: samepage.ErrNotLocked (this handle does not hold it),
// samepage.ErrClosed.
func (m *RWMutex) Unlock() error {
	err := m.release()
	if m.h.Closed() {
		err = samepage.ErrClosed
	}
	if err != nil {
		return m.wrap("unlock", err)
	}
	fault.At(fault.UnlockUnrung)
	if m.anyAsleep() {
		m.h.WakeAll()
	}
	runtime.KeepAlive(m)
	return nil
}

// Consistent declares that the data that the lock guards is consistent again; see
// Mutex.Consistent. The caller must hold the write lock.
func (m *RWMutex) Consistent() error {
	err := m.consistent()
	fault.At(fault.ConsistentDone)
	return m.wrap("declare consistent", err)
}

// Close closes the lock. Calls that wait with it return samepage.ErrClosed. A second Close does
// nothing.
//
// Errors: samepage.ErrUnreleased if this handle holds the lock, also for reading. Then it stays
// open and locked. Mutex.Close says what that means for a deferred Close.
func (m *RWMutex) Close() error {
	if !m.h.Closed() && atomic.LoadUint64(m.held) != 0 {
		return m.wrap("close", errHeld)
	}
	return m.wrap("close", m.close())
}

// claimWait is the segment.Condition of writers until they have the owner word.
type claimWait RWMutex

func (m *claimWait) Try() (bool, error)           { return m.claim(0), nil }
func (m *claimWait) Holds() bool                  { return m.owner().Free() }
func (m *claimWait) DependsOn(k int) layout.Owner { return m.ownerOnly(k) }

// NeedsName is as for mutexWait.
func (*claimWait) NeedsName() bool { return true }

// drainWait is the segment.Condition of a writer that waits for the readers to leave.
type drainWait RWMutex

func (m *drainWait) Try() (bool, error) { return m.Holds(), nil }
func (m *drainWait) Holds() bool        { return m.DependsOn(0).Free() }
func (m *drainWait) DependsOn(k int) layout.Owner { // the k-th member that has read locks
	for i := range m.h.Members() {
		if held, o := m.h.HeldOf(i); held != 0 {
			if k == 0 {
				return o
			}
			k--
		}
	}
	return 0
}

// NeedsName is as for mutexWait.
func (*drainWait) NeedsName() bool { return true }

var (
	_ segment.Condition = (*readWait)(nil)
	_ segment.Condition = (*claimWait)(nil)
	_ segment.Condition = (*drainWait)(nil)
)
