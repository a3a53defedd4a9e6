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

// Memory is an open shared memory object. Its methods may be called
// concurrently. The zero value is not usable; Create, Open, CreateUnnamed,
// MapFile, Inherited and Attach make one.
//
// A Memory that is dropped without Close is given back when it is collected, with its
// descriptors and its name, as an os.File is; of its views see View. It is not dropped
// while one of its views is reachable; bytes of a view are not enough. Close does the same
// at a time that the caller chooses, and tells of errors.
type Memory struct {
	name   string
	access Access
	*holding
	once  sync.Once // of Close
	guard forgotten.Guard
}

// holding is what a Memory has of the system. It does not refer to the Memory.
type holding struct {
	obj *object.Object

	mu      sync.Mutex
	closed  bool
	views   map[*viewed]struct{}
	windows windows
}

// newMemory is a Memory that has a use of o.
func newMemory(name string, access layout.Access, o *object.Object) *Memory {
	m := &Memory{name: name, access: Access(access), holding: &holding{obj: o}}
	m.guard = forgotten.Watch(m, o.Sys.Kind.String(), m.label(), (*holding).giveBack, m.holding)
	return m
}

// giveBack closes a Memory that was forgotten, and its views.
func (h *holding) giveBack() (kept bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// Mappings first: the object must know them while they go.
	for v := range h.views {
		if v.out.Load() {
			// Somebody may have no more than the bytes. What comes to lie there later
			// would be damaged by him.
			h.obj.Sys.KeepMapped()
			continue
		}
		_ = h.obj.Unmap(v.p)
	}
	h.windows.drop(h.obj)
	_ = h.obj.Release()
	return false
}

// Create makes a named object of size bytes, all zero but for Options.Init, and
// opens it. Nobody ever sees it half made. A name that a dead process left is
// free. With Options.File, size 0 means the size of the file.
//
// Errors: fs.ErrExist, ErrName, ErrZeroSize, ErrNegativeSize, ErrTooLarge,
// ErrNoSpace, ErrStore, ErrPrivilege, fs.ErrPermission, ErrKindMismatch (exact
// names), ErrBusy (Options.Exclusive), fs.ErrInvalid (options out of range),
// errors.ErrUnsupported (the file system, which the text names, cannot map files shared).
func Create(name string, size int64, opts *Options) (*Memory, error) {
	m, err := create(name, size, opts)
	if err != nil {
		return nil, fmt.Errorf("samepage: create %q with %d bytes: %w", name, size, err)
	}
	return m, nil
}

func create(name string, size int64, opts *Options) (*Memory, error) {
	s := opts.spec(name)
	s.Size = size
	o, err := object.Create(s)
	if err != nil {
		return nil, err
	}
	return newMemory(name, s.Access, o), nil
}

// Open opens a named object. It never makes one and never waits for one; see OpenOrCreate
// and Await.
//
// Errors: fs.ErrNotExist, fs.ErrPermission, ErrName, ErrCorrupt, ErrVersion,
// ErrStore, ErrBusy, ErrKindMismatch (exact names), fs.ErrInvalid (options out of range, or
// that only count when an object is made: Lifetime, File, Exclusive, Truncate, Sparse, Perm,
// SecurityDescriptor, Init).
func Open(name string, opts *Options) (*Memory, error) {
	m, err := openOnly(name, opts)
	if err != nil {
		return nil, fmt.Errorf("samepage: open %q: %w", name, err)
	}
	return m, nil
}

// Await waits until an object of that name exists, and opens it. While it waits it looks
// every 50 ms.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: the error of ctx (a deadline matches os.ErrDeadlineExceeded, too), and those of
// Open but for fs.ErrNotExist.
func Await(ctx context.Context, name string, opts *Options) (*Memory, error) {
	m, err := segment.Await(ctx, func() (*Memory, error) { return openOnly(name, opts) }, segment.Deadline)
	if err != nil {
		return nil, fmt.Errorf("samepage: wait for %q: %w", name, err)
	}
	return m, nil
}

// openOnly is open for a caller that does not make the object if it is missing.
func openOnly(name string, opts *Options) (*Memory, error) {
	if err := opts.checkOpen(); err != nil {
		return nil, err
	}
	return open(name, opts)
}

func open(name string, opts *Options) (*Memory, error) {
	s := opts.spec(name)
	o, err := object.Open(s)
	if err != nil {
		return nil, err
	}
	return newMemory(name, s.Access, o), nil
}

// OpenOrCreate opens a named object, or makes it if there is none. existed says which: then
// the size and the options that only count when an object is made were not used. See Size.
//
// Errors: those of Open and Create, but for fs.ErrNotExist and fs.ErrExist.
func OpenOrCreate(name string, size int64, opts *Options) (m *Memory, existed bool, err error) {
	m, existed, err = object.OpenOrCreate(
		func() (*Memory, error) { return open(name, opts) },
		func() (*Memory, error) { return create(name, size, opts) })
	if err != nil {
		return nil, false, fmt.Errorf("samepage: open or create %q with %d bytes: %w", name, size, err)
	}
	return m, existed, nil
}

