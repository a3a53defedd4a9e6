package rpc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/layout"
	"samepage/rpc"
)

// How a Supervisor starts the workers of a service, and how they end. Package internal/starter
// tests the same for the child of a place.

func init() {
	helpers["teller"] = teller
	helpers["sleeper"] = func([]string) { time.Sleep(2 * ipctest.Patience) }
	helpers["starts like itself"] = startsLikeItself
	helpers["says"] = func([]string) {
		fmt.Println("hidden", process.StartedHidden())
		teller(nil)
	}
}

// facts are what a worker tells about itself.
type facts struct {
	PID      int
	Args     []string
	Env, Dir string
	Hidden   bool     // its window
	Files    []string // where its descriptors lead; only on Linux
}

func ownFacts() facts {
	f := facts{
		PID: os.Getpid(), Args: os.Args, Env: os.Getenv("SAMEPAGE_TEST_FACT"), Hidden: process.StartedHidden(), Files: ipctest.OpenFiles(),
	}
	f.Dir, _ = os.Getwd()
	return f
}

// parentsFiles are the files that the tests have from their own parent, such as the lock of
// flock(1). They go on to every child.
var parentsFiles = ipctest.OpenFiles()

// teller is a worker that tells what it has, or starts a child, or ends.
func teller([]string) {
	begun := ownFacts() // before it opens the service
	w, _, err := rpc.OpenOrCreateWorker("tells", &rpc.Options{Response: 64 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = w.Serve(bg, rpc.Func(func(_ context.Context, b []byte) ([]byte, error) {
		switch string(b) {
		case "end":
			os.Exit(259) // STILL_ACTIVE of Windows
		case "child":
			cmd, err := helper("sleeper")()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				return nil, err
			}
			return fmt.Append(nil, cmd.Process.Pid), nil
		}
		return json.Marshal(begun)
	}))
}

// telling is a service with one supervised teller.
func telling(t *testing.T, command func() (*exec.Cmd, error)) (*rpc.Supervisor, *rpc.Client) {
	t.Helper()
	ipctest.Store(t)
	s := supervise(t, "tells", rpc.SupervisorOptions{Command: command, MinDelay: time.Millisecond, MaxDelay: time.Millisecond})
	ipctest.NoErr(t, s.Ensure(inTime(t)))
	c, err := rpc.OpenClient("tells", nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, c.Close()) })
	return s, c
}

func factsOf(t *testing.T, c *rpc.Client) (f facts) {
	t.Helper()
	b, err := c.Call(inTime(t), nil)
	ipctest.NoErr(t, errors.Join(err, json.Unmarshal(b, &f)))
	return f
}

// The arguments of a worker arrive unchanged: blanks, quotes, backslashes, UTF-8, empty ones.
func TestMission004_13_SupervisedArguments(t *testing.T) {
	args := []string{"", " ", "a b", `"`, `a"b`, `a\`, `a b\`, `a\\"b c`, `"quoted"`, "%PATH%", "$HOME", "^&|<>*?", "\u00e4 \u5de5\u7a0b \U0001f600", ""}
	given := slices.Clone(args)
	_, c := telling(t, func() (*exec.Cmd, error) {
		cmd, err := helper("teller")()
		if err == nil {
			cmd.Args = append(cmd.Args, given...)
		}
		return cmd, err
	})
	got := factsOf(t, c).Args
	if got = got[max(0, len(got)-len(args)):]; !slices.Equal(got, args) || !slices.Equal(given, args) {
		t.Errorf("the worker has the arguments %q, want %q", got, args)
	}
}

// A worker inherits environment and directory, and of the files of this process none.
func TestMission003_12_SupervisedInherits(t *testing.T) {
	t.Setenv("SAMEPAGE_TEST_FACT", "in\u00e4 herited")
	f, err := os.CreateTemp(ipctest.Dir(t), "open")
	ipctest.NoErr(t, err)
	defer f.Close()
	m, err := samepage.CreateUnnamed(4096, nil)
	ipctest.NoErr(t, err)
	defer m.Close()
	_, c := telling(t, helper("teller"))
	got, want := factsOf(t, c), ownFacts()
	if got.Env != want.Env || got.Dir != want.Dir {
		t.Errorf("the worker has the environment %q and the directory %q, want %q, %q", got.Env, got.Dir, want.Env, want.Dir)
	}
	for _, to := range got.Files {
		known := []string{os.DevNull, fmt.Sprintf("/proc/%d/fd", got.PID)}
		if !slices.Contains(append(known, parentsFiles...), to) && !strings.Contains(to, "samepage-stderr-") &&
			!strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
			t.Errorf("the worker has the file %s", to)
		}
	}
}

