package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file finds out facts about named objects without joining their users.

// Stat returns the facts about a named object. Errors: fs.ErrNotExist, fs.ErrPermission,
// layout.ErrCorrupt, layout.ErrVersion, ErrBusy.
func Stat(s *Spec) (Info, error) {
	if s.Exact {
		return statExact(s)
	}
	d, err := store.Open(s.Scope, false)
	if err != nil {
		return Info{}, err
	}
	defer d.Close()
	l := examine(d, d.EntryPath(s.Kind, s.Name), s)
	if l.err == nil && l.state == entryDead {
		l.remove()
		l.err = &fs.PathError{Op: "stat", Path: l.Path, Err: fs.ErrNotExist}
	}
	l.Name, l.Kind = s.Name, s.Kind
	return l.Info, l.err
}

// Absent says whether there is no entry of that name. It is one system call, and verifies nothing.
//
// Preconditions:
//   - s is not Exact.
func Absent(s *Spec) bool {
	d := store.Dir{Path: store.Where(s.Scope)}
	_, err := os.Lstat(d.EntryPath(s.Kind, s.Name))
	return errors.Is(err, fs.ErrNotExist)
}

// rights returns the text of kernel.SecurityOf for people.
func rights(h windows.Handle, t windows.SE_OBJECT_TYPE) (owner, sddl string) {
	sd, err := kernel.SecurityOf(h, t)
	if err != nil {
		return "", ""
	}
	if sid, _, err := sd.Owner(); err == nil && sid != nil {
		owner = kernel.AccountName(sid)
	}
	return owner, sd.String()
}

// look has the facts about one sidecar.
type look struct {
	Info
	state  entryState
	record *layout.Record
	err    error
}

// examine looks at one sidecar and changes nothing. But while it looks, the last user cannot remove
// the sidecar; then examine removes it. If it finds a dead sidecar, the caller must remove it.
func examine(d *store.Dir, path string, s *Spec) *look {
	l := &look{Info: Info{Scope: d.Scope, Path: path}}
	kind, _, _ := strings.Cut(filepath.Base(path), "-")
	l.Kind, _ = layout.ParseKind(kind)
	e, err := openEntry(path, s)
	if err != nil {
		l.err = err
		return l
	}
	l.Owner, l.Perm = rights(e.h, windows.SE_FILE_OBJECT)
	if l.err = e.gate(); l.err == nil {
		l.state, l.record, l.err = e.state()
		kernel.Unlock(e.h, gateByte)
	}
	defer func() {
		e.close()
		if l.err != nil || l.state != entryDead {
			_, _ = reap(path, false)
		}
	}()
	l.InUse = l.err == nil && l.state == entryUsed
	if l.record == nil {
		l.Name = damagedName(d, e.h, path, l.Kind)
	}
	if r := l.record; r != nil {
		l.Name, l.Kind, l.Size, l.Allocated = r.Name, r.Kind, r.Size, pages(r.Size)
		l.Lifetime, l.ID, l.Created = r.Lifetime, r.ID, time.Unix(0, r.Created)
		if r.Path != "" {
			l.Allocated = diskSpace(r.Path)
		}
		if r.Flags&layout.RecordOwnFile == 0 {
			l.File = r.Path
		}
	}
	return l
}

// damagedName returns the name in a damaged record, if the sidecar belongs to that name.
func damagedName(d *store.Dir, h windows.Handle, path string, k layout.Kind) string {
	var b [layout.MaxName]byte
	var n uint32
	if windows.ReadFile(h, b[:], &n, kernel.Position(layout.RecordHead)) != nil {
		return ""
	}
	name := layout.Text(b[:n])
	if layout.CheckName(name) != nil || d.EntryPath(k, name) != path {
		return ""
	}
	return name
}

// diskSpace returns how much of the disk a file takes. It blocks nobody.
func diskSpace(path string) int64 {
	h, err := kernel.CreateFile(path, windows.FILE_READ_ATTRIBUTES, entryShare|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, 0)
	if err != nil {
		return 0
	}
	defer windows.CloseHandle(h)
	return allocated(h)
}

// remove removes a sidecar that was found dead. It returns false if a process has joined meanwhile,
// or is making the object.
func (l *look) remove() (bool, error) { return reap(l.Path, false) }

