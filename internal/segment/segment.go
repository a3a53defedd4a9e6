// Package segment is the base of locks, topics and cells. A segment is a memory with a header
// that never changes, words that do, and a table of members. The package knows which members are
// alive, repairs what dead members held, and has the only way to sleep and to wake.
// docs/protocol/segment.md and waker.md describe the protocols.
package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"samepage/internal/edge"
	"samepage/internal/fault"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/sys/process"
	"samepage/layout"
)

// Spec describes a new segment.
type Spec struct {
	Kind    layout.Kind
	Flags   uint32 // meaning by kind
	Members int    // 0: layout.DefaultMembers
	Live    []byte // the first content of the live words
	// Payload is the number of bytes after the table. They begin as zeros. They lie in a region
	// that can be mapped alone.
	Payload uint64
	Type    *layout.Type // of the payload; nil: bytes
	// Role is the role that the maker has as soon as others can open the segment; see Create.
	Role uint32
}

// First names the maker of a segment as its first member. Its lock words may have it from the
// beginning: see Create.
var First = layout.OwnerOf(0, 1)

// align is the alignment of the regions of a segment: a line of 128 bytes.
const align = 128

// Init returns the bytes of a new segment, up to the payload, and its size including the payload.
func (s *Spec) Init() (b []byte, size int64, err error) {
	b, h, err := s.init()
	if err != nil {
		return nil, 0, err
	}
	return b, int64(h.Size), nil
}

// init is Init. The bytes are aligned for 64-bit words.
func (s *Spec) init() (b []byte, h *layout.SegmentHeader, err error) {
	n := s.Members
	if n == 0 {
		n = layout.DefaultMembers
	}
	if err := CheckMembers(s.Members); err != nil {
		return nil, nil, err
	}
	h = &layout.SegmentHeader{
		Kind: uint32(s.Kind), Flags: s.Flags, Members: uint32(n),
		LiveSize: uint64(len(s.Live)),
		Created:  time.Now().UnixNano(), PID: uint32(os.Getpid()), Space: process.PIDSpace(),
	}
	var schema string
	if s.Type != nil {
		schema = s.Type.Schema
		h.Fingerprint, h.SchemaSize = s.Type.Fingerprint, uint32(len(schema))
		layout.PutText(h.TypeName[:], s.Type.Name)
	}
	h.Live, h.Table, h.Payload, h.Size = regions(len(schema), h.LiveSize, n, s.Payload)
	h.PayloadSize = s.Payload
	end := control(h)
	if s.Payload > math.MaxInt64/2 {
		return nil, nil, fmt.Errorf("segment with a payload of %d bytes, want at most %d: %w", s.Payload, uint64(math.MaxInt64/2), option.ErrTooLarge)
	}
	layout.PutText(h.Creator[:], processName())
	b = words(int(end))
	copy(b, layout.EncodeSegment(h))
	copy(b[layout.SegmentHeaderSize:], schema)
	copy(b[h.Live:], s.Live)
	return b, h, nil
}

// CheckMembers refuses a number of members that no segment can have. 0 means the default. Errors:
// fs.ErrInvalid.
func CheckMembers(n int) error {
	if n == 0 {
		return nil
	}
	return option.Range("Members", n, 1, layout.MaxMembers)
}

// regions returns where the live words, the table and the payload of a segment begin, and its size.
func regions(schema int, live uint64, members int, payload uint64) (words, table, at, size uint64) {
	words = (layout.SegmentHeaderSize + uint64(schema) + align - 1) &^ (align - 1)
	table = (words + live + align - 1) &^ (align - 1)
	size = table + uint64(members)*layout.MemberSize
	if payload > 0 {
		at = (size + layout.PayloadAlign - 1) &^ (layout.PayloadAlign - 1)
		size = at + payload
	}
	return words, table, at, size
}

// Size is the size in bytes of a segment with live bytes of live words, and a payload of type ty;
// nil: bytes.
func Size(ty *layout.Type, live uint64, members int, payload uint64) int64 {
	schema := 0
	if ty != nil {
		schema = len(ty.Schema)
	}
	_, _, _, size := regions(schema, live, members, payload)
	return int64(size)
}

func processName() string { return filepath.Base(os.Args[0]) }

