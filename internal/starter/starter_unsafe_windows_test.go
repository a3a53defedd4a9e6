package starter

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

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

func init() { helpers["set"] = set }

// set sets the event of which its argument is the handle, if it has inherited that one. The number
// may also mean another event, or nothing.
func set(args []string) {
	n, _ := strconv.ParseUint(args[0], 10, 64)
	_ = windows.SetEvent(windows.Handle(n))
	os.Exit(0)
}

// A worker inherits no handle of this process, also none that is inheritable.
func TestMission003_12_WorkerInheritsNoHandle(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	sa := windows.SecurityAttributes{InheritHandle: 1}
	sa.Length = uint32(unsafe.Sizeof(sa))
	h, err := windows.CreateEvent(&sa, 1, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CloseHandle(h)
	c := config(dir)
	c.Restart = OnDemand
	c.Command = func() (*exec.Cmd, error) {
		cmd, err := ipctest.Self()
		if err == nil {
			ipctest.SetHelper(cmd, "set", strconv.FormatUint(uint64(h), 10))
		}
		return cmd, err
	}
	s := supervise(t, "handles", c)
	_ = s.Ensure(patience(t)) // the worker may end before it is ready
	ipctest.NoErr(t, s.Wait(patience(t)))
	if ev, err := windows.WaitForSingleObject(h, 0); err != nil || ev == windows.WAIT_OBJECT_0 {
		t.Errorf("the worker has set an event of this process: %v, %v", ev, err)
	}
}
