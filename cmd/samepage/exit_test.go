package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// Each class of error of each command has the exit code from the table in the help.
func TestExitCodes(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing", "file")
	start := func(words ...string) *exec.Cmd {
		c := exec.Command("samepage", append([]string{holderCommand}, words...)...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	ready := filepath.Join(dir, "ready")
	start("memory=used", "turn=turn", "ready="+ready)
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("the holder does not get ready")
		}
	}
	one := startProcess(t, "pub", "one", "--members", "1", "--size", "10")
	one.says("waiting for")
	for _, c := range []struct {
		args  string
		stdin string
		code  int
		says  string
	}{
		{"create m --size 5", "", 0, ""},
		{"create m --size 5", "", 4, "exist"},
		{"create f --file " + missing, "", 12, "missing"},
		{"create f --file " + missing + " --size 5", "", 12, "missing"},
		{"create a/b --size 5", "", 2, "name"},
		{"create x --size 60TiB", "", 6, "space"},

		{"cat missing", "", 3, `there is no memory "missing"`},
		{"cat turn", "", 3, `there is no memory "turn" (there is a cell of that name)`},
		{"cat m --offset 6", "", 11, "past the end"},
		{"cat m --offset 1 --length 5", "", 11, "past the end"},
		{"put missing", "x", 3, `there is no memory "missing"; --create creates it`},
		{"put one", "x", 3, `there is no memory "one" (there is a topic of that name); --create creates it`},
		{"put m", "123456", 11, "the input is longer"},
		{"put m --offset 6", "", 11, "past the end"},
		{"put m --size 6", "x", 4, "already"},
		{"put big --size 60TiB", "x", 6, "space"},
		{"stat missing", "", 3, `there is no object "missing"`},
		{"stat missing --kind event", "", 3, `there is no event "missing"`},
		{"stat m --kind event", "", 3, `there is no event "m" (there is a memory of that name)`},
		{"rm missing", "", 3, `there is no object "missing"`},
		{"rm used", "", 4, "in use"},
		{"rm turn", "", 4, "in use by process"},
		{"rm one", "", 4, "in use by process"},

		{"event set m", "", 0, "created"},
		{"event reset missing", "", 3, `there is no event "missing"`},
		{"event wait missing --timeout 1ms", "", 7, `there is no event "missing": wait for event "missing": timed out`},
		{"event reset one", "", 3, `there is no event "one" (there is a topic of that name)`},
		{"cell get m", "", 3, `there is no cell "m" (there are a memory and an event of that name)`},
		{"cell get missing --timeout 1ms", "", 7, `there is no cell "missing"`},
		{"cell put missing x", "", 3, `there is no cell "missing"; --create creates it`},
		{"cell put turn x --timeout 1ms", "", 7, "blocked by the turn of process"},
		{"cell put small 12345 --size 4", "", 11, "too large"},
		{"cell get small", "", 3, `cell "small" has no value yet`},

		{"pub one", "x", 4, "no place for another member, all 1 are taken: process"},
		{"sub one --timeout 1ms", "", 7, "all places of topic one are taken, so this process watches it without joining"},
		{"hz one --duration 1ms", "", 0, "total"},
		{"pub t --wait 0 --size 4", "12345\n", 11, "line 1 has 5 bytes"},
		{"pub t --wait 0 --record 4", "12345", 1, "record 2"},
		{"sub missing --timeout 1ms", "", 7, `there is no topic "missing"`},
		{"hz missing --duration 1ms", "", 7, `there is no topic "missing"`},

		{"legacy text get ex-missing", "", 3, `there is no text "ex-missing"`},
		{"legacy text set ex-missing x", "", 3, `there is no text "ex-missing"`},
		{"legacy text serve ex-over --file " + missing, "", 12, "missing"},
		{"legacy sharememory read ex-missing", "", 3, `there is no ShareMemory "ex-missing"`},
		{"legacy sharememory read ex-missing --timeout 1ms", "", 7, "ex-missing"},
		{"legacy sharememory write ex-missing --once", "x", 3, `there is no ShareMemory "ex-missing"`},
		{"legacy baseimage grab --name ex-missing --out x.png", "", 10, "ex-missing"},
		{"legacy baseimage send " + missing, "", 12, "missing"},
		{"demo --images " + missing, "", 12, "missing"},
		{"stat", "", 2, "NAME"},
	} {
		if c.code == 6 && runtime.GOOS != "linux" {
			continue // sparse files give that much
		}
		cmd := exec.Command("samepage", strings.Fields(c.args)...)
		cmd.Stdin = strings.NewReader(c.stdin)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("samepage %s: exit code %d, want %d, and %q in %q", c.args, got, c.code, c.says, out.String())
		}
		if c.code != 0 && strings.Contains(out.String(), os.Getenv("SAMEPAGE_DIR")) && c.code == 3 {
			t.Errorf("samepage %s tells of a place of ours: %s", c.args, out.String())
		}
	}
}

// Ctrl-C ends hz with exit code 0, also while it waits for the topic.
func TestHzInterruptedWhileItWaits(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	hz := startProcess(t, "hz", "missing")
	hz.says("waiting for topic missing")
	if err := interrupt(hz.cmd); err != nil {
		t.Skip("no Ctrl-C can be sent here: ", err)
	}
	hz.want(0, "")
}

// hz joins nothing, and reports the death of the publisher.
func TestHzJoinsNothing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	pub := startProcess(t, holderCommand, "steady=t")
	hz := startProcess(t, "hz", "t", "--window", "30ms")
	if l := hz.line(bufio.NewReader(hz.out)); !strings.Contains(l, "/s") && l != "no messages" {
		t.Errorf("hz says %q", l)
	}
	if st, err := pubsub.Inspect("t", nil); err != nil || len(st.Members) != 1 {
		t.Errorf("members: %+v, %v", st, err)
	}
	ipctest.NoErr(t, pub.cmd.Process.Kill())
	hz.want(8, "the process at the other end has died")
}
