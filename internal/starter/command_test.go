package starter

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/ipctest"
	"samepage/layout"
)

// tell writes its command line to a file.
func tell(args []string) {
	b, err := json.Marshal(os.Args[1:])
	if err != nil || os.WriteFile(args[0]+".new", b, 0o600) != nil || os.Rename(args[0]+".new", args[0]) != nil {
		os.Exit(1)
	}
}

// The arguments arrive unchanged: blanks, quotes, backslashes, UTF-8, empty ones. The caller's
// slice is not touched.
func TestMission004_13_Arguments(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	args := []string{
		"", " ", "a b", `"`, `a"b`, `\`, `a\`, `a b\`, `a\\"b c`, `\\server\share\`, `"quoted"`, "'", "tab\there", "%PATH%", "$HOME", "^&|<>*?",
		"\u00e4\u00f6\u00fc \u5de5\u7a0b \U0001f600", "--flag=a b", "",
	}
	given := slices.Clone(args)
	s := openStarter(t, "arguments")
	out := filepath.Join(dir, "a file \u5de5")
	ensure(t, s, func() (*exec.Cmd, error) {
		cmd, err := ipctest.Self()
		if err == nil {
			cmd.Args = append(cmd.Args, given...)
			ipctest.SetHelper(cmd, "tell", out)
		}
		return cmd, err
	}, true)
	var got []string
	for begun := time.Now(); got == nil; time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(out); err == nil {
			ipctest.NoErr(t, json.Unmarshal(b, &got))
		} else if time.Since(begun) > ipctest.Patience {
			t.Fatal(err)
		}
	}
	got = got[max(0, len(got)-len(args)):] // an emulator has arguments of its own
	if !slices.Equal(got, args) || !slices.Equal(given, args) {
		t.Errorf("the child has the arguments %q, want %q", got, args)
	}
}

// A supervised worker inherits nothing but its standard error.
func TestMission003_12_WorkerInheritsNothing(t *testing.T) {
	ipctest.Store(t)
	for _, stop := range []Stop{WithLast, WithStarter} {
		dir := folder(t)
		m, err := samepage.CreateUnnamed(4096, nil)
		ipctest.NoErr(t, err)
		defer m.Close()
		f, err := os.Create(filepath.Join(dir, "open"))
		ipctest.NoErr(t, err)
		defer f.Close()
		c := config(dir)
		c.Stop = stop
		p := ensured(t, supervise(t, fmt.Sprint("inherits", stop), c), dir)
		if runtime.GOOS != "linux" {
			continue // see TestWorkerInheritsNoHandle
		}
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
		ipctest.NoErr(t, err)
		for _, fd := range fds {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.PID, fd.Name()))
			stderr := fd.Name() == "2" && (strings.HasPrefix(filepath.Base(to), "samepage-stderr-") || strings.HasPrefix(to, "pipe:"))
			if to != os.DevNull && !stderr && !slices.Contains(given, to) && !strings.HasPrefix(to, "anon_inode:") && !strings.HasPrefix(to, "/sys/fs/cgroup/") {
				t.Errorf("Stop %d: the worker has descriptor %s, %s", stop, fd.Name(), to)
			}
		}
	}
}

// The end of a worker leaves no zombie, and the end of its Supervisor neither.
func TestNoZombies(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	for _, stop := range []Stop{WithLast, WithStarter} {
		c := config(dir)
		c.Stop, c.Restart = stop, OnDemand
		s, err := Supervise(fmt.Sprint("zombies", stop), c)
		ipctest.NoErr(t, err)
		p := ensured(t, s, dir)
		kill(t, p)
		if _, err := s.End(patience(t), int(p.PID)); err != nil {
			t.Error(err)
		}
		q := ensured(t, s, dir)
		ipctest.NoErr(t, s.Close())
		for _, p := range []uint32{p.PID, q.PID} {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", p)); runtime.GOOS == "linux" && err == nil {
				t.Errorf("process %d is a zombie", p)
			}
		}
		if alive(t, p) || alive(t, q) {
			t.Error("a worker runs")
		}
	}
}

// The file of standard error is cut when it is large, and its last lines stay known.
func TestLargeStandardError(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	c := config(dir, "say:early", "bytes:1500000", "say:before", "await:cut", "say:after", "exit:1")
	c.Restart = OnDemand
	s := supervise(t, "large", c)
	ipctest.NoErr(t, s.Ensure(patience(t)))
	st := s.all[0].st
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		r, err := st.read()
		ipctest.NoErr(t, err)
		if last, size := r.readFile(); size > 1500000 && strings.HasSuffix(text(last), "before\n") {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("the worker does not write")
		}
	}
	ipctest.NoErr(t, st.Trim(t.Context()))
	r, err := st.read()
	ipctest.NoErr(t, err)
	if _, size := r.readFile(); size != 0 {
		t.Errorf("the file has %d bytes", size)
	}
	ipctest.NoErr(t, os.WriteFile(filepath.Join(dir, "cut"), nil, 0o600))
	err = s.Wait(patience(t))
	if e := workerError(t, err); !strings.HasSuffix(e.Stderr, "before\nafter\n") || len(e.Stderr) > tailSize || strings.Contains(e.Stderr, "early") {
		t.Errorf("the last lines are %q", e.Stderr)
	}
}

// A process dies after it has started a worker, before the record says so. There is no second
// worker: on Linux the next process finds the first one, on Windows the kernel has ended it.
func TestFaultStarterDiesBeforeItsRecord(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	ipctest.Store(t)
	dir := folder(t)
	cmd := ipctest.Command(t, "supervised", "torn", dir, "1", fmt.Sprint(int(Stay)), "child")
	cmd.Env = append(cmd.Env, "SAMEPAGE_FAULT="+fault.WorkerStarted.String())
	c := ipctest.StartCmd(t, cmd)
	if l := c.Line(); l != "ok" {
		t.Fatal(l)
	}
	c.Send("ensure")
	if !c.EndsWithin(ipctest.Patience) {
		t.Fatal("the process does not die")
	}
	s := supervise(t, "torn", config(dir, "child"))
	p := ensured(t, s, dir)
	running := func() (all []layout.Process) {
		return slices.DeleteFunc(children(t, dir), func(q layout.Process) bool { return !alive(t, q) })
	}
	// The worker has a child. On Windows a worker that has ended may have written that it runs.
	for begun := time.Now(); len(running()) < 2; time.Sleep(time.Millisecond) {
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("%v run", running())
		}
	}
	if all := running(); len(all) != 2 || !slices.Contains(all, p) {
		t.Errorf("%v run, want worker %v and its child", all, p)
	}
	if runtime.GOOS == "linux" {
		if r, err := s.all[0].st.read(); err != nil || r.child() != p || int(r.StarterPID) != c.PID() {
			t.Errorf("the record names %v of %d: %v", r.child(), r.StarterPID, err)
		}
	}
}
