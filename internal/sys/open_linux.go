package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

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

// object opens the object of the entry.
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
		return fmt.Errorf("the file below %q is missing: %w: %w", s.Name, syserr.OnlyNumber(err), layout.ErrCorrupt)
	}
	if err != nil {
		return err
	}
	o.file, o.fileLock = b.file, b.lock
	if e.st.Uid != uint32(os.Geteuid()) && b.st.Uid != e.st.Uid {
		// Otherwise another user could make this process write to a file that only this user may
		// write.
		return fmt.Errorf("%s is owned by %s, the name %q over it by %s: %w",
			r.Path, kernel.UserName(b.st.Uid), s.Name, kernel.UserName(e.st.Uid), fs.ErrPermission)
	}
	if b.st.Dev != r.Dev || b.st.Ino != r.Ino {
		return fmt.Errorf("%s is another file, not the one that %q was made over: %w", r.Path, s.Name, layout.ErrCorrupt)
	}
	if b.st.Size < r.Size {
		return fmt.Errorf("%s has shrunk to %d of %d bytes: %w", r.Path, b.st.Size, r.Size, layout.ErrCorrupt)
	}
	o.Size, o.File = r.Size, r.Path
	o.ID = fileID(&b.st)
	o.setKey(&b.st)
	return nil
}

// Remove removes a name, also one that persists. Root may remove the names of all users; with Owner
// set, only names of this owner. Errors: fs.ErrNotExist; ErrBusy, when a process uses it;
// fs.ErrPermission.
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
		t.Owner = "*" // root may remove any entry, because nothing in it is trusted
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
