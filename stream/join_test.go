package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"samepage/internal/fault"
	"samepage/internal/ipctest"
	"samepage/stream"
)

func init() {
	// A client is held while it joins a listener. On a line of its input it dials others.
	children["held"] = func([]string) {
		first, err := stream.Dial(bg, "before", nil)
		check(err)
		joined := make(chan *stream.Conn, 2)
		dial := func() {
			c, err := stream.Dial(bg, "held", nil)
			check(err)
			joined <- c
		}
		go dial()
		_, _ = fmt.Scanln()
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_, err = stream.Dial(ctx, "held", nil)
		fmt.Println("gives up", errors.Is(err, context.Canceled))
		for _, name := range []string{"before", "after"} {
			c, err := stream.Dial(bg, name, nil)
			check(err)
			fmt.Println(name, c.Close())
		}
		fmt.Println("closed", first.Close())
		go dial()
		both := []*stream.Conn{<-joined, <-joined}
		fmt.Println("joined")
		_, _ = io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(both)
	}
}

// A process that is held while it joins a listener dials others meanwhile, and closes their
// connections. Who dials the same listener waits, as long as its context says. Both are one member
// of it.
func TestFaultHeldWhileJoining(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	store(t)
	for _, name := range []string{"before", "held", "after"} {
		l, err := stream.Listen(name, nil)
		ipctest.NoErr(t, err)
		defer l.Close()
	}
	file := filepath.Join(ipctest.Dir(t), "held")
	cmd := ipctest.Command(t, "held")
	cmd.Env = append(cmd.Env, fmt.Sprintf("SAMEPAGE_FAULT=%v:1@%s", fault.JoinTaken, file))
	c := ipctest.StartCmd(t, cmd)
	for _, err := os.Stat(file); err != nil; _, err = os.Stat(file) {
		time.Sleep(time.Millisecond)
	}
	c.Send("")
	for _, want := range []string{"gives up true", "before <nil>", "after <nil>", "closed <nil>"} {
		if got := c.Line(); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	ipctest.NoErr(t, os.Remove(file))
	if got := c.Line(); got != "joined" {
		t.Fatal(got)
	}
	st, err := stream.Inspect("held", nil)
	ipctest.NoErr(t, err)
	if len(st.Members) != 2 || st.Asked != 2 {
		t.Errorf("two that dial are not one member: %+v", st)
	}
}
