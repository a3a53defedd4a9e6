package ipctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Stop stops the child, and waits until all its threads have stopped.
func (c *Child) Stop() {
	c.t.Helper()
	if err := syscall.Kill(c.PID(), syscall.SIGSTOP); err != nil {
		c.t.Fatal(err)
	}
	for begun := time.Now(); !stopped(c.PID()); time.Sleep(time.Millisecond) {
		if time.Since(begun) > Patience {
			c.t.Fatalf("process %d does not stop", c.PID())
		}
	}
}

func stopped(pid int) bool {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, f := range all {
		b, _ := os.ReadFile(f)
		// pid (name) state
		if _, rest, ok := strings.Cut(string(b), ") "); ok && !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return len(all) > 0
}

// Continue has a stopped child go on.
func (c *Child) Continue() {
	c.t.Helper()
	if err := syscall.Kill(c.PID(), syscall.SIGCONT); err != nil {
		c.t.Fatal(err)
	}
}
