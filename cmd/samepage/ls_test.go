package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// ls --watch lists again when an object comes and when it goes, and not in between.
func TestLsWatch(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		o := lsOptions{object: object{kinds: samepage.Kinds()}, watch: true}
		ended <- watchLs(ctx, &app{stdout: w}, o, []string{"w*"})
		_ = w.Close()
	}()
	lines := bufio.NewScanner(r)
	line := func() string {
		if !lines.Scan() {
			t.Fatal("no more lines", lines.Err())
		}
		return lines.Text()
	}
	if l := line(); !strings.HasPrefix(l, "NAME ") {
		t.Fatal(l)
	}
	m, err := samepage.Create("w1", 1, nil)
	ipctest.NoErr(t, err)
	for _, begin := range []string{"", "NAME ", "w1 "} {
		if l := line(); !strings.HasPrefix(l, begin) {
			t.Fatalf("line %q, want %q", l, begin)
		}
	}
	ipctest.NoErr(t, m.Close())
	if l := line() + line(); !strings.HasPrefix(l, "NAME ") {
		t.Error(l)
	}
	cancel()
	for lines.Scan() {
		t.Error("one more line:", lines.Text())
	}
	ipctest.WantErr(t, <-ended, context.Canceled)
}
