package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	lib "samepage"
	"samepage/cmd/samepage/internal/demo"
	"samepage/frame"
	"samepage/inspect"
	"samepage/ipcsync"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{io.ErrUnexpectedEOF, 1},
		{lib.ErrCorrupt, 1},
		{usage(&cobra.Command{Use: "x"}, "no"), 2},
		{lib.ErrName, 2},
		{fs.ErrNotExist, 3},
		{fs.ErrExist, 4},
		{lib.ErrBusy, 4},
		{fs.ErrPermission, 5},
		{lib.ErrPrivilege, 5},
		{lib.ErrNoSpace, 6},
		{&fs.PathError{Err: syscall.ENOSPC}, 6},
		{os.ErrDeadlineExceeded, 7},
		{context.Canceled, 130},
		{&demo.RemoteError{Code: 6}, 6},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := exitCode(err); got != c.want {
			t.Errorf("exit code of %v is %d, want %d", c.err, got, c.want)
		}
	}
	for _, e := range exits {
		if !strings.Contains(exitHelp(), fmt.Sprintf("\n  %-4d %s", e.code, e.meaning)) {
			t.Errorf("the help does not tell exit code %d", e.code)
		}
	}
}

func TestMessage(t *testing.T) {
	for in, want := range map[string]string{
		`samepage: open "x": no`:                      `samepage: open "x": no`,
		`ipcsync: open event "x": samepage: open: no`: `samepage: open event "x": open: no`,
		"demo: no": "samepage: demo: no",
	} {
		if got := message(errors.New(in)); got != want {
			t.Errorf("message of %q is %q, want %q", in, got, want)
		}
	}
	if got := message(fmt.Errorf("put: %w", context.Canceled)); got != "samepage: interrupted" {
		t.Errorf("message of an interrupt is %q", got)
	}
}

// Others choose names: a name must not do anything to the terminal.
func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"frames": "frames", "帧": "帧", "two words": `"two words"`, "red\x1b[31m": `"red\x1b[31m"`, "a\nb": `"a\nb"`, `q"`: `"q\""`,
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) is %s, want %s", in, got, want)
		}
	}
}

func TestProgress(t *testing.T) {
	var w strings.Builder
	start := time.Now()
	now := start
	p := &progress{w: &w, now: func() time.Time { return now }, total: 4 << 20, start: start}
	step := func(after time.Duration, n int64, want string) {
		t.Helper()
		w.Reset()
		now = start.Add(after)
		p.at(n)
		if w.String() != want {
			t.Errorf("after %v at %d: %q, want %q", after, n, w.String(), want)
		}
	}
	step(400*time.Millisecond, 1<<20, "")
	step(500*time.Millisecond, 1<<20, "\r1 MiB of 4 MiB, 25 %, 2 MiB/s")
	step(550*time.Millisecond, 2<<20, "")
	step(time.Second, 3<<20, "\r3 MiB of 4 MiB, 75 %, 3 MiB/s")
	w.Reset()
	p.done()
	if want := "\r" + strings.Repeat(" ", len("3 MiB of 4 MiB, 75 %, 3 MiB/s")) + "\r"; w.String() != want {
		t.Errorf("done: %q, want %q", w.String(), want)
	}
	step(2*time.Second, 4<<20, "")

	newProgress(io.Discard, 1).at(1) // no terminal: does nothing
	newProgress(io.Discard, 1).done()
}

// A copy whose reader blocks for ever still ends with its context.
func TestCopyBytesInterrupted(t *testing.T) {
	r, _ := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if n, err := copyBytes(ctx, io.Discard, r, nil); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("copied %d, %v", n, err)
	}
}

func TestBuffered(t *testing.T) {
	in, err := input{strings.NewReader("12345"), -1}.buffered(t.Context(), 5)
	if err != nil || in.n != 5 {
		t.Errorf("5 of at most 5 bytes: %d, %v", in.n, err)
	}
	_, err = input{strings.NewReader("123456"), -1}.buffered(t.Context(), 5)
	if err == nil || !strings.Contains(err.Error(), "--size") {
		t.Errorf("6 of at most 5 bytes: %v", err)
	}
}

// The line of a member tells what is known about its process.
func TestMemberLine(t *testing.T) {
	m := inspect.Member{Member: ipcsync.Member{Member: lib.Member{PID: 7, Name: "x", Alive: true, Ended: true}, Owner: true}}
	if got := memberLine(m, false); !strings.HasPrefix(got, "process 7 (x), since ") || !strings.HasSuffix(got, ", holds it, which has ended: a descendant still has its descriptor") {
		t.Error(got)
	}
}

// Rates as users and ffmpeg write them.
func TestFPS(t *testing.T) {
	for s, want := range map[string]frame.Ratio{
		"25": {Num: 25, Den: 1}, "29.97": {Num: 2997, Den: 100}, "30000/1001": {Num: 30000, Den: 1001}, "30000:1001": {Num: 30000, Den: 1001}, "0.5": {Num: 1, Den: 2},
		"": {}, "0": {}, "-1": {}, "x": {}, "1/0": {}, "25:": {}, "1e99": {}, "1e-99": {}, "inf": {}, "1e99999999": {}, "1/2/3": {},
	} {
		var got frame.Ratio
		if err := (fpsFlag{&got}).Set(s); got != want || (err == nil) != (want != frame.Ratio{}) {
			t.Errorf("%q is %v, %v, want %v", s, got, err, want)
		}
	}
}
