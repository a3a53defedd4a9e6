package picture

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
)

// FIFOs, devices and a file that becomes a FIFO are refused at once. (On other systems a name in
// a folder cannot be a FIFO.)
func TestReadDoesNotWait(t *testing.T) {
	fifo := filepath.Join(ipctest.Dir(t), "f.png")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{fifo: "it is a FIFO", "/dev/zero": "it is a device", "/dev/tty": "it is a device"} {
		if _, err := Read(path, DefaultLimit); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
