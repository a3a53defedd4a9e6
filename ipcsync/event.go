package ipcsync

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/internal/sys/kernelevent"
	"samepage/layout"
)

// EventOptions say how an event is made or opened. nil and the zero value mean the default of
// each field. Scope, Exact, Lifetime, Perm, SecurityDescriptor and Owner are as in
// samepage.Options. OpenEvent and AwaitEvent refuse Lifetime, Manual, Set, Members, Perm and
// SecurityDescriptor, because they count only when an event is made.
type EventOptions struct {
	Scope samepage.Scope
	// Exact uses a name that other programs know. On Windows the event is a Win32 event, as
	// CreateEvent makes it. Linux has no such events: there it is a file of shm_open, with the
	// content of this package.
	Exact    bool
	Lifetime samepage.Lifetime
	// Manual makes a manual-reset event: it stays set until Reset, and lets all waiters pass. The
	// default is an auto-reset event: one waiter passes and resets it.
	Manual bool
	// Set makes an event that is set from the beginning.
	Set bool
	// Members is the number of handles that a new event has places for; see Options. Exact events
	// of Windows have no such limit.
	Members            int
	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string
}

// check refuses options that are out of range, also if the call does not use them. Errors:
// fs.ErrInvalid.
func (o *EventOptions) check() error {
	if err := segment.CheckMembers(o.Members); err != nil {
		return err
	}
	return option.Named(layout.Scope(o.Scope), layout.Lifetime(o.Lifetime), o.Perm)
}

func (o *EventOptions) spec(name string) *object.Spec {
	return &object.Spec{
		Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Event, Exact: o.Exact, Lifetime: layout.Lifetime(o.Lifetime),
		Perm: o.Perm, SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}
}

// segment describes the segment of a new event.
func (o *EventOptions) segment() *segment.Spec {
	s := &segment.Spec{Kind: layout.Event, Members: o.Members, Live: layout.NewLockWords(0)}
	if o.Set {
		s.Live = layout.NewLockWords(1)
	}
	if o.Manual {
		s.Flags = layout.EventManual
	}
	return s
}

// Event is a named event. All its methods may be called concurrently, by any process that has it
// open. The zero value is not usable.
//
// A Set stays pending while nobody waits. Two Sets before a Wait count as one. Each Set happens
// before the return of every Wait that passes later, also if the event was set already.
//
// An Event that is dropped without Close is closed when it is garbage collected.
type Event struct {
	name string
	backend
	guard forgotten.Guard // of an exact event of Windows
}

// backend is the implementation of an event: a segment, or an event of the kernel.
type backend interface {
	Set() error
	Reset() error
	TryWait() (bool, error)
	Wait(context.Context) error
	Close() error
}

// CreateEvent makes an event. Errors: fs.ErrExist, and those of samepage.Create.
func CreateEvent(name string, opts *EventOptions) (*Event, error) {
	e, err := createEvent(name, opts)
	if err != nil {
		return nil, fmt.Errorf("ipcsync: create event %q: %w", name, err)
	}
	return e, nil
}

