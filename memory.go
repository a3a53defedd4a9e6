package samepage

import (
	"context"
	"fmt"
	"sync"

	"samepage/internal/forgotten"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Memory is an open shared memory object. Its methods may be called concurrently. The zero value
// is not usable. Create, Open, OpenOrCreate, Await, CreateUnnamed, MapFile, Inherited, Attach,
// FromHandle and TakeHandle make one.
//
// Close gives back the descriptors and the name at a time that the caller chooses, and reports
// errors. A Memory that is dropped without Close is closed when it is garbage collected, as an
// os.File is. It is not collected while one of its views is reachable; the bytes of a view alone
// do not keep it. See View for what happens to the views.
type Memory struct {
	name   string
	access Access
	*holding
	once  sync.Once // runs the work of Close
	guard forgotten.Guard
}

// holding has the resources of a Memory. It does not refer to the Memory.
type holding struct {
	obj *object.Object

	mu      sync.Mutex
	closed  bool
	views   map[*viewed]struct{}
	windows windows
}

// newMemory makes a Memory of o, and takes over one use of o.
func newMemory(name string, access layout.Access, o *object.Object) *Memory {
	m := &Memory{name: name, access: Access(access), holding: &holding{obj: o}}
	m.guard = forgotten.Watch(m, o.Sys.Kind.String(), m.label(), (*holding).giveBack, m.holding)
	return m
}

// giveBack closes a Memory that was dropped without Close, and its views.
func (h *holding) giveBack() (kept bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// The mappings go first: the object must know them until they are gone.
	for v := range h.views {
		if v.out.Load() {
			// Somebody may still have the bytes, and could damage what is mapped at that address
			// later. So they stay mapped.
			h.obj.Sys.KeepMapped()
			continue
		}
		_ = h.obj.Unmap(v.p)
	}
	h.windows.drop(h.obj)
	_ = h.obj.Release()
	return false
}

// Create makes a named object of size bytes and opens it. All bytes are zero except Options.Init.
// No other process ever sees the object half made. A name whose users have all died is free. With
// Options.File, size 0 means the size of the file.
//
// Errors: fs.ErrExist, ErrName, ErrZeroSize, ErrNegativeSize, ErrTooLarge, ErrNoSpace, ErrStore,
// ErrPrivilege, fs.ErrPermission, ErrKindMismatch (exact names), ErrBusy (Options.Exclusive),
// fs.ErrInvalid (options out of range), errors.ErrUnsupported (the file system, which the text
// names, cannot map files shared).
func Create(name string, size int64, opts *Options) (m *Memory, err error) {
	defer wrap(&err, "create %q with %d bytes", name, size)
	return create(name, size, opts)
}

func create(name string, size int64, opts *Options) (*Memory, error) {
	s := opts.spec(name)
	s.Size = size
	o, err := object.Create(s)
	return opened(name, s.Access, o, err)
}

// opened is newMemory, unless err says that there is nothing to have a Memory of.
func opened(name string, access layout.Access, o *object.Object, err error) (*Memory, error) {
	if err != nil {
		return nil, err
	}
	return newMemory(name, access, o), nil
}

// wrap adds to an error what was tried, and on what. Callers defer it.
func wrap(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("samepage: "+format+": %w", append(args, *err)...)
	}
}

// Open opens a named object. It never makes one and never waits for one; see OpenOrCreate and
// Await. Options that count only when an object is made are refused: Lifetime, File, Exclusive,
// Truncate, Sparse, Perm, SecurityDescriptor and Init.
//
// Errors: fs.ErrNotExist, fs.ErrPermission, ErrName, ErrCorrupt, ErrVersion, ErrStore, ErrBusy,
// ErrKindMismatch (exact names), fs.ErrInvalid (options out of range, or options that are
// refused; the text names the option).
func Open(name string, opts *Options) (m *Memory, err error) {
	defer wrap(&err, "open %q", name)
	return openOnly(name, opts)
}

// Await waits until an object of that name exists, and opens it. While it waits it looks every 50
// ms. If the call does not have to wait, it ignores ctx. Await refuses the same options as Open.
//
// Errors: the error of ctx (a deadline also matches os.ErrDeadlineExceeded), and those of Open
// except fs.ErrNotExist.
func Await(ctx context.Context, name string, opts *Options) (m *Memory, err error) {
	defer wrap(&err, "wait for %q", name)
	return segment.Await(ctx, func() (*Memory, error) { return openOnly(name, opts) }, segment.Deadline)
}

// openOnly is open for callers that never make the object.
func openOnly(name string, opts *Options) (*Memory, error) {
	if err := opts.checkOpen(); err != nil {
		return nil, err
	}
	return open(name, opts)
}

func open(name string, opts *Options) (*Memory, error) {
	s := opts.spec(name)
	o, err := object.Open(s)
	return opened(name, s.Access, o, err)
}

// OpenOrCreate opens a named object, or makes it if there is none. existed says which of the two
// it did. If the object existed, the size and the options that count only when an object is made
// were not used; see Size.
//
// Errors: those of Open and Create, except fs.ErrNotExist and fs.ErrExist. Options that count
// only when an object is made are no error here.
func OpenOrCreate(name string, size int64, opts *Options) (m *Memory, existed bool, err error) {
	defer wrap(&err, "open or create %q with %d bytes", name, size)
	return object.OpenOrCreate(
		func() (*Memory, error) { return open(name, opts) },
		func() (*Memory, error) { return create(name, size, opts) })
}

