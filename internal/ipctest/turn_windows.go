package ipctest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// turns are what this process has to itself, and how often.
var turns = struct {
	sync.Mutex
	held  map[string]int
	files map[string]syscall.Handle
}{held: map[string]int{}, files: map[string]syscall.Handle{}}

// TakeTurn is Alone until release.
func TakeTurn(name string) (release func(), err error) {
	turns.Lock()
	defer turns.Unlock()
	if turns.held[name] == 0 {
		if turns.files[name], err = openAlone(name); err != nil {
			return nil, err
		}
	}
	turns.held[name]++
	return func() {
		turns.Lock()
		defer turns.Unlock()
		if turns.held[name]--; turns.held[name] == 0 {
			_ = syscall.CloseHandle(turns.files[name])
		}
	}, nil
}

// openAlone waits until nobody else has the file of that name open. It is closed with
// the process at the latest.
func openAlone(name string) (syscall.Handle, error) {
	path, err := syscall.UTF16PtrFromString(filepath.Join(os.TempDir(), "samepage-test-"+name))
	if err != nil {
		return 0, err
	}
	const deleteOnClose = 0x04000000
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		h, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, deleteOnClose, 0)
		if err == nil {
			return h, nil
		}
		if time.Since(begun) > 5*Patience {
			return 0, fmt.Errorf("other tests use %s for ever: %w", name, err)
		}
	}
}
