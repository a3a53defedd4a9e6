//go:build !windows

package process

import "os/exec"

// StartedHidden says whether this process was started with a hidden window: only Windows starts
// processes with windows.
func StartedHidden() bool { return false }

// HideWindow makes the child that cmd starts begin with a hidden window.
func HideWindow(*exec.Cmd) {}
