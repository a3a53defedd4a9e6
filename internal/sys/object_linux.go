package sys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// An entry carries what is known of its object in its mode: a regular file in
// shared memory has no other use for these bits, and they appear and change
// together with the file.
const (
	// modePersist (sticky) marks an object that stays without users.
	modePersist = unix.S_ISVTX
	// modeRecord (owner may execute) marks an entry that is a layout.Record
	// with the path of the file that holds the bytes, and not the bytes.
	modeRecord = unix.S_IXUSR
	permBits   = 0o666
)

// impl is what an Object is made of on Linux.
type impl struct {
	file *os.File // what is mapped
	path string   // of the entry, for messages
	at   place    // the file that the entry was when it was opened
	// lock carries the presence byte of the entry; nil for objects without one.
	lock  *kernel.Locks
	dir   *store.Dir
	entry string
	// fileLock carries the locks of the file below.
	fileLock *kernel.Locks
	reader   struct {
		mu sync.Mutex
		f  *os.File // for those who inherit it read-only
	}
	memfd  bool
	frozen frozen
	holes  holes
}

// place is a file as the kernel names it.
type place struct{ dev, ino uint64 }

func placeOf(st *unix.Stat_t) place { return place{st.Dev, st.Ino} }

type entryFile struct {
	lock     kernel.Locks
	st       unix.Stat_t
	readOnly error // why lock is open for reading only, if it is
}

// openEntry opens an entry with a descriptor for its locks and checks that it
// is a file that may be there. Errors: fs.ErrNotExist, fs.ErrPermission.
func openEntry(d *store.Dir, entry string, s *Spec) (*entryFile, error) {
	path := filepath.Join(d.Path, entry)
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	e := &entryFile{}
	fd, err := kernel.Open(d.FD(), entry, unix.O_RDWR|flags, 0)
	if err == unix.EACCES || err == unix.EROFS {
		e.readOnly = err
		fd, err = kernel.Open(d.FD(), entry, unix.O_RDONLY|flags, 0)
	}
	if err != nil {
		return nil, store.Planted(d.FD(), entry, path, err)
	}
	e.lock = kernel.Locks{F: kernel.NewFile(fd, path)}
	if err := e.check(d, s, path); err != nil {
		_ = e.lock.F.Close()
		return nil, err
	}
	return e, nil
}

func (e *entryFile) check(d *store.Dir, s *Spec, path string) error {
	if err := unix.Fstat(int(e.lock.F.Fd()), &e.st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if e.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return store.Stranger(path, &e.st, nil)
	}
	if e.st.Nlink > 1 {
		return fmt.Errorf("%s has %d hard links, owner %s: %w", path, e.st.Nlink, kernel.UserName(e.st.Uid), fs.ErrPermission)
	}
	return store.CheckOwner(s.Owner, s.Scope, path, e.st.Uid)
}

func (e *entryFile) persist() bool { return e.st.Mode&modePersist != 0 }

// same says whether the entry still is this file.
func (e *entryFile) same(d *store.Dir, entry string) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.FD(), entry, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && placeOf(&st) == placeOf(&e.st)
}

// unlinkIfUnused takes the entry away if nobody is present. The exclusive lock
// keeps others from joining meanwhile, and they look again after they joined.
//
// Errors: fs.ErrPermission, when only others may do that.
func (e *entryFile) unlinkIfUnused(d *store.Dir, entry string) (removed bool, err error) {
	if e.readOnly != nil {
		return false, fmt.Errorf("%s is left over, and only %s may take it away (mode %#o): %w (%w)",
			filepath.Join(d.Path, entry), kernel.UserName(e.st.Uid), e.st.Mode&0o7777, fs.ErrPermission, e.readOnly)
	}
	ok, err := e.lock.TryExclusive(presenceByte)
	if !ok {
		return false, err
	}
	defer e.lock.Unlock(presenceByte)
	if !e.same(d, entry) {
		return true, nil
	}
	if err := unix.Unlinkat(d.FD(), entry, 0); err != nil && err != unix.ENOENT {
		return false, &fs.PathError{Op: "remove", Path: filepath.Join(d.Path, entry), Err: err}
	}
	return true, nil
}

// state of an entry.
type entryState int

const (
	entryUsed     entryState = iota // somebody alive is present
	entryIdle                       // nobody is, and it persists
	entryDead                       // nobody is, and it may go
	entryRemoving                   // somebody is just taking it away
)

