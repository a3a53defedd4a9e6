package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// This file finds out what is wrong with the directories, and the one command by which the user of
// this process repairs it. The errors of Open and the facts of package doctor come from here. No
// command removes files that others may use.

// elsewhere is the command that makes a process use a directory of its own user instead.
const elsewhere = `export SAMEPAGE_DIR="$(mktemp -d)"`

// asRoot returns the command by which this user runs a command as root.
func asRoot(cmd string) string {
	switch {
	case os.Geteuid() != 0:
		return "sudo " + cmd
	case inUserNamespace():
		return elsewhere // the root that is needed is not the one of this namespace
	}
	return cmd
}

// inUserNamespace says whether some users of the machine do not exist here.
func inUserNamespace() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
}

// unmapped says whether uid stands for all users that do not exist in this user namespace.
func unmapped(uid uint32) bool {
	overflow := uint32(65534)
	if b, err := os.ReadFile("/proc/sys/kernel/overflowuid"); err == nil {
		_, _ = fmt.Sscan(string(b), &overflow)
	}
	return uid == overflow && inUserNamespace()
}

// ownerName is kernel.UserName, and says so when the owner is not of this user namespace.
func ownerName(uid uint32) string {
	if unmapped(uid) {
		return "a user outside this user namespace"
	}
	return kernel.UserName(uid)
}

// describe returns the facts about a file that ls shows.
func describe(path string, st *unix.Stat_t) string {
	return fmt.Sprintf("%s is a %s with mode %#o, owned by %s", path, kernel.FileType(st.Mode), st.Mode&0o7777, ownerName(st.Uid))
}

// reachedLimit says whether this process or the machine has reached a limit. Then the error says
// nothing about the place of objects.
func reachedLimit(cause error) bool {
	for _, limit := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, syserr.ErrNoSpace} {
		if errors.Is(cause, limit) {
			return true
		}
	}
	return false
}

// Unusable says that the place of all objects is unusable, unless a limit is reached.
func Unusable(err, cause error) error {
	if reachedLimit(cause) {
		return cause
	}
	return fmt.Errorf("%w: %w", syserr.ErrStore, err)
}

// BaseError says why the directory that holds those of the scopes cannot be opened.
func BaseError(base string, cause error) error {
	if reachedLimit(cause) {
		return &fs.PathError{Op: "open", Path: base, Err: cause}
	}
	moved := os.Getenv("SAMEPAGE_DIR") != ""
	q := syserr.Quote(base)
	tmpfs := "mount -t tmpfs -o mode=1777 tmpfs " + q
	var st unix.Stat_t
	if err := unix.Lstat(base, &st); err != nil {
		cmd := "mkdir -p " + q
		if !moved {
			cmd = asRoot("sh -c 'mkdir -p " + base + " && " + tmpfs + "'")
		} else if err != unix.ENOENT {
			cmd = "unset SAMEPAGE_DIR"
		}
		return syserr.Mending(fmt.Errorf("%w: directory %s: %w", syserr.ErrStore, base, syserr.OnlyNumber(err)), cmd)
	}
	what := describe(base, &st)
	if st.Mode&unix.S_IFMT == unix.S_IFLNK && cause == unix.ENOENT {
		to, _ := os.Readlink(base)
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(base), to)
		}
		cmd := "mkdir -p " + syserr.Quote(to)
		if !moved {
			cmd = asRoot(cmd)
		}
		return syserr.Mending(fmt.Errorf("%w: %s, to %s, which is missing", syserr.ErrStore, what, to), cmd)
	}
	if cause != unix.ENOTDIR && cause != unix.ELOOP {
		return fmt.Errorf("%w: directory %s: %w", syserr.ErrStore, base, syserr.OnlyNumber(cause)) // another cause than what is at the path
	}
	cmd := "unset SAMEPAGE_DIR"
	if !moved {
		cmd = asRoot("sh -c 'rm " + base + " && mkdir " + base + " && " + tmpfs + "'")
	}
	return syserr.Mending(fmt.Errorf("%w: %s, want a directory: %w", syserr.ErrStore, what, syserr.OnlyNumber(cause)), cmd)
}

// Unmade says why nothing can be made in a directory: the base, or the directory of a scope.
func Unmade(path string, cause error) error {
	switch cause {
	case unix.EROFS:
		point, _ := mountOf(path)
		err := fmt.Errorf("%w: %s is on a file system that is mounted read-only at %s: %w", syserr.ErrStore, path, point, cause)
		return syserr.Mending(err, asRoot("mount -o remount,rw "+syserr.Quote(point)))
	case unix.EACCES, unix.EPERM:
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		cmd := ""
		switch moved := os.Getenv("SAMEPAGE_DIR") != ""; {
		case st.Uid == uint32(os.Geteuid()):
			cmd = "chmod u+rwx " + syserr.Quote(path)
		case moved:
			cmd = "unset SAMEPAGE_DIR"
		default:
			cmd = asRoot("chmod 1777 " + syserr.Quote(path))
		}
		return syserr.Mending(fmt.Errorf("%s, which does not let %s make anything there: %w", describe(path, &st), kernel.UserName(uint32(os.Geteuid())), cause), cmd)
	}
	return syserr.Space(cause)
}

// NoTmpfile says that the file system of a directory cannot make a file without a name.
func NoTmpfile(path string, cause error) error {
	_, kind := mountOf(path)
	cmd := "unset SAMEPAGE_DIR"
	if os.Getenv("SAMEPAGE_DIR") == "" {
		cmd = asRoot("mount -t tmpfs -o mode=1777 tmpfs " + syserr.Quote(BaseDir()))
	}
	return syserr.Mending(fmt.Errorf("the file system of %s (%s) has no O_TMPFILE, want a tmpfs: %w (%w)", path, kind, errors.ErrUnsupported, cause), cmd)
}

