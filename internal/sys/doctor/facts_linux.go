package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/sys"
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Facts returns what this machine has for shared memory.
func Facts() []Fact {
	facts := []Fact{kernelFact()}
	facts = append(facts, baseFacts()...)
	uid, name := thisUser()
	if f, told := logindFact("/", uid, name); told {
		facts = append(facts, f)
	}
	facts = append(facts, dirFact(layout.Local), dirFact(layout.Global))
	if f, told := tmpfileFact(); told {
		facts = append(facts, f)
	}
	return append(facts, procFact(), filesFact(),
		settingFact("vm.max_map_count", "how many mappings a process may have"),
		settingFact("kernel.yama.ptrace_scope", "who may take granted memory of a process whose /proc entries are closed: 0 every process of the user, 1 ancestors, 2 administrators, 3 nobody"),
	)
}

// kernelFact returns the version of the kernel, and what is missing in an old kernel.
func kernelFact() Fact {
	f := Fact{Name: "kernel", Value: "unknown"}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		f.Note = err.Error()
		return f
	}
	release := unix.ByteSliceToString(u.Release[:])
	f.Value, f.OK = "Linux "+release, true
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n == 2 && (major < 5 || major == 5 && minor < 6) {
		f.Note = "read-only hand-over of unnamed memory needs 5.1, pidfd_getfd 5.6"
	}
	return f
}

// baseFacts looks at the file system of the directories.
func baseFacts() []Fact {
	base := store.BaseDir()
	f := Fact{Name: "directory", Value: base}
	var st unix.Statfs_t
	if err := unix.Statfs(base, &st); err != nil {
		f.place(store.BaseError(base, err))
		return []Fact{f}
	}
	f.OK = true
	if fd, err := kernel.Open(unix.AT_FDCWD, base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		f.place(store.BaseError(base, err))
		return []Fact{f}
	} else {
		_ = unix.Close(fd)
	}
	if st.Type == unix.TMPFS_MAGIC {
		f.Value += " (tmpfs)"
	} else {
		f.Value += fmt.Sprintf(" (file system type %#x)", st.Type)
		f.Note = "not a tmpfs: objects are written to a disk and survive the start of the machine"
	}
	if err := store.BaseRisk(base); err != nil {
		f.place(err)
	}
	size, free := uint64(st.Frsize)*st.Blocks, uint64(st.Frsize)*st.Bavail
	space := Fact{Name: "space", Value: fmt.Sprintf("%d MiB, %d MiB free", size>>20, free>>20), OK: free >= 1<<20}
	if !space.OK {
		space.Mend = "mount -o remount,size=<more> " + base
	}
	inodes := Fact{Name: "inodes", Value: fmt.Sprintf("%d, %d free", st.Files, st.Ffree), OK: st.Files == 0 || st.Ffree > 16}
	if !inodes.OK {
		inodes.Mend = "mount -o remount,nr_inodes=<more> " + base
	}
	return []Fact{f, space, inodes}
}

func procFact() Fact {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		return Fact{Name: "/proc", Value: "missing", Note: err.Error(), Mend: "mount -t proc proc /proc"}
	}
	return Fact{Name: "/proc", Value: "mounted", OK: true}
}

func filesFact() Fact {
	f := Fact{Name: "RLIMIT_NOFILE", Value: "unknown"}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		f.Note = err.Error()
		return f
	}
	f.Value, f.OK = fmt.Sprintf("%d of at most %d", l.Cur, l.Max), l.Cur >= 64
	f.Note = descriptorsNote()
	if !f.OK {
		f.Mend = moreFiles(l.Cur, l.Max)
	}
	return f
}

// descriptorsNote says how many descriptors objects take.
func descriptorsNote() string {
	return fmt.Sprintf("an open memory takes %d descriptors, %d over a file, %d over a file without a name, %d without either; "+
		"a lock, event, topic or cell takes %d, and %d for each further handle in the process",
		sys.NamedMemory.First, sys.NamedFile.First, sys.MappedFile.First, sys.UnnamedMemory.First, sys.Lock.First, sys.Lock.Further)
}

// moreFiles returns the command that lets a process have more descriptors. Only root can raise the
// hard limit; the command does so for a running process.
func moreFiles(soft, hard uint64) string {
	const enough = 1024
	switch {
	case hard >= enough:
		return fmt.Sprintf("ulimit -n %d", enough)
	case hard > soft && hard >= 64:
		return fmt.Sprintf("ulimit -n %d", hard)
	}
	return fmt.Sprintf("as root: prlimit --pid=<your shell> --nofile=%d:%d", enough, enough)
}

// settingFact returns a setting of the kernel. No value of it is wrong.
func settingFact(name, note string) Fact {
	b, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return Fact{Name: name, Value: "not set", OK: true, Note: note}
	}
	return Fact{Name: name, Value: strings.TrimSpace(string(b)), OK: true, Note: note}
}

// dirFact checks the directory of a scope, and whether objects can be made there.
func dirFact(s layout.Scope) Fact {
	path := store.Where(s)
	f := Fact{Name: s.String() + " directory", Value: path, OK: true}
	at := path
	d, err := store.Open(s, false)
	switch {
	case err == nil:
		d.Close()
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syserr.ErrStore) && s == layout.Global:
		f.Note = "it is missing; only global names need it"
		_, f.Mend = syserr.Mend(store.MissingGlobal(path))
		return f
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syserr.ErrStore):
		f.Note, at = "it will be made when it is needed", store.BaseDir()
	default:
		f.place(err)
		return f
	}
	if err := unix.Faccessat(unix.AT_FDCWD, at, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		f.place(store.Unmade(at, err))
	}
	return f
}

// tmpfileFact checks whether the file system has O_TMPFILE, which Create needs. If no file can be
// made at all, it returns nothing: then the Fact of the directory says why.
func tmpfileFact() (f Fact, told bool) {
	f = Fact{Name: "O_TMPFILE", Value: "works", OK: true}
	at := store.Where(layout.Local)
	if _, err := os.Stat(at); err != nil {
		at = filepath.Dir(at)
	}
	fd, err := kernel.Open(unix.AT_FDCWD, at, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	switch err {
	case nil:
		_ = unix.Close(fd)
	case unix.EOPNOTSUPP, unix.EISDIR:
		f.Value = "missing"
		f.place(store.NoTmpfile(at, err))
	case unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return f, false
	default:
		f.Value = "fails"
		f.place(fmt.Errorf("make a file without a name in %s: %w", at, syserr.Space(err)))
	}
	return f, true
}
