package rpc_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

// inUse is how many bytes of a service have space.
func inUse(t *testing.T) int64 {
	t.Helper()
	i, err := samepage.Stat("s", &samepage.Options{Kind: samepage.KindService})
	ipctest.NoErr(t, err)
	return i.Allocated
}

// A service takes memory for as many calls as were made at a time, also if its call slots are
// large. A call for which there is no memory is an error of this call, and nobody faults.
func TestSpace(t *testing.T) {
	if err := ipctest.SmallStore(t, "size=16m"); err != nil {
		t.Skip(err)
	}
	const size = 1 << 20
	o := &rpc.Options{Calls: 64, Request: size, Response: size, Parts: 2, Lifetime: samepage.Persist}
	c, err := rpc.CreateClient("s", o)
	ipctest.NoErr(t, err)
	w, err := rpc.OpenWorker("s", nil)
	ipctest.NoErr(t, err)
	stop := serveWith(t, w, rpc.Func(echo))
	defer stop()
	check := func(calls int) {
		t.Helper()
		want, err := o.InUse(calls)
		ipctest.NoErr(t, err)
		// The words of a slot take two pages each at most.
		if got := inUse(t); got > want || got < want-1<<20 {
			t.Errorf("after %d calls at a time %d bytes are in use, told are %d", calls, got, want)
		}
	}
	check(0)
	req := make([]byte, size)
	for i := range 3 {
		ipctest.Fill(req, uint64(i))
		resp, err := c.Call(bg, req)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, ipctest.Check(resp, uint64(i)))
	}
	check(1)
	var calls []rpc.Call
	for {
		k, err := c.Begin(bg)
		if err != nil {
			ipctest.WantErr(t, err, samepage.ErrNoSpace)
			t.Log(len(calls), "calls:", err)
			break
		}
		copy(k.Request(), req)
		calls = append(calls, k)
	}
	if len(calls) < 3 {
		t.Errorf("only %d calls at a time", len(calls))
	}
	f, err := os.Create(filepath.Join(os.Getenv("SAMEPAGE_DIR"), "full"))
	ipctest.NoErr(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	ipctest.WantErr(t, err, unix.ENOSPC)
	ipctest.NoErr(t, f.Close())
	for i := range calls {
		ipctest.NoErr(t, calls[i].Do(bg, size))
		if len(calls[i].Response()) != size {
			t.Errorf("a response of %d bytes", len(calls[i].Response()))
		}
		calls[i].Release()
	}
	_, err = c.Call(bg, req)
	ipctest.NoErr(t, err)
	_, err = rpc.Inspect("s", nil)
	ipctest.NoErr(t, err)
	_, err = rpc.CreateClient("other", o)
	ipctest.WantErr(t, err, samepage.ErrNoSpace)
	if all, err := samepage.List(); err != nil || len(all) != 1 {
		t.Errorf("a service that could not be made is there: %+v, %v", all, err)
	}
	ipctest.NoErr(t, c.Close())
}
