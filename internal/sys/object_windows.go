package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/windows"

	"samepage/internal/fault"
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// impl has the parts of an Object on Windows.
type impl struct {
	// section is what is mapped; 0 over an empty file, which has none.
	section windows.Handle
	// file is the file below, 0 when there is none or it cannot be reached.
	file windows.Handle
	// byFile says that the object is handed over by its file, and that its ID is the file's.
	// Otherwise it is handed over by its section.
	byFile bool
	// raw says that the object came as a bare handle: other processes cannot find out which object
	// it is.
	raw    bool
	what   string // for messages
	entry  *entry // carries presence; nil for objects without a sidecar
	dir    *store.Dir
	out    handedOut
	asking sync.Mutex // held while Alone has released the presence byte
}

// sectionName returns the kernel's name of an object's section. The id is random, so that a handle
// of an earlier object with the same name does no harm.
func sectionName(k layout.Kind, s layout.Scope, id layout.ID) string {
	return kernel.Prefix(s) + sectionBase(k, id)
}

func sectionBase(k layout.Kind, id layout.ID) string {
	return "samepage." + k.String() + "." + id.String()
}

// Create makes a named object. Errors: fs.ErrExist, fs.ErrPermission, ErrPrivilege, ErrNoSpace,
// ErrTooLarge, ErrStore, ErrBusy; for exact names also layout.ErrKindMismatch and fs.ErrInvalid.
func Create(s *Spec) (*Object, error) {
	return withSpace(func() (*Object, error) {
		if s.Exact {
			return createExact(s)
		}
		return createNamed(s)
	})
}

func createNamed(s *Spec) (*Object, error) {
	if err := store.CheckPrivilege(s.Scope); err != nil {
		return nil, err
	}
	return inDir(s.Scope, true, func(d *store.Dir) (*Object, error) {
		sweepFirst(d)
		return create(d, s)
	})
}

func create(d *store.Dir, s *Spec) (*Object, error) {
	sa, err := kernel.Descriptor(s.SDDL)
	if err != nil {
		return nil, err
	}
	path := d.EntryPath(s.Kind, s.Name)
	var p store.Patience
	for {
		o, err := build(d, path, s, sa)
		if err != errStale {
			return o, err
		}
		if !p.Wait() {
			return nil, store.StillRemoving(s.Name)
		}
	}
}

// build makes the object whose sidecar is at path: a new sidecar, or a dead one. Errors: errStale,
// and those of Create.
func build(d *store.Dir, path string, s *Spec, sa *windows.SecurityAttributes) (*Object, error) {
	var e *entry
	h, err := openSidecar(path, windows.GENERIC_READ|windows.GENERIC_WRITE, sa, windows.CREATE_NEW)
	fresh := err == nil
	switch {
	case fresh:
		e = &entry{h: h, path: path}
	case errors.Is(err, fs.ErrExist):
		if e, err = openEntry(path, s); errors.Is(err, fs.ErrNotExist) {
			return nil, errStale // it was removed meanwhile
		}
	}
	if err != nil {
		return nil, err
	}
	o := &Object{
		Kind: s.Kind, Scope: s.Scope, Name: s.Name, Access: layout.ReadWrite, Size: s.Size,
		Lifetime: s.Lifetime, impl: impl{entry: e, dir: d, what: e.path},
	}
	if err = e.gate(); err == nil {
		fault.At(fault.StoreRecordMade)
		err = e.clear(d, s, sa, fresh)
	}
	if err == nil {
		err = o.fill(s, sa)
	}
	if err != nil {
		o.drop()
		if lerr := e.leave(); lerr != nil && err == errStale {
			err = lerr
		}
		return nil, err
	}
	kernel.Unlock(e.h, gateByte)
	return o, nil
}

// fill makes the bytes and the record. The caller holds the gate.
func (o *Object) fill(s *Spec, sa *windows.SecurityAttributes) error {
	r := layout.Record{
		Kind: s.Kind, Scope: s.Scope, Lifetime: s.Lifetime, Created: time.Now().UnixNano(),
		PID: uint32(os.Getpid()), Name: s.Name,
	}
	var err error
	if r.Boot, err = boot(); err != nil {
		return fmt.Errorf("time of boot: %w", err)
	}
	if r.ID, err = kernel.RandomID(); err != nil {
		return err
	}
	b := &backing{}
	switch {
	case s.File != "":
		b, err = openBacking(s)
	case s.Lifetime == layout.Persist || s.Sparse:
		b, err = makeData(store.DataPath(o.entry.path, r.ID), s, sa)
		r.Flags = layout.RecordOwnFile
	default:
		o.section, err = createSection(windows.InvalidHandle, sa, windows.PAGE_READWRITE, s.Size, sectionName(s.Kind, s.Scope, r.ID))
		b.size = s.Size
	}
	if err != nil {
		return err
	}
	fault.At(fault.StoreDataMade)
	if b.file != 0 {
		if err := o.layOver(b, s, sa, &r); err != nil {
			b.discard()
			return err
		}
	}
	o.ID, o.Size, r.Size = r.ID, b.size, b.size
	err = o.init(s.Init)
	if err == nil {
		err = o.entry.takePresence()
	}
	if err == nil {
		o.first, err = openFirst(s, o.OpenLocks)
	}
	if err == nil {
		err = o.entry.write(&r)
	}
	if err != nil {
		o.dropFile(b)
		return err
	}
	o.Key = o.namedKey()
	return nil
}

