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
// SAMEPAGE_DIR stands in for /dev/shm. Both directories are hostile ground
// until they are verified, through a descriptor that cannot be exchanged
// afterwards; so are the files in the global one, always.

// BaseDir is the directory that holds the directories of both scopes.
func BaseDir() string {
	if d := os.Getenv("SAMEPAGE_DIR"); d != "" {
		return d
	}
	return UsualBase
}

// UsualBase is where all Linux systems have memory; tests change it.
var UsualBase = "/dev/shm"

// Dir is a verified directory.
type Dir struct {
	F     *os.File
	Path  string
	Scope layout.Scope
}

// FD is the descriptor of the directory.
func (d *Dir) FD() int { return int(d.F.Fd()) }

// Close closes the directory, of which there may be none.
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

// makeDir makes the directory of a scope, unless it is there. It makes it under another name
// first, so that the directory appears with its mode, whatever the umask.
//
// A maker that dies leaves its directory under that other name (see IsHalfMade). Others remove
// it, and do not ask whether the maker lives: if it does, it makes another one.
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

// EntryName is the name of an object's entry in the directory.
func EntryName(k layout.Kind, name string) string { return k.String() + "." + name }

// ParseEntry is the opposite of EntryName.
func ParseEntry(entry string) (k layout.Kind, name string, ok bool) {
	kind, name, found := strings.Cut(entry, ".")
	k, known := layout.ParseKind(kind)
	return k, name, found && known && layout.CheckName(name) == nil
}

// CheckOwner says whether the owner of an object is the wanted one: a user's name or id, or "*"
// for anybody. If wanted is empty, a local object must be the caller's own and a global one the
// caller's or root's: anybody may take a name, and could otherwise pretend to be somebody else.
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

// Where tells the directory of a scope.
func Where(s layout.Scope) string {
	base, name := ScopeDir(s)
	return filepath.Join(base, name)
}

// Own looks at something in the directory, and says whether it is this user's.
func (d *Dir) Own(name string) (st unix.Stat_t, ok bool) {
	err := unix.Fstatat(d.FD(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err == nil && int(st.Uid) == os.Geteuid()
}

// IsHalfMade says whether half is a name that makeDir makes up for a directory on its way to
// name.
func IsHalfMade(half, name string) bool {
	rest, ok := strings.CutPrefix(half, "."+name+".")
	pid, random, both := strings.Cut(rest, ".")
	_, perr := strconv.ParseUint(pid, 10, 32)
	_, rerr := strconv.ParseUint(random, 16, 64)
	return ok && both && perr == nil && rerr == nil
}
