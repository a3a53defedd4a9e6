package main

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the effect of interrupt away from the tests.
func ownGroup(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt does to a process and its children what Ctrl-Break does, which is
// what Ctrl-C does here, but reaches process groups.
func interrupt(c *exec.Cmd, _ ...int) error {
	generate := syscall.NewLazyDLL("kernel32.dll").NewProc("GenerateConsoleCtrlEvent")
	ok, _, err := generate.Call(syscall.CTRL_BREAK_EVENT, uintptr(c.Process.Pid))
	if ok == 0 {
		return err
	}
	return nil
}
