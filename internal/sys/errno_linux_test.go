package sys

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
	"samepage/layout"
)

// operation is something that opens files; prepare makes what it needs.
type operation struct {
	name    string
	prepare func(t *testing.T, dir string) (do func() error)
}

func closed(o *Object, err error) error {
	if err != nil {
		return err
	}
	return o.Close()
}

// operations are all that open files, on each kind of object.
func operations() (all []operation) {
	add := func(name string, prepare func(t *testing.T, dir string) func() error) {
		all = append(all, operation{name, prepare})
	}
	for _, words := range []string{"x", "x persist", "x event", "x sparse", "x exact", "x file=F", "x file=F exclusive", "x global"} {
		at := func(dir string) *Spec { return spec(strings.Fields(strings.ReplaceAll(words, "F", dir+"/f"))) }
		add("create "+words, func(t *testing.T, dir string) func() error {
			return func() error {
				err := closed(Create(at(dir)))
				takeAway(at(dir))
				return err
			}
		})
		made := func(t *testing.T, dir string) (*Object, *Spec) {
			o := must(Create(at(dir)))(t)
			t.Cleanup(func() {
				_ = o.Close()
				_ = Remove(at(dir))
			})
			return o, at(dir)
		}
		add("open "+words, func(t *testing.T, dir string) func() error {
			_, s := made(t, dir)
			return func() error { return closed(Open(s)) }
		})
		add("stat "+words, func(t *testing.T, dir string) func() error {
			_, s := made(t, dir)
			return func() error { _, err := Stat(s); return err }
		})
		add("list "+words, func(t *testing.T, dir string) func() error {
			_, s := made(t, dir)
			return func() error { _, err := List(s.Scope); return err }
		})
		add("clean "+words, func(t *testing.T, dir string) func() error {
			_, s := made(t, dir)
			return func() error { _, err := Clean(s.Scope, true); return err }
		})
		add("receive "+words, func(t *testing.T, dir string) func() error {
			o, _ := made(t, dir)
			token := must(grant(o, os.Getpid(), layout.ReadWrite))(t)
			return func() error { return closed(Receive(token)) }
		})
		add("take "+words, func(t *testing.T, dir string) func() error {
			o, _ := made(t, dir)
			value := must(o.OfferRaw(layout.ReadWrite))(t)
			return func() error { return closed(TakeRaw(os.Getpid(), value, 0, layout.ReadWrite)) }
		})
		add("remove "+words, func(t *testing.T, dir string) func() error {
			return func() error {
				s := at(dir)
				s.Lifetime = layout.Persist
				defer takeAway(s)
				if err := closed(Create(s)); err != nil {
					return err
				}
				return Remove(s)
			}
		})
		add("locks of "+words, func(t *testing.T, dir string) func() error {
			o, _ := made(t, dir)
			return func() error {
				l, err := o.OpenLocks()
				if err != nil {
					return err
				}
				return l.Close()
			}
		})
	}
	for _, words := range []string{"x file=F", "x file=F exclusive", "x file=F ro size=0"} {
		add("map "+words, func(t *testing.T, dir string) func() error {
			s := spec(strings.Fields(strings.ReplaceAll(words, "F", dir+"/f")))
			if s.Size == 0 {
				noErr(t, os.WriteFile(s.File, make([]byte, 5000), 0o600))
			}
			return func() error { return closed(MapFile(s)) }
		})
	}
	add("inherit unnamed for reading", func(t *testing.T, _ string) func() error {
		return func() error {
			o, err := CreateUnnamed(spec([]string{"x"}))
			if err == nil {
				_, err = o.Inherit(&exec.Cmd{}, layout.ReadOnly)
				_ = o.Close()
			}
			return err
		}
	})
	add("receive unnamed", func(t *testing.T, _ string) func() error {
		o := must(CreateUnnamed(spec([]string{"x"})))(t)
		t.Cleanup(func() { _ = o.Close() })
		token := must(grant(o, os.Getpid(), layout.ReadOnly))(t)
		return func() error { return closed(Receive(token)) }
	})
	add("lock folder", func(*testing.T, string) func() error {
		return func() error { _, err := LockFolder("locks"); return err }
	})
	add("lock file", func(_ *testing.T, dir string) func() error {
		return func() error {
			l, err := OpenLockFile(dir+"/l", true)
			if err == nil {
				err = l.Close()
			}
			return err
		}
	})
	add("remove lock file", func(t *testing.T, dir string) func() error {
		return func() error {
			if err := os.WriteFile(dir+"/l", nil, 0o600); err != nil {
				return err
			}
			return RemoveLockFile(dir + "/l")
		}
	})
	return all
}

// errnoStore is a place for the objects of both scopes, where there can be one.
func errnoStore(t *testing.T) string {
	t.Helper()
	base := store(t)
	if os.Geteuid() == 0 {
		noErr(t, os.Mkdir(filepath.Join(base, "samepage"), 0o700))
		noErr(t, os.Chmod(filepath.Join(base, "samepage"), 0o777|os.ModeSticky))
	}
	closeObject(t, must(Create(spec([]string{"first"})))(t))
	if os.Geteuid() == 0 {
		closeObject(t, must(Create(spec([]string{"first", "global"})))(t))
	}
	return base
}