// A worker that ends with exit code 259 has ended: its call fails, and another worker is started.
func TestMission003_08_SupervisedEnds(t *testing.T) {
	s, c := telling(t, helper("teller"))
	for range 3 {
		pid := factsOf(t, c).PID
		_, err := c.Call(inTime(t), []byte("end"))
		ipctest.WantErr(t, err, samepage.ErrPeerDied)
		e, err := s.End(inTime(t), pid)
		ipctest.NoErr(t, err)
		want := 259
		if runtime.GOOS != "windows" {
			want &= 0xff
		}
		if e == nil || !e.ExitKnown || e.ExitCode != want {
			t.Errorf("the worker has ended with %+v, want exit code %d", e, want)
		}
		ipctest.NoErr(t, s.Ensure(inTime(t)))
	}
}

// A worker and its child end together, by a kill and by Close, and leave no zombie.
func TestSupervisedGroupEnds(t *testing.T) {
	s, c := telling(t, helper("teller"))
	for _, end := range []func(pid int){
		func(pid int) {
			p, err := os.FindProcess(pid)
			ipctest.NoErr(t, errors.Join(err, p.Kill()))
			_, err = s.End(inTime(t), pid)
			ipctest.NoErr(t, errors.Join(err, s.Ensure(inTime(t))))
		},
		func(int) { ipctest.NoErr(t, s.Close()) },
	} {
		pid, child := factsOf(t, c).PID, 0
		b, err := c.Call(inTime(t), []byte("child"))
		ipctest.NoErr(t, err)
		_, _ = fmt.Sscan(string(b), &child)
		q, err := process.Find(child)
		ipctest.NoErr(t, err)
		end(pid)
		awaitEnd(t, q)
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); runtime.GOOS == "linux" && err == nil {
			t.Errorf("worker %d is a zombie", pid)
		}
	}
}

func awaitEnd(t *testing.T, p layout.Process) {
	t.Helper()
	r, err := process.Hold(p)
	if errors.Is(err, samepage.ErrPeerNotStarted) {
		return
	}
	ipctest.NoErr(t, err)
	defer r.Close()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		ended, err := r.Ended()
		if err != nil || time.Since(begun) > ipctest.Patience {
			t.Fatalf("process %d does not end: %v", p.PID, err)
		}
		if ended {
			return
		}
	}
}

// startsLikeItself supervises a worker that has its standard output, and is hidden if it is.
func startsLikeItself([]string) {
	s, err := rpc.Supervise("tells", rpc.SupervisorOptions{Command: func() (*exec.Cmd, error) {
		cmd, err := helper("says")()
		if err == nil {
			samepage.StartLikeSelf(cmd)
			cmd.Stdin = nil // the test writes to the Supervisor's process
		}
		return cmd, err
	}})
	if err == nil {
		err = s.Ensure(bg)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
	_ = s.Close()
}

// By StartLikeSelf a worker has the standard output and the window mode of the process that starts
// it.
func TestMission004_14_SupervisedLikeSelf(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, hide := range []bool{false, true} {
		cmd := ipctest.Command(t, "starts like itself")
		if hide {
			process.HideWindow(cmd)
		}
		c := ipctest.StartCmd(t, cmd)
		if got, want := c.Line(), fmt.Sprint("hidden ", hide && runtime.GOOS == "windows"); got != want {
			t.Errorf("the worker says %q, want %q", got, want)
		}
		if l := c.Line(); l != "ready" {
			t.Error(l)
		}
		c.Wait()
	}
}
