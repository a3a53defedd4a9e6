package starter

import (
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

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
		if l := told(t, dir, p); l[2] != want {
			t.Errorf("with HideWindow %v the child's window is hidden: %s", hide, l[2])
		}
		kill(t, p)
	}
}

// A worker inherits no handle of this process, also none that is inheritable: while it runs, nobody
// but this process has the end of a pipe.
func TestMission003_12_WorkerInheritsNoHandle(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	r, w, err := os.Pipe()
	ipctest.NoErr(t, err)
	defer r.Close()
	ipctest.NoErr(t, windows.SetHandleInformation(windows.Handle(w.Fd()), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT))
	s := supervise(t, "handles", config(dir))
	p := ensured(t, s, dir)
	ipctest.NoErr(t, w.Close())
	end := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		end <- err
	}()
	select {
	case err := <-end:
		if err != io.EOF {
			t.Error(err)
		}
	case <-time.After(ipctest.Patience):
		t.Error("the worker has the end of a pipe of this process")
	}
	if !alive(t, p) {
		t.Error("the worker has ended")
	}
}
