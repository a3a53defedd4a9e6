package ipcsync

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Options say how a lock is made or opened. nil and the zero value mean the default of each
// field. Scope, Lifetime, Perm, SecurityDescriptor and Owner are as in samepage.Options. The Open
// and Await functions refuse Lifetime, Members, Perm and SecurityDescriptor, because they count
// only when a lock is made.
type Options struct {
	Scope    samepage.Scope
	Lifetime samepage.Lifetime
	// Members is the number of handles that a new lock has places for, in all processes together:
	// 1 to 1024, by default 64.
	Members            int
	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string
}

// OwnerDiedError says that a process died while holding a lock. So the data that the lock guards
// may be half changed. It matches samepage.ErrOwnerDied.
type OwnerDiedError struct {
	PID  int       `json:"pid"`  // of the process that died
	Name string    `json:"name"` // of its program
	At   time.Time `json:"at"`   // when the death was noticed
	// Foreign: PID belongs to another pid namespace, such as that of a container.
	Foreign bool `json:"other_pid_namespace,omitempty"`
}

func (e *OwnerDiedError) Error() string {
	where := ""
	if e.Foreign {
		where = " of another pid namespace"
	}
	return fmt.Sprintf("%v: process %d%s (%s), noticed %s", samepage.ErrOwnerDied, e.PID, where, e.Name, e.At.Format(time.RFC3339Nano))
}

// Is matches samepage.ErrOwnerDied.
func (*OwnerDiedError) Is(target error) bool { return target == samepage.ErrOwnerDied }

// handle is common to all objects of this package: a name and a member of a segment. A handle
// lives as long as its lock: a reference to the lock is also a reference to the handle, and
// nothing else refers to the handle.
type handle struct {
	kind  layout.Kind
	name  string
	h     *segment.Handle
	guard forgotten.Guard
}

// spec names the object, and says where it is and who may open it. Errors: fs.ErrInvalid, also
// for options that count only when the object is made.
func (o *Options) spec(kind layout.Kind, name string) (*object.Spec, error) {
	if o == nil {
		o = &Options{}
	}
	return &object.Spec{
		Name: name, Scope: layout.Scope(o.Scope), Kind: kind, Lifetime: layout.Lifetime(o.Lifetime), Perm: o.Perm,
		SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}, segment.CheckMembers(o.Members)
}

// create makes the segment of a new lock and joins it.
func (o *Options) create(kind layout.Kind, name string, flags uint32, state uint64) (*handle, error) {
	s := segment.Spec{Kind: kind, Flags: flags, Live: layout.NewLockWords(state)}
	if o != nil {
		s.Members = o.Members
	}
	spec, err := o.spec(kind, name)
	if err != nil {
		return nil, err
	}
	return create(&s, spec)
}

func create(s *segment.Spec, spec *object.Spec) (*handle, error) {
	o, err := s.Create(spec)
	if err != nil {
		return nil, err
	}
	return join(o, spec.Name)
}

// openOnly is open for callers that never make the lock.
func (o *Options) openOnly(kind layout.Kind, name string) (*handle, error) {
	if err := option.OnlyCreate(o, "Lifetime", "Members", "Perm", "SecurityDescriptor"); err != nil {
		return nil, err
	}
	return o.open(kind, name)
}

// await calls open until a lock of that name exists.
func await[T any](ctx context.Context, kind layout.Kind, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open,
		func(err error) error { return wrapNew("wait for", kind, name, segment.Deadline(err)) })
}

// open joins the segment of a lock that exists.
func (o *Options) open(kind layout.Kind, name string) (*handle, error) {
	spec, err := o.spec(kind, name)
	if err != nil {
		return nil, err
	}
	return open(spec)
}

func open(spec *object.Spec) (*handle, error) {
	o, err := segment.OpenObject(spec)
	if err != nil {
		return nil, err
	}
	return join(o, spec.Name)
}

func join(obj *segment.Object, name string) (*handle, error) {
	kind := obj.Sys.Kind
	h, err := segment.Open(obj, kind, layout.LockWordsSize, repairOwner)
	if err != nil {
		return nil, err
	}
	o := &handle{kind: kind, name: name, h: h}
	o.guard = forgotten.Watch(o, kind.String(), name, giveBack, h)
	return o, nil
}

// close leaves the segment.
func (o *handle) close() error {
	o.guard.Done()
	return o.h.Close()
}

// heldOn has the handles of locks that were dropped without Close while they were locked. They
// stay open. Otherwise the process would lose a lock that it has not unlocked.
var heldOn sync.Map

// giveBack closes a handle that was dropped without Close, unless it holds the lock (decision
// 0019).
func giveBack(h *segment.Handle) (kept bool) {
	switch h.Kind() {
	case layout.Mutex, layout.RWMutex:
		w := layout.Owner(atomic.LoadUint64(h.Live64(layout.LockStateOffset)))
		kept = !h.Closed() && (w.Names(h.Me()) || atomic.LoadUint64(h.Held()) != 0)
	}
	if kept {
		heldOn.Store(h, nil)
	} else {
		_ = h.Close()
	}
	return kept
}

// Name is the name that the object was opened by.
func (o *handle) Name() string { return o.name }

// ID identifies the object: no other object that exists now has this ID. All processes that have
// the object open see the same ID.
func (o *handle) ID() samepage.ID { return samepage.ID(o.h.ID()) }

// CheckName checks whether the name still leads to this object, as [samepage.Memory.CheckName]
// does.
//
// Errors: samepage.ErrNameGone, samepage.ErrClosed. Any other error means that the check was not
// possible.
func (o *handle) CheckName() error { return o.wrap("check the name of", o.h.CheckName()) }

func (o *handle) wrap(op string, err error) error {
	if err != nil {
		return fmt.Errorf("ipcsync: %s %v %q: %w", op, o.kind, o.name, err)
	}
	return nil
}

func wrapNew(op string, kind layout.Kind, name string, err error) error {
	return (&handle{kind: kind, name: name}).wrap(op, err)
}

// wait waits for c. A deadline of ctx also matches os.ErrDeadlineExceeded.
func (o *handle) wait(ctx context.Context, c segment.Condition) error {
	return segment.Deadline(o.h.Wait(ctx, c))
}
