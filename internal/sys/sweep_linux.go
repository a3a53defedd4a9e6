package sys

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/layout"
)

// sweepScope takes away what dead processes of this user left in a scope: entries, the
// directory itself on its way to its name, and, if it looks at all, lock files that
// nobody has open. See some for names and looks.
func sweepScope(s layout.Scope, names, looks int) (taken int) {
	taken = sweepHalfMade(s, names)
	d, err := openDir(s, false)
	if err != nil {
		return taken
	}
	defer d.close()
	return taken + sweepIn(d.fd(), ".", names, looks, func(entry string) bool {
		if _, _, ok := parseEntry(entry); ok {
			return d.takeDead(entry)
		}
		return looks < 0 && s == layout.Local && d.takeLockFiles(entry) > 0
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

// takeDead takes an entry away if it is this user's and dead. It waits for nobody.
func (d *dir) takeDead(entry string) bool {
	if st, ok := d.own(entry); !ok || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&modePersist != 0 {
		return false
	}
	e, err := openEntry(d, entry, &Spec{Scope: d.scope})
	if err != nil {
		return errors.Is(err, unix.ENOENT) // another one was faster
	}
	defer e.lock.F.Close()
	st, err := e.state()
	if err != nil || st != entryDead {
		return false
	}
	removed, _ := e.unlinkIfUnused(d, entry)
	return removed
}

// own looks at what is in the directory, and says whether it is this user's.
func (d *dir) own(name string) (st unix.Stat_t, ok bool) {
	err := unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err == nil && int(st.Uid) == os.Geteuid()
}

// takeLockFiles takes away what nobody has open in a folder of LockFolder: whoever
// locks next makes it anew.
func (d *dir) takeLockFiles(folder string) int {
	if st, ok := d.own(folder); !ok || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0
	}
	return sweepIn(d.fd(), folder, -1, -1, func(name string) bool {
		return RemoveLockFile(filepath.Join(d.path, folder, name)) == nil
	})
}

// sweepHalfMade takes away directories of a scope that never got their name. The
// maker of one may live: it makes another one then. See makeDir.
func sweepHalfMade(s layout.Scope, names int) int {
	base, name := scopeDir(s)
	bfd, err := kernel.Open(unix.AT_FDCWD, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	b := &dir{f: kernel.NewFile(bfd, base), path: base, scope: s}
	defer b.close()
	return sweepIn(bfd, ".", names, -1, func(half string) bool {
		if !isHalfMade(half, name) {
			return false
		}
		_, own := b.own(half)
		return own && unix.Unlinkat(bfd, half, unix.AT_REMOVEDIR) == nil // none but an empty one
	})
}

// isHalfMade says whether that is what halfMade makes up for a directory called name.
func isHalfMade(half, name string) bool {
	rest, ok := strings.CutPrefix(half, "."+name+".")
	pid, random, both := strings.Cut(rest, ".")
	_, perr := strconv.ParseUint(pid, 10, 32)
	_, rerr := strconv.ParseUint(random, 16, 64)
	return ok && both && perr == nil && rerr == nil
}
