package process

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// StartedHidden says whether this process was started with a hidden window.
func StartedHidden() bool {
	var si windows.StartupInfo
	if err := windows.GetStartupInfo(&si); err != nil {
		return false
	}
	return si.Flags&windows.STARTF_USESHOWWINDOW != 0 && si.ShowWindow == windows.SW_HIDE
}

// HideWindow makes the child that cmd starts begin with a hidden window.
func HideWindow(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.HideWindow = true
}