func createEvent(name string, opts *EventOptions) (*Event, error) {
	if opts == nil {
		opts = &EventOptions{}
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	if opts.Exact && kernelevent.Supported {
		k, err := kernelevent.Create(name, layout.Scope(opts.Scope), opts.SecurityDescriptor, opts.Manual, opts.Set)
		if err != nil {
			return nil, err
		}
		return newKernelEvent(name, k), nil
	}
	return newSharedEvent(create(opts.segment(), opts.spec(name)))
}

func newKernelEvent(name string, k *kernelevent.Event) *Event {
	e := &Event{name: name, backend: k}
	e.guard = forgotten.Watch(e, "exact event", name, giveBackKernel, k)
	return e
}

func giveBackKernel(k *kernelevent.Event) (kept bool) {
	_ = k.Close()
	return false
}

// OpenEvent opens an event that exists. Options that count only when an event is made are refused
// (fs.ErrInvalid). Errors: fs.ErrNotExist, samepage.ErrTooManyMembers, and those of
// samepage.Open.
func OpenEvent(name string, opts *EventOptions) (*Event, error) {
	err := option.OnlyCreate(opts, "Lifetime", "Manual", "Set", "Members", "Perm", "SecurityDescriptor")
	var e *Event
	if err == nil {
		e, err = openEvent(name, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("ipcsync: open event %q: %w", name, err)
	}
	return e, nil
}

func openEvent(name string, opts *EventOptions) (*Event, error) {
	if opts == nil {
		opts = &EventOptions{}
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	if opts.Exact && kernelevent.Supported {
		k, err := kernelevent.Open(name, layout.Scope(opts.Scope))
		if err != nil {
			return nil, err
		}
		return newKernelEvent(name, k), nil
	}
	return newSharedEvent(open(opts.spec(name)))
}

// AwaitEvent waits until an event of that name exists, and opens it. While it waits it looks every
// 50 ms. If the call does not have to wait, it ignores ctx.
//
// Errors: the error of ctx, and those of OpenEvent except fs.ErrNotExist.
func AwaitEvent(ctx context.Context, name string, opts *EventOptions) (*Event, error) {
	return await(ctx, layout.Event, name, func() (*Event, error) { return OpenEvent(name, opts) })
}

// OpenOrCreateEvent opens an event, or makes it if there is none. existed says which of the two it
// did. An event that existed stays set or unset, and stays manual-reset or auto-reset.
func OpenOrCreateEvent(name string, opts *EventOptions) (e *Event, existed bool, err error) {
	e, existed, err = object.OpenOrCreate(
		func() (*Event, error) { return openEvent(name, opts) },
		func() (*Event, error) { return createEvent(name, opts) })
	if err != nil {
		return nil, false, fmt.Errorf("ipcsync: open or create event %q: %w", name, err)
	}
	return e, existed, nil
}

// Name is the name that the event was opened by.
func (e *Event) Name() string { return e.name }

// ID identifies the event: no other object that exists now has this ID. All processes that have the
// event open see the same ID. It is zero for an exact event of Windows, which has none.
func (e *Event) ID() samepage.ID {
	if s, ok := e.backend.(*shared); ok {
		return s.handle.ID()
	}
	return samepage.ID{}
}

// CheckName checks whether the name still leads to this event, as [samepage.Memory.CheckName]
// does. The name of an exact event of Windows stays as long as anybody has the event open.
//
// Errors: samepage.ErrNameGone, samepage.ErrClosed. Any other error means that the check was not
// possible.
func (e *Event) CheckName() error {
	if s, ok := e.backend.(*shared); ok {
		return e.wrap("check the name of", s.h.CheckName())
	}
	return nil
}

// Set sets the event. All waiters of a manual-reset event pass; one waiter of an auto-reset event
// passes. Errors: samepage.ErrClosed.
func (e *Event) Set() error { return e.wrap("set", e.backend.Set()) }

// Reset unsets the event. Errors: samepage.ErrClosed.
func (e *Event) Reset() error { return e.wrap("reset", e.backend.Reset()) }

// TryWait returns whether the event is set, and resets it if it is auto-reset. It never blocks.
// Errors: samepage.ErrClosed.
func (e *Event) TryWait() (bool, error) {
	ok, err := e.backend.TryWait()
	return ok, e.wrap("try", err)
}

// Wait sleeps until the event is set, and resets it if it is auto-reset. If the call does not have
// to wait, it ignores ctx.
//
// Errors: samepage.ErrNameGone (the name is gone, and all others who still have this event open
// are waiting too), samepage.ErrClosed (also if the event is closed while Wait sleeps), and the
// error of ctx if ctx ends first; a deadline also matches os.ErrDeadlineExceeded.
func (e *Event) Wait(ctx context.Context) error {
	return e.wrap("wait for", segment.Deadline(e.backend.Wait(ctx)))
}

// Close closes the event. Calls that wait with it return samepage.ErrClosed. A second Close does
// nothing.
func (e *Event) Close() error {
	e.guard.Done()
	return e.wrap("close", e.backend.Close())
}

// wrap is called after each use of the backend, and keeps the event alive until then.
func (e *Event) wrap(op string, err error) error {
	runtime.KeepAlive(e)
	if err != nil {
		return fmt.Errorf("ipcsync: %s event %q: %w", op, e.name, err)
	}
	return nil
}
