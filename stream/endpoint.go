package stream

import (
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/internal/segment"
	"samepage/layout"
)

// endpoint is a member of a listener's segment: a Listener with the connections that it has
// accepted, or all connections that this process has dialed. Its methods may be called
// concurrently.
type endpoint struct {
	at     Addr
	h      *segment.Handle
	n      int    // number of connections; each index from shared memory is checked against it
	ring   int    // bytes of each ring
	mem    []byte // the payload: the rings
	dialer bool
	// mine has the bits of the connections that this endpoint has. changed are the words in which the
	// other ends set hints for them.
	mine    []atomic.Uint64
	changed uintptr
	uses    atomic.Int32 // a Listener, and each connection, is a use

	// These are of an endpoint that dials.
	key  dialerKey
	room chan struct{} // has a token while a goroutine waits for a free connection
}

// The hints of segment.Handle.Hints are 2k for the reader of connection k, 2k+1 for its writer, and
// then these two.
func (e *endpoint) acceptHint() int { return 2 * e.n }
func (e *endpoint) roomHint() int   { return 2*e.n + 1 }

// open joins the segment in obj, and ends one use of obj if it fails. The endpoint has one use.
func open(obj *segment.Object, at Addr, dialer bool) (*endpoint, error) {
	h, err := segment.Open(obj, layout.Listener, layout.ListenerWordsSize+layout.ConnWordsSize, repair)
	if err != nil {
		return nil, err
	}
	e := &endpoint{at: at, h: h, dialer: dialer, changed: layout.ListenerToAcceptorOffset, room: make(chan struct{}, 1)}
	role := uint32(layout.RoleListener)
	if dialer {
		role, e.changed = layout.RoleDialer, layout.ListenerToDialerOffset
	}
	e.uses.Store(1)
	var ring uint64
	e.n, ring, err = layout.ListenerConns(h.Header())
	if err == nil {
		e.ring = int(ring)
		e.mem, err = h.MapPayload(layout.ReadWrite)
	}
	if err != nil {
		return nil, errors.Join(obj.Damaged(err), h.Close())
	}
	e.mine = make([]atomic.Uint64, (e.n+63)/64)
	h.Hints(2*e.n+2, e.look)
	h.SetRole(role)
	return e, nil
}

// release ends one use. The last use leaves the segment.
func (e *endpoint) release() error {
	if e.uses.Add(-1) > 0 {
		return nil
	}
	if e.dialer {
		dialers.Lock()
		if dialers.all[e.key] == e {
			delete(dialers.all, e.key)
		}
		dialers.Unlock()
	}
	return e.h.Close()
}

// look is for segment.Handle.Hints.
func (e *endpoint) look(tell func(hint int)) {
	for w := range e.mine {
		word := e.h.Live64(e.changed + uintptr(w)*8)
		set := atomic.LoadUint64(word) & e.mine[w].Load()
		if set == 0 {
			continue
		}
		atomic.AndUint64(word, ^set)
		for ; set != 0; set &= set - 1 {
			k := w*64 + bits.TrailingZeros64(set)
			tell(2 * k)
			tell(2*k + 1)
		}
	}
	if e.dialer {
		tell(e.roomHint())
	} else if e.asked() >= 0 {
		tell(e.acceptHint())
	}
}

// asked returns a connection for which a hint says that somebody has asked, or -1.
func (e *endpoint) asked() int {
	for w := range e.mine {
		if set := atomic.LoadUint64(e.h.Live64(layout.ListenerAskedOffset + uintptr(w)*8)); set != 0 {
			if k := w*64 + bits.TrailingZeros64(set); k < e.n {
				return k
			}
		}
	}
	return -1
}

// askedBit is the word of Asked with the bit of connection k, and the bit.
func (e *endpoint) askedBit(k int) (*uint64, uint64) {
	return e.h.Live64(layout.ListenerAskedOffset + uintptr(k/64)*8), 1 << (k % 64)
}

// member is the kth member of the segment, or 0.
func (e *endpoint) member(k int) layout.Owner {
	for slot := range e.h.Members() {
		if _, o := e.h.HeldOf(slot); o != 0 {
			if k == 0 {
				return o
			}
			k--
		}
	}
	return 0
}

// table gives the words of connections.
type table struct{ h *segment.Handle }

func (t table) at(k int, off uintptr) *uint64 {
	return t.h.Live64(layout.ListenerWordsSize + uintptr(k)*layout.ConnWordsSize + off)
}

func (t table) state(k int) *uint64 { return t.at(k, 0) }
func (t table) load(k int) layout.ConnState {
	return layout.ConnState(atomic.LoadUint64(t.state(k)))
}

