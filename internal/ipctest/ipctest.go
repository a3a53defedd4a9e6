// Package ipctest is for tests that need more processes than one. The test
// binary runs itself again as the child, in the way of os/exec's own tests.
package ipctest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	helperEnv = "SAMEPAGE_TEST_HELPER"
	argsEnv   = "SAMEPAGE_TEST_ARGS"
)

// Patience is how long a test waits for another process before it fails. It
// decides nothing else. A machine that is slow and busy has taken a minute for what takes a
// second elsewhere.
const Patience = 5 * time.Minute

// Main is for TestMain: in a child it runs the helper of that name and exits,
// else it runs the tests, with a place of their own for named objects.
func Main(m *testing.M, helpers map[string]func(args []string)) {
	name := os.Getenv(helperEnv)
	if name == "" {
		os.Exit(runTests(m))
	}
	h := helpers[name]
	if name == "clock" {
		h = clock
	}
	if h == nil {
		fmt.Fprintf(os.Stderr, "no test helper %q\n", name)
		os.Exit(3)
	}
	var args []string
	if err := json.Unmarshal([]byte(os.Getenv(argsEnv)), &args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	_ = os.Unsetenv(helperEnv)
	_ = os.Unsetenv(argsEnv)
	h(args)
	os.Exit(0)
}

func runTests(m *testing.M) int {
	d, err := os.MkdirTemp(storeParent(), "samepage-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = os.Setenv("SAMEPAGE_DIR", d)
	code := m.Run()
	if err := removeAll(d); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// storeParent is where tests have their places for named objects: in memory,
// where there is such a place.
func storeParent() string {
	if st, err := os.Stat("/dev/shm"); runtime.GOOS == "linux" && err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// Command is a child of this test binary that will run a helper.
func Command(t testing.TB, helper string, args ...string) *exec.Cmd {
	t.Helper()
	cmd, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	SetHelper(cmd, helper, args...)
	return cmd
}

// Pin makes c run on one processor, if this system has taskset.
func Pin(c *exec.Cmd, processor int) {
	if taskset, err := exec.LookPath("taskset"); err == nil {
		c.Args = append([]string{taskset, "-c", fmt.Sprint(processor), c.Path}, c.Args[1:]...)
		c.Path = taskset
	}
}

// Self is a command that runs this test binary: with the program of $SAMEPAGE_TEST_EXEC
// where there is one, an emulator that "go test -exec" was given.
func Self() (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if run := os.Getenv("SAMEPAGE_TEST_EXEC"); run != "" {
		return exec.Command(run, exe), nil
	}
	return exec.Command(exe), nil
}

// SetHelper has cmd, which runs a test binary, run a helper.
func SetHelper(cmd *exec.Cmd, helper string, args ...string) {
	if args == nil {
		args = []string{}
	}
	b, _ := json.Marshal(args)
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	// A child under the race detector would sleep a second at its end.
	cmd.Env = append(cmd.Env, helperEnv+"="+helper, argsEnv+"="+string(b), "GORACE=atexit_sleep_ms=0")
}

// Child is a running helper, which speaks in lines.
type Child struct {
	t     testing.TB
	Cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	done  chan struct{}
	once  sync.Once
}

// Start starts a helper. It is killed at the end of the test if it still runs.
func Start(t testing.TB, helper string, args ...string) *Child {
	t.Helper()
	return StartCmd(t, Command(t, helper, args...))
}

// StartCmd starts a command of Command.
func StartCmd(t testing.TB, cmd *exec.Cmd) *Child {
	t.Helper()
	c := &Child{t: t, Cmd: cmd, lines: make(chan string, 1000), done: make(chan struct{})}
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			c.lines <- s.Text()
		}
		close(c.lines)
		_ = cmd.Wait()
		close(c.done)
	}()
	t.Cleanup(c.Kill)
	return c
}

// Line is the next line that the child prints. The test fails when there is
// none.
func (c *Child) Line() string {
	c.t.Helper()
	select {
	case l, ok := <-c.lines:
		if !ok {
			<-c.done
			c.t.Fatalf("child ended: %v", c.Cmd.ProcessState)
		}
		return strings.TrimRight(l, "\r")
	case <-time.After(Patience):
		c.t.Fatalf("child said nothing for %v", Patience)
	}
	return ""
}

// Send writes a line to the child's standard input.
func (c *Child) Send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, format+"\n", args...); err != nil {
		c.t.Fatalf("child does not listen: %v; it said %q", err, c.KillAndRead())
	}
}

