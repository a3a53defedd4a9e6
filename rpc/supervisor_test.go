package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/layout"
	"samepage/rpc"
)

func init() {
	helpers["supervised"] = supervisedWorker
	helpers["bad"] = func([]string) {
		fmt.Fprintln(os.Stderr, "no picture library")
		os.Exit(7)
	}
}

// supervisedWorker is a worker that answers with its process id. It prints to its standard error.
func supervisedWorker(args []string) {
	w, _, err := rpc.OpenOrCreateWorker(args[0], nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "worker", os.Getpid())
	_ = w.Serve(context.Background(), rpc.Func(func(context.Context, []byte) ([]byte, error) {
		self := process.Self()
		return fmt.Append(nil, self.PID, self.Start), nil
	}))
}

// helper makes the commands of a helper.
func helper(name string, args ...string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		cmd, err := ipctest.Self()
		if err == nil {
			ipctest.SetHelper(cmd, name, args...)
		}
		return cmd, err
	}
}

func supervise(t *testing.T, name string, o rpc.SupervisorOptions) *rpc.Supervisor {
	t.Helper()
	ipctest.NeedNames(t)
	s, err := rpc.Supervise(name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, s.Close()) })
	return s
}

func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// A worker is started when it is first needed. It is killed again and again: the call that it
// had, if any, fails, and the service goes on with the next one.
func TestMission003_09_SupervisedService(t *testing.T) {
	ipctest.Store(t)
	s := supervise(t, "upper", rpc.SupervisorOptions{
		Command: helper("supervised", "upper"), MinDelay: time.Millisecond, MaxDelay: time.Millisecond,
	})
	if s.PIDs() != nil {
		t.Error("a worker runs before it is needed")
	}
	ctx := inTime(t)
	ipctest.NoErr(t, s.Ensure(ctx))
	c, err := rpc.OpenClient("upper", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	seen := map[layout.Process]bool{} // Windows likes to use ids again
	for range ipctest.Repeat(t, 10, 4, "") {
		var worker layout.Process
		for {
			ipctest.NoErr(t, s.Ensure(ctx))
			b, err := c.Call(ctx, nil)
			if errors.Is(err, samepage.ErrPeerDied) || errors.Is(err, samepage.ErrPeerNotStarted) {
				continue
			}
			ipctest.NoErr(t, err)
			if _, err := fmt.Sscan(string(b), &worker.PID, &worker.Start); err != nil {
				t.Fatal(err)
			}
			break
		}
		if seen[worker] {
			t.Fatalf("the dead worker %v has answered", worker)
		}
		seen[worker] = true
		pid := int(worker.PID)
		p, err := os.FindProcess(pid)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, p.Kill())
		e, err := s.End(ctx, pid)
		ipctest.NoErr(t, err)
		ipctest.WantErr(t, e, samepage.ErrPeerDied, fmt.Sprint("worker ", pid))
	}
}

// Nobody needs a Supervisor: a worker that was started in another way serves.
func TestMission003_10_SupervisorIsOptional(t *testing.T) {
	ipctest.Store(t)
	ipctest.NeedNames(t)
	w := ipctest.Start(t, "supervised", "alone")
	c, err := rpc.AwaitClient(inTime(t), "alone", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	ipctest.NoErr(t, c.AwaitWorker(inTime(t)))
	b, err := c.Call(inTime(t), nil)
	if err != nil || !strings.HasPrefix(string(b), fmt.Sprint(w.PID(), " ")) {
		t.Errorf("%q, %v", b, err)
	}
}

// The command fails: those who need a worker get the exit status and the last lines.
func TestMission000_27_SupervisedWorkerFails(t *testing.T) {
	ipctest.Store(t)
	var mu sync.Mutex
	var events []rpc.WorkerEvent
	s := supervise(t, "bad", rpc.SupervisorOptions{
		Command: helper("bad"), Restart: rpc.RestartOnDemand, Workers: 2, MinDelay: time.Hour, MaxDelay: time.Hour,
		Notify: func(e rpc.WorkerEvent) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		},
	})
	err := s.Ensure(inTime(t))
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, "exit status 7", "no picture library", "bad")
	var e *rpc.WorkerError
	if !errors.As(err, &e) || e.ExitCode != 7 || e.Name != "bad" {
		t.Errorf("%+v", e)
	}
	ipctest.WantErr(t, s.Wait(inTime(t)), samepage.ErrPeerNotStarted)
	mu.Lock()
	defer mu.Unlock()
	if len(events) != 4 || !events[3].Ended || events[3].Err == nil {
		t.Errorf("%+v", events)
	}
	if pids := s.PIDs(); pids != nil {
		t.Errorf("%v run", pids)
	}
}

// A context that has ended does not matter if a worker is ready.
func TestSupervisorIgnoresEndedContext(t *testing.T) {
	ipctest.Store(t)
	s := supervise(t, "ctx", rpc.SupervisorOptions{Command: helper("supervised", "ctx"), Restart: rpc.RestartOnDemand})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	ipctest.WantErr(t, s.Ensure(canceled), context.Canceled)
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	ipctest.NoErr(t, s.Ensure(inTime(t)))
	for range 20 {
		ipctest.NoErr(t, s.Ensure(canceled))
		if _, err := s.End(canceled, 1<<30); err != nil {
			t.Error(err)
		}
	}
	ipctest.WantErr(t, s.Wait(late), os.ErrDeadlineExceeded)
	_, err := s.End(late, s.PIDs()[0])
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
}

func TestSupervisorOptions(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	good := helper("bad")
	for _, o := range []rpc.SupervisorOptions{
		{},
		{Command: good, Workers: -1},
		{Command: good, Workers: rpc.MaxSupervised + 1},
		{Command: good, Stop: 3},
		{Command: good, Restart: -1},
		{Command: good, MinDelay: -1},
		{Command: good, MaxDelay: -1},
		{Command: good, Steady: -1},
		{Command: good, Grace: -1},
		{Command: good, Scope: 99},
		{Command: good, Perm: 0o755},
	} {
		if _, err := rpc.Supervise("none", o); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 190)} {
		if _, err := rpc.Supervise(name, rpc.SupervisorOptions{Command: good}); !errors.Is(err, samepage.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	s := supervise(t, "closed", rpc.SupervisorOptions{Command: good})
	ipctest.NoErr(t, s.Close())
	ipctest.WantErr(t, s.Ensure(t.Context()), samepage.ErrClosed)
	ipctest.WantErr(t, s.Wait(t.Context()), samepage.ErrClosed)
}

// Supervisors that are dropped without Close leave nothing behind.
func TestForgottenSupervisor(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Forget(t, process.Usage, func(i int) error {
		_, err := rpc.Supervise(fmt.Sprint("forgotten", i), rpc.SupervisorOptions{Command: helper("bad")})
		return err
	}, nil)
}

// A worker of a Supervisor that is dropped ends.
func TestForgottenSupervisorEndsWorker(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	pid := 0
	func() {
		s, err := rpc.Supervise("dropped", rpc.SupervisorOptions{Command: helper("supervised", "dropped")})
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, s.Ensure(inTime(t)))
		pid = s.PIDs()[0]
	}()
	ipctest.Collect(t, "the worker of a forgotten supervisor", func() error {
		if _, err := process.Find(pid); errors.Is(err, samepage.ErrPeerNotStarted) {
			return nil
		}
		return errors.New("it runs")
	})
}