// alone says whether no process has the sidecar open. Without this check a sidecar that a process
// is making would look dead.
func (l *look) alone() bool {
	h, err := kernel.CreateFile(l.Path, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err == nil {
		_ = windows.CloseHandle(h)
	}
	return !errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}

// walk calls f for each sidecar of a scope, and orphan for each file of an object that does not
// exist any more. If the directory is missing, there are none.
//
// f removes dead sidecars, unless dryRun is set.
func walk(s layout.Scope, dryRun bool, f func(*look), orphan func(Info)) error {
	d, err := store.Open(s, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	files, err := os.ReadDir(d.Path)
	if err != nil {
		return err
	}
	anybody := &Spec{Scope: s, Owner: "*"}
	for _, x := range files {
		if path := filepath.Join(d.Path, x.Name()); strings.HasSuffix(path, store.RecordSuffix) {
			if l := examine(d, path, anybody); !errors.Is(l.err, fs.ErrNotExist) {
				f(l)
			}
		}
	}
	for _, x := range files {
		path := filepath.Join(d.Path, x.Name())
		entry, ok := store.EntryOf(path)
		if !ok || !isOrphan(d, entry, path, dryRun) {
			continue
		}
		i := Info{Scope: s, Path: path, Allocated: diskSpace(path)}
		if st, err := x.Info(); err == nil {
			i.Size, i.Created = st.Size(), st.ModTime()
		}
		orphan(i)
	}
	return nil
}

// isOrphan says whether no process will ever use the own file of an object again. The caller has
// seen the file before, and a sidecar is older than its file. So the file belongs to the present
// sidecar, or to a sidecar that does not exist any more. If a sidecar has no record, a process may
// be making the file at the moment.
func isOrphan(d *store.Dir, entry, path string, dryRun bool) bool {
	l := examine(d, entry, &Spec{Scope: d.Scope, Owner: "*"})
	if l.err != nil {
		return errors.Is(l.err, fs.ErrNotExist)
	}
	if l.state == entryDead && !dryRun {
		_, _ = l.remove()
	}
	return l.record != nil && l.record.Path != path
}

// List returns the objects of a scope, except those that no living process uses and that may be
// removed. It removes nothing.
func List(s layout.Scope) ([]Info, error) {
	var all []Info
	err := walk(s, true, func(l *look) {
		if l.err != nil || l.state != entryDead {
			l.Err = syserr.Damaged(l.err, l.Kind, l.Scope, l.Name, false)
			all = append(all, l.Info)
		}
	}, func(Info) {})
	return all, err
}

// Clean removes the objects and files that no living process uses, and returns them. With dryRun it
// removes nothing. It also returns what it cannot read, and does not remove that.
func Clean(s layout.Scope, dryRun bool) ([]Leftover, error) {
	var all []Leftover
	err := walk(s, dryRun, func(l *look) {
		if l.state == entryDamaged {
			all = append(all, Leftover{Info: l.Info, Reason: "nobody uses it and its record cannot be read", Err: syserr.Damaged(l.err, l.Kind, l.Scope, l.Name, false)})
			return
		}
		if l.err != nil || l.state != entryDead {
			return
		}
		found := Leftover{Info: l.Info, Reason: l.reason()}
		gone := dryRun && l.alone()
		if !dryRun {
			found.Removed, found.Err = l.remove()
			gone = found.Removed || found.Err != nil
		}
		if gone {
			all = append(all, found)
		}
	}, func(i Info) {
		found := Leftover{Info: i, Reason: "it has the bytes of an object that does not exist any more"}
		if !dryRun {
			found.Err = kernel.DeleteFile(i.Path)
			found.Removed = found.Err == nil
			if errors.Is(found.Err, fs.ErrNotExist) {
				return // it was removed with its sidecar
			}
		}
		all = append(all, found)
	})
	return all, err
}

// reason says why it may be removed.
func (l *look) reason() string {
	switch {
	case l.record == nil:
		return "its maker died before it was complete"
	case l.record.Lifetime == layout.Persist:
		return fmt.Sprintf("a persistent object of an earlier start of the machine (made %v)", l.Created.Format(time.DateTime))
	}
	return "it does not persist, and no living process uses it"
}
