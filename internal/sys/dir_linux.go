package sys

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
	return usualBase
}

// usualBase is where all Linux systems have memory; tests change it.
var usualBase = "/dev/shm"

// dir is a verified directory.
type dir struct {
	f     *os.File
	path  string
	scope layout.Scope
}

func (d *dir) fd() int { return int(d.f.Fd()) }

func (d *dir) close() {
	if d != nil {
		_ = d.f.Close()
	}
}

func scopeDir(s layout.Scope) (base, name string) {
	if s == layout.Global {
		return BaseDir(), "samepage"
	}
	return BaseDir(), "samepage-" + strconv.Itoa(os.Geteuid())
}

// openDir opens and verifies the directory of a scope. Where it is missing it
// is made if create is set, else the error matches fs.ErrNotExist.
//
// Errors: ErrStore, ErrPrivilege, fs.ErrPermission, fs.ErrNotExist.
func openDir(s layout.Scope, create bool) (*dir, error) {
	base, name := scopeDir(s)
	path := filepath.Join(base, name)
	bfd, err := kernel.Open(unix.AT_FDCWD, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, baseError(base, err)
	}
	defer unix.Close(bfd)

	if create && (s == layout.Local || os.Geteuid() == 0) {
		if err := makeDir(bfd, name, s); err != nil {
			return nil, fmt.Errorf("make directory %s: %w", path, unmadeError(base, err))
		}
	}
	fd, err := kernel.Open(bfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if err == unix.ENOENT && s == layout.Global && create {
			return nil, missingGlobal(path)
		}
		if err == unix.ENOENT {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return nil, noDir(bfd, name, path, s, err)
	}
	d := &dir{f: kernel.NewFile(fd, path), path: path, scope: s}
	if err := d.verify(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// makeDir makes the directory of a scope, unless it is there. It appears with
// its mode, whatever the umask: it is made under another name.
//
// A maker that dies leaves its directory under that name. Others take it away
// (sweepHalfMade), and do not ask whether the maker lives: then it makes another one.
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
		case unix.ENOENT: // taken away
		default:
			return err
		}
	}
}

// finishDir gives a directory its mode and its name, or takes it away.
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

func entryName(k layout.Kind, name string) string { return k.String() + "." + name }

func parseEntry(entry string) (k layout.Kind, name string, ok bool) {
	kind, name, found := strings.Cut(entry, ".")
	k, known := layout.ParseKind(kind)
	return k, name, found && known && layout.CheckName(name) == nil
}

// checkOwner applies Spec.Owner. Without one, a local object must be the
// caller's own, and a global one the caller's or root's: a name that anybody
// may take is otherwise an invitation to impersonate. "*" accepts anybody.
func checkOwner(s *Spec, path string, uid uint32) error {
	me := uint32(os.Geteuid())
	var want string
	switch {
	case s.Owner == "*":
		return nil
	case s.Owner == "":
		if uid == me || uid == 0 && s.Scope == layout.Global {
			return nil
		}
		want = kernel.UserName(me)
		if s.Scope == layout.Global {
			if me != 0 {
				want += " or root"
			}
			want += "; Owner (--owner) names another user"
		}
	default:
		id, err := strconv.ParseUint(s.Owner, 10, 32)
		if u, uerr := user.Lookup(s.Owner); uerr == nil {
			id, err = strconv.ParseUint(u.Uid, 10, 32)
		}
		if err != nil {
			return fmt.Errorf("owner %q is neither a user's name nor an id: %w", s.Owner, fs.ErrInvalid)
		}
		if uint32(id) == uid {
			return nil
		}
		want = kernel.UserName(uint32(id))
	}
	return fmt.Errorf("%s is owned by %s, want %s: %w", path, kernel.UserName(uid), want, fs.ErrPermission)
}