// Whichever open fails in whatever way, the error says so: errors.Is finds the number,
// and what is no matter of the object is not told as one. Nothing stays open.
func TestErrnoOfEachOpen(t *testing.T) {
	errnoStore(t)
	// What a limit says has nothing to do with the place, the object or the process.
	limits := map[error]bool{unix.EMFILE: true, unix.ENFILE: true, unix.ENOMEM: true, unix.EIO: true, unix.ESTALE: true}
	for _, op := range operations() {
		if strings.Contains(op.name, "global") && os.Geteuid() != 0 {
			continue // there is no such directory
		}
		t.Run(op.name, func(t *testing.T) {
			do := op.prepare(t, ipctest.Dir(t))
			opens := failAt(t, -1, nil, do)
			if opens == 0 {
				return // such as of a handed-over file without a name
			}
			for _, errno := range []unix.Errno{
				unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO, unix.ESTALE, unix.ENOSPC, unix.EDQUOT,
				unix.EACCES, unix.EPERM, unix.EROFS, unix.ENODEV, unix.ETXTBSY, unix.EOVERFLOW,
			} {
				for k := range opens {
					failAt(t, k, errno, func() error {
						err := do()
						switch {
						case err == nil:
							// A second way, such as of one who may only read.
						case !errors.Is(err, errno):
							t.Errorf("open %d fails with %q, and the error is %q", k, errno, err)
						case strings.Contains(err.Error(), "/proc/self/fd"):
							t.Errorf("open %d fails with %q, and the text names no file that people know: %q", k, errno, err)
						case !limits[errno]:
						case errors.Is(err, ErrStore) && errno != unix.EIO && errno != unix.ESTALE, errors.Is(err, layout.ErrCorrupt), errors.Is(err, layout.ErrBadToken),
							errors.Is(err, ErrPeerNotStarted), errors.Is(err, ErrBusy), errors.Is(err, os.ErrPermission),
							errors.Is(err, errors.ErrUnsupported), strings.Contains(err.Error(), "owned by"):
							t.Errorf("open %d fails with %q, which is told as %q", k, errno, err)
						}
						return nil
					})
				}
			}
		})
	}
}

// failAt has open k of what do does fail, and returns how many opens there were. It
// checks that no descriptor stays open.
func failAt(t *testing.T, k int, errno error, do func() error) (opens int) {
	t.Helper()
	before := descriptors(t)
	openat = func(dir int, path string, flags int, perm uint32) (int, error) {
		opens++
		if opens-1 == k {
			return -1, errno
		}
		return unix.Openat(dir, path, flags, perm)
	}
	defer func() { openat = unix.Openat }()
	noErr(t, do())
	if after := descriptors(t); after != before {
		t.Errorf("open %d fails with %v: %d descriptors stay open", k, errno, after-before)
	}
	return opens
}

// takeAway removes what a failed operation has left, and does not fail itself.
func takeAway(s *Spec) {
	defer func(f func(int, string, int, uint32) (int, error)) { openat = f }(openat)
	openat = unix.Openat
	_ = Remove(s)
}

func descriptors(t *testing.T) int {
	t.Helper()
	n, _, err := Usage()
	noErr(t, err)
	return n
}

// The text of a limit names it, and how much of it is taken.
func TestLimitsAreNamed(t *testing.T) {
	var l unix.Rlimit
	noErr(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &l))
	for _, c := range []struct {
		err  error
		want string
	}{
		{unix.EMFILE, fmt.Sprintf("%d of %d descriptors of this process are open (ulimit -n)", l.Cur, l.Cur)},
		{unix.ENFILE, "files of this machine are open (sysctl fs.file-max)"},
		{unix.EACCES, "permission denied"},
	} {
		err := limitError(c.err)
		if wantErr(t, err, c.err); !strings.Contains(err.Error(), c.want) {
			t.Errorf("the text is %q, want %q", err, c.want)
		}
	}
}

// What doctor advises gives more descriptors, and no user is told to go beyond the hard limit.
func TestMoreFiles(t *testing.T) {
	for _, c := range []struct {
		soft, hard uint64
		want       string
	}{
		{32, 4096, "ulimit -n 1024"},
		{32, 1024, "ulimit -n 1024"},
		{32, 200, "ulimit -n 200"},
		{32, 64, "ulimit -n 64"},
		{32, 63, "as root: prlimit --pid=<your shell> --nofile=1024:1024"},
		{32, 32, "as root: prlimit --pid=<your shell> --nofile=1024:1024"},
	} {
		if got := moreFiles(c.soft, c.hard); got != c.want {
			t.Errorf("with %d of at most %d: %q, want %q", c.soft, c.hard, got, c.want)
		}
	}
}

// OnlyNumber is found as the number, and as no class that the number stands for.
func TestOnlyNumber(t *testing.T) {
	err := fmt.Errorf("below: %w", OnlyNumber(&os.PathError{Op: "open", Path: "p", Err: unix.ENOENT}))
	wantErr(t, err, unix.ENOENT)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EACCES) {
		t.Errorf("%v is found as something else", err)
	}
	if OnlyNumber(nil) != nil {
		t.Error("no error is one")
	}
}
