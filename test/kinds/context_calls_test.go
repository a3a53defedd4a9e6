package kinds

import (
	"context"
	"io"
	"testing"

	"samepage/internal/ipctest"
	"samepage/rpc"
)

// callWaits adds the functions of package rpc that wait. In one service a slot is free and a worker
// answers. In another one all slots are in use, and its worker does not serve.
func callWaits(t *testing.T, all map[string]waits) {
	t.Helper()
	type W = waits
	type C = context.Context
	bg := t.Context()
	closing := func(c io.Closer) { t.Cleanup(func() { _ = c.Close() }) }
	// serving keeps serve in a goroutine until the end of the test.
	serving := func(serve func(C) error, w io.Closer) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- serve(ctx) }()
		t.Cleanup(func() {
			cancel()
			ipctest.WantErr(t, <-done, context.Canceled)
			ipctest.NoErr(t, w.Close())
		})
	}
	fast := must(rpc.CreateWorker("fast", nil))(t)
	client := must(rpc.OpenClient("fast", nil))(t)
	serving(func(c C) error { return fast.Serve(c, func(*rpc.Job) error { return nil }) }, fast)
	closing(client)
	idle := must(rpc.CreateWorker("no answer", nil))(t)
	waiting := must(rpc.OpenClient("no answer", nil))(t)
	typedIdle := must(rpc.CreateWorkerOf[uint64, uint64]("no typed answer", nil))(t)
	typedWaiting := must(rpc.OpenClientOf[uint64, uint64]("no typed answer", nil))(t)
	full := must(rpc.CreateClient("all in use", &rpc.Options{Calls: 1}))(t)
	for _, c := range []io.Closer{idle, waiting, typedIdle, typedWaiting, full} {
		closing(c)
	}
	held := must(full.Begin(bg))(t)
	t.Cleanup(held.Release)

	begin := func(client *rpc.Client) func(C) error {
		return func(c C) error {
			k, err := client.Begin(c)
			k.Release()
			return err
		}
	}
	call := func(f func(c C, k *rpc.Call) error) func(C) error {
		return func(c C) error {
			k, err := waiting.Begin(bg)
			if err != nil {
				return err
			}
			defer k.Release()
			return f(c, &k)
		}
	}
	all["rpc.Client.Begin"] = W{begin(client), begin(full)}
	all["rpc.Call.Start"] = W{not: call(func(c C, k *rpc.Call) error { return k.Start(c, 0) })}
	all["rpc.Call.Do"] = W{not: call(func(c C, k *rpc.Call) error { return k.Do(c, 0) })}
	all["rpc.Call.Wait"] = W{
		func(c C) error {
			k, err := client.Begin(bg)
			if err != nil {
				return err
			}
			defer k.Release()
			if err := k.Do(bg, 0); err != nil {
				return err
			}
			return k.Wait(c)
		},
		call(func(c C, k *rpc.Call) error {
			if err := k.Start(bg, 0); err != nil {
				return err
			}
			return k.Wait(c)
		}),
	}
	all["rpc.Call.Stream"] = W{not: call(func(c C, k *rpc.Call) error { return first(k.Stream(c, 0)) })}
	all["rpc.Client.Stream"] = W{not: func(c C) error { return first(waiting.Stream(c, nil)) }}
	all["rpc.Client.Call"] = W{not: func(c C) error { _, err := waiting.Call(c, nil); return err }}
	all["rpc.Client.CallIdempotent"] = W{not: func(c C) error { _, err := waiting.CallIdempotent(c, nil); return err }}
	all["rpc.Client.CallAppend"] = W{not: func(c C) error { _, err := waiting.CallAppend(c, nil, nil); return err }}
	var req, resp uint64
	all["rpc.ClientOf.Call"] = W{not: func(c C) error { return typedWaiting.Call(c, &req, &resp) }}
	all["rpc.ClientOf.CallIdempotent"] = W{not: func(c C) error { return typedWaiting.CallIdempotent(c, &req, &resp) }}
	all["rpc.client.AwaitWorker"] = W{client.AwaitWorker, full.AwaitWorker}

	unused := must(rpc.CreateWorker("nobody calls", nil))(t)
	typedUnused := must(rpc.CreateWorkerOf[uint64, uint64]("nobody calls typed", nil))(t)
	closing(unused)
	closing(typedUnused)
	all["rpc.Worker.Serve"] = W{not: func(c C) error { return unused.Serve(c, func(*rpc.Job) error { return nil }) }}
	all["rpc.WorkerOf.Serve"] = W{not: func(c C) error {
		return typedUnused.Serve(c, func(*rpc.Job, *uint64, *uint64) error { return nil })
	}}
	all["rpc.AwaitClient"] = W{
		func(c C) error { return closed(rpc.AwaitClient(c, "fast", nil)) }, func(c C) error { return closed(rpc.AwaitClient(c, "nothing", nil)) },
	}
	all["rpc.AwaitWorker"] = W{
		func(c C) error { return closed(rpc.AwaitWorker(c, "no answer", nil)) }, func(c C) error { return closed(rpc.AwaitWorker(c, "nothing", nil)) },
	}
	all["rpc.AwaitClientOf"] = W{
		func(c C) error { return closed(rpc.AwaitClientOf[uint64, uint64](c, "no typed answer", nil)) },
		func(c C) error { return closed(rpc.AwaitClientOf[uint64, uint64](c, "nothing", nil)) },
	}
	all["rpc.AwaitWorkerOf"] = W{
		func(c C) error { return closed(rpc.AwaitWorkerOf[uint64, uint64](c, "no typed answer", nil)) },
		func(c C) error { return closed(rpc.AwaitWorkerOf[uint64, uint64](c, "nothing", nil)) },
	}
}
