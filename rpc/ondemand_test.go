package rpc_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

func init() { helpers["moody"] = moodyWorker }

// moodyWorker answers with its process id, or ends with the exit status that the request says.
func moodyWorker(args []string) {
	w, _, err := rpc.OpenOrCreateWorker(args[0], nil)
	if err != nil {
		panic(err)
	}
	panic(w.Serve(bg, func(j *rpc.Job) error {
		if code, err := strconv.Atoi(string(j.Request())); err == nil {
			fmt.Fprintln(os.Stderr, "out of pictures")
			os.Exit(code)
		}
		b := fmt.Append(nil, os.Getpid())
		room, err := j.Response(len(b))
		copy(room, b)
		return err
	}))
}

// Calls start the worker that they need, one for all of them, and again after it has ended. The
// error of the call during which it ends says how.
func TestMission003_09_StartedByACall(t *testing.T) {
	ipctest.Store(t)
	s := supervise(t, "s", rpc.SupervisorOptions{
		Command: helper("moody", "s"), Restart: rpc.RestartOnDemand, MinDelay: time.Millisecond, MaxDelay: time.Millisecond,
	})
	c, _, err := rpc.OpenOrCreateClient("s", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	c.StartWith(s)
	for range 3 {
		var all sync.WaitGroup
		pids := make([]string, 8)
		for i := range pids {
			all.Go(func() {
				b, err := c.Call(bg, []byte("who?"))
				if err != nil {
					t.Error(err)
				}
				pids[i] = string(b)
			})
		}
		all.Wait()
		for _, pid := range pids {
			if pid != pids[0] {
				t.Errorf("workers %q answer, want one", pids)
			}
		}
		_, err := c.Call(bg, []byte("7"))
		ipctest.WantErr(t, err, samepage.ErrPeerDied, "exit status 7", "out of pictures")
		var died *rpc.PeerDiedError
		if !errors.As(err, &died) || fmt.Sprint(died.PID) != pids[0] || died.Worker == nil || died.Worker.ExitCode != 7 || !strings.Contains(died.Worker.Stderr, "out of pictures") {
			t.Errorf("%+v", died)
		}
	}
}

// A call whose worker cannot start returns why.
func TestMission000_27_WorkerCannotStart(t *testing.T) {
	ipctest.Store(t)
	s := supervise(t, "s", rpc.SupervisorOptions{Command: helper("bad"), Restart: rpc.RestartOnDemand})
	c, _, err := rpc.OpenOrCreateClient("s", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	c.StartWith(s)
	_, err = c.Call(bg, nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, "exit status 7", "no picture library")
}