// Handle is a member of a segment: one open lock, topic or cell of this process. Its methods may
// be called concurrently.
type Handle struct {
	obj  *object.Object // nil in tests
	b    []byte
	hd   *layout.SegmentHeader
	kind layout.Kind
	// Edges are the words of the object for the race detector. All handles of the object in this
	// process share them. Each kind numbers its own.
	Edges edge.Object
	// broadcast: each change rings all sleepers, so no sleeper passes a ring on.
	broadcast bool
	// WakeOnLeave makes a member that leaves ring all sleepers: they depend on who is there.
	WakeOnLeave bool
	n           int     // number of slots; each index from shared memory is checked against it
	live        uintptr // offsets in b
	table       uintptr
	repair      Repair

	// lockMu guards locks, because one open file description never excludes itself. It is locked
	// while this process is a reaper.
	lockMu sync.Mutex
	locks  Locks
	slot   int
	inc    uint32

	waker  Waker
	ringer Ringer
	// turn holds one token while a goroutine is the leader: the sleeper on the waker.
	turn      chan struct{}
	followers followers
	// watched is the entry of the sleeper in the death watch. cancel rings the sleeper when its
	// context ends. Both belong to the goroutine that has the turn.
	watched watched
	own     ownWatch
	cancel  cancel
	suspect atomic.Bool // the watch has found a condition that held while its waiter slept
	// gone is set when the watch has found that the name no longer leads to this segment.
	gone   atomic.Pointer[error]
	once   sync.Once // runs the work of Close
	closed atomic.Bool
}

// Locks, Waker and Ringer are the parts of the system that a Handle needs; see package sys.
type (
	Locks interface {
		Take(i int) (bool, error)
		Release(i int)
		Held(i int) (bool, error)
		Close() error
	}
	Waker interface {
		Sleep(old uint32)
		Close() error
	}
	Ringer interface {
		Ring(slot int, incarnation uint32, word *uint32)
		Close()
	}
)

// Who describes a member as it has described itself.
type Who struct {
	Slot        int
	Incarnation uint32
	PID         uint32
	Start       uint64 // when the process started, in the system's unit
	Space       uint64 // the pid namespace of PID; 0: not known
	Name        string
	Joined      time.Time
	Role        uint32
	Held        uint64
}

// String is "process 12 (worker)".
func (w Who) String() string {
	foreign, ended := process.Whereabouts(layout.Process{PID: w.PID, Start: w.Start}, w.Space)
	switch {
	case foreign:
		return fmt.Sprintf("process %d of another pid namespace (%s)", w.PID, w.Name)
	case ended:
		return fmt.Sprintf("process %d (%s), which has ended", w.PID, w.Name)
	}
	return fmt.Sprintf("process %d (%s)", w.PID, w.Name)
}

