package ipctest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// PIDNamespace returns what starts a process in a pid namespace of its own, where it has the
// process id 1. It skips the test where that is not allowed.
func PIDNamespace(t testing.TB) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a pid namespace")
	}
	try := exec.Command("/bin/sh", "-c", ":")
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := try.Run(); err != nil {
		t.Skipf("no pid namespace is available: %v", err)
	}
	return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
}
