package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"samepage"
	"samepage/internal/edge"
	"samepage/internal/ipctest"
	"samepage/internal/object"
	"samepage/internal/sys/process"
	"samepage/stream"
)

func init() {
	children["idle server"] = func(args []string) {
		threads, n := ipctest.Threads(), number(args[0])
		l, err := stream.Listen("s", &stream.Options{Connections: n, Buffer: 4096})
		check(err)
		fmt.Println("ready")
		for range n {
			c, err := l.Accept()
			check(err)
			go func() { _, _ = io.Copy(c, struct{ io.Reader }{c}) }()
		}
		sayRest(threads)
		_, _ = io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(l)
	}
	children["idle client"] = func(args []string) {
		threads, n := ipctest.Threads(), number(args[0])
		var all []*stream.Conn
		got := make(chan error, n)
		for range n {
			c, err := stream.Dial(bg, "s", nil)
			check(err)
			all = append(all, c)
			go func() {
				_, err := io.ReadFull(c, make([]byte, 1))
				got <- err
			}()
		}
		sayRest(threads)
		for _, k := range rand.Perm(n)[:100] {
			_, err := all[k].Write([]byte("x"))
			check(err)
			check(<-got)
		}
		fmt.Println("all wake")
		_, _ = io.Copy(io.Discard, os.Stdin)
		runtime.KeepAlive(all)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

// check ends a child that has an error.
func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// sayRest prints what this process uses while it waits, how many threads it has in addition, and how
// many of its goroutines sleep in a thread of their own.
func sayRest(threads int) {
	fmt.Println(ipctest.RestCostIn(2*time.Second, func(ctx context.Context) { <-ctx.Done() }))
	fmt.Println(ipctest.Threads() - threads)
	n, stacks := 0, make([]byte, 16<<20)
	for n == 0 { // in a moment one sleeps again
		n = bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("waker.(*Waker).Sleep("))
	}
	fmt.Println(n)
}

// A thousand connections are open, and each has a goroutine at both ends that waits to read. In each
// process only one of them sleeps in the system, and so takes a thread. One byte still wakes its
// reader.
//
// The test only prints the threads, and what waiting costs. On a machine that is busy Go makes more
// threads. Twenty times a second the death watch looks at all conditions. Go's monitor thread wakes
// many times during such a long look, so switches do not tell a process that polls.
func TestIdleConnections(t *testing.T) {
	store(t)
	const n = 1000
	server := ipctest.Start(t, "idle server", fmt.Sprint(n))
	if l := server.Line(); l != "ready" {
		t.Fatal(l)
	}
	client := ipctest.Start(t, "idle client", fmt.Sprint(n))
	for _, c := range []*ipctest.Child{server, client} {
		used, more, asleep := c.Line(), number(c.Line()), number(c.Line())
		t.Logf("%d idle connections: %d threads; ms of CPU and switches in 2 s: %s", n, more, used)
		if asleep != 1 {
			t.Errorf("for %d connections %d goroutines sleep in threads of their own, want 1", n, asleep)
		}
	}
	if l := client.Line(); l != "all wake" {
		t.Error(l)
	}
}

// SAMEPAGE_ROUNDS connections (10,000, fewer under Wine) are opened and closed. No object,
// descriptor, thread or memory stays.
func TestManyConnections(t *testing.T) {
	store(t)
	l := listen(t, &stream.Options{Connections: 64})
	go echoes(l)
	round := func(n int) {
		for range n {
			c, err := stream.Dial(bg, "s", nil)
			ipctest.NoErr(t, err)
			_, err = c.Write([]byte("x"))
			ipctest.NoErr(t, err)
			_, err = io.ReadFull(c, make([]byte, 1))
			ipctest.NoErr(t, err)
			ipctest.NoErr(t, c.Close())
		}
	}
	round(50)
	before := usage(t)
	// If no other connection is open, Dial opens the listener's files, and Close closes them. Wine
	// keeps a file that was closed open while any process has a lock on it, up to the limit of its
	// server.
	n := ipctest.Repeat(t, 10_000, 1000, "SAMEPAGE_ROUNDS")
	// Without another connection, Dial opens the listener's files, and Close closes them. The server
	// of Wine keeps a file that was closed, while a process has a lock on it: 20,000 of them at
	// most.
	round(n / 10)
	keeps := dial(t)
	round(n - n/10)
	ipctest.NoErr(t, keeps.Close())
	idle(t, 0)
	after := usage(t)
	t.Logf("objects, handles, threads, goroutines: %v, and %v after %d connections", before, after, n)
	// What stays of each connection would be n, or a tenth of it if it stays where Dial opens files.
	// The runtime makes more threads when the machine is busy, and keeps them.
	for i, most := range [4]int{0, 50, n / 20, 8} {
		// On Windows some threads have more handles than others. With the race detector each
		// handle of a segment has a death watch of its own, which ends a moment later.
		if after[i] > before[i]+most && (i < 2 || !edge.Enabled) {
			t.Errorf("objects, handles, threads, goroutines: %v, before %v", after, before)
		}
	}
	i, err := samepage.Stat("s", &samepage.Options{Kind: samepage.KindListener})
	ipctest.NoErr(t, err)
	if runtime.GOOS == "linux" && i.Allocated > 1<<20 {
		t.Errorf("the rings of closed connections take %d bytes", i.Allocated)
	}
}

// usage counts open objects, handles or descriptors, threads and goroutines of this process.
func usage(t *testing.T) [4]int {
	t.Helper()
	handles, _, err := process.Usage()
	ipctest.NoErr(t, err)
	return [4]int{object.OpenCount(), handles, ipctest.Threads(), runtime.NumGoroutine()}
}
