package sharememory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// A folder on another machine is refused before anything is made in it. Its locks may work for all
// machines, or only within this machine, and a program cannot find this out.
func TestMission002_25_LockFolderElsewhere(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	remote := []string{filepath.Join(dir, "share", "below", "it")}
	if runtime.GOOS == "windows" { // whose paths tell
		remote = append(remote, `\\server\share\locks`, `//server/share/locks`, `\\?\UNC\server\share\locks`, `\\localhost\c$\locks`)
	}
	whose := remoteDir
	defer func() { remoteDir = whose }()
	remoteDir = func(d string) (string, error) {
		if d == filepath.Join(dir, "share") {
			return "NFS", nil
		}
		return whose(d)
	}
	if err := os.Mkdir(filepath.Join(dir, "share"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range remote {
		o := FileLockOptions{Dir: d}
		_, lerr := NewFileLock("x", &o)
		_, cerr := CleanFileLocks(&o)
		_, werr := CreateWriter(context.Background(), "x", 10, &Options{Lock: o})
		_, rerr := OpenReader("x", &Options{Lock: o})
		for _, err := range []error{lerr, cerr, werr, rerr} {
			if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "another machine") {
				t.Errorf("locks in %s: %v", d, err)
			}
		}
	}
	if made, err := os.ReadDir(filepath.Join(dir, "share")); err != nil || len(made) > 0 {
		t.Errorf("%v was made there, %v", made, err)
	}
	if _, err := NewFileLock("x", &FileLockOptions{Dir: filepath.Join(dir, "here")}); err != nil {
		t.Error(err)
	}
}