// CreateUnnamed makes an object of size bytes that has no name. Others get at
// it only by Inherit or Grant. On Linux it is a memfd that nobody can shrink.
//
// Errors: ErrZeroSize, ErrNegativeSize, ErrTooLarge, ErrNoSpace, fs.ErrInvalid (options
// out of range, or not for unnamed memory).
func CreateUnnamed(size int64, opts *Options) (*Memory, error) {
	m, err := createUnnamed(size, opts)
	if err != nil {
		return nil, fmt.Errorf("samepage: create unnamed memory of %d bytes: %w", size, err)
	}
	return m, nil
}

func createUnnamed(size int64, opts *Options) (*Memory, error) {
	s := opts.spec("")
	s.Size = size
	o, err := object.CreateUnnamed(s)
	if err != nil {
		return nil, err
	}
	return newMemory("", s.Access, o), nil
}

// MapFile opens the file at path as shared memory without a name of its own.
// Size 0 is the size of the file; a larger one extends it, with zeros, or makes
// a file that is missing; a smaller one is the part that is used.
//
// Errors: fs.ErrNotExist, fs.ErrPermission (the text names both modes),
// ErrZeroSize (empty file), ErrNegativeSize, ErrTooLarge, ErrNoSpace, ErrBusy
// (somebody has it exclusively), fs.ErrInvalid (options out of range, or not for files),
// errors.ErrUnsupported (the file system, which the text names, cannot map files shared).
func MapFile(path string, size int64, opts *Options) (*Memory, error) {
	m, err := mapFile(path, size, opts)
	if err != nil {
		return nil, fmt.Errorf("samepage: map file %s: %w", path, err)
	}
	return m, nil
}

func mapFile(path string, size int64, opts *Options) (*Memory, error) {
	s := opts.spec("")
	s.File, s.Size = path, size
	o, err := object.MapFile(s)
	if err != nil {
		return nil, err
	}
	return newMemory("", s.Access, o), nil
}

// Name is the name that the Memory was opened by, empty when it has none.
func (m *Memory) Name() string { return m.name }

// Size is the size in bytes, exactly as it was made; see Options.Exact for the
// exception.
func (m *Memory) Size() int64 { return m.obj.Sys.Size }

// Access is what the Memory was opened for.
func (m *Memory) Access() Access { return m.access }

// ID tells the object from all others that live.
func (m *Memory) ID() ID { return ID(m.obj.Sys.ID) }

// Scope is how far the name reaches.
func (m *Memory) Scope() Scope { return Scope(m.obj.Sys.Scope) }

// Kind is what the object is for.
func (m *Memory) Kind() Kind { return Kind(m.obj.Sys.Kind) }

// Lifetime is when the name goes.
func (m *Memory) Lifetime() Lifetime { return Lifetime(m.obj.Sys.Lifetime) }

// File is the path of the file below, empty when there is none.
func (m *Memory) File() string { return m.obj.Sys.File }

// Alone says whether nobody else has the object open: no other process, and no
// other Memory of this process. So whoever shares it with one other process
// learns whether that one has ended, also by death. Whoever opens the object for a
// moment, to look at it, counts as long as that takes. An exact name is open, on
// Windows, as long as any program has a handle of it; a view alone does not count.
//
// Errors: errors.ErrUnsupported where users are not counted (memory without a
// name, and exact names on Linux), ErrNameGone (who comes by the name from now on is
// not counted), ErrClosed, ErrBusy.
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
	return false, fmt.Errorf("samepage: other users of %v: %w", m, err)
}

// CheckName looks whether the name still leads to this object. It costs a system call
// or two. Somebody may have removed the name while the object is in use: rm, a tool that
// tidies up containers, or systemd-logind, which deletes a user's files in /dev/shm at
// logout (RemoveIPC=yes, the default of many systems). Then the object works on for
// those who have it open, and whoever opens or makes the name gets another one. To meet
// them, close this Memory and open the name again. A memory without a name has none to
// lose, and an exact name of Windows stands for as long as anybody has it open.
//
// Errors: ErrNameGone, ErrClosed; any other error says that it cannot be told.
func (m *Memory) CheckName() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := ErrClosed
	if !m.closed {
		err = m.obj.Sys.CheckName()
	}
	if err != nil {
		return fmt.Errorf("samepage: name of %v: %w", m, err)
	}
	return nil
}

// label is the name, or what stands for it.
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

// Close gives the object up. The last user of a name that does not persist
// takes the name along. A second Close does nothing, and returns when the first one
// is done.
//
// Errors: ErrBusy while a View is open; the text tells where each was taken.
func (m *Memory) Close() (err error) {
	m.mu.Lock()
	if len(m.views) > 0 {
		err := fmt.Errorf("samepage: close %v: views open: %d%s: %w", m, len(m.views), takenAt(m.views), ErrBusy)
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
