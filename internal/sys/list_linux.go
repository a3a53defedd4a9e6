package sys

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file finds out facts about named objects without joining their users.

// Stat returns the facts about a named object. Errors: fs.ErrNotExist, fs.ErrPermission,
// layout.ErrCorrupt.
func Stat(s *Spec) (Info, error) {
	if s.Exact {
		return statExact(s)
	}
	d, err := store.Open(s.Scope, false)
	if err != nil {
		return Info{}, err
	}
	defer d.Close()
	info, st, err := examine(d, store.EntryName(s.Kind, s.Name), s, true)
	if err == nil && st == entryDead {
		err = &fs.PathError{Op: "stat", Path: info.Path, Err: fs.ErrNotExist}
	}
	return info, err
}

// Absent says whether there is no entry of that name. It is one system call, and verifies nothing.
//
// Preconditions:
//   - s is not Exact.
func Absent(s *Spec) bool {
	var st unix.Stat_t
	return unix.Lstat(filepath.Join(store.Where(s.Scope), store.EntryName(s.Kind, s.Name)), &st) == unix.ENOENT
}

// fill fills in the facts from the status of a file.
func (i *Info) fill(st *unix.Stat_t) {
	i.Size, i.Allocated = st.Size, st.Blocks*512
	i.Owner, i.Perm = kernel.UserName(st.Uid), fs.FileMode(st.Mode&permBits).String()
	i.ID = fileID(st)
}

// birth returns when a file was made, or zero if that is not known.
func birth(dirfd int, name string) time.Time {
	var x unix.Statx_t
	if unix.Statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &x) != nil || x.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}
	}
	return time.Unix(x.Btime.Sec, int64(x.Btime.Nsec))
}

// examine looks at one entry. If the entry is dead and reap is set, it removes the entry.
func examine(d *store.Dir, entry string, s *Spec, reap bool) (Info, entryState, error) {
	k, name, _ := store.ParseEntry(entry)
	info := Info{Name: name, Kind: k, Scope: d.Scope, Path: filepath.Join(d.Path, entry)}
	e, err := openEntry(d, entry, s)
	if err != nil {
		info.glance(d, entry)
		return info, 0, err
	}
	defer e.lock.F.Close()
	info.fill(&e.st)
	info.Created = birth(d.FD(), entry)
	if e.persist() {
		info.Lifetime = layout.Persist
	}
	if e.st.Mode&modeRecord != 0 {
		info.Size, info.ID = 0, layout.ID{} // these are of the record; see below
	}
	st, err := e.state()
	if err != nil {
		return info, st, err
	}
	info.InUse = st == entryUsed
	if e.st.Mode&modeRecord != 0 {
		r, err := readRecord(e.lock.F, info.Path)
		if err == nil {
			info.Size, info.File, info.ID = r.Size, r.Path, r.ID
		} else if st != entryDead {
			return info, st, err
		}
	}
	if st == entryDead && reap {
		var removed bool
		if removed, err = e.unlinkIfUnused(d, entry); err == nil && !removed {
			st = entryUsed // a process has joined meanwhile
		}
	}
	return info, st, err
}

// glance fills in what the directory says about an entry that cannot be opened.
func (i *Info) glance(d *store.Dir, entry string) {
	var st unix.Stat_t
	if unix.Fstatat(d.FD(), entry, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		i.Owner = kernel.UserName(st.Uid)
		return
	}
	i.fill(&st)
	if st.Mode&modePersist != 0 {
		i.Lifetime = layout.Persist
	}
	if st.Mode&modeRecord != 0 {
		i.Size, i.ID = 0, layout.ID{} // these are of the record
	}
}

// walk calls f for each entry of a scope. If the directory is missing, there are none.
func walk(s layout.Scope, reap bool, f func(Info, entryState, error)) error {
	if reap {
		sweepHalfMade(s, -1)
	}
	d, err := store.Open(s, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.F.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, entry := range names {
		if _, _, ok := store.ParseEntry(entry); !ok {
			continue
		}
		info, st, err := examine(d, entry, &Spec{Scope: s, Owner: "*"}, reap)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // it was removed meanwhile
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
			return err // which says nothing about the object
		}
		f(info, st, err)
	}
	return nil
}

// List returns the objects of a scope, except those that no living process uses and that may be
// removed. It removes nothing.
func List(s layout.Scope) ([]Info, error) {
	var all []Info
	err := walk(s, false, func(i Info, st entryState, err error) {
		if err != nil || st != entryDead {
			i.Err = syserr.Damaged(err, i.Kind, i.Scope, i.Name, false)
			all = append(all, i)
		}
	})
	return all, err
}

// Clean removes the objects and files that no living process uses, and returns them. With dryRun it
// removes nothing.
func Clean(s layout.Scope, dryRun bool) ([]Leftover, error) {
	var all []Leftover
	err := walk(s, !dryRun, func(i Info, st entryState, err error) {
		if st == entryDead && i.Owner != "" {
			all = append(all, Leftover{
				Info:    i,
				Reason:  "it does not persist, and no living process uses it",
				Removed: !dryRun && err == nil,
				Err:     err,
			})
		}
	})
	return all, err
}
