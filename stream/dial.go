package stream

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// addr is the address of a name.
func (o *Options) addr(name string) Addr {
	a := Addr{Name: name, Scope: o.Scope}
	if rest, ok := strings.CutPrefix(name, `Local\`); ok {
		a = Addr{Name: rest, Scope: samepage.Local}
	} else if rest, ok := strings.CutPrefix(name, `Global\`); ok {
		a = Addr{Name: rest, Scope: samepage.Global}
	}
	return a
}

// Dial connects to the Listener at a name. The connection can be used at once, also before it is
// accepted. While all connections of the listener are in use, Dial waits. If the call does not have
// to wait, it ignores ctx.
//
// All connections that this process dials to one listener together take one member of it, one
// descriptor of each kind, and one thread for all goroutines that wait.
//
// Errors: an error that matches samepage.ErrPeerNotStarted and ECONNREFUSED (nobody listens),
// fs.ErrInvalid (of opts), the error of ctx, and those of samepage.Open.
func Dial(ctx context.Context, name string, opts *Options) (*Conn, error) {
	if opts == nil {
		opts = &Options{}
	}
	at := opts.addr(name)
	c, err := dial(ctx, name, at, opts)
	if err != nil {
		return nil, wrap("dial", at, segment.Deadline(err))
	}
	return newConn(c), nil
}

func dial(ctx context.Context, name string, at Addr, opts *Options) (*conn, error) {
	if err := option.OnlyCreate(opts, "Connections", "Buffer", "Members", "Perm", "SecurityDescriptor"); err != nil {
		return nil, err
	}
	e, err := opts.endpoint(ctx, name, at)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = refused("")
		}
		return nil, err
	}
	k, s, err := e.claim(ctx)
	if err != nil {
		return nil, errors.Join(err, e.release())
	}
	c := e.conn(k, 0)
	c.clear()
	t := e.table()
	atomic.StoreUint64(t.dialer(k), uint64(e.h.Me()))
	t.swap(k, s, s.With(layout.ConnAsked, 0))
	fault.At(fault.ConnAsked)
	word, bit := e.askedBit(k)
	atomic.OrUint64(word, bit)
	if o := e.h.Owner(); o != 0 {
		e.h.Ring(o.Slot())
		return c, nil
	}
	_ = c.close() // a new listener may have accepted it: it gets io.EOF
	return nil, refused(" any more")
}

// endpoint returns the endpoint of this process for the listener, with one more use.
func (o *Options) endpoint(ctx context.Context, name string, at Addr) (*endpoint, error) {
	e, err := o.join(ctx, name, at)
	if err != nil {
		return nil, err
	}
	if err := e.listened(); err != nil {
		return nil, errors.Join(err, e.release())
	}
	return e, nil
}

// join returns the endpoint of this process for the listener. If there is none, it makes one, and
// others that dial the same listener wait for it.
func (o *Options) join(ctx context.Context, name string, at Addr) (*endpoint, error) {
	key := dialerKey{at, o.Owner}
	var stale *endpoint
	for {
		e, joined, first := dialers.find(key, stale)
		switch {
		case first:
			defer dialers.joined(key, joined)
			return o.joinFirst(name, key)
		case joined != nil:
			select {
			case <-joined:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case e.h.CheckName() == nil:
			return e, nil
		default:
			stale = e // the name leads to another listener now
			_ = e.release()
		}
	}
}

// joinFirst makes the endpoint for a key of dialers.
func (o *Options) joinFirst(name string, key dialerKey) (*endpoint, error) {
	obj, err := segment.OpenObject(o.spec(name))
	if err != nil {
		return nil, err
	}
	e, err := open(obj, key.at, true)
	if err != nil {
		return nil, err
	}
	e.key = key
	dialers.Lock()
	defer dialers.Unlock()
	dialers.all[key] = e
	return e, nil
}

// use adds a use, unless there is none any more.
func (e *endpoint) use() bool {
	for {
		n := e.uses.Load()
		if n == 0 {
			return false
		}
		if e.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// listened returns an error if nobody listens.
func (e *endpoint) listened() error {
	o := e.h.Owner()
	if o == 0 {
		return refused("")
	}
	if reaped, err := e.h.Reap(o); reaped || err != nil {
		if err == nil {
			err = refused(": the process that listened has died")
		}
		return err
	}
	return nil
}

// claim waits for a free connection and claims it.
func (e *endpoint) claim(ctx context.Context) (int, layout.ConnState, error) {
	w := &roomWait{e: e}
	if ok, err := w.Try(); ok || err != nil {
		return w.k, w.s, err
	}
	select {
	case e.room <- struct{}{}:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	defer func() { <-e.room }()
	atomic.StoreUint64(e.h.Held(), 1)
	defer atomic.StoreUint64(e.h.Held(), 0)
	err := e.h.Wait(ctx, w)
	return w.k, w.s, err
}

// roomWait is the segment.Condition of a dialer that waits for a free connection.
type roomWait struct {
	e *endpoint
	k int
	s layout.ConnState
}

func (w *roomWait) Try() (bool, error) {
	t := w.e.table()
	for {
		k := w.e.find(layout.ConnFree)
		if k < 0 {
			if w.e.h.Owner() == 0 {
				return false, refused(" any more")
			}
			return false, nil
		}
		if s := t.load(k); s.Phase() == layout.ConnFree && t.swap(k, s, s.Claimed(w.e.h.Me())) {
			fault.At(fault.ConnClaimed)
			w.k, w.s = k, s.Claimed(w.e.h.Me())
			return true, nil
		}
	}
}

func (w *roomWait) Holds() bool   { return w.e.h.Owner() == 0 || w.e.find(layout.ConnFree) >= 0 }
func (*roomWait) NeedsName() bool { return false }
func (w *roomWait) Hint() int     { return w.e.roomHint() }

// DependsOn names all members: each of them may have a connection.
func (w *roomWait) DependsOn(k int) layout.Owner { return w.e.member(k) }
