package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
	"samepage/internal/sys"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Two users that no system has.
const anna, bert = 64001, 64002

// placeCase is something that is wrong with a directory, for one user.
type placeCase struct {
	name   string
	uid    int  // who meets it
	moved  bool // SAMEPAGE_DIR names the base
	userNS bool // its user is root of a user namespace, and nobody else is there
	// prepare makes the fault, as root of the machine.
	prepare func(base string) error
	scope   layout.Scope
	risk    bool   // objects can be made for all that
	want    error  // of create
	says    string // in its text and in what doctor says; %B is the base
	mend    string // the command
}

// own is the directory of a user.
func own(base string, uid int) string { return filepath.Join(base, fmt.Sprint("samepage-", uid)) }

// dirFor makes a directory with that mode and owner.
func dirFor(path string, mode os.FileMode, uid int) error {
	return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode), os.Chown(path, uid, uid))
}

// sticky makes a base as it should be.
func sticky(base string) error { return dirFor(base, 0o777|os.ModeSticky, 0) }

// with makes something in a good base.
func with(f func(base string) error) func(string) error {
	return func(base string) error { return errors.Join(sticky(base), f(base)) }
}

func placeCases() []placeCase {
	readOnly := func(base string) error {
		return errors.Join(os.Mkdir(base, 0o700), unix.Mount("tmpfs", base, "tmpfs", unix.MS_RDONLY, "mode=1777"))
	}
	file := func(path string, uid int) error {
		return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, uid, uid))
	}
	fifo := func(path string, uid int) error {
		return errors.Join(unix.Mkfifo(path, 0o600), os.Chown(path, uid, uid))
	}
	link := func(path string, uid int) error {
		return errors.Join(os.Symlink("/tmp", path), os.Lchown(path, uid, uid))
	}
	nothing := func(string) error { return nil }
	globalDir := func(mode os.FileMode, uid int) func(string) error {
		return with(func(base string) error { return dirFor(filepath.Join(base, "samepage"), mode, uid) })
	}
	install := "install -d -o root -m 1777 %B/samepage"
	all := []placeCase{
		{name: "base is missing", uid: anna, moved: true, prepare: nothing, want: syserr.ErrStore, says: "directory %B: no such file", mend: "mkdir -p %B"},
		{
			name: "base is missing, usual", uid: anna, prepare: nothing, want: syserr.ErrStore, says: "directory %B: no such file",
			mend: "sudo sh -c 'mkdir -p %B && mount -t tmpfs -o mode=1777 tmpfs %B'",
		},
		{
			name: "base is missing, usual, root", prepare: nothing, want: syserr.ErrStore, says: "directory %B: no such file",
			mend: "sh -c 'mkdir -p %B && mount -t tmpfs -o mode=1777 tmpfs %B'",
		},
		{
			name: "base is a file", uid: anna, moved: true, prepare: func(b string) error { return file(b, anna) },
			want: syserr.ErrStore, says: "%B is a regular file with mode 0600, owned by uid 64001", mend: "unset SAMEPAGE_DIR",
		},
		{
			name: "base is a file, usual, root", prepare: func(b string) error { return file(b, anna) },
			want: syserr.ErrStore, says: "%B is a regular file with mode 0600, owned by uid 64001",
			mend: "sh -c 'rm %B && mkdir %B && mount -t tmpfs -o mode=1777 tmpfs %B'",
		},
		{
			name: "base is a link to nothing", uid: anna, moved: true, prepare: func(b string) error { return os.Symlink("there", b) },
			want: syserr.ErrStore, says: "%B is a symbolic link with mode 0777, owned by root (uid 0), to %D/there, which is missing", mend: "mkdir -p %D/there",
		},
		{
			name: "base is not writable", uid: anna, moved: true, prepare: func(b string) error { return dirFor(b, 0o755, 0) },
			want: fs.ErrPermission, says: "%B is a directory with mode 0755, owned by root (uid 0)", mend: "unset SAMEPAGE_DIR",
		},
		{
			name: "base is not writable, usual", uid: anna, prepare: func(b string) error { return dirFor(b, 0o755, 0) },
			want: fs.ErrPermission, says: "%B is a directory with mode 0755, owned by root (uid 0)", mend: "sudo chmod 1777 %B",
		},
		{
			name: "base is not writable, own", uid: anna, moved: true, prepare: func(b string) error { return dirFor(b, 0o500, anna) },
			want: fs.ErrPermission, says: "%B is a directory with mode 0500, owned by uid 64001", mend: "chmod u+rwx %B",
		},
		{
			name: "base is read-only", uid: anna, prepare: readOnly, want: syserr.ErrStore,
			says: "mounted read-only at %B", mend: "sudo mount -o remount,rw %B",
		},
		{name: "base is read-only, root", prepare: readOnly, want: syserr.ErrStore, says: "mounted read-only at %B", mend: "mount -o remount,rw %B"},
		{
			name: "store is read-only, root", moved: true, want: syserr.ErrStore, says: "mounted read-only at %B", mend: "mount -o remount,rw %B",
			prepare: func(b string) error {
				return errors.Join(os.Mkdir(b, 0o700), unix.Mount("tmpfs", b, "tmpfs", 0, "mode=1777"), dirFor(own(b, 0), 0o700, 0),
					unix.Mount("tmpfs", b, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, "mode=1777"))
			},
		},
		{
			name: "base is not sticky", uid: anna, prepare: func(b string) error { return dirFor(b, 0o777, 0) }, risk: true,
			says: "%B is a directory with mode 0777, owned by root (uid 0): without the sticky bit", mend: "sudo chmod +t %B",
		},
		{
			name: "base is not sticky, root", prepare: func(b string) error { return dirFor(b, 0o777, 0) }, risk: true,
			says: "without the sticky bit", mend: "chmod +t %B",
		},
		{
			name: "base is not sticky, own", uid: anna, moved: true, prepare: func(b string) error { return dirFor(b, 0o770, anna) }, risk: true,
			says: "without the sticky bit", mend: "chmod +t %B",
		},
		{
			name: "base is another's", uid: anna, moved: true, prepare: func(b string) error { return dirFor(b, 0o777|os.ModeSticky, bert) }, risk: true,
			says: "owned by uid 64002, who may rename what is in it", mend: "unset SAMEPAGE_DIR",
		},
		{
			name: "base is another's, usual, root", prepare: func(b string) error { return dirFor(b, 0o777|os.ModeSticky, bert) }, risk: true,
			says: "owned by uid 64002, who may rename what is in it", mend: "chown root %B",
		},

		{
			name: "store is another's", uid: anna, prepare: with(func(b string) error { return dirFor(own(b, anna), 0o700, bert) }), want: fs.ErrPermission,
			says: "%B/samepage-64001 is a directory with mode 0700, owned by uid 64002", mend: "sudo mv %B/samepage-64001 %B/samepage-64001.old",
		},
		{
			name: "store is another's, root", prepare: with(func(b string) error { return dirFor(own(b, 0), 0o700, bert) }), want: fs.ErrPermission,
			says: "%B/samepage-0 is a directory with mode 0700, owned by uid 64002", mend: "mv %B/samepage-0 %B/samepage-0.old",
		},
		{
			name: "store is a file", uid: anna, prepare: with(func(b string) error { return file(own(b, anna), anna) }), want: fs.ErrPermission,
			says: "%B/samepage-64001 is a regular file with mode 0600, owned by uid 64001", mend: "rm %B/samepage-64001",
		},
		{
			name: "store is another's file", uid: anna, prepare: with(func(b string) error { return file(own(b, anna), bert) }), want: fs.ErrPermission,
			says: "is a regular file with mode 0600, owned by uid 64002", mend: "sudo rm %B/samepage-64001",
		},
		{
			name: "store is a pipe", uid: anna, prepare: with(func(b string) error { return fifo(own(b, anna), anna) }), want: fs.ErrPermission,
			says: "is a named pipe with mode 0600, owned by uid 64001", mend: "rm %B/samepage-64001",
		},
		{
			name: "store is a link", prepare: with(func(b string) error { return link(own(b, 0), bert) }), want: fs.ErrPermission,
			says: "is a symbolic link with mode 0777, owned by uid 64002", mend: "rm %B/samepage-0",
		},
		{
			name: "store is the machine's", userNS: true, moved: true, prepare: with(func(b string) error { return dirFor(own(b, 0), 0o700, 0) }),
			want: fs.ErrPermission, says: "%B/samepage-0 is a directory with mode 0700, owned by a user outside this user namespace: it may be in use there", mend: `export SAMEPAGE_DIR="$(mktemp -d)"`,
		},
		{
			name: "base is read-only, user namespace", userNS: true, moved: true, want: syserr.ErrStore, says: "mounted read-only at %B", mend: `export SAMEPAGE_DIR="$(mktemp -d)"`,
			prepare: readOnly,
		},

		{
			name: "global is missing", uid: anna, scope: layout.Global, prepare: sticky, want: syserr.ErrPrivilege,
			says: "%B/samepage is missing", mend: "sudo " + install,
		},
		{
			name: "global is another's", uid: anna, scope: layout.Global, prepare: globalDir(0o777|os.ModeSticky, bert), want: syserr.ErrPrivilege,
			says: "%B/samepage is a directory with mode 01777, owned by uid 64002", mend: "sudo " + install,
		},
		{
			name: "global is another's, root", scope: layout.Global, prepare: globalDir(0o777|os.ModeSticky, bert), want: syserr.ErrPrivilege,
			says: "%B/samepage is a directory with mode 01777, owned by uid 64002", mend: install,
		},
		{
			name: "global has another mode", uid: anna, scope: layout.Global, prepare: globalDir(0o777, 0), want: syserr.ErrPrivilege,
			says: "%B/samepage is a directory with mode 0777, owned by root (uid 0), want root and 01777", mend: "sudo " + install,
		},
		{
			name: "global is a file", uid: anna, scope: layout.Global, want: fs.ErrPermission,
			prepare: with(func(b string) error { return file(filepath.Join(b, "samepage"), bert) }),
			says:    "%B/samepage is a regular file with mode 0600, owned by uid 64002", mend: "sudo sh -c 'rm %B/samepage && install -d -o root -m 1777 %B/samepage'",
		},
		{
			name: "global is the machine's", userNS: true, moved: true, scope: layout.Global, prepare: globalDir(0o777|os.ModeSticky, 0), want: syserr.ErrPrivilege,
			says: "%B/samepage is a directory with mode 01777, owned by a user outside this user namespace", mend: `export SAMEPAGE_DIR="$(mktemp -d)"`,
		},
	}
	for _, mode := range []os.FileMode{0o755, 0o750, 0o707, 0o500, 0o300, 0o000} {
		all = append(all, placeCase{
			name: fmt.Sprintf("store has mode %#o", uint32(mode)), uid: anna, want: fs.ErrPermission,
			prepare: with(func(b string) error { return dirFor(own(b, anna), mode, anna) }),
			says:    fmt.Sprintf("%%B/samepage-64001 is a directory with mode %#o, owned by uid 64001", uint32(mode)),
			mend:    "chmod 700 %B/samepage-64001",
		})
	}
	return all
}