// CreateUnnamed makes an object of size bytes that has no name. Other processes get it by Inherit
// or Grant, or by the value of a handle (InheritHandle, GrantHandle, OfferHandle). On Linux it is
// a memfd that nobody can shrink. The Scope, Lifetime and Owner of opts have no effect.
//
// Errors: ErrZeroSize, ErrNegativeSize, ErrTooLarge, ErrNoSpace, fs.ErrInvalid (options out of
// range, or options that unnamed memory cannot have).
func CreateUnnamed(size int64, opts *Options) (m *Memory, err error) {
	defer wrap(&err, "create unnamed memory of %d bytes", size)
	s := opts.spec("")
	s.Size = size
	o, err := object.CreateUnnamed(s)
	return opened("", s.Access, o, err)
}

// MapFile opens the file at path as shared memory. The memory has no name of its own. Size 0 means
// the size of the file. A larger size extends the file with zeros, or makes the file if it is
// missing. With a smaller size, only the first part is used. The Scope, Lifetime and Owner of opts
// have no effect.
//
// Errors: fs.ErrNotExist, fs.ErrPermission (the text names both modes), ErrZeroSize (the file is
// empty), ErrNegativeSize, ErrTooLarge, ErrNoSpace, ErrBusy (another process has the file open
// exclusively), fs.ErrInvalid (options out of range, or options that a file cannot have),
// errors.ErrUnsupported (the file system, which the text names, cannot map files shared).
func MapFile(path string, size int64, opts *Options) (m *Memory, err error) {
	defer wrap(&err, "map file %s", path)
	s := opts.spec("")
	s.File, s.Size = path, size
	o, err := object.MapFile(s)
	return opened("", s.Access, o, err)
}

// Name is the name that the Memory was opened by. It is empty if the Memory has no name.
func (m *Memory) Name() string { return m.name }

// Size is the size in bytes, exactly as the object was made. For the exception see Options.Exact.
func (m *Memory) Size() int64 { return m.obj.Sys.Size }

// Access is the access that the Memory was opened with.
func (m *Memory) Access() Access { return m.access }

// ID identifies the object: no other object that exists now has this ID.
func (m *Memory) ID() ID { return ID(m.obj.Sys.ID) }

// Scope is the scope of the name.
func (m *Memory) Scope() Scope { return Scope(m.obj.Sys.Scope) }

// Kind is the kind of the object.
func (m *Memory) Kind() Kind { return Kind(m.obj.Sys.Kind) }

// Lifetime says when the name goes.
func (m *Memory) Lifetime() Lifetime { return Lifetime(m.obj.Sys.Lifetime) }

// File is the path of the file that Options.File or MapFile named. It is empty if there is none.
func (m *Memory) File() string { return m.obj.Sys.File }

// Alone says whether nobody else has the object open: no other process, and no other Memory of
// this process. So a process that shares the object with one other process can learn whether that
// one has closed it or has died. A process that opens the object for a moment, to look at it,
// counts during that moment. On Windows an exact name is open as long as any program has a handle
// of it; a view alone does not count.
//
// Errors: errors.ErrUnsupported (users are not counted: memory without a name, and exact names on
// Linux), ErrNameGone (users who open the name from now on are not counted), ErrClosed, ErrBusy.
func (m *Memory) Alone() (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := ErrClosed
	if !m.closed {
		var alone bool
		if alone, err = m.obj.Alone(); err == nil {
			return alone, nil
		}
	}
	return false, fmt.Errorf("samepage: check for other users of %v: %w", m, err)
}

// CheckName checks whether the name still leads to this object. It costs one or two system calls.
// The name may be removed while the object is in use: by rm, by a tool that cleans up containers,
// or by systemd-logind, which deletes a user's files in /dev/shm at logout (RemoveIPC=yes, the
// default of many systems). Then the object still works for those who have it open, but a process
// that opens or makes the name gets another object. To meet those processes, close this Memory
// and open the name again. A memory without a name cannot lose it. An exact name of Windows stays
// as long as anybody has it open.
//
// Errors: ErrNameGone, ErrClosed. Any other error means that the check was not possible.
func (m *Memory) CheckName() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := ErrClosed
	if !m.closed {
		err = m.obj.Sys.CheckName()
	}
	if err != nil {
		return fmt.Errorf("samepage: check the name of %v: %w", m, err)
	}
	return nil
}

// label is the name, or a text that replaces it.
func (m *Memory) label() string {
	switch o := m.obj.Sys; {
	case m.name != "":
		return m.name
	case o.File != "":
		return "file " + o.File
	}
	return "unnamed"
}

// String describes the Memory for people.
func (m *Memory) String() string {
	what := m.label()
	if m.name != "" {
		what = fmt.Sprintf("%q", what)
	}
	unit := "bytes"
	if m.Size() == 1 {
		unit = "byte"
	}
	return fmt.Sprintf("%v %s, %d %s, %v", m.obj.Sys.Kind, what, m.Size(), unit, m.access)
}

// Close closes the Memory. If the name does not persist and this was its last user, the name
// goes. A second Close does nothing, and returns when the first Close is done.
//
// Errors: ErrUnreleased while a View is open; the text says where each View was taken.
func (m *Memory) Close() (err error) {
	m.mu.Lock()
	if len(m.views) > 0 {
		err := fmt.Errorf("samepage: close %v: open views: %d%s: %w", m, len(m.views), takenAt(m.views), ErrUnreleased)
		m.mu.Unlock()
		return err
	}
	m.closed = true
	m.mu.Unlock()
	m.once.Do(func() {
		m.guard.Done()
		m.windows.drop(m.obj)
		if err = m.obj.Release(); err != nil {
			err = fmt.Errorf("samepage: close %v: %w", m, err)
		}
	})
	return err
}
