//go:build race

package race

import (
	"context"
	"errors"

	"samepage/rpc"
)

// service opens a service with one call slot, for a worker and for clients.
func service(w *world) (*rpc.Worker, *rpc.Client) {
	wk, _, err := rpc.OpenOrCreateWorker("x", &rpc.Options{Calls: 1})
	opened(wk, err)(w.tb)
	return wk, opened(rpc.OpenClient("x", nil))(w.tb)
}

// serveOne serves until one call has ended.
func serveOne(w *world, wk *rpc.Worker, h rpc.Handler) {
	ctx, cancel := context.WithCancel(bg)
	err := wk.Serve(ctx, func(j *rpc.Job) error {
		defer cancel() // not earlier: the context of the Job ends with it
		return h(j)
	})
	if !errors.Is(err, context.Canceled) {
		no(w.tb, err)
	}
}

func handler(do func()) rpc.Handler {
	return func(*rpc.Job) error {
		do()
		return nil
	}
}

// parts has a worker stream two parts, and a client take them. In between they do something.
func parts(w *world, between, taken func(part int)) (sends, takes func()) {
	wk, c := service(w)
	return func() {
			serveOne(w, wk, func(j *rpc.Job) error {
				for i := range 2 {
					if i > 0 {
						must(j.Response(1))(w.tb) // waits until the client has let go of the first one
					}
					between(i)
					no(w.tb, j.Send())
				}
				return nil
			})
		}, func() {
			i := 0
			for _, err := range c.Stream(bg, nil) {
				no(w.tb, err)
				if i < 2 {
					taken(i)
				}
				i++
			}
		}
}

var rightCalls = []program{
	{name: "call, its handler", waits: true, make: func(w *world) (func(), func()) {
		wk, c := service(w)
		return func() {
				w.touch()
				must(c.Call(bg, nil))(w.tb)
			}, func() {
				serveOne(w, wk, handler(w.touch))
			}
	}},
	{name: "call, its response", waits: true, make: func(w *world) (func(), func()) {
		wk, c := service(w)
		return func() { serveOne(w, wk, handler(w.touch)) }, func() {
			must(c.Call(bg, nil))(w.tb)
			w.touch()
		}
	}},
	{name: "call, its error", waits: true, make: func(w *world) (func(), func()) {
		wk, c := service(w)
		return func() {
				serveOne(w, wk, func(*rpc.Job) error {
					w.touch()
					return errors.New("an error")
				})
			}, func() {
				if _, err := c.Call(bg, nil); err == nil {
					w.tb.Fatal("no error")
				}
				w.touch()
			}
	}},
	{name: "call slot", make: func(w *world) (func(), func()) {
		_, c := service(w)
		d := opened(rpc.OpenClient("x", nil))(w.tb)
		use := func(c *rpc.Client) func() {
			return func() {
				k := must(c.Begin(bg))(w.tb)
				w.touch()
				k.Release()
			}
		}
		return use(c), use(d)
	}},
	{name: "stream, its parts", waits: true, make: func(w *world) (func(), func()) {
		return parts(w, func(i int) {
			if i == 0 {
				w.touch()
			}
		}, func(i int) {
			if i == 0 {
				w.touch()
			}
		})
	}},
	{name: "stream, room for the next part", waits: true, make: func(w *world) (func(), func()) {
		sends, takes := parts(w, func(i int) {
			if i == 1 {
				w.touch()
			}
		}, func(i int) {
			if i == 0 {
				w.touch()
			}
		})
		return takes, sends
	}},
	{name: "service that is awaited", waits: true, make: func(w *world) (func(), func()) {
		return func() {
				w.touch()
				must(rpc.CreateWorker("x", nil))(w.tb)
			}, func() {
				must(rpc.AwaitClient(bg, "x", nil))(w.tb)
				w.touch()
			}
	}},
}

var wrongCalls = []program{
	{name: "after the start of a call", make: func(w *world) (func(), func()) {
		wk, c := service(w)
		k := must(c.Begin(bg))(w.tb)
		w.tb.Cleanup(func() { k.Release() })
		return func() {
				no(w.tb, k.Start(bg, 0))
				w.touch()
			}, func() {
				serveOne(w, wk, handler(w.touch))
			}
	}},
}
