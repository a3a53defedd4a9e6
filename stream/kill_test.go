package stream_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/stream"
)

func init() {
	// A client writes numbers, and wants them back in order. It says "n" for each hundred.
	children["client"] = func(args []string) {
		c, err := dialOn("stream", args[0])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		out, in := make([]byte, 8), make([]byte, 8)
		for n := uint64(0); ; n++ {
			binary.LittleEndian.PutUint64(out, n)
			_, err := c.Write(out)
			if err == nil {
				_, err = io.ReadFull(c, in)
			}
			if err != nil || binary.LittleEndian.Uint64(in) != n {
				fmt.Println("after", n, err)
				os.Exit(1)
			}
			if n%1000 == 0 {
				fmt.Println("n")
			}
			if n%50 == 49 { // also take connections down
				_ = c.Close()
				if c, err = dialOn("stream", args[0]); err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
			}
		}
	}
}

// idle waits until all connections of the listener are free.
func idle(t *testing.T, open int) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		st, err := stream.Inspect("s", nil)
		ipctest.NoErr(t, err)
		if st.Open == open && st.Asked == 0 {
			return
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("connections of the dead stay: %+v", st)
		}
	}
}

// echoes accepts connections and gives back what comes.
func echoes(l *stream.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(c, struct{ io.Reader }{c}); _ = c.Close() }()
	}
}

// Clients are killed at random moments. The listener serves the others, and nothing of the dead
// stays. SAMEPAGE_KILLS says how many.
func TestKilledClients(t *testing.T) {
	store(t)
	l := listen(t, nil)
	go echoes(l)
	mine := dial(t)
	b := make([]byte, 8)
	for range ipctest.Repeat(t, 40, 8, "SAMEPAGE_KILLS") {
		c := ipctest.Start(t, "client", "s")
		if got := c.Line(); got != "n" {
			t.Fatal(got)
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		c.Kill()
		_, err := mine.Write(b)
		ipctest.NoErr(t, err)
		_, err = io.ReadFull(mine, b)
		ipctest.NoErr(t, err)
	}
	idle(t, 1)
}

// The listener is killed. Its clients get an error that matches ErrPeerDied and ECONNRESET, and the
// next listener takes over the name.
func TestKilledListener(t *testing.T) {
	store(t)
	for round := range ipctest.Repeat(t, 10, 3, "") {
		s := ipctest.Start(t, "echo", "stream", "s")
		if got := s.Line(); got != "ready" {
			t.Fatalf("round %d: %s", round, got)
		}
		read, full := dial(t), dial(t)
		_, err := read.Write([]byte("x"))
		ipctest.NoErr(t, err)
		_, err = io.ReadFull(read, make([]byte, 1))
		ipctest.NoErr(t, err)
		ended := make(chan error, 2)
		go func() { _, err := read.Read(make([]byte, 1)); ended <- err }()
		go func() {
			for {
				if _, err := full.Write(make([]byte, 100_000)); err != nil { // until both rings are full
					ended <- err
					return
				}
			}
		}()
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		s.Kill()
		for range cap(ended) {
			err := <-ended
			ipctest.WantErr(t, err, samepage.ErrPeerDied)
			ipctest.WantErr(t, err, syscall.ECONNRESET)
		}
		_, err = stream.Dial(bg, "s", nil)
		ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
		ipctest.WantErr(t, err, syscall.ECONNREFUSED)
		if round%2 == 0 { // else the next listener takes over
			ipctest.NoErr(t, errors.Join(read.Close(), full.Close()))
		}
	}
}
