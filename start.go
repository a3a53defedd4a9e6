package samepage

import (
	"os"
	"os/exec"

	"samepage/internal/sys/process"
)

// StartLikeSelf gives the child that cmd will start the standard files and, on Windows, the window
// mode of this process. If cmd does not set its standard input, output or error, the child gets
// those of this process. On Windows the child has a hidden window if this process was started with
// a hidden window (GetStartupInfo). Call it before cmd.Start. Without it a child that package
// os/exec starts has no standard files, and chooses its window mode itself.
func StartLikeSelf(cmd *exec.Cmd) {
	if cmd.Stdin == nil {
		cmd.Stdin = os.Stdin
	}
	if cmd.Stdout == nil {
		cmd.Stdout = os.Stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if process.StartedHidden() {
		process.HideWindow(cmd)
	}
}
