package store

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/fault"
	"samepage/internal/sys/internal/kernel"
	"samepage/layout"
)

// Objects with names are files in one directory a scope:
//
//	/dev/shm/samepage-<uid>/<kind>.<name>   Local, 0700, of that user
//	/dev/shm/samepage/<kind>.<name>         Global, 1777, of root
//
// SAMEPAGE_DIR takes the place of /dev/shm. Neither directory is trusted until it is verified
// through a descriptor, which nobody can exchange afterwards. Files in the global directory are
// never trusted.

// BaseDir returns the directory that has the directories of both scopes.
func BaseDir() string {
	if d := os.Getenv("SAMEPAGE_DIR"); d != "" {
		return d
	}
	return UsualBase
}

// UsualBase is the directory where all Linux systems have files in memory. Tests change it.
var UsualBase = "/dev/shm"

// Dir is a verified directory.
type Dir struct {
	F     *os.File
	Path  string
	Scope layout.Scope
}

// FD is the descriptor of the directory.
func (d *Dir) FD() int { return int(d.F.Fd()) }

// Close closes the directory. It does nothing for a nil directory.
func (d *Dir) Close() {
	if d != nil {
		_ = d.F.Close()
	}
}

// ScopeDir is the directory of a scope: the base, and its name there.
func ScopeDir(s layout.Scope) (base, name string) {
	if s == layout.Global {
		return BaseDir(), "samepage"
	}
	return BaseDir(), "samepage-" + strconv.Itoa(os.Geteuid())
}

// Open opens and verifies the directory of a scope. If it is missing, Open makes it when create
// is set; else the error matches fs.ErrNotExist.
//
// Errors: ErrStore, ErrPrivilege, fs.ErrPermission, fs.ErrNotExist.
func Open(s layout.Scope, create bool) (*Dir, error) {
	base, name := ScopeDir(s)
	path := filepath.Join(base, name)
	bfd, err := kernel.Open(unix.AT_FDCWD, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, BaseError(base, err)
	}
	defer unix.Close(bfd)

	if create && (s == layout.Local || os.Geteuid() == 0) {
		if err := makeDir(bfd, name, s); err != nil {
			return nil, fmt.Errorf("make directory %s: %w", path, Unmade(base, err))
		}
	}
	fd, err := kernel.Open(bfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if err == unix.ENOENT && s == layout.Global && create {
			return nil, MissingGlobal(path)
		}
		if err == unix.ENOENT {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return nil, noDir(bfd, name, path, s, err)
	}
	d := &Dir{F: kernel.NewFile(fd, path), Path: path, Scope: s}
	if err := d.Verify(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// makeDir makes the directory of a scope, if it is missing. It first makes the directory under
// another name. So the directory appears with the right mode, independent of the umask.
//
// If the maker dies, its directory stays under the other name (see IsHalfMade). Other processes
// remove it and do not check whether the maker lives: a living maker makes another one.
func makeDir(bfd int, name string, s layout.Scope) error {
	for {
		var st unix.Stat_t
		if unix.Fstatat(bfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			return nil
		}
		half := fmt.Sprintf(".%s.%d.%x", name, os.Getpid(), rand.Uint64())
		if err := unix.Mkdirat(bfd, half, 0o700); err != nil {
			return err
		}
		fault.At(fault.StoreDirMade)
		switch err := finishDir(bfd, half, name, s); err {
		case nil, unix.EEXIST: // somebody was faster
			return nil
		case unix.ENOENT: // removed by others
		default:
			return err
		}
	}
}

// finishDir gives a directory its mode and its name, or removes it.
func finishDir(bfd int, half, name string, s layout.Scope) error {
	mode := uint32(0o700)
	if s == layout.Global {
		mode = 0o1777
	}
	err := unix.Fchmodat(bfd, half, mode, 0)
	if err == nil {
		err = unix.Renameat2(bfd, half, bfd, name, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		_ = unix.Unlinkat(bfd, half, unix.AT_REMOVEDIR)
	}
	return err
}

// EntryName returns the name of an object's entry in the directory.
func EntryName(k layout.Kind, name string) string { return k.String() + "." + name }

// ParseEntry is the opposite of EntryName.
func ParseEntry(entry string) (k layout.Kind, name string, ok bool) {
	kind, name, found := strings.Cut(entry, ".")
	k, known := layout.ParseKind(kind)
	return k, name, found && known && layout.CheckName(name) == nil
}

// CheckOwner returns an error if an object has another owner than the wanted one: the name or id of
// a user, or "*" for any user. If wanted is empty, a local object must belong to the caller, and a
// global one to the caller or root. Without this check any user could take a name and pretend to be
// another user.
func CheckOwner(wanted string, s layout.Scope, path string, uid uint32) error {
	me := uint32(os.Geteuid())
	var want string
	switch {
	case wanted == "*":
		return nil
	case wanted == "":
		if uid == me || uid == 0 && s == layout.Global {
			return nil
		}
		want = kernel.UserName(me)
		if s == layout.Global {
			if me != 0 {
				want += " or root"
			}
			want += "; Owner (--owner) names another user"
		}
	default:
		id, err := strconv.ParseUint(wanted, 10, 32)
		if u, uerr := user.Lookup(wanted); uerr == nil {
			id, err = strconv.ParseUint(u.Uid, 10, 32)
		}
		if err != nil {
			return fmt.Errorf("owner %q is neither a user's name nor an id: %w", wanted, fs.ErrInvalid)
		}
		if uint32(id) == uid {
			return nil
		}
		want = kernel.UserName(uint32(id))
	}
	return fmt.Errorf("%s is owned by %s, want %s: %w", path, kernel.UserName(uid), want, fs.ErrPermission)
}

// Where returns the path of the directory of a scope.
func Where(s layout.Scope) string {
	base, name := ScopeDir(s)
	return filepath.Join(base, name)
}

// Own looks at a file in the directory, and says whether it belongs to this user.
func (d *Dir) Own(name string) (st unix.Stat_t, ok bool) {
	err := unix.Fstatat(d.FD(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err == nil && int(st.Uid) == os.Geteuid()
}

// IsHalfMade says whether half is a name that makeDir uses for a directory before it gets its name.
func IsHalfMade(half, name string) bool {
	rest, ok := strings.CutPrefix(half, "."+name+".")
	pid, random, both := strings.Cut(rest, ".")
	_, perr := strconv.ParseUint(pid, 10, 32)
	_, rerr := strconv.ParseUint(random, 16, 64)
	return ok && both && perr == nil && rerr == nil
}
