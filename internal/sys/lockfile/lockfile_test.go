//go:build linux || windows

package lockfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/sys/syserr"
)

func TestLockFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	open := func(exclusively bool) *File {
		t.Helper()
		l, err := Open(path, exclusively)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	busy := func(exclusively bool) {
		t.Helper()
		if _, err := Open(path, exclusively); !errors.Is(err, syserr.ErrBusy) || !strings.Contains(err.Error(), path) {
			t.Errorf("open exclusively %v: %v", exclusively, err)
		}
	}
	a, b := open(false), open(false)
	busy(true)
	if err := Remove(path); !errors.Is(err, syserr.ErrBusy) {
		t.Errorf("remove: %v", err)
	}
	_ = a.Close()
	busy(true)
	_ = b.Close()
	c := open(true)
	busy(true)
	busy(false)
	_ = c.Close()
	if err := Remove(path); err != nil {
		t.Error(err)
	}
	if err := Remove(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove what is not there: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}

	// What cannot be opened is not locked.
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	wrong := []string{path, filepath.Join(path, "below", "x")}
	if runtime.GOOS == "linux" {
		link := filepath.Join(path, "link")
		if err := os.Symlink(filepath.Join(path, "target"), link); err != nil {
			t.Fatal(err)
		}
		wrong = append(wrong, link, "/dev/null")
	} else {
		wrong = append(wrong, "NUL")
	}
	for _, p := range wrong {
		for _, exclusively := range []bool{false, true} {
			l, err := Open(p, exclusively)
			if err == nil || errors.Is(err, syserr.ErrBusy) {
				t.Errorf("lock file %s: %v, %v", p, l, err)
			}
		}
	}
}

func TestLockFolder(t *testing.T) {
	ipctest.Store(t)
	path, err := Folder("locks")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Folder("locks"); err != nil || again != path {
		t.Errorf("%s, then %s, %v", path, again, err)
	}
	if runtime.GOOS == "windows" {
		if path != filepath.Join(os.TempDir(), "locks") {
			t.Errorf("locks in %s", path)
		}
		_ = os.Remove(path)
		return
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != fs.ModeDir|0o700 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Folder("locks"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a folder that others may look into: %v", err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink("/tmp", path)); err != nil {
		t.Fatal(err)
	}
	if _, err := Folder("locks"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a link: %v", err)
	}
}

func TestBootSeconds(t *testing.T) {
	a, err := BootSeconds()
	if err != nil {
		t.Fatal(err)
	}
	since := time.Since(time.Unix(a, 0))
	t.Logf("booted %v ago", since)
	if since < -time.Minute || since > 10*365*24*time.Hour {
		t.Errorf("booted at %v", time.Unix(a, 0))
	}
	if b, err := BootSeconds(); b != a || err != nil {
		t.Errorf("%d, and then %d, %v", a, b, err)
	}
}
