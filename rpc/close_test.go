package rpc_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

// echo is a handler that sends the request back.
func echo(_ context.Context, b []byte) ([]byte, error) { return b, nil }

// serveWith serves in a goroutine, until stop is called. stop also closes the worker.
func serveWith(t *testing.T, w *rpc.Worker, h rpc.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, h) }()
	return sync.OnceFunc(func() {
		t.Helper()
		cancel()
		ipctest.WantErr(t, <-done, context.Canceled)
		ipctest.NoErr(t, w.Close())
	})
}

// newService creates a service and returns one worker and one client of it, which the test closes.
func newService(t *testing.T, o *rpc.Options) (*rpc.Worker, *rpc.Client) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, err := rpc.CreateWorker("s", o)
	ipctest.NoErr(t, err)
	return w, newClient(t)
}

func newClient(t *testing.T) *rpc.Client {
	t.Helper()
	c, err := rpc.OpenClient("s", nil)
	ipctest.NoErr(t, err)
	return c
}

// A worker that is closed takes no call, also if there is one.
func TestServeAfterClose(t *testing.T) {
	w, c := newService(t, nil)
	other, err := rpc.OpenWorker("s", nil) // does not serve
	ipctest.NoErr(t, err)
	k, err := c.Begin(bg)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, k.Start(bg, 0))
	ipctest.NoErr(t, w.Close())
	err = w.Serve(bg, func(*rpc.Job) error {
		t.Error("a closed worker has a call")
		return nil
	})
	ipctest.WantErr(t, err, samepage.ErrClosed)
	ipctest.WantErr(t, c.Close(), samepage.ErrUnreleased)
	k.Release()
	ipctest.NoErr(t, c.Close())
	_, err = c.Begin(bg)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	ipctest.NoErr(t, other.Close())
}

// A client that is closed begins no call, also if both happen at the same time.
func TestBeginWhileClose(t *testing.T) {
	w, keep := newService(t, &rpc.Options{Calls: 2})
	defer keep.Close()
	defer serveWith(t, w, rpc.Func(echo))()
	for range ipctest.Repeat(t, 300, 30, "") {
		c := newClient(t)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 20 { // then Close succeeds at the latest
					_, err := c.Call(bg, []byte("x"))
					if errors.Is(err, samepage.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for {
			err := c.Close()
			if err == nil {
				break
			}
			ipctest.WantErr(t, err, samepage.ErrBusy)
		}
		wg.Wait()
		st, err := rpc.Inspect("s", nil)
		ipctest.NoErr(t, err)
		if st.InFlight != 0 {
			t.Fatalf("%d calls in flight after Close", st.InFlight)
		}
		for range 2 { // both slots are free
			if _, err := keep.Call(bg, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A handler that panics, or ends its goroutine, ends its call with an error. The worker goes on if
// the program does.
func TestHandlerPanics(t *testing.T) {
	w, c := newService(t, nil)
	for _, goexit := range []bool{false, true} {
		done := make(chan any)
		go func() {
			var got any
			defer func() { done <- got }()
			defer func() { got = recover() }()
			_ = w.Serve(bg, func(*rpc.Job) error {
				if goexit {
					runtime.Goexit()
				}
				panic("oh")
			})
		}()
		_, err := c.Call(bg, nil)
		var e *rpc.Error
		if !errors.As(err, &e) {
			t.Errorf("the call of a handler that panics: %v", err)
		}
		if got := <-done; !goexit && got != "oh" {
			t.Errorf("Serve passes on %v", got)
		}
	}
	stop := serveWith(t, w, rpc.Func(echo))
	_, err := c.Call(bg, nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Close())
	stop()
}
