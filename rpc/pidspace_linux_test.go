package rpc_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

func init() { helpers["none"] = func([]string) {} }

// A worker that dies during a call has the PID of a worker of the client's Supervisor. How the one
// of the Supervisor ended is told only if both are of one pid namespace.
func TestPIDOfAnotherNamespace(t *testing.T) {
	apart := ipctest.PIDNamespace(t)
	const last = "/proc/sys/kernel/ns_last_pid"
	if _, err := os.Stat(last); err != nil {
		t.Skipf("the kernel does not let a PID be chosen: %v", err)
	}
	ipctest.Store(t)
	c, _, err := rpc.OpenOrCreateClient("s", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	s := supervise(t, "s", rpc.SupervisorOptions{
		Command: helper("moody", "s"), Restart: rpc.RestartOnDemand, MinDelay: time.Millisecond, MaxDelay: time.Millisecond,
	})
	c.StartWith(s)
	_, err = c.Call(bg, []byte("7"))
	var here *rpc.PeerDiedError
	if !errors.As(err, &here) || here.Foreign || here.PID == 0 || here.Worker == nil || here.Worker.ExitCode != 7 {
		t.Fatalf("%+v, %v", here, err)
	}
	// The first process of the namespace chooses the PID of the second one.
	worker := ipctest.Command(t, "moody", "s")
	script := fmt.Sprintf(`echo %d > %s && "$@"; echo "ended: $?"`, here.PID-1, last)
	cmd := ipctest.Command(t, "none")
	cmd.Path, cmd.Args, cmd.Env = "/bin/sh", append([]string{"sh", "-c", script, "sh"}, worker.Args...), worker.Env
	cmd.SysProcAttr = apart
	far := ipctest.StartCmd(t, cmd)
	for ctx, joined := inTime(t), false; !joined; {
		st, err := rpc.Inspect("s", nil)
		ipctest.NoErr(t, errors.Join(err, ctx.Err()))
		joined = slices.ContainsFunc(st.Members, func(m rpc.Member) bool { return m.Worker && m.Alive && m.Foreign })
	}
	_, err = c.Call(bg, []byte("9"))
	ipctest.WantErr(t, err, samepage.ErrPeerDied, fmt.Sprintf("process %d of another pid namespace (", here.PID))
	var there *rpc.PeerDiedError
	if !errors.As(err, &there) || !there.Foreign || there.PID != here.PID || there.Worker != nil {
		t.Errorf("%+v", there)
	}
	if l := far.Line(); l != "ended: 9" {
		t.Error(l)
	}
}