func (e *entryFile) state() (entryState, error) {
	held, exclusively, err := e.lock.Held(presenceByte)
	switch {
	case err != nil:
		return 0, err
	case exclusively:
		return entryRemoving, nil
	case held:
		return entryUsed, nil
	case e.persist():
		return entryIdle, nil
	}
	return entryDead, nil
}

// Create makes a named object. Errors: fs.ErrExist, fs.ErrPermission,
// ErrPrivilege, ErrNoSpace, ErrTooLarge, ErrStore, ErrBusy, errors.ErrUnsupported.
func Create(s *Spec) (*Object, error) {
	return withSpace(func() (*Object, error) {
		if s.Exact {
			return createExact(s)
		}
		return createNamed(s)
	})
}

func createNamed(s *Spec) (*Object, error) {
	d, err := store.Open(s.Scope, true)
	if err != nil {
		return nil, err
	}
	sweepFirst(d)
	o, err := create(d, s)
	if err != nil {
		d.Close()
		return nil, err
	}
	return o, nil
}

func create(d *store.Dir, s *Spec) (*Object, error) {
	entry := store.EntryName(s.Kind, s.Name)
	if err := clearDead(d, entry, s); err != nil {
		return nil, err
	}
	n, err := prepare(d, s)
	if err != nil {
		return nil, err
	}
	for {
		// The descriptor's own link in /proc, for naming by descriptor alone
		// (AT_EMPTY_PATH) needs a capability.
		err := unix.Linkat(unix.AT_FDCWD, kernel.ProcFD(int(n.entryFD.Fd())), d.FD(), entry, unix.AT_SYMLINK_FOLLOW)
		if err == nil {
			n.takeName(d, entry)
			return n.object(d, entry, s), nil
		}
		if err != unix.EEXIST {
			n.discard()
			return nil, fmt.Errorf("link %s: %w", filepath.Join(d.Path, entry), syserr.Space(err))
		}
		if err := clearDead(d, entry, s); err != nil {
			n.discard()
			return nil, err
		}
	}
}

// clearDead makes sure that an entry's name is free, taking away what a dead
// process left there.
func clearDead(d *store.Dir, entry string, s *Spec) error {
	var p store.Patience
	for {
		e, err := openEntry(d, entry, s)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, err := e.state()
		if err == nil && st == entryDead {
			_, err = e.unlinkIfUnused(d, entry)
		}
		_ = e.lock.F.Close()
		switch {
		case err != nil:
			return err
		case st == entryUsed || st == entryIdle:
			return fs.ErrExist
		case st == entryDead:
			// Taken away, or somebody has joined meanwhile.
		case !p.Wait():
			return store.StillRemoving(s.Name)
		}
	}
}

// newEntry is an object on its way to a name.
type newEntry struct {
	entryFD  *os.File // what gets the name: the bytes, or a record
	data     *os.File // what is mapped
	lock     kernel.Locks
	fileLock *kernel.Locks
	size     int64
	path     string // of the file below
	madeFile string // the same, if it was made for it
}

func (n *newEntry) discard() {
	for _, f := range []*os.File{n.entryFD, n.data} {
		if f != nil {
			_ = f.Close()
		}
	}
	if n.lock.F != nil {
		n.lock.Close()
	}
	if n.fileLock != nil {
		removeMade(n.madeFile, *n.fileLock)
		n.fileLock.Close()
	}
}

