package stream

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"samepage/internal/fault"
	"samepage/internal/forgotten"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Listener accepts the connections that others dial. It is a net.Listener. Its methods may be
// called concurrently.
type Listener struct {
	*listener
	guard forgotten.Guard
}

// listener is the part of a Listener to which other parts refer.
type listener struct {
	e      *endpoint
	closed atomic.Bool
	mu     sync.Mutex // held by the one goroutine that accepts
	got    *conn      // what acceptWait.Try has accepted
	once   sync.Once
	err    error
}

// Listen listens at a name. If the process that listened there before has died or has closed its
// Listener, and others still use its connections, the new Listener takes over its shared memory:
// then Connections, Buffer, Members and the rights stay as they are.
//
// Errors: an error that matches fs.ErrExist and EADDRINUSE (another process, or this one, listens
// there), fs.ErrInvalid (of opts), and those of samepage.Create and samepage.Open.
func Listen(name string, opts *Options) (*Listener, error) {
	if opts == nil {
		opts = &Options{}
	}
	at := opts.addr(name)
	l, err := listen(name, at, opts)
	if err != nil {
		return nil, wrap("listen", at, err)
	}
	out := &Listener{listener: l}
	out.guard = forgotten.Watch(out, "listener", at.String(), func(l *listener) bool { _ = l.close(); return false }, l)
	return out, nil
}

func listen(name string, at Addr, opts *Options) (*listener, error) {
	s, spec, err := opts.plan(name)
	if err != nil {
		return nil, err
	}
	obj, _, err := object.OpenOrCreate(
		func() (*segment.Object, error) { return segment.OpenObject(opts.spec(name)) },
		func() (*segment.Object, error) { return s.Create(spec) })
	if err != nil {
		return nil, err
	}
	e, err := open(obj, at, false)
	if err != nil {
		return nil, err
	}
	// If this process has made the segment, it listens there already.
	for o := e.h.Owner(); o != e.h.Me(); o = e.h.Owner() {
		if o == 0 {
			atomic.CompareAndSwapUint64(e.h.Live64(layout.LockStateOffset), 0, uint64(e.h.Me()))
			continue
		}
		reaped, err := e.h.Reap(o)
		if err == nil && !reaped {
			err = errInUse
			if w, ok := e.h.WhoIs(o); ok {
				err = fmt.Errorf("%v: %w", w, err)
			}
		}
		if err != nil {
			_ = e.release()
			return nil, err
		}
	}
	return &listener{e: e}, nil
}

// Addr returns the address: an Addr.
func (l *Listener) Addr() net.Addr { return l.e.at }

// Accept waits for a connection and returns it, as a *Conn.
//
// Errors: net.ErrClosed, which matches samepage.ErrClosed too; samepage.ErrCorrupt.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.accept()
	runtime.KeepAlive(l)
	if err != nil {
		return nil, wrap("accept", l.e.at, err)
	}
	return newConn(c), nil
}

func (l *listener) accept() (*conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.e.h.Wait(context.Background(), (*acceptWait)(l))
	c := l.got
	l.got = nil
	return c, err
}

// acceptWait is the segment.Condition of Accept.
type acceptWait listener

func (w *acceptWait) Try() (bool, error) {
	if w.closed.Load() {
		return false, errClosed
	}
	for {
		k := w.e.find(layout.ConnAsked)
		if k < 0 {
			return false, nil
		}
		word, bit := w.e.askedBit(k)
		atomic.AndUint64(word, ^bit)
		if w.got = w.e.acceptAt(k); w.got != nil {
			return true, nil
		}
	}
}

func (w *acceptWait) Holds() bool   { return w.closed.Load() || w.e.find(layout.ConnAsked) >= 0 }
func (*acceptWait) NeedsName() bool { return false }
func (w *acceptWait) Hint() int     { return w.e.acceptHint() }

// DependsOn names all members: who listens repairs what the dead have left. Otherwise nobody might
// notice that a member has died after the other end has left.
func (w *acceptWait) DependsOn(k int) layout.Owner { return w.e.member(k) }

// find returns a connection in a phase, or -1. It looks at hints first.
func (e *endpoint) find(p layout.ConnPhase) int {
	t := e.table()
	if p == layout.ConnAsked {
		if k := e.asked(); k >= 0 {
			if t.load(k).Phase() == p {
				return k
			}
			word, bit := e.askedBit(k)
			atomic.AndUint64(word, ^bit)
		}
	}
	for k := range e.n {
		if t.load(k).Phase() == p {
			return k
		}
	}
	return -1
}

// acceptAt accepts connection k if it is asked for.
func (e *endpoint) acceptAt(k int) *conn {
	t := e.table()
	s := t.load(k)
	if s.Phase() != layout.ConnAsked || !t.swap(k, s, s.With(layout.ConnOpen, e.h.Me())) {
		return nil
	}
	fault.At(fault.ConnAccepted)
	e.uses.Add(1)
	// Nobody changes Dialer while the connection is open.
	return e.conn(k, layout.Owner(atomic.LoadUint64(t.dialer(k))))
}

// Close stops listening. Calls of Accept return net.ErrClosed. Connections that are not accepted
// yet are closed. Accepted connections stay open. A second Close does nothing.
func (l *Listener) Close() error {
	l.guard.Done()
	return wrap("close", l.e.at, l.close())
}

func (l *listener) close() error {
	l.once.Do(func() {
		l.closed.Store(true)
		l.e.h.Again(l.e.acceptHint())
		// Until Accept has returned: it clears bits of Asked, which belong to the next listener as
		// soon as this one does not listen.
		l.mu.Lock()
		defer l.mu.Unlock()
		atomic.CompareAndSwapUint64(l.e.h.Live64(layout.LockStateOffset), uint64(l.e.h.Me()), 0)
		for k := range l.e.n {
			if c := l.e.acceptAt(k); c != nil {
				_ = c.close()
			}
		}
		l.e.h.WakeAll() // those who wait for a free connection
		l.err = l.e.release()
	})
	return l.err
}