// Ask sends a line and returns the answer.
func (c *Child) Ask(format string, args ...any) string {
	c.t.Helper()
	c.Send(format, args...)
	return c.Line()
}

// Want sends a line and fails the test when the answer is not want.
func (c *Child) Want(want, format string, args ...any) {
	c.t.Helper()
	if got := c.Ask(format, args...); got != want {
		c.t.Errorf("child, asked to %s, answers %q, want %q", fmt.Sprintf(format, args...), got, want)
	}
}

// Kill kills the child as kill -9 does and waits for its end.
func (c *Child) Kill() {
	select {
	case <-c.done:
	default:
		_ = c.Cmd.Process.Kill()
	}
	c.once.Do(func() {
		for range c.lines {
		}
		<-c.done
	})
}

// KillAndRead kills the child and returns the lines that it had printed.
func (c *Child) KillAndRead() (lines []string) {
	_ = c.Cmd.Process.Kill()
	for l := range c.lines {
		lines = append(lines, strings.TrimRight(l, "\r"))
	}
	<-c.done
	return lines
}

// Wait closes the child's standard input, waits for its end and returns how it
// ended.
func (c *Child) Wait() *os.ProcessState {
	c.t.Helper()
	_ = c.in.Close()
	late := time.AfterFunc(Patience, func() { _ = c.Cmd.Process.Kill() })
	defer late.Stop()
	c.once.Do(func() {
		for range c.lines {
		}
		<-c.done
	})
	return c.Cmd.ProcessState
}

// EndsWithin waits for the child's end, which comes by itself, and says whether
// it came in time. What the child prints is lost.
func (c *Child) EndsWithin(d time.Duration) bool {
	go c.once.Do(func() {
		for range c.lines {
		}
		<-c.done
	})
	select {
	case <-c.done:
		return true
	case <-time.After(d):
	}
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// PID is the child's process id.
func (c *Child) PID() int { return c.Cmd.Process.Pid }

// Dir is a directory of the test's own, removed at its end. Unlike t.TempDir
// it can be removed under Wine, which lacks what os.RemoveAll uses.
func Dir(t testing.TB) string {
	t.Helper()
	return dirIn(t, "")
}

func dirIn(t testing.TB, parent string) string {
	t.Helper()
	d, err := os.MkdirTemp(parent, "samepage-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// On Windows a file stays while it is open, also by an object that the test has dropped and
		// the collector has not found yet.
		if removeAll(d) != nil {
			Collect(t, "the files in "+d, func() error { return removeAll(d) })
		}
	})
	return d
}

func removeAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = errors.Join(err, removeAll(p))
		} else if rerr := os.Remove(p); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return errors.Join(err, os.Remove(dir))
}

// Store gives the test, and its children, a place of their own for named
// objects, and returns its directory.
func Store(t testing.TB) string {
	t.Helper()
	d := dirIn(t, storeParent())
	if err := os.Chmod(d, 0o755); err != nil {
		t.Fatal(err)
	}
	if s, ok := t.(interface{ Setenv(k, v string) }); ok {
		s.Setenv("SAMEPAGE_DIR", d)
	}
	return d
}

// NeedNames skips a test on systems where objects cannot have names.
func NeedNames(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		t.Skipf("named objects are not supported on %s", runtime.GOOS)
	}
}
