package rpc_test

import (
	"context"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/rpc"
)

// These are tests of contexts that have ended, or end later than a deadline can say.

// A worker whose context has ended begins no call. Another worker has it then.
func TestServeAfterContext(t *testing.T) {
	w, c := newService(t, nil)
	k, err := c.Begin(bg)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, k.Start(bg, copy(k.Request(), "a")))
	ended, cancel := context.WithCancel(bg)
	cancel()
	ipctest.WantErr(t, w.Serve(ended, func(*rpc.Job) error {
		t.Error("the call has a worker whose context has ended")
		return nil
	}), context.Canceled)
	stop := serveWith(t, w, rpc.Func(echo))
	ipctest.NoErr(t, k.Wait(bg))
	if got := string(k.Response()); got != "a" {
		t.Errorf("%q", got)
	}
	k.Release()
	ipctest.NoErr(t, c.Close())
	stop()
}

// A call whose context has ended is not made, although a worker looks for calls.
func TestCallAfterContext(t *testing.T) {
	w, c := newService(t, nil)
	stop := serveWith(t, w, func(j *rpc.Job) error {
		if string(j.Request()) != "b" {
			t.Error("the call has reached its worker")
		}
		return nil
	})
	ended, cancel := context.WithCancel(bg)
	cancel()
	for range 100 { // the worker looks at the slot after each call
		_, err := c.Call(bg, []byte("b"))
		ipctest.NoErr(t, err)
		_, err = c.Call(ended, []byte("a"))
		ipctest.WantErr(t, err, context.Canceled)
		for _, err := range c.Stream(ended, []byte("a")) {
			ipctest.WantErr(t, err, context.Canceled)
		}
	}
	ipctest.NoErr(t, c.Close())
	stop()
}

// The context of a handler ends at the deadline of its client, also if the client does not wait.
func TestDeadlineWithoutWait(t *testing.T) {
	w, c := newService(t, nil)
	ended := make(chan error)
	stop := serveWith(t, w, func(j *rpc.Job) error {
		<-j.Context().Done()
		ended <- context.Cause(j.Context())
		return nil
	})
	k, err := c.Begin(bg)
	ipctest.NoErr(t, err)
	for d := time.Millisecond; ; d *= 2 {
		ctx, cancel := context.WithTimeout(bg, d)
		defer cancel()
		err := k.Start(ctx, 0)
		if err == nil {
			break
		}
		ipctest.WantErr(t, err, context.DeadlineExceeded) // it has come before the call could be made
	}
	select {
	case err := <-ended:
		ipctest.WantErr(t, err, context.DeadlineExceeded)
		ipctest.NoErr(t, k.Wait(bg))
	case <-time.After(ipctest.Patience):
		t.Error("the context of the handler goes on after its deadline")
		k.Release()
		<-ended
	}
	k.Release()
	ipctest.NoErr(t, c.Close())
	stop()
}

// A deadline that is later than any that a call can carry is none.
func TestDeadlineTooLate(t *testing.T) {
	w, c := newService(t, nil)
	stop := serveWith(t, w, func(j *rpc.Job) error {
		if d, ok := j.Context().Deadline(); ok {
			t.Errorf("the handler has the deadline %v", d)
		}
		return j.Context().Err()
	})
	ctx, cancel := context.WithDeadline(bg, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	defer cancel()
	_, err := c.Call(ctx, nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Close())
	stop()
}

func init() {
	helpers["no worker"] = func([]string) { time.Sleep(time.Hour) }
}

// A process that a Supervisor takes for ready, and that is no worker of the service: a call waits
// for a worker, until its context ends.
func TestReadyWithoutWorker(t *testing.T) {
	ipctest.Store(t)
	ready := make(chan bool, 1)
	s := supervise(t, "s", rpc.SupervisorOptions{
		Command: helper("no worker"),
		Ready: func(context.Context, int) error {
			select {
			case ready <- true:
			default:
			}
			return nil
		},
	})
	c, _, err := rpc.OpenOrCreateClient("s", nil)
	ipctest.NoErr(t, err)
	c.StartWith(s)
	for _, call := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := c.Call(ctx, []byte("a")); return err },
		c.AwaitWorker,
	} {
		ctx, cancel := context.WithCancel(bg)
		failed := make(chan error, 1)
		go func() { failed <- call(ctx) }()
		ipctest.NoErr(t, s.Ensure(bg))
		cancel()
		select {
		case err := <-failed:
			ipctest.WantErr(t, err, context.Canceled)
		case <-time.After(ipctest.Patience):
			t.Fatal("a call goes on after its context has ended")
		}
	}
	go func() { _, err := c.Call(bg, []byte("a")); ready <- err == nil }()
	for len(ready) > 0 {
		<-ready
	}
	w, err := rpc.OpenWorker("s", nil)
	ipctest.NoErr(t, err)
	stop := serveWith(t, w, rpc.Func(echo))
	if !<-ready {
		t.Error("the call has failed")
	}
	ipctest.NoErr(t, c.Close())
	stop()
}
