// Package kernelevent has Win32 events under names that other programs know. Only Windows has such
// events. On other systems the errors match errors.ErrUnsupported.
package kernelevent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/windows"

	"samepage/internal/edge"
	"samepage/internal/sys/internal/kernel"
	"samepage/layout"
)

// Supported says whether the system has events with names.
const Supported = true

// Event is a Win32 event under a name that other programs know. Its methods may be called
// concurrently.
type Event struct {
	h    windows.Handle
	name string
	// edges are for the race detector, by the event's name. Word 0: Set releases it, and a wait
	// that passes the event acquires it. Word 1: Create releases it, and Open acquires it.
	edges edge.Object

	// use is held for reading by each method that uses the handles, and for writing by Close,
	// which first sets closing and then closes the handles.
	use     sync.RWMutex
	close   sync.Once
	closed  atomic.Bool
	closing windows.Handle
}

// newEvent takes h over.
func newEvent(h windows.Handle, name string) (*Event, error) {
	closing, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		_ = windows.CloseHandle(h)
		return nil, fmt.Errorf("event for closing: %w", err)
	}
	return &Event{h: h, name: name, edges: edge.Of(name), closing: closing}, nil
}

// Create makes an event with a security descriptor, by default one for this user and the
// system. Errors: fs.ErrExist, layout.ErrKindMismatch, fs.ErrPermission, fs.ErrInvalid.
func Create(name string, s layout.Scope, sddl string, manual, set bool) (*Event, error) {
	name = kernel.ExactName(s, name)
	p, err := kernel.NamePtr(name)
	if err != nil {
		return nil, err
	}
	sa, err := kernel.Descriptor(sddl)
	if err != nil {
		return nil, err
	}
	edge.Of(name).Release(1)
	h, err := windows.CreateEvent(sa, bit(manual), bit(set), p)
	if err != nil {
		if h != 0 {
			_ = windows.CloseHandle(h)
		}
		return nil, kernel.Named(name, err)
	}
	return newEvent(h, name)
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// Open opens an event that exists, with the least rights that its methods need. Errors:
// fs.ErrNotExist, layout.ErrKindMismatch, fs.ErrPermission, fs.ErrInvalid.
func Open(name string, s layout.Scope) (*Event, error) {
	name = kernel.ExactName(s, name)
	p, err := kernel.NamePtr(name)
	if err != nil {
		return nil, err
	}
	h, err := windows.OpenEvent(windows.SYNCHRONIZE|windows.EVENT_MODIFY_STATE, false, p)
	if err != nil {
		return nil, kernel.Named(name, err)
	}
	edge.Of(name).Acquire(1)
	return newEvent(h, name)
}

// enter makes Close wait until the matching use.RUnlock.
func (k *Event) enter() error {
	k.use.RLock()
	if k.closed.Load() {
		k.use.RUnlock()
		return k.wrap("use", fs.ErrClosed)
	}
	return nil
}

// Set sets the event. Errors: fs.ErrClosed.
func (k *Event) Set() error {
	if err := k.enter(); err != nil {
		return err
	}
	defer k.use.RUnlock()
	k.edges.Release(0)
	return k.wrap("set", windows.SetEvent(k.h))
}

// Reset unsets the event. Errors: fs.ErrClosed.
func (k *Event) Reset() error {
	if err := k.enter(); err != nil {
		return err
	}
	defer k.use.RUnlock()
	return k.wrap("reset", windows.ResetEvent(k.h))
}

// TryWait says whether the event is set, and resets it if it is auto-reset. Errors:
// fs.ErrClosed.
func (k *Event) TryWait() (bool, error) {
	if err := k.enter(); err != nil {
		return false, err
	}
	defer k.use.RUnlock()
	return k.try()
}

func (k *Event) try() (bool, error) {
	r, err := windows.WaitForSingleObject(k.h, 0)
	if err != nil || r != windows.WAIT_OBJECT_0 {
		return false, k.wrap("try", err)
	}
	k.edges.Acquire(0)
	return true, nil
}

// Wait sleeps until the event is set, and resets it if it is auto-reset. Errors: fs.ErrClosed, also
// if the event is closed meanwhile; the error of ctx, if ctx ends first.
func (k *Event) Wait(ctx context.Context) error {
	if err := k.enter(); err != nil {
		return err
	}
	defer k.use.RUnlock()
	if set, err := k.try(); set || err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ended, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return fmt.Errorf("event for the end of a context: %w", err)
	}
	rung := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(rung)
		_ = windows.SetEvent(ended)
	})
	which, err := waitAny(k.h, k.closing, ended) // if several are set, the first one counts
	if !stop() {
		<-rung // it no longer needs the handle
	}
	_ = windows.CloseHandle(ended)
	switch {
	case err != nil:
		return k.wrap("wait for", err)
	case which == 1:
		return k.wrap("wait for", fs.ErrClosed)
	case which == 2:
		return ctx.Err()
	}
	k.edges.Acquire(0)
	return nil
}

// Close closes the event, and calls that wait for it return. A second Close does nothing, and
// returns when the first one is done.
func (k *Event) Close() (err error) {
	k.close.Do(func() {
		k.closed.Store(true)
		_ = windows.SetEvent(k.closing)
		k.use.Lock() // now all calls have returned
		defer k.use.Unlock()
		err = k.wrap("close", errors.Join(windows.CloseHandle(k.h), windows.CloseHandle(k.closing)))
	})
	return err
}

func (k *Event) wrap(op string, err error) error {
	if err != nil {
		return fmt.Errorf("%s kernel event %q: %w", op, k.name, err)
	}
	return nil
}
