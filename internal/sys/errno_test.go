//go:build linux || windows

package sys

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/sys/lockfile"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// operation is something that opens files; prepare makes what it needs.
type operation struct {
	name    string
	prepare func(t *testing.T, dir string) (do func() error)
}

// operations are all that open files, on each kind of object.
func operations() (all []operation) {
	add := func(name string, prepare func(t *testing.T, dir string) func() error) {
		all = append(all, operation{name, prepare})
	}
	for _, words := range errnoObjects {
		at := func(dir string) *Spec {
			return spec(strings.Fields(strings.ReplaceAll(words, "F", filepath.Join(dir, "f"))))
		}
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
				_ = closed(o, nil)
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
			if o.Exact {
				t.Skip("others open it by its name")
			}
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
			s := spec(strings.Fields(strings.ReplaceAll(words, "F", filepath.Join(dir, "f"))))
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
			return lockfile.Remove(dir + "/l")
		}
	})
	return all
}

// errnoStore is a place for the objects of both scopes, where there can be one.
func errnoStore(t *testing.T) string {
	t.Helper()
	base := inStore(t)
	if os.Geteuid() == 0 { // on Windows nobody is 0
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
	for _, op := range operations() {
		if strings.Contains(op.name, "global") && os.Geteuid() != 0 {
			continue // there is no such directory
		}
		t.Run(op.name, func(t *testing.T) {
			do := op.prepare(t, ipctest.Dir(t))
			var err error
			opens := failAt(t, -1, 0, func() error { err = do(); return nil })
			if errors.Is(err, errors.ErrUnsupported) || opens == 0 {
				t.Skipf("%d opens on this system, %v", opens, err)
			}
			noErr(t, err)
			for _, errno := range openFailures {
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
						case !openLimits[errno]:
							// Only a limit has nothing to do with place, object and process.
						case errors.Is(err, syserr.ErrStore), errors.Is(err, layout.ErrCorrupt), errors.Is(err, layout.ErrBadToken),
							errors.Is(err, syserr.ErrPeerNotStarted), errors.Is(err, syserr.ErrBusy), errors.Is(err, os.ErrPermission),
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

// takeAway removes what a failed operation has left, and does not fail itself.
func takeAway(s *Spec) { unfailing(func() { _ = Remove(s) }) }

// OnlyNumber is found as the number, and as no class that the number stands for.
func TestOnlyNumber(t *testing.T) {
	err := fmt.Errorf("below: %w", syserr.OnlyNumber(&os.PathError{Op: "open", Path: "p", Err: syscall.ENOENT}))
	wantErr(t, err, syscall.ENOENT)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EACCES) {
		t.Errorf("%v is found as something else", err)
	}
	if syserr.OnlyNumber(nil) != nil {
		t.Error("no error is one")
	}
}