// prepare makes everything but the name: a file that nobody sees, its space,
// its first bytes, the creator's presence.
func prepare(d *store.Dir, s *Spec) (n *newEntry, err error) {
	n = &newEntry{size: s.Size}
	defer func() {
		if err != nil {
			n.discard()
		}
	}()
	fd, err := kernel.Open(d.FD(), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == unix.EOPNOTSUPP || err == unix.EISDIR {
		return n, store.NoTmpfile(d.Path, err)
	}
	if err != nil {
		return n, fmt.Errorf("make a file in %s: %w", d.Path, store.Unmade(d.Path, err))
	}
	n.entryFD = kernel.NewFile(fd, d.Path)
	// The owner can always write, and so take the entry away.
	mode := uint32(s.Perm.Perm())&permBits | 0o600
	if s.Lifetime == layout.Persist {
		mode |= modePersist
	}
	if s.File == "" {
		if err := mappable(n.entryFD, d.Path, layout.ReadWrite); err != nil {
			return n, err
		}
		if err := reserve(n.entryFD, 0, s.Size, s.Sparse); err != nil {
			return n, err
		}
		if _, err := n.entryFD.WriteAt(s.Init, 0); err != nil {
			return n, fmt.Errorf("write first bytes: %w", syserr.Space(err))
		}
		n.data, err = kernel.Reopen(fd, d.Path, unix.O_RDWR)
		if err != nil {
			return n, err
		}
	} else {
		if err := n.overFile(s); err != nil {
			return n, err
		}
		mode |= modeRecord
	}
	f, err := kernel.Reopen(fd, d.Path, unix.O_RDWR)
	if err != nil {
		return n, err
	}
	n.lock = kernel.Locks{F: f}
	ok, err := n.lock.TryShared(presenceByte)
	if err == nil && !ok {
		err = syserr.ErrBusy
	}
	if err != nil {
		return n, fmt.Errorf("lock the presence byte of a new file in %s: %w", d.Path, err)
	}
	return n, unix.Fchmod(fd, mode)
}

// overFile opens the file below a named object and writes the record of it.
func (n *newEntry) overFile(s *Spec) error {
	b, err := openBacking(s, false)
	if err != nil {
		return err
	}
	n.data, n.fileLock, n.size, n.madeFile = b.file, b.lock, b.size, b.made
	if len(s.Init) > 0 {
		if _, err := n.data.WriteAt(s.Init, 0); err != nil {
			return fmt.Errorf("write first bytes: %w", syserr.Space(err))
		}
	}
	path, err := filepath.Abs(s.File)
	if err != nil {
		return err
	}
	n.path = path
	if len(path) > layout.MaxPath {
		return fmt.Errorf("path of %d bytes, at most %d: %w", len(path), layout.MaxPath, fs.ErrInvalid)
	}
	r := layout.Record{
		Kind: s.Kind, Scope: s.Scope, Lifetime: s.Lifetime, Size: n.size,
		ID: fileID(&b.st), Created: time.Now().UnixNano(), PID: uint32(os.Getpid()),
		Dev: b.st.Dev, Ino: b.st.Ino, Name: s.Name, Path: path,
	}
	if _, err = n.entryFD.WriteAt(r.Append(nil), 0); err != nil {
		return fmt.Errorf("write record: %w", syserr.Space(err))
	}
	return nil
}

// takeName opens what has a name by now, so that the descriptors and mappings are called by
// it in /proc, and not "deleted". Where that fails the old ones serve as well.
func (n *newEntry) takeName(d *store.Dir, entry string) {
	path := filepath.Join(d.Path, entry)
	fd, err := kernel.Open(d.FD(), entry, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	lock := kernel.Locks{F: kernel.NewFile(fd, path)}
	var is, was unix.Stat_t
	if unix.Fstat(fd, &is) == nil && unix.Fstat(int(n.lock.F.Fd()), &was) == nil && placeOf(&is) == placeOf(&was) {
		if ok, err := lock.TryShared(presenceByte); ok && err == nil {
			n.lock, lock = lock, n.lock
		}
	}
	lock.Close()
	if n.path != "" {
		return // over a file: what has the name is a record, and not the bytes
	}
	if data, err := kernel.Reopen(int(n.lock.F.Fd()), n.lock.F.Name(), unix.O_RDWR); err == nil {
		_ = n.data.Close()
		n.data = data
	}
}

func (n *newEntry) object(d *store.Dir, entry string, s *Spec) *Object {
	if n.data != n.entryFD {
		_ = n.entryFD.Close()
	}
	var st, at unix.Stat_t
	_ = unix.Fstat(int(n.data.Fd()), &st)
	_ = unix.Fstat(int(n.lock.F.Fd()), &at)
	o := &Object{
		ID: fileID(&st), Kind: s.Kind, Scope: s.Scope, Name: s.Name, Access: layout.ReadWrite,
		Size: n.size, Lifetime: s.Lifetime, File: n.path,
		impl: impl{file: n.data, path: filepath.Join(d.Path, entry), at: placeOf(&at), lock: &n.lock, dir: d, entry: entry, fileLock: n.fileLock},
	}
	o.setKey(&st)
	return o
}

// Open joins the users of a named object. Errors: fs.ErrNotExist,
// fs.ErrPermission, layout.ErrCorrupt, ErrStore, ErrBusy.
func Open(s *Spec) (*Object, error) {
	if s.Exact {
		return openExact(s)
	}
	d, err := store.Open(s.Scope, false)
	if err != nil {
		return nil, err
	}
	o, err := open(d, s)
	if err != nil {
		d.Close()
		return nil, err
	}
	return o, nil
}

func open(d *store.Dir, s *Spec) (*Object, error) {
	entry := store.EntryName(s.Kind, s.Name)
	var p store.Patience
	for {
		e, err := openEntry(d, entry, s)
		if err != nil {
			return nil, err
		}
		joined, err := e.join(d, entry)
		if err == nil && joined {
			o, err := e.object(d, entry, s)
			if err != nil {
				e.leave(d, entry)
			}
			return o, err
		}
		_ = e.lock.F.Close()
		if err != nil {
			return nil, err
		}
		if !p.Wait() {
			return nil, store.StillRemoving(s.Name)
		}
	}
}

// join makes the caller present. It is false when the entry is being taken
// away, or was, and the caller should look again.
func (e *entryFile) join(d *store.Dir, entry string) (bool, error) {
	st, err := e.state()
	if err != nil {
		return false, err
	}
	switch st {
	case entryDead:
		_, _ = e.unlinkIfUnused(d, entry)
		return false, &fs.PathError{Op: "open", Path: filepath.Join(d.Path, entry), Err: fs.ErrNotExist}
	case entryRemoving:
		return false, nil
	}
	ok, err := e.lock.TryShared(presenceByte)
	if err != nil || !ok {
		return false, err
	}
	if !e.same(d, entry) {
		e.lock.Unlock(presenceByte)
		return false, nil
	}
	return true, nil
}

// leave is the opposite of join, and takes the entry away if the caller was
// the last one. It closes the descriptor.
func (e *entryFile) leave(d *store.Dir, entry string) {
	e.lock.Unlock(presenceByte)
	if !e.persist() {
		_, _ = e.unlinkIfUnused(d, entry)
	}
	e.lock.Close()
}

// object opens what the entry stands for.
func (e *entryFile) object(d *store.Dir, entry string, s *Spec) (*Object, error) {
	o := &Object{
		Kind: s.Kind, Scope: s.Scope, Name: s.Name, Access: s.Access,
		impl: impl{path: filepath.Join(d.Path, entry), at: placeOf(&e.st), lock: &e.lock, dir: d, entry: entry},
	}
	if e.persist() {
		o.Lifetime = layout.Persist
	}
	var err error
	if e.st.Mode&modeRecord != 0 {
		err = o.openRecorded(e, s)
	} else if o.file, err = kernel.Reopen(int(e.lock.F.Fd()), o.path, kernel.AccessFlags(s.Access)); errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("open %s %v, mode %#o, owner %s: %w", o.path, s.Access, e.st.Mode&0o7777, kernel.UserName(e.st.Uid), err)
	} else if err == nil {
		o.Size = e.st.Size
		o.ID = fileID(&e.st)
		o.setKey(&e.st)
	}
	if err == nil && (o.Size <= 0 || o.Size > layout.MaxSize) {
		err = fmt.Errorf("%s has size %d: %w", o.path, o.Size, layout.ErrCorrupt)
	}
	if err != nil {
		if o.file != nil {
			_ = o.file.Close()
		}
		if o.fileLock != nil {
			o.fileLock.Close()
		}
		return nil, err
	}
	return o, nil
}

// readRecord reads the record in the entry at path, and checks that it is the one that
// belongs there. Errors: layout.ErrCorrupt, layout.ErrVersion.
func readRecord(f *os.File, path string) (*layout.Record, error) {
	b := make([]byte, layout.RecordSize)
	switch _, err := f.ReadAt(b, 0); {
	case err == io.EOF:
		return nil, fmt.Errorf("%s ends in its record: %w", path, layout.ErrCorrupt)
	case err != nil:
		return nil, fmt.Errorf("%s: read record: %w", path, err)
	}
	r, err := layout.ParseRecord(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if store.EntryName(r.Kind, r.Name) != filepath.Base(path) {
		return nil, fmt.Errorf("%s has the record of %v %q: %w", path, r.Kind, r.Name, layout.ErrCorrupt)
	}
	return r, nil
}

// openRecorded opens the file that an entry's record names.
func (o *Object) openRecorded(e *entryFile, s *Spec) error {
	r, err := readRecord(e.lock.F, o.path)
	if err != nil {
		return err
	}
	t := *s
	t.File, t.Size, t.Exclusive, t.Truncate = r.Path, 0, false, false
	b, err := openBacking(&t, true)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the file below %q is gone: %w: %w", s.Name, syserr.OnlyNumber(err), layout.ErrCorrupt)
	}
	if err != nil {
		return err
	}
	o.file, o.fileLock = b.file, b.lock
	if e.st.Uid != uint32(os.Geteuid()) && b.st.Uid != e.st.Uid {
		// Else another user could have us write to a file that only we may.
		return fmt.Errorf("%s is owned by %s, the name %q over it by %s: %w",
			r.Path, kernel.UserName(b.st.Uid), s.Name, kernel.UserName(e.st.Uid), fs.ErrPermission)
	}
	if b.st.Dev != r.Dev || b.st.Ino != r.Ino {
		return fmt.Errorf("%s is another file than the one that %q was made over: %w", r.Path, s.Name, layout.ErrCorrupt)
	}
	if b.st.Size < r.Size {
		return fmt.Errorf("%s has shrunk to %d of %d bytes: %w", r.Path, b.st.Size, r.Size, layout.ErrCorrupt)
	}
	o.Size, o.File = r.Size, r.Path
	o.ID = fileID(&b.st)
	o.setKey(&b.st)
	return nil
}

// Close leaves the object. If it was the last user of a name that does not
// persist, the name goes.
func (o *Object) Close() error {
	err := o.file.Close()
	o.frozen.release()
	if o.reader.f != nil {
		_ = o.reader.f.Close()
	}
	if o.fileLock != nil {
		o.fileLock.Close()
	}
	if o.lock != nil {
		e := &entryFile{lock: *o.lock}
		if serr := unix.Fstat(int(o.lock.F.Fd()), &e.st); serr != nil {
			o.lock.Close()
			err = errors.Join(err, serr)
		} else {
			e.leave(o.dir, o.entry)
		}
	}
	o.dir.Close()
	return err
}

// Remove takes a name away, also one that persists; root takes away everybody's,
// unless Owner says whose. Errors: fs.ErrNotExist, ErrBusy when somebody alive uses
// it, fs.ErrPermission.
func Remove(s *Spec) error {
	if s.Exact {
		return removeExact(s)
	}
	d, err := store.Open(s.Scope, false)
	if err != nil {
		return err
	}
	defer d.Close()
	entry := store.EntryName(s.Kind, s.Name)
	t := *s
	if t.Owner == "" && os.Geteuid() == 0 {
		t.Owner = "*" // what is in it is not trusted, and root may take it away
	}
	var p store.Patience
	for {
		e, err := openEntry(d, entry, &t)
		if err != nil {
			return err
		}
		st, err := e.state()
		removed := false
		if err == nil && (st == entryDead || st == entryIdle) {
			removed, err = e.unlinkIfUnused(d, entry)
		}
		_ = e.lock.F.Close()
		switch {
		case err != nil:
			return err
		case removed && st == entryDead:
			return &fs.PathError{Op: "remove", Path: filepath.Join(d.Path, entry), Err: fs.ErrNotExist}
		case removed:
			return nil
		case st == entryUsed:
			return fmt.Errorf("%s has users: %w", filepath.Join(d.Path, entry), syserr.ErrBusy)
		case !p.Wait():
			return store.StillRemoving(s.Name)
		}
	}
}

func fileID(st *unix.Stat_t) (id layout.ID) {
	for i := range 8 {
		id[i] = byte(uint64(st.Dev) >> (8 * i))
		id[8+i] = byte(uint64(st.Ino) >> (8 * i))
	}
	return id
}

// setKey makes the key of an object over the file of st. The size belongs to it,
// for a file may be mapped in part, and the entry: those who use one file by
// different names, or without, are present at different places.
func (o *Object) setKey(st *unix.Stat_t) {
	entry := ""
	if o.lock != nil || o.Exact {
		entry = o.path
	}
	o.Key = fmt.Sprintf("%x.%x %d %v %v %s", st.Dev, st.Ino, o.Size, o.Kind, o.Access, entry)
}

// Alone says whether no other description, of this process or of another one,
// is present at the object. Errors: errors.ErrUnsupported for objects without
// an entry.
func (o *Object) Alone() (bool, error) {
	if o.lock == nil {
		return false, fmt.Errorf("the users of an object without an entry: %w", errors.ErrUnsupported)
	}
	held, _, err := o.lock.Held(presenceByte)
	return !held && err == nil, err
}
