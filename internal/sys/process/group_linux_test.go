package process

import (
	"bufio"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
	"samepage/internal/sys/syserr"
)

// awaitGone waits until a process that may belong to another parent has ended.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := Find(pid); errors.Is(err, syserr.ErrPeerNotStarted) {
			return
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

// The first process of a group ends, and nobody has waited for it, or somebody has. In both cases
// Kill ends the rest, with the pidfd and by the number.
func TestGroupWithoutItsFirst(t *testing.T) {
	for _, waited := range []bool{false, true} {
		for how, kill := range map[string]func(*Group) error{
			"Kill": (*Group).Kill,
			"ID":   func(g *Group) error { return g.signalByID(unix.SIGKILL) },
		} {
			cmd := exec.Command("/bin/sh", "-c", "sleep 600 >&- & echo $!")
			out, err := cmd.StdoutPipe()
			ipctest.NoErr(t, err)
			g, err := StartGroup(cmd, GroupOptions{Together: true})
			ipctest.NoErr(t, err)
			line, err := bufio.NewReader(out).ReadString('\n')
			ipctest.NoErr(t, err)
			child, err := strconv.Atoi(strings.TrimSpace(line))
			ipctest.NoErr(t, err)
			g.Await()
			if ended, err := g.Ended(); !ended || err != nil {
				t.Errorf("after Await, ended is %v, %v", ended, err)
			}
			if waited {
				ipctest.NoErr(t, cmd.Wait())
			}
			if _, err := Find(child); err != nil {
				t.Fatal(err)
			}
			if err := kill(g); err != nil {
				t.Errorf("%s, waited %v: %v", how, waited, err)
			}
			awaitGone(t, child)
			if !waited {
				ipctest.NoErr(t, cmd.Wait())
			}
			if err := g.Kill(); err != nil {
				t.Errorf("of a group that has ended: %v", err)
			}
			ipctest.NoErr(t, g.Close())
		}
	}
}

// A process that has the number of the first one now is not touched.
func TestGroupNumberOfAnother(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "600")
	g, err := StartGroup(cmd, GroupOptions{Together: true})
	ipctest.NoErr(t, err)
	defer g.Close()
	old := &Group{p: g.p, held: g.held, job: g.job}
	old.p.Start-- // a process that has ended before this one began
	ipctest.NoErr(t, old.signalByID(unix.SIGKILL))
	if ended, err := g.Ended(); ended || err != nil {
		t.Errorf("the other process has ended: %v, %v", ended, err)
	}
	if asked, err := g.Ask(); !asked || err != nil {
		t.Fatal(asked, err)
	}
	g.Await()
	err = cmd.Wait()
	if e := ExitOf(cmd.ProcessState); err == nil || !e.Known || e.Code != -1 || e.Signal != "terminated" {
		t.Errorf("it ended with %+v, %v", e, err)
	}
	if (ExitOf(nil) != Exit{}) {
		t.Error("the exit of no process is known")
	}
}
