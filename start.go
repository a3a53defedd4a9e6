package samepage

import (
	"os"
	"os/exec"

	"samepage/internal/sys/process"
)

// StartLikeSelf has the child that cmd will start begin as this process did:
// with its standard input, output and error, where cmd does not say otherwise,
// and on Windows with a hidden window if this process was started with one
// (GetStartupInfo). Call it before cmd.Start. Without it a child of package
// os/exec has no standard files and a window of its own choice.
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