// placeSeen is what the user of a case meets.
type placeSeen struct {
	Created string // the error of create; empty: none
	Matches bool   // the error that is wanted
	Facts   []Fact
	After   string // the error of create once the command was run
}

// wrongPlace is the process of the user of a case. Its arguments are the name of the case and
// the base.
func wrongPlace(args []string) {
	seen, err := placeIn(args[0], args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(seen)
	}
	if err != nil {
		fmt.Println("err", err)
	}
}

func placeIn(name, base string) (*placeSeen, error) {
	var c placeCase
	for _, x := range placeCases() {
		if x.name == name {
			c = x
		}
	}
	if !c.userNS {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return nil, err
		}
		if err := c.prepare(base); err != nil {
			return nil, err
		}
	}
	store.UsualBase = base
	_ = os.Unsetenv("SAMEPAGE_DIR")
	if c.moved {
		store.UsualBase = base + "-usual"
		if !c.userNS {
			if err := sticky(store.UsualBase); err != nil {
				return nil, err
			}
		}
		_ = os.Setenv("SAMEPAGE_DIR", base)
	}
	// What this user has root do is done by root: a shell that was started before.
	root := exec.Command("sh")
	in, err := root.StdinPipe()
	if err != nil {
		return nil, err
	}
	root.Stderr = os.Stderr
	if err := root.Start(); err != nil {
		return nil, err
	}
	if c.uid != 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(c.uid), syscall.Setuid(c.uid)); err != nil {
			return nil, err
		}
	}
	create := func() error {
		o, err := sys.Create(&sys.Spec{Name: "x", Size: 100, Scope: c.scope})
		if err == nil {
			err = o.Close()
		}
		return err
	}
	seen := &placeSeen{}
	if err := create(); err != nil {
		seen.Created, seen.Matches = err.Error(), errors.Is(err, c.want)
	}
	seen.Facts = Facts()
	// The command is right when there is nothing to be told after it.
	command := strings.ReplaceAll(c.mend, "%B", base)
	command = strings.ReplaceAll(command, "%D", filepath.Dir(base))
	bySudo, privileged := strings.CutPrefix(command, "sudo ")
	switch {
	case privileged:
		fmt.Fprintln(in, bySudo)
	case strings.HasPrefix(command, "export "), strings.HasPrefix(command, "unset "):
		b, err := exec.Command("sh", "-c", command+"; echo $SAMEPAGE_DIR").Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		_ = os.Unsetenv("SAMEPAGE_DIR")
		if d := strings.TrimSpace(string(b)); d != "" {
			defer os.RemoveAll(d)
			_ = os.Setenv("SAMEPAGE_DIR", d)
		}
	default:
		if b, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", command, err, b)
		}
	}
	if err := errors.Join(in.Close(), root.Wait()); err != nil {
		return nil, err
	}
	// Root of a user namespace cannot make a global directory for others.
	if !(c.userNS && c.scope == layout.Global) {
		if err := create(); err != nil {
			seen.After = err.Error()
		}
		for _, f := range Facts() {
			if !f.OK && (f.Name == "directory" || strings.Contains(f.Name, " directory") || f.Name == "O_TMPFILE") {
				seen.After += " " + f.Note
			}
		}
	}
	return seen, nil
}

