package rpc_test

import (
	"fmt"
	"io"
	"os"
	"testing"

	"samepage/internal/ipctest"
	"samepage/rpc"
)

func init() { helpers["holder"] = holder }

// holder takes args[0] call slots, and keeps them until it is killed.
func holder(args []string) {
	var n int
	_, _ = fmt.Sscan(args[0], &n)
	c, err := rpc.OpenClient("s", nil)
	for range n {
		if err == nil {
			_, err = c.Begin(bg)
		}
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// waitAsleep waits until n members of the service sleep.
func waitAsleep(t *testing.T, n int) {
	t.Helper()
	for {
		st, err := rpc.Inspect("s", nil)
		ipctest.NoErr(t, err)
		asleep := 0
		for _, m := range st.Members {
			if m.Waits {
				asleep++
			}
		}
		if asleep == n {
			return
		}
	}
}

// A client that sleeps until a slot is free gets the slots of a dead client, also if most slots are
// those of a living one.
func TestRoomOfTheDead(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const calls = 16
	living, err := rpc.CreateClient("s", &rpc.Options{Members: 3, Calls: calls})
	ipctest.NoErr(t, err)
	var keep []rpc.Call
	for range calls - 2 {
		k, err := living.Begin(bg)
		ipctest.NoErr(t, err)
		keep = append(keep, k)
	}
	c := newClient(t)
	for range 3 {
		h := ipctest.Start(t, "holder", "2")
		if l := h.Line(); l != "ready" {
			t.Fatal(l)
		}
		got := make(chan error)
		go func() {
			k, err := c.Begin(bg)
			k.Release()
			got <- err
		}()
		waitAsleep(t, 1)
		h.Kill()
		ipctest.NoErr(t, <-got)
	}
	for i := range keep {
		keep[i].Release()
	}
	ipctest.NoErr(t, living.Close())
	ipctest.NoErr(t, c.Close())
}

// A client that leaves while a worker has a call that it has given up leaves its slot. Clients that
// sleep until a slot is free get it when the worker has finished.
func TestRoomOfOneThatLeft(t *testing.T) {
	w, c := newService(t, &rpc.Options{Calls: 1})
	begun, finish := make(chan bool, 1), make(chan bool, 1)
	stop := serveWith(t, w, func(*rpc.Job) error {
		begun <- true
		<-finish
		return nil
	})
	other := newClient(t)
	k, err := c.Begin(bg)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, k.Start(bg, 0))
	<-begun
	k.Release()
	got := make(chan error)
	go func() {
		_, err := other.Call(bg, nil)
		got <- err
	}()
	waitAsleep(t, 2) // the goroutine of the call that was given up is one
	ipctest.NoErr(t, c.Close())
	finish <- true
	<-begun
	finish <- true
	ipctest.NoErr(t, <-got)
	ipctest.NoErr(t, other.Close())
	stop()
}
