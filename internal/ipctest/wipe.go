package ipctest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Wipe removes all that dir holds, as somebody does who knows nothing of us: also what is
// open. Windows would not let anybody do that; under Wine a program of the system below
// does it.
func Wipe(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if runtime.GOOS != "windows" {
			err = os.RemoveAll(path)
		} else {
			var unix []byte
			if unix, err = exec.Command("winepath", "-u", path).Output(); errors.Is(err, exec.ErrNotFound) {
				t.Skip("only Wine lets anybody remove a file that is open")
			}
			if err == nil {
				err = exec.Command("cmd", "/c", "start", "/wait", "/unix", "/bin/rm", "-rf", strings.TrimSpace(string(unix))).Run()
			}
		}
		if err != nil {
			t.Fatalf("remove %s: %v", path, err)
		}
	}
	// Wine does not wait for a program of the system below.
	for begun := time.Now(); len(entries) > 0; {
		if entries, err = os.ReadDir(dir); err != nil || time.Since(begun) > Patience {
			t.Fatalf("%s still has %v, %v", dir, entries, err)
		}
	}
}
