package rpc_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"

	"samepage/internal/ipctest"
	"samepage/rpc"
)

func init() {
	// Sets the event of which its argument is the handle, if it has inherited that one.
	helpers["sets"] = func(args []string) {
		n, _ := strconv.ParseUint(args[0], 10, 64)
		_ = windows.SetEvent(windows.Handle(n))
		os.Exit(0)
	}
}

// The fields of SysProcAttr that only Windows has: a worker gets a console of its own, and its
// window begins as the caller says.
func TestMission003_11_SupervisedWindow(t *testing.T) {
	for _, hide := range []bool{false, true} {
		t.Run(fmt.Sprint(hide), func(t *testing.T) {
			_, c := telling(t, func() (*exec.Cmd, error) {
				cmd, err := helper("teller")()
				if err == nil {
					cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_CONSOLE, HideWindow: hide}
				}
				return cmd, err
			})
			if got := factsOf(t, c).Hidden; got != hide {
				t.Errorf("the worker's window is hidden: %t, want %t", got, hide)
			}
		})
	}
}

// A worker inherits no handle of this process, also none that is inheritable.
func TestMission003_12_SupervisedHandles(t *testing.T) {
	ipctest.Store(t)
	h, err := windows.CreateEvent(nil, 1, 0, nil)
	ipctest.NoErr(t, err)
	defer windows.CloseHandle(h)
	ipctest.NoErr(t, windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT))
	s := supervise(t, "sets", rpc.SupervisorOptions{
		Command: helper("sets", strconv.FormatUint(uint64(h), 10)), Restart: rpc.RestartOnDemand,
		Ready: func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() },
	})
	_ = s.Ensure(inTime(t)) // the worker ends before it is ready
	_ = s.Wait(inTime(t))
	if ev, err := windows.WaitForSingleObject(h, 0); err != nil || ev == windows.WAIT_OBJECT_0 {
		t.Errorf("the worker has set an event of this process: %v, %v", ev, err)
	}
}
