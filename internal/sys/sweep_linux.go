package sys

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/lockfile"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// sweepScope removes what dead processes of this user left in a scope: entries, and directories of
// the scope that never got their name. If it looks at all names, it also removes lock files that no
// process has open. See some for names and looks.
func sweepScope(s layout.Scope, names, looks int) (taken int) {
	taken = sweepHalfMade(s, names)
	d, err := store.Open(s, false)
	if err != nil {
		return taken
	}
	defer d.Close()
	return taken + sweepIn(d.FD(), ".", names, looks, func(entry string) bool {
		if _, _, ok := store.ParseEntry(entry); ok {
			return takeDead(d, entry)
		}
		return looks < 0 && s == layout.Local && takeLockFiles(d, entry) > 0
	})
}

// sweepIn is some for the directory at path.
func sweepIn(at int, path string, names, looks int, take func(name string) bool) int {
	fd, err := kernel.Open(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	f := kernel.NewFile(fd, path)
	defer f.Close()
	return some(f, names, looks, take)
}

// takeDead removes an entry if it belongs to this user and is dead. It does not wait for others.
func takeDead(d *store.Dir, entry string) bool {
	if st, ok := d.Own(entry); !ok || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&modePersist != 0 {
		return false
	}
	e, err := openEntry(d, entry, &Spec{Scope: d.Scope})
	if err != nil {
		return errors.Is(err, unix.ENOENT) // another process was faster
	}
	defer e.lock.F.Close()
	st, err := e.state()
	if err != nil || st != entryDead {
		return false
	}
	removed, _ := e.unlinkIfUnused(d, entry)
	return removed
}

// takeLockFiles removes the files in a folder of LockFolder that no process has open. The next
// process that locks makes them again.
func takeLockFiles(d *store.Dir, folder string) int {
	if st, ok := d.Own(folder); !ok || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0
	}
	return sweepIn(d.FD(), folder, -1, -1, func(name string) bool {
		return lockfile.Remove(filepath.Join(d.Path, folder, name)) == nil
	})
}

// sweepHalfMade removes directories of a scope that never got their name. If the maker of one
// lives, it makes another one (see store.IsHalfMade).
func sweepHalfMade(s layout.Scope, names int) int {
	base, name := store.ScopeDir(s)
	bfd, err := kernel.Open(unix.AT_FDCWD, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	b := &store.Dir{F: kernel.NewFile(bfd, base), Path: base, Scope: s}
	defer b.Close()
	return sweepIn(bfd, ".", names, -1, func(half string) bool {
		if !store.IsHalfMade(half, name) {
			return false
		}
		_, own := b.Own(half)
		return own && unix.Unlinkat(bfd, half, unix.AT_REMOVEDIR) == nil // only if it is empty
	})
}
