package rpc_test

import (
	"bytes"
	"context"
	"testing"

	"samepage/internal/ipctest"
	"samepage/rpc"
)

func TestMain(m *testing.M) { ipctest.Main(m, nil) }

func TestOne(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ctx, cancel := context.WithCancel(context.Background())
	w, err := rpc.CreateWorker("s", nil)
	ipctest.NoErr(t, err)
	done := make(chan error)
	go func() {
		done <- w.Serve(ctx, rpc.Func(func(_ context.Context, b []byte) ([]byte, error) { return bytes.ToUpper(b), nil }))
	}()
	c, err := rpc.OpenClient("s", nil)
	ipctest.NoErr(t, err)
	for range 1000 {
		b, err := c.Call(ctx, []byte("hello"))
		ipctest.NoErr(t, err)
		if string(b) != "HELLO" {
			t.Fatalf("%q", b)
		}
	}
	ipctest.NoErr(t, c.Close())
	cancel()
	<-done
	ipctest.NoErr(t, w.Close())
}