// layOver makes the section over a file, and writes into the record how others open it. If the
// object persists, or has its own file, others open it by the path of the file, and it has the id
// of the file. Otherwise they open it by the name of the section, because they may not be able to
// open the file.
func (o *Object) layOver(b *backing, s *Spec, sa *windows.SecurityAttributes, r *layout.Record) error {
	path, err := filepath.Abs(b.path)
	if err != nil {
		return err
	}
	if len(path) > layout.MaxPath {
		return fmt.Errorf("path of %d bytes, at most %d: %w", len(path), layout.MaxPath, fs.ErrInvalid)
	}
	r.Path, r.Dev, r.Ino = path, uint64(b.info.VolumeSerialNumber), fileIndex(&b.info)
	o.byFile = byPath(r)
	name := ""
	if o.byFile {
		r.ID = fileID(&b.info)
	} else {
		name = sectionName(s.Kind, s.Scope, r.ID)
		o.File = path
	}
	if s.File != "" {
		o.File = path
	}
	o.section, err = createSection(b.file, sa, windows.PAGE_READWRITE, b.size, name)
	if err == nil {
		o.file = b.file
	}
	return err
}

// byPath says whether an object is opened by the path in its record.
func byPath(r *layout.Record) bool {
	return r.Path != "" && (r.Lifetime == layout.Persist || r.Flags&layout.RecordOwnFile != 0)
}

// dropFile gives back what was opened for an object that failed, and deletes its file.
func (o *Object) dropFile(b *backing) {
	if l := o.FirstMember(); l != nil {
		_ = l.Close()
	}
	o.drop()
	if b.made != "" {
		_ = kernel.DeleteFile(b.made)
	}
}

// init writes the first bytes.
func (o *Object) init(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	v, err := view(o.section, 0, len(b), layout.ReadWrite)
	if err != nil {
		return fmt.Errorf("write first %d bytes: %w", len(b), syserr.Space(err))
	}
	copy(v, b)
	return unview(v)
}

// namedKey returns the key of an object with a name.
func (o *Object) namedKey() string {
	return o.ID.String() + " " + o.Kind.String() + " " + kernel.Prefix(o.Scope) + o.Name + " " + strconv.Itoa(int(o.Access))
}

func open(d *store.Dir, s *Spec) (*Object, error) {
	path := d.EntryPath(s.Kind, s.Name)
	var p store.Patience
	for {
		e, err := openEntry(path, s)
		if err != nil {
			return nil, err
		}
		o := &Object{
			Kind: s.Kind, Scope: s.Scope, Name: s.Name, Access: s.Access,
			impl: impl{entry: e, dir: d, what: path},
		}
		if err = o.join(s); err == nil {
			kernel.Unlock(e.h, gateByte)
			return o, nil
		}
		o.drop()
		_ = e.leave()
		if !errors.Is(err, errLeaving) {
			return nil, err
		}
		if !p.Wait() {
			return nil, store.StillRemoving(s.Name)
		}
	}
}

// errLeaving says that the last user of an object has closed its section, but is still present. The
// caller must look again.
var errLeaving = errors.New("the last user is leaving")

// join opens the object of the sidecar, and makes the caller present. When it returns, the caller
// holds the gate.
func (o *Object) join(s *Spec) error {
	e := o.entry
	if err := e.gate(); err != nil {
		return err
	}
	st, r, err := e.state()
	if err != nil {
		return err
	}
	if st == entryDead {
		return &fs.PathError{Op: "open", Path: e.path, Err: fs.ErrNotExist}
	}
	if r.Name != s.Name || r.Kind != s.Kind || r.Scope != s.Scope {
		return fmt.Errorf("%s has the record of %v %v %q, want %v %v %q: %w",
			e.path, r.Scope, r.Kind, r.Name, s.Scope, s.Kind, s.Name, layout.ErrCorrupt)
	}
	o.ID, o.Size, o.Lifetime = r.ID, r.Size, r.Lifetime
	if r.Flags&layout.RecordOwnFile == 0 {
		o.File = r.Path
	}
	if byPath(r) {
		err = o.openPath(r, s)
	} else {
		err = o.openNamed(s)
	}
	if err != nil {
		return err
	}
	o.Key = o.namedKey()
	return e.takePresence()
}