func (t table) swap(k int, old, next layout.ConnState) bool {
	return atomic.CompareAndSwapUint64(t.state(k), uint64(old), uint64(next))
}
func (t table) dialer(k int) *uint64 { return t.at(k, layout.ConnDialerOffset) }

func (e *endpoint) table() table { return table{e.h} }

// takeDown makes a connection free that this member has claimed, and gives its rings back.
func takeDown(h *segment.Handle, ring int64, k int, s layout.ConnState) {
	t := table{h}
	fault.At(fault.ConnClaimed)
	h.Discard(int64(k)*2*ring, 2*ring)
	if t.swap(k, s, s.With(layout.ConnFree, 0)) {
		ringForRoom(h)
	}
}

// leave takes this member out of a connection, for an end that is closed and for the reaper of one
// that has died. who is the member that leaves. It does nothing if who has no part in the
// connection.
func leave(h *segment.Handle, ring int64, k int, who layout.Owner) {
	t := table{h}
	for {
		s := t.load(k)
		dialer := layout.Owner(atomic.LoadUint64(t.dialer(k))).Names(who)
		next := s.Claimed(h.Me())
		switch s.Phase() {
		case layout.ConnClaimed:
			if !s.Member().Names(who) {
				return
			}
		case layout.ConnAsked:
			if !dialer {
				return
			}
		case layout.ConnOpen:
			var left layout.ConnState
			if dialer {
				left |= layout.ConnDialerLeft
			}
			if s.Member().Names(who) {
				left |= layout.ConnAcceptorLeft
			}
			if s|left == s {
				return
			}
			if s|left != s|layout.ConnDialerLeft|layout.ConnAcceptorLeft {
				next = s | left
			}
		default:
			return
		}
		if !t.swap(k, s, next) {
			continue // s names who took the connection meanwhile, or it is free
		}
		fault.At(fault.ConnLeft)
		if next.Phase() == layout.ConnClaimed {
			takeDown(h, ring, k, next)
			return
		}
		hint := uintptr(layout.ListenerToDialerOffset)
		if next&layout.ConnDialerLeft != 0 {
			hint = layout.ListenerToAcceptorOffset
		}
		atomic.OrUint64(h.Live64(hint+uintptr(k/64)*8), 1<<(k%64))
		return
	}
}

// repair is the segment.Repair of a listener.
func repair(h *segment.Handle, dead layout.Owner, _ segment.Who) {
	n, ring, err := layout.ListenerConns(h.Header())
	if err != nil {
		return
	}
	if t := (table{h}); h.Owner().Names(dead) {
		// Nobody accepts what was asked of it.
		for k := range n {
			if s := t.load(k); s.Phase() == layout.ConnAsked && t.swap(k, s, s.With(layout.ConnOpen, dead)) {
				fault.At(fault.ConnHalf)
			}
		}
		atomic.CompareAndSwapUint64(h.Live64(layout.LockStateOffset), uint64(dead), 0)
	}
	for k := range n {
		leave(h, int64(ring), k, dead)
		fault.At(fault.ConnHalf)
	}
}

// Members that wait for a free connection set Held to 1. ringForRoom rings them.
func ringForRoom(h *segment.Handle) {
	if !h.Asleep() {
		return
	}
	for slot := range h.Members() {
		if held, _ := h.HeldOf(slot); held != 0 {
			h.Ring(slot)
		}
	}
}

// dialers are the endpoints with which this process dials, one for each listener. Nobody has the
// lock while joining a listener: that may take long, and others dial other listeners meanwhile.
var dialers = dialerTable{all: map[dialerKey]*endpoint{}, joining: map[dialerKey]chan struct{}{}}

type dialerTable struct {
	sync.Mutex
	all     map[dialerKey]*endpoint
	joining map[dialerKey]chan struct{} // is closed when the one that joins has, or has failed
}

type dialerKey struct {
	at    Addr
	owner string
}

// find returns an endpoint with one more use, unless there is none but stale. Then it returns what
// is closed when another goroutine has joined. If none joins yet, the caller is the first: it has
// to join, and to call joined.
func (t *dialerTable) find(key dialerKey, stale *endpoint) (e *endpoint, joined chan struct{}, first bool) {
	t.Lock()
	defer t.Unlock()
	if e := t.all[key]; e != nil && e != stale && e.use() {
		return e, nil, false
	}
	if joined = t.joining[key]; joined == nil {
		joined, first = make(chan struct{}), true
		t.joining[key] = joined
	}
	return nil, joined, first
}

// joined ends what find has begun.
func (t *dialerTable) joined(key dialerKey, joined chan struct{}) {
	t.Lock()
	defer t.Unlock()
	delete(t.joining, key)
	close(joined)
}
