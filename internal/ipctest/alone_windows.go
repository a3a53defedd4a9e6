package ipctest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Alone keeps tests of other packages, which go test runs beside this one, from using
// what bears the same name on the whole machine, until the test ends.
func Alone(t testing.TB, name string) {
	t.Helper()
	path, err := syscall.UTF16PtrFromString(filepath.Join(os.TempDir(), "samepage-test-"+name))
	if err != nil {
		t.Fatal(err)
	}
	const deleteOnClose = 0x04000000
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		// Nobody else may open it; it is closed with the process at the latest.
		h, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, deleteOnClose, 0)
		if err == nil {
			t.Cleanup(func() { _ = syscall.CloseHandle(h) })
			return
		}
		if time.Since(begun) > 5*Patience {
			t.Fatalf("other tests use %s for ever: %v", name, err)
		}
	}
}
