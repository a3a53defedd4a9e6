package main

import (
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

// On a terminal of 80 columns top shows that a stopped subscriber makes its publisher wait, and
// that they go on.
func TestTopOnTerminal(t *testing.T) {
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("tmux is not installed (apt-get install tmux)")
	}
	dir := ipctest.Store(t)
	start := func(in io.Reader, args ...string) *exec.Cmd {
		c := exec.Command("samepage", args...)
		c.Stdin = in
		ipctest.NoErr(t, c.Start())
		t.Cleanup(func() { _, _ = c.Process.Kill(), c.Wait() })
		return c
	}
	start(manyLines{}, "pub", "cam", "--wait", "1")
	sub := start(nil, "sub", "cam", "--timeout", "5m")

	server := "samepage-" + strings.ReplaceAll(dir, "/", "-")
	on := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(tmux, append([]string{"-L", server, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %q: %v, %s", args, err, out)
		}
		return string(out)
	}
	on("new-session", "-d", "-x", "80", "-y", "24", "samepage", "top", "--interval", "100ms")
	t.Cleanup(func() { _ = exec.Command(tmux, "-L", server, "kill-server").Run() })
	shows := func(ok func(screen string) bool) {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			s := on("capture-pane", "-p")
			if ok(strings.Join(strings.Fields(s), " ")) {
				return
			}
			if time.Since(begun) > ipctest.Patience {
				t.Fatalf("at last it shows\n%s", s)
			}
		}
	}
	moves := func(s string) bool {
		return strings.Contains(s, "cam ") && strings.Contains(s, "/s") && !strings.Contains(s, " 0/s")
	}
	shows(moves)
	ipctest.NoErr(t, sub.Process.Signal(syscall.SIGSTOP))
	stands := func(s string) bool {
		return strings.Contains(s, " 0/s") && strings.Contains(s, "which is stopped, lets go of messages, for ")
	}
	shows(stands)
	on("send-keys", "Enter", "End")
	shows(func(s string) bool { return strings.Contains(s, ", stopped") && strings.Contains(s, "Esc back") })
	on("send-keys", "Escape")
	shows(stands)
	ipctest.NoErr(t, sub.Process.Signal(syscall.SIGCONT))
	shows(moves)
	on("send-keys", "q")
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if err := exec.Command(tmux, "-L", server, "list-sessions").Run(); err != nil {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("q does not end it")
		}
	}
}

// manyLines is text without an end.
type manyLines struct{}

func (manyLines) Read(b []byte) (int, error) { return copy(b, "a message\n"), nil }