// Names are the first few of all, for errors that list the members.
func Names(all []Who) string {
	const few = 4
	var names []string
	for _, w := range all[:min(len(all), few)] {
		names = append(names, w.String())
	}
	text := strings.Join(names, ", ")
	if more := len(all) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// WhoIs finds the member that o names.
func (h *Handle) WhoIs(o layout.Owner) (w Who, ok bool) {
	for _, w := range h.List() {
		if o.Names(layout.OwnerOf(w.Slot, w.Incarnation)) {
			return w, true
		}
	}
	return w, false
}

// Repair repairs the live words after member dead has died. Its caller holds the lock byte of the
// dead member, so one reaper calls it at a time. If a reaper dies, it may be called again for the
// same member.
type Repair func(h *Handle, dead layout.Owner, who Who)

// Object is the open object of a segment, for Open.
type Object struct {
	*object.Object
	first Locks // of a maker that is the first member already; nil: Open has to join
}

// Release ends the use of an object that nobody joins.
func (o *Object) Release() error {
	var err error
	if o.first != nil {
		err = o.first.Close()
		o.first = nil
	}
	return errors.Join(err, o.Object.Release())
}

// Open joins the segment in o, unless its maker has joined it already. It ends one use of o: at
// once if it fails, otherwise at Close.
//
// Errors: layout.ErrKindMismatch, ErrVersion, ErrCorrupt, ErrTooManyMembers.
func Open(o *Object, kind layout.Kind, liveSize int, repair Repair) (*Handle, error) {
	h, err := open(o, kind, liveSize, repair)
	if err != nil {
		return nil, errors.Join(o.Damaged(err), o.Release())
	}
	return h, nil
}

func open(o *Object, kind layout.Kind, liveSize int, repair Repair) (_ *Handle, err error) {
	hd, err := header(o.Object, kind, liveSize)
	if err != nil {
		return nil, err
	}
	m, err := o.Map(0, int(control(hd)), layout.ReadWrite)
	if err != nil {
		return nil, err
	}
	joined := o.first != nil
	locks := o.first
	if !joined {
		if locks, err = o.Sys.OpenLocks(); err != nil {
			return nil, errors.Join(err, o.Unmap(m))
		}
	}
	o.first = nil
	h := New(m.At(0, int(control(hd))), hd, locks, repair)
	h.obj = o.Object
	h.Edges = edge.Of(struct {
		layout.ID
		layout.Kind
	}{o.Sys.ID, kind})
	h.ringer = o.Sys.Wakers().NewRinger()
	h.keep(m)
	if joined {
		h.slot, h.inc = First.Slot(), First.Incarnation()
	} else if err := h.join(); err != nil {
		return nil, errors.Join(err, locks.Close())
	}
	h.waker, err = o.Sys.Wakers().New(h.slot, h.inc, h.wakerWord(h.slot))
	if err != nil {
		h.leave()
		return nil, errors.Join(err, locks.Close())
	}
	return h, nil
}

// New makes a Handle of a segment's bytes, for Open and for tests on other memory. The Handle has
// not joined, and has no waker and no ringer.
//
// Preconditions:
//   - hd was checked against the size of b (layout.ParseSegment), and nobody changes it.
//   - b begins at a multiple of 8.
func New(b []byte, hd *layout.SegmentHeader, locks Locks, repair Repair) *Handle {
	return &Handle{
		b: b, hd: hd, kind: layout.Kind(hd.Kind), broadcast: layout.Kind(hd.Kind).Broadcasts(), n: int(hd.Members), live: uintptr(hd.Live), table: uintptr(hd.Table),
		repair: repair, locks: locks, slot: -1, turn: make(chan struct{}, 1),
	}
}

// Kind is the kind of the object.
func (h *Handle) Kind() layout.Kind { return h.kind }

// Flags are the flags of the header. Their meaning depends on the kind.
func (h *Handle) Flags() uint32 { return h.hd.Flags }

// Header is the header of the segment. It must not be changed.
func (h *Handle) Header() *layout.SegmentHeader { return h.hd }

// control is the number of bytes before the payload.
func control(hd *layout.SegmentHeader) uint64 { return hd.Table + uint64(hd.Members)*layout.MemberSize }

// Live is the live region.
func (h *Handle) Live() []byte { return h.b[h.hd.Live : h.hd.Live+h.hd.LiveSize] }

// MapPayload maps the payload. It stays mapped while the Handle is reachable.
//
// Preconditions:
//   - The Handle comes from Open.
func (h *Handle) MapPayload(a layout.Access) ([]byte, error) {
	if h.hd.PayloadSize == 0 || h.hd.Payload%layout.PayloadAlign != 0 || h.hd.PayloadSize > math.MaxInt {
		return nil, fmt.Errorf("segment has a payload of %d bytes at %d, which cannot be mapped: %w", h.hd.PayloadSize, h.hd.Payload, layout.ErrCorrupt)
	}
	m, err := h.obj.Map(int64(h.hd.Payload), int(h.hd.PayloadSize), a)
	if err != nil {
		return nil, err
	}
	h.keep(m)
	return m.At(int64(h.hd.Payload), int(h.hd.PayloadSize)), nil
}

// Reserve reserves space for n bytes of the payload at off, of a segment that was made with
// object.Spec.Later. more is how many of the bytes probably have no space yet, see
// sys.Object.Reserve. Discard gives the space back; the bytes are zeros then. Both do nothing for a
// segment of a test.
//
// Errors: syserr.ErrNoSpace.
//
// Preconditions:
//   - The bytes lie in the payload, and the Handle is not closed.
func (h *Handle) Reserve(off, n, more int64) error {
	if h.obj == nil {
		return nil
	}
	return h.obj.Sys.Reserve(int64(h.hd.Payload)+off, n, more)
}

// Discard is the inverse of Reserve.
func (h *Handle) Discard(off, n int64) {
	if h.obj != nil {
		h.obj.Sys.Discard(int64(h.hd.Payload)+off, n)
	}
}

// keep keeps m mapped until nobody can touch it any more. A method that runs in another goroutine
// while the handle is closed must not fault.
func (h *Handle) keep(m *object.Mapping) {
	o := h.obj
	runtime.AddCleanup(h, func(m *object.Mapping) { _ = o.Unmap(m) }, m)
}

// Me is the owner word that names this member.
func (h *Handle) Me() layout.Owner { return layout.OwnerOf(h.slot, h.inc) }

// Owner names the member that holds the object. It is free if there is no such member or the kind
// has no owner.
func (h *Handle) Owner() layout.Owner {
	if !h.kind.Owned() {
		return 0
	}
	return layout.Owner(atomic.LoadUint64(h.Live64(layout.LockStateOffset)))
}

// Members is the number of slots.
func (h *Handle) Members() int { return h.n }

// ID identifies the object: no other object that exists now has this ID.
func (h *Handle) ID() layout.ID { return h.obj.Sys.ID }

// Closed says whether Close was called.
func (h *Handle) Closed() bool { return h.closed.Load() }

// inUse is the bit of Member.Identity that says that the slot is in use.
const inUse = 1

// joinLooks is how often the death watch looks while a joiner waits for a slot.
var joinLooks = 2

// join finds a slot: a slot that is not in use, or else the slot of a dead member. A reaper may
// hold the byte of a dead member for a moment, and a member that leaves holds its own byte for a
// moment. So join waits until the death watch has looked twice.
func (h *Handle) join() (err error) {
	if _, err := process.Myself(); err != nil {
		return err // the slot would not name the process
	}
	looks := 0
	uerr := Until(context.Background(), func() (bool, error) {
		err = h.tryJoin()
		looks++
		return !errors.Is(err, object.ErrTooManyMembers) || looks > joinLooks, nil
	})
	return errors.Join(err, uerr)
}

func (h *Handle) tryJoin() error {
	for _, alsoUsed := range []bool{false, true} {
		for i := range h.n {
			if !alsoUsed && atomic.LoadUint64(h.identity(i))&inUse != 0 {
				continue
			}
			ok, err := h.joinAt(i)
			if ok || err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("no place for another member, all %d are taken: %s: %w", h.n, Names(h.List()), object.ErrTooManyMembers)
}

func (h *Handle) joinAt(i int) (bool, error) {
	ok, err := h.locks.Take(i)
	if !ok || err != nil {
		return false, err
	}
	fault.At(fault.JoinTaken)
	mended := atomic.LoadUint64(h.identity(i))&inUse != 0
	if mended {
		h.mend(i)
	}
	h.enter(i, 0)
	fault.At(fault.JoinDone)
	if mended {
		h.WakeAll()
	}
	return true, nil
}

// enter makes the caller the member in slot i.
//
// Preconditions:
//   - The caller holds the lock byte of the slot, or nobody else sees the segment yet.
//   - The slot is not in use.
func (h *Handle) enter(i int, role uint32) {
	id := atomic.LoadUint64(h.identity(i))
	h.slot, h.inc = i, uint32(id>>32)+1
	h.putMember(i, process.Self(), process.PIDSpace(), time.Now().UnixNano(), processName())
	h.SetRole(role)
	atomic.StoreUint64(h.held(i), 0)
	fault.At(fault.JoinNamed)
	// RELEASE: publishes the other fields.
	atomic.StoreUint64(h.identity(i), uint64(h.inc)<<32|inUse)
}

// leave gives the slot back.
//
// Preconditions:
//   - The handle has joined, and none of its goroutines sleeps.
func (h *Handle) leave() {
	fault.At(fault.LeaveBegun)
	h.lockMu.Lock()
	defer h.lockMu.Unlock()
	atomic.StoreUint64(h.identity(h.slot), uint64(h.inc)<<32)
	fault.At(fault.LeaveUnmarked)
	h.locks.Release(h.slot)
	if h.WakeOnLeave {
		h.WakeAll()
	}
}

// Close leaves the segment. The sleepers of this handle return fs.ErrClosed. A second Close does
// nothing, and returns when the first Close is done.
//
// Preconditions:
//   - The member holds nothing: no live word names it, and its Held is 0.
func (h *Handle) Close() (err error) {
	h.once.Do(func() { err = h.close() })
	return err
}

func (h *Handle) close() error {
	h.closed.Store(true)
	h.ringSelf()
	h.turn <- struct{}{} // the last sleeper has gone, and each later one sees closed
	h.leave()
	h.cancel.drop()
	<-h.turn
	h.ringer.Close()
	err := errors.Join(h.waker.Close(), h.locks.Close())
	if h.obj != nil {
		err = errors.Join(err, h.obj.Release())
	}
	return err
}

// dead says whether the member that o names is dead or has left. It is dead if its slot is in use
// but its lock byte is free. It has left if its slot is not in use, or belongs to another member
// now. The member of this handle is never dead.
func (h *Handle) dead(o layout.Owner) (bool, error) {
	slot := o.Slot()
	if slot < 0 || slot >= h.n {
		return false, fmt.Errorf("a word names member %d, want 0 to %d: %w", slot, h.n-1, layout.ErrCorrupt)
	}
	id := atomic.LoadUint64(h.identity(slot))
	if uint32(id>>32) != o.Incarnation() || id&inUse == 0 {
		return true, nil
	}
	if slot == h.slot {
		return false, nil
	}
	h.lockMu.Lock()
	defer h.lockMu.Unlock()
	if h.closed.Load() {
		return false, fs.ErrClosed
	}
	held, err := h.locks.Held(slot)
	return !held, err
}

// Gone says whether the member that o names is dead or has left. Then no member has this name ever
// again.
//
// Errors: layout.ErrCorrupt (o names a slot that does not exist), fs.ErrClosed.
func (h *Handle) Gone(o layout.Owner) (bool, error) { return h.dead(o) }

// Reap repairs what the member that o names has left, if that member is dead, and wakes all
// sleepers. It returns false if the member lives, or if another process is its reaper now.
func (h *Handle) Reap(o layout.Owner) (bool, error) {
	d, err := h.dead(o)
	if !d || err != nil {
		return false, err
	}
	slot := o.Slot()
	if slot == h.slot {
		// The word names a former user of this member's own slot. Nobody else can be its reaper,
		// because this member holds the byte.
		h.repair(h, o, h.who(slot, o))
		h.WakeAll()
		return true, nil
	}
	h.lockMu.Lock()
	if h.closed.Load() {
		h.lockMu.Unlock()
		return false, fs.ErrClosed
	}
	ok, err := h.locks.Take(slot)
	if !ok || err != nil {
		h.lockMu.Unlock()
		if err == nil && uint32(atomic.LoadUint64(h.identity(slot))>>32) != o.Incarnation() {
			// The slot has a living member, and the word names a former one.
			h.repair(h, o, h.who(slot, o))
			h.WakeAll()
			return true, nil
		}
		return false, err
	}
	fault.At(fault.RepairTaken)
	if atomic.LoadUint64(h.identity(slot))&inUse != 0 {
		h.mend(slot)
	}
	// The word may name a member that has left, or an earlier member: then mend has not freed it.
	// A second call for the same member does nothing.
	h.repair(h, o, h.who(slot, o))
	fault.At(fault.RepairDone)
	h.locks.Release(slot)
	h.lockMu.Unlock()
	fault.At(fault.RepairUnrung)
	h.WakeAll()
	return true, nil
}

// mend repairs what the dead user of a slot held.
//
// Preconditions:
//   - The caller holds the lock byte of the slot.
//   - Identity says that the slot is in use.
func (h *Handle) mend(slot int) {
	id := atomic.LoadUint64(h.identity(slot))
	dead := layout.OwnerOf(slot, uint32(id>>32))
	h.repair(h, dead, h.who(slot, dead))
	fault.At(fault.RepairHalf)
	atomic.StoreUint64(h.held(slot), 0)
	h.clearBit(slot)
	atomic.StoreUint64(h.identity(slot), id&^inUse)
}

// ReapAsleep repairs all dead members that are marked as asleep, so that rings do not go to them.
func (h *Handle) ReapAsleep() error {
	for i := range h.n {
		if i == h.slot || !h.bit(i) {
			continue
		}
		id := atomic.LoadUint64(h.identity(i))
		if id&inUse == 0 {
			continue
		}
		if _, err := h.Reap(layout.OwnerOf(i, uint32(id>>32))); err != nil {
			return err
		}
	}
	return nil
}

// List describes all members that have a slot in use.
func (h *Handle) List() []Who {
	var all []Who
	for i := range h.n {
		if id := atomic.LoadUint64(h.identity(i)); id&inUse != 0 {
			all = append(all, h.who(i, layout.OwnerOf(i, uint32(id>>32))))
		}
	}
	return all
}

// WithRole names the kth member, from 0, whose slot is in use and that has a role. After the last
// one it is the zero Owner.
func (h *Handle) WithRole(role uint32, k int) layout.Owner {
	for i := range h.n {
		if id := atomic.LoadUint64(h.identity(i)); id&inUse != 0 && h.Role(i) == role {
			if k == 0 {
				return layout.OwnerOf(i, uint32(id>>32))
			}
			k--
		}
	}
	return 0
}

// HeldOf returns the Held word of a slot that is in use, and the word that names the slot's
// member.
//
// Preconditions:
//   - slot is 0 to Members - 1.
func (h *Handle) HeldOf(slot int) (uint64, layout.Owner) {
	id := atomic.LoadUint64(h.identity(slot))
	if id&inUse == 0 {
		return 0, 0
	}
	return atomic.LoadUint64(h.held(slot)), layout.OwnerOf(slot, uint32(id>>32))
}