// openNamed opens the section by its name.
func (o *Object) openNamed(s *Spec) error {
	name := sectionName(s.Kind, s.Scope, o.ID)
	h, err := openSection(name, s.Access)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errLeaving
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("open %q %v: its security descriptor does not allow that: %w", s.Name, s.Access, err)
	case err != nil:
		return err
	}
	o.section = h
	size, _, err := querySection(h)
	if err != nil {
		return fmt.Errorf("size of section %q: %w", name, err)
	}
	if size < o.Size {
		return fmt.Errorf("section %q has %d bytes, its record says %d: %w", name, size, o.Size, layout.ErrCorrupt)
	}
	return nil
}

// openPath opens the file and makes a section over it: all sections over one file show the same
// bytes.
func (o *Object) openPath(r *layout.Record, s *Spec) error {
	t := *s
	t.File, t.Size, t.Exclusive, t.Truncate = r.Path, 0, false, false
	b, err := openBacking(&t)
	if err != nil {
		return err
	}
	o.file, o.byFile = b.file, true
	if uint64(b.info.VolumeSerialNumber) != r.Dev || fileIndex(&b.info) != r.Ino {
		return fmt.Errorf("%s is another file, not the one that %q was made over: %w", r.Path, s.Name, layout.ErrCorrupt)
	}
	if b.size < r.Size {
		return fmt.Errorf("%s has shrunk to %d of %d bytes: %w", r.Path, b.size, r.Size, layout.ErrCorrupt)
	}
	o.section, err = createSection(b.file, nil, protection(s.Access), r.Size, "")
	return err
}

// drop closes everything except the sidecar.
func (o *Object) drop() {
	o.out.close()
	for _, h := range []*windows.Handle{&o.section, &o.file} {
		if *h != 0 {
			_ = windows.CloseHandle(*h)
			*h = 0
		}
	}
}

// Close leaves the object. If it was the last user of a name that does not persist, Close
// removes the name.
func (o *Object) Close() error {
	o.forgetGrants()
	o.drop()
	if o.entry != nil {
		o.entry.leaveUsed()
	}
	o.dir.Close()
	return nil
}

// Alone says whether nobody else uses the object. If it has a bare name: no process has another
// handle of its section. If it has a sidecar: nobody else is present there. Errors:
// errors.ErrUnsupported for objects with neither; ErrBusy.
func (o *Object) Alone() (bool, error) {
	switch {
	case o.Exact:
		n, err := queryHandles(o.section)
		if err != nil {
			return false, fmt.Errorf("handles of section %q: %w", o.what, err)
		}
		return n == 1, nil
	case o.entry == nil:
		return false, fmt.Errorf("the users of an object without a sidecar: %w", errors.ErrUnsupported)
	}
	// The test cannot work while this process holds its own lock. While it holds the gate, nobody
	// else tests for presence, so it may release the lock during the test.
	o.asking.Lock()
	defer o.asking.Unlock()
	e := o.entry
	if err := e.gate(); err != nil {
		return false, err
	}
	defer kernel.Unlock(e.h, gateByte)
	kernel.Unlock(e.h, presenceByte)
	alone, err := kernel.TryLock(e.h, presenceByte, true)
	if alone {
		kernel.Unlock(e.h, presenceByte)
	}
	return alone, errors.Join(err, e.takePresence())
}

// Remove removes a name, also one that persists. Errors: fs.ErrNotExist; ErrBusy, when a process
// uses it; fs.ErrPermission.
func Remove(s *Spec) error {
	if s.Exact {
		return fmt.Errorf("a kernel name goes with its last handle: %w", errors.ErrUnsupported)
	}
	d, err := store.Open(s.Scope, false)
	if err != nil {
		return err
	}
	defer d.Close()
	path := d.EntryPath(s.Kind, s.Name)
	var p store.Patience
	for {
		e, err := openEntry(path, s)
		if err != nil {
			return err
		}
		if err := e.gate(); err != nil {
			_ = e.leave()
			return err
		}
		st, _, err := e.state()
		_ = e.leave()
		if st == entryUsed {
			return errors.Join(err, fmt.Errorf("%s has users: %w", path, syserr.ErrBusy))
		}
		removed, err := reap(path, st != entryDead)
		switch {
		case err != nil:
			return err
		case removed && st == entryDead:
			return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
		case removed:
			return nil
		case !p.Wait():
			return store.StillRemoving(s.Name)
		}
	}
}

// handedOut has the handles for other processes: one for each access, inheritable or not. They stay
// open while the object is open.
type handedOut struct {
	mu  sync.Mutex // if both are held, it is locked after the lock of inherited
	all map[handOut]windows.Handle
}

// handOut says for what such a handle is.
type handOut struct {
	access      layout.Access
	inheritable bool
	raw         bool // of the section, also if a token would use the file
}

// close closes all of them.
func (z *handedOut) close() {
	z.mu.Lock()
	all := z.all
	z.all = nil
	z.mu.Unlock()
	for k, h := range all {
		if k.inheritable {
			inherited.Lock()
			delete(inherited.ours, h)
			_ = windows.CloseHandle(h)
			inherited.Unlock()
			continue
		}
		_ = windows.CloseHandle(h)
	}
}