// Whatever is wrong with a directory, create and doctor say what is there, with its mode
// and its owner, and the command that mends it for this user. The command does mend it,
// and never takes away what others may use.
func TestWrongDirectories(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount and to be other users")
	}
	for _, c := range placeCases() {
		t.Run(c.name, func(t *testing.T) {
			dir := ipctest.Dir(t)
			ipctest.NoErr(t, os.Chmod(dir, 0o777|os.ModeSticky))
			base := filepath.Join(dir, "base")
			cmd := ipctest.Command(t, "place", c.name, base)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
			if c.userNS {
				ipctest.NoErr(t, c.prepare(base))
				t.Cleanup(func() { _ = unix.Unmount(base, unix.MNT_DETACH) })
				ipctest.NoErr(t, dirFor(base+"-usual", 0o777|os.ModeSticky, 0))
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Cloneflags:  unix.CLONE_NEWUSER,
					UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: anna, Size: 1}},
					GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: anna, Size: 1}},
					Credential:  &syscall.Credential{NoSetGroups: true},
				}
				// It could not run the program where that is.
				cmd.Path, cmd.Dir = filepath.Join(dir, "test"), "/"
				self, err := os.Executable()
				ipctest.NoErr(t, err)
				b, err := os.ReadFile(self)
				ipctest.NoErr(t, err)
				ipctest.NoErr(t, os.WriteFile(cmd.Path, b, 0o755))
			}
			out, err := cmd.Output()
			if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
				t.Skipf("this system lets nobody have namespaces: %v", err)
			}
			var s placeSeen
			if jerr := json.Unmarshal(out, &s); err != nil || jerr != nil {
				t.Fatalf("%v, %v, %s", err, jerr, out)
			}
			fill := strings.NewReplacer("%B", base, "%D", dir)
			says, mend := fill.Replace(c.says), fill.Replace(c.mend)
			if c.risk {
				if s.Created != "" {
					t.Errorf("create: %s", s.Created)
				}
			} else if !s.Matches || !strings.Contains(s.Created, says) || !strings.HasSuffix(s.Created, "(to mend it: "+mend+")") {
				t.Errorf("create: %s\nmatches %v: %v\nshould say %s\nand mend %s", s.Created, c.want, s.Matches, says, mend)
			}
			told := false
			for _, f := range s.Facts {
				if !strings.HasSuffix(f.Name, "directory") {
					if f.Name == "O_TMPFILE" && !f.OK {
						t.Errorf("doctor blames O_TMPFILE: %+v", f)
					}
					continue
				}
				if strings.Contains(f.Note+f.Value, says) || c.name == "global is missing" && f.Mend != "" {
					told = true
					if f.Mend != mend {
						t.Errorf("doctor says %+v, want to mend %s", f, mend)
					}
				} else if strings.Contains(f.Mend, "rm -r") {
					t.Errorf("doctor: %+v", f)
				}
			}
			if !told {
				t.Errorf("doctor does not say %s: %+v", says, s.Facts)
			}
			if s.After != "" {
				t.Errorf("after %s: %s", mend, s.After)
			}
		})
	}
}