// mountOf returns where the file system of a path is mounted, and its type.
func mountOf(path string) (point, kind string) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	point, kind = "/", "unknown"
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return path, kind
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(types) < 1 {
			continue
		}
		at := unescape.Replace(fields[4])
		in := at == "/" || path == at || strings.HasPrefix(path, at+"/")
		if in && len(at) >= len(point) { // if several are mounted at one place, the last one counts
			point, kind = at, types[0]
		}
	}
	return point, kind
}

// Planted explains why a file at a path of this project could not be opened, or is not the right
// file. cause is the error of the open.
func Planted(dirfd int, name, path string, cause error) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: cause}
	}
	switch cause {
	case unix.ELOOP, unix.ENOTDIR, unix.ENXIO, unix.EISDIR:
		return Stranger(path, &st, cause)
	case unix.EACCES, unix.EPERM, unix.EROFS:
		return fmt.Errorf("%s: %w", describe(path, &st), cause)
	}
	return &fs.PathError{Op: "open", Path: path, Err: cause} // another cause than what is there
}

// noDir explains why the directory of a scope could not be opened.
func noDir(bfd int, name, path string, s layout.Scope, cause error) error {
	var st unix.Stat_t
	if err := unix.Fstatat(bfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: cause}
	}
	switch {
	case cause != unix.EACCES && cause != unix.ELOOP && cause != unix.ENOTDIR && cause != unix.EPERM:
		// Another cause than what is there.
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		if err := rightDir(path, s, &st); err != nil {
			return err
		}
	case s == layout.Global:
		err := fmt.Errorf("%s, want a directory: %w", describe(path, &st), fs.ErrPermission)
		return syserr.Mending(err, asRoot("sh -c "+syserr.Quote("rm "+syserr.Quote(path)+" && "+globalMend(path))))
	}
	return Planted(bfd, name, path, cause)
}

// Stranger says that another object is at the path of a file or a directory of this project.
func Stranger(path string, st *unix.Stat_t, cause error) error {
	cmd := "rm "
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		cmd = "rmdir "
	}
	cmd += syserr.Quote(path)
	if st.Uid != uint32(os.Geteuid()) {
		cmd = asRoot(cmd)
	}
	err := fmt.Errorf("%s: %w", describe(path, st), fs.ErrPermission)
	if cause != nil {
		err = fmt.Errorf("%w (%w)", err, cause)
	}
	return syserr.Mending(err, cmd)
}

// Verify checks who owns the directory and who may write to it.
func (d *Dir) Verify() error {
	var st unix.Stat_t
	if err := unix.Fstat(d.FD(), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: d.Path, Err: err}
	}
	return rightDir(d.Path, d.Scope, &st)
}

// rightDir says whether the directory of a scope has the right owner and mode.
func rightDir(path string, s layout.Scope, st *unix.Stat_t) error {
	me, what := uint32(os.Geteuid()), describe(path, st)
	foreign := st.Uid != me && unmapped(st.Uid)
	if s == layout.Global {
		switch {
		case foreign:
			return syserr.Mending(fmt.Errorf("%s, so it is the machine's, and nobody in here can verify it: %w", what, syserr.ErrPrivilege), elsewhere)
		case st.Uid != 0 || st.Mode&0o7777 != 0o1777:
			return syserr.Mending(fmt.Errorf("%s, want root and 01777: %w", what, syserr.ErrPrivilege), asRoot(globalMend(path)))
		}
		return nil
	}
	switch {
	case foreign:
		return syserr.Mending(fmt.Errorf("%s: it may be in use there: %w", what, fs.ErrPermission), elsewhere)
	case st.Uid != me:
		aside := "mv " + syserr.Quote(path) + " " + syserr.Quote(path+".old")
		return syserr.Mending(fmt.Errorf("%s, want %s: %w", what, kernel.UserName(me), fs.ErrPermission), asRoot(aside))
	case st.Mode&0o777 != 0o700:
		return syserr.Mending(fmt.Errorf("%s, want mode 0700: %w", what, fs.ErrPermission), "chmod 700 "+syserr.Quote(path))
	}
	return nil
}

// globalMend returns the command that makes the directory of the global scope.
func globalMend(path string) string { return "install -d -o root -m 1777 " + syserr.Quote(path) }

// MissingGlobal says that nobody has made the directory of the global scope.
func MissingGlobal(path string) error {
	return syserr.Mending(fmt.Errorf("directory %s is missing, which only root makes: %w", path, syserr.ErrPrivilege), asRoot(globalMend(path)))
}

// BaseRisk says which other users may rename the directories in the base. If they do, processes
// that use the same name may find two different directories.
func BaseRisk(base string) error {
	var st unix.Stat_t
	if err := unix.Stat(base, &st); err != nil {
		return nil // Open returns this error
	}
	me, q := uint32(os.Geteuid()), syserr.Quote(base)
	what := describe(base, &st)
	switch {
	case st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0:
		cmd := "chmod +t " + q
		if st.Uid != me {
			cmd = asRoot(cmd)
		}
		return syserr.Mending(fmt.Errorf("%s: without the sticky bit other users may rename what is in it", what), cmd)
	case st.Uid != 0 && st.Uid != me && !unmapped(st.Uid):
		cmd := "unset SAMEPAGE_DIR"
		if os.Getenv("SAMEPAGE_DIR") == "" {
			cmd = asRoot("chown root " + q)
		}
		return syserr.Mending(fmt.Errorf("%s, who may rename what is in it", what), cmd)
	}
	return nil
}
