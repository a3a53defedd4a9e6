package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/ipctest"
	"samepage/stream"
)

func init() {
	// A listener has one life after the other: in each it accepts some connections and gives back
	// what comes. It closes itself while connections are asked for, and while others are open.
	children["lives"] = func([]string) {
		for {
			l, err := stream.Listen("s", smallRings)
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			for range 1 + rand.IntN(8) {
				c, err := l.Accept()
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				go func() { _, _ = io.Copy(c, struct{ io.Reader }{c}); _ = c.Close() }()
			}
			if err := l.Close(); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
	}
	// A listener accepts two connections and does nothing more.
	children["deaf"] = func([]string) {
		l, err := stream.Listen("s", smallRings)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		var all []io.Closer
		for range 2 {
			if c, err := l.Accept(); err == nil {
				all = append(all, c)
			}
		}
		fmt.Println("accepted", len(all))
		_, _ = io.Copy(io.Discard, os.Stdin) // with select {} Go may find a deadlock
		runtime.KeepAlive(all)
		runtime.KeepAlive(l)
	}
	// A client ends without closing its connections.
	children["ends"] = func([]string) {
		for range 2 {
			if c, err := stream.Dial(bg, "s", nil); err == nil {
				_, _ = c.Write([]byte("x"))
			}
		}
		os.Exit(0)
	}
}

// smallRings lets both ends wait for each other.
var smallRings = &stream.Options{Buffer: 4096}

// Clients die at each crash point. The listener serves the others.
func TestFaultEveryPoint(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	store(t)
	for _, p := range append(fault.Conns(), fault.Locks()...) {
		for _, skip := range []int{0, 1, 30} {
			t.Run(fmt.Sprintf("client/%v:%d", p, skip), func(t *testing.T) {
				l := listen(t, nil)
				go echoes(l)
				c := startAt(t, p, skip, "client", "s")
				time.Sleep(20 * time.Millisecond)
				c.Kill() // if it has not come to the point
				idle(t, 0)
				d := dial(t)
				_, err := d.Write([]byte("x"))
				ipctest.NoErr(t, err)
				_, err = io.ReadFull(d, make([]byte, 1))
				ipctest.NoErr(t, err)
				ipctest.NoErr(t, errors.Join(d.Close(), l.Close()))
			})
		}
	}
}

func startAt(t *testing.T, p fault.Point, skip int, helper string, args ...string) *ipctest.Child {
	cmd := ipctest.Command(t, helper, args...)
	cmd.Env = append(os.Environ(), cmd.Env...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("SAMEPAGE_FAULT=%v:%d", p, skip))
	return ipctest.StartCmd(t, cmd)
}

// listenerPoints are the crash points through which a listener comes. A new point is tested without
// a change here, unless only dialers come through it.
func listenerPoints() []fault.Point {
	return slices.DeleteFunc(append(fault.Conns(), fault.Locks()...), func(p fault.Point) bool {
		return p == fault.ConnAsked || p > fault.RingHalf && p <= fault.ReleaseUnrung
	})
}

// repairs says whether a process comes through a point only if it repairs what a dead one has left.
func repairs(p fault.Point) bool {
	return p == fault.ConnHalf || p >= fault.RepairTaken && p <= fault.RepairUnrung
}

// A listener dies at each crash point of Listen, Accept, Close and its connections. Each dialer
// gets its bytes, the end, or an error that says what has happened, and a new Listener takes
// over.
func TestFaultListener(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	for _, p := range listenerPoints() {
		for n := range ipctest.Repeat(t, 3, 1, "") {
			t.Run(fmt.Sprintf("%v/%d", p, n), func(t *testing.T) {
				store(t)
				var open []*stream.Conn
				if n != 1 { // each life takes over the segment of the one before
					l := listen(t, smallRings)
					open = append(open, dial(t))
					ipctest.NoErr(t, l.Close())
				}
				skip := rand.IntN(1 + 10*n)
				if repairs(p) {
					skip = n % 2
				}
				l := startAt(t, p, skip, "lives")
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if !l.EndsWithin(ipctest.Patience) {
						t.Errorf("the listener does not come to %v", p)
					}
				}()
				var all sync.WaitGroup
				for range 3 {
					all.Go(func() {
						for !over(ended) {
							if err := talk(); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				for repairs(p) && !over(ended) {
					if !ipctest.Start(t, "ends").EndsWithin(ipctest.Patience) {
						t.Fatal("a client does not end")
					}
				}
				all.Wait()
				taken(t, open...)
			})
		}
	}
}

// A listener dies while it takes over from one that has died.
func TestFaultTakeOver(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	for _, p := range []fault.Point{
		fault.JoinTaken, fault.JoinNamed, fault.JoinDone, fault.RepairTaken, fault.RepairHalf, fault.RepairDone,
		fault.RepairUnrung, fault.ConnHalf, fault.ConnLeft, fault.ConnClaimed,
	} {
		t.Run(p.String(), func(t *testing.T) {
			store(t)
			first := ipctest.Start(t, "deaf")
			if l := first.Line(); l != "ready" {
				t.Fatal(l)
			}
			open, left := dial(t), dial(t)
			if l := first.Line(); l != "accepted 2" {
				t.Fatal(l)
			}
			asked := dial(t)
			ipctest.NoErr(t, left.Close())
			first.Kill()
			if second := startAt(t, p, 0, "lives"); !second.EndsWithin(ipctest.Patience) {
				t.Fatalf("the second listener does not come to %v", p)
			}
			wantEnded(t, open, asked)
			taken(t, open, asked)
		})
	}
}

func over(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// expected returns nil if an operation of a dialer may end with err because the listener has closed
// or has died.
func expected(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE):
		return nil
	case errors.Is(err, samepage.ErrPeerDied) && errors.Is(err, syscall.ECONNRESET):
		return nil
	case errors.Is(err, samepage.ErrPeerNotStarted) && errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	return fmt.Errorf("unexpected: %w", err)
}

// talk dials, and sends more bytes than the rings hold. It returns an error if something else than
// a prefix of them comes back, or the end comes between them. Sometimes it closes before that.
func talk() error {
	ctx, cancel := context.WithTimeout(bg, ipctest.Patience)
	defer cancel()
	c, err := stream.Dial(ctx, "s", nil)
	if err != nil {
		time.Sleep(time.Millisecond) // the listener is between two lives
		return expected(err)
	}
	sent := make([]byte, 20_000)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	wrote := make(chan error, 1)
	early := rand.IntN(4) == 0
	go func() {
		_, err := c.Write(sent)
		if err == nil && !early {
			err = c.CloseWrite()
		}
		wrote <- err
	}()
	if early {
		got := make([]byte, rand.IntN(len(sent)))
		n, err := io.ReadFull(c, got)
		err = errors.Join(expected(err), c.Close())
		if werr := <-wrote; !errors.Is(werr, net.ErrClosed) {
			err = errors.Join(err, expected(werr))
		}
		if !bytes.Equal(got[:n], sent[:n]) {
			err = errors.Join(err, errors.New("other bytes come back"))
		}
		return err
	}
	got, err := io.ReadAll(c)
	err, end := expected(err), err == nil
	if !bytes.Equal(got, sent[:min(len(got), len(sent))]) || end && len(got) != 0 && len(got) != len(sent) {
		err = errors.Join(err, fmt.Errorf("%d bytes come back of %d, and they may be others", len(got), len(sent)))
	}
	return errors.Join(err, expected(<-wrote), c.Close())
}

// wantEnded checks that the other ends are closed or dead.
func wantEnded(t *testing.T, all ...*stream.Conn) {
	t.Helper()
	for _, c := range all {
		_, err := c.Write([]byte("x"))
		ipctest.NoErr(t, expected(err))
		_, err = io.ReadFull(c, make([]byte, 1))
		ipctest.NoErr(t, expected(err))
		if err == nil {
			t.Error("a byte comes from nobody")
		}
	}
}

// taken checks that a new Listener takes over, that the connections of the dead become free except
// those that are still open, and that nothing is left when all have closed.
func taken(t *testing.T, open ...*stream.Conn) {
	t.Helper()
	_, err := stream.Dial(bg, "s", nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
	l := listen(t, nil)
	go echoes(l)
	d := dial(t)
	_, err = d.Write([]byte("x"))
	ipctest.NoErr(t, err)
	_, err = io.ReadFull(d, make([]byte, 1))
	ipctest.NoErr(t, errors.Join(err, d.Close()))
	idle(t, len(open))
	wantEnded(t, open...) // the new Listener does not serve them
	for _, c := range open {
		ipctest.NoErr(t, c.Close())
	}
	idle(t, 0)
	ipctest.NoErr(t, l.Close())
	for begun := time.Now(); ; time.Sleep(time.Millisecond) { // echoes closes its end a moment later
		left, err := samepage.List()
		ipctest.NoErr(t, err)
		if len(left) == 0 {
			return
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("left behind: %v", left)
		}
	}
}
