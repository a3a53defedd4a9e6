package starter

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"

	"samepage/internal/ipctest"
)

// The caller sets fields of SysProcAttr that only Windows has: the child gets its own console, and
// its window begins as the caller says.
func TestMission003_11_WindowOptions(t *testing.T) {
	ipctest.Store(t)
	for _, hide := range []bool{false, true} {
		dir := folder(t)
		s := openStarter(t, "child")
		p := ensure(t, s, func() (*exec.Cmd, error) {
			cmd, err := childCommand(dir)
			if err == nil {
				cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_CONSOLE, HideWindow: hide}
			}
			return cmd, err
		}, true)
		want := "false"
		if hide {
			want = "true"
		}
		if l := told(t, dir, int(p.PID)); l[2] != want {
			t.Errorf("with HideWindow %v the child's window is hidden: %s", hide, l[2])
		}
		kill(t, p)
	}
}
