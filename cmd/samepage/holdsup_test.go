package main

import (
	"context"
	"regexp"
	"sync"
	"testing"
	"time"

	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// For each kind, stat says in one sentence who waits, for whom or for what, and for how long.
func TestStatSaysWhoHoldsUp(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	closing := func(c interface{ Close() error }) { t.Cleanup(func() { must(c.Close()) }) }
	const me, others = `process \d+ \(\S+\)`, `process \d+ \(\S+\) `
	for _, c := range []struct {
		kind string
		// make makes an object of this name, at which wait waits until ctx ends.
		make func(name string) (wait func(ctx context.Context) error, err error)
		want string
	}{
		{"mutex", func(name string) (func(context.Context) error, error) {
			a, err := ipcsync.CreateMutex(name, nil)
			if err != nil {
				return nil, err
			}
			closing(a)
			must(a.Lock(t.Context()))
			t.Cleanup(func() { must(a.Unlock()) })
			b, err := ipcsync.OpenMutex(name, nil)
			closing(b)
			return b.Lock, err
		}, others + `unlocks it`},
		{"rwmutex", func(name string) (func(context.Context) error, error) {
			a, err := ipcsync.CreateRWMutex(name, nil)
			if err != nil {
				return nil, err
			}
			closing(a)
			must(a.RLock(t.Context()))
			t.Cleanup(func() { must(a.RUnlock()) })
			b, err := ipcsync.OpenRWMutex(name, nil)
			closing(b)
			return b.Lock, err
		}, others + `unlocks it`},
		{"event", func(name string) (func(context.Context) error, error) {
			e, err := ipcsync.CreateEvent(name, nil)
			closing(e)
			return e.Wait, err
		}, `somebody sets the event`},
		{"semaphore", func(name string) (func(context.Context) error, error) {
			s, err := ipcsync.CreateSemaphore(name, 0, 2, nil)
			closing(s)
			return s.Acquire, err
		}, `somebody releases a unit`},
		{"topic", func(name string) (func(context.Context) error, error) {
			p, err := pubsub.CreatePublisher(name, &pubsub.Options{MaxSize: 8, Depth: 2})
			if err != nil {
				return nil, err
			}
			closing(p)
			s, err := pubsub.OpenSubscriber(name, nil)
			closing(s)
			return func(ctx context.Context) error {
				for {
					if err := p.Send(ctx, []byte("message")); err != nil {
						return err
					}
				}
			}, err
		}, others + `lets go of messages`},
		{"cell", func(name string) (func(context.Context) error, error) {
			a, err := cell.CreateWriter(name, 8, nil)
			if err != nil {
				return nil, err
			}
			closing(a)
			l, err := a.Loan(t.Context(), 8)
			t.Cleanup(func() { l.Discard() })
			if err != nil {
				return nil, err
			}
			b, err := cell.OpenWriter(name, nil)
			closing(b)
			return func(ctx context.Context) error { return b.Set(ctx, []byte("value")) }, err
		}, others + `has written its value`},
		{"service", func(name string) (func(context.Context) error, error) {
			w, err := rpc.CreateWorker(name, nil)
			if err != nil {
				return nil, err
			}
			closing(w)
			ctx, stop := context.WithCancel(t.Context())
			var serves sync.WaitGroup
			t.Cleanup(serves.Wait)
			t.Cleanup(stop)
			serves.Go(func() {
				_ = w.Serve(ctx, rpc.Func(func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }))
			})
			c, err := rpc.OpenClient(name, nil)
			closing(c)
			return func(ctx context.Context) error { _, err := c.Call(ctx, nil); return err }, err
		}, others + `answers`},
		{"listener", func(name string) (func(context.Context) error, error) {
			l, err := stream.Listen(name, nil)
			closing(l)
			return func(ctx context.Context) error {
				c, err := stream.Dial(ctx, name, nil)
				if err != nil {
					return err
				}
				context.AfterFunc(ctx, func() { must(c.Close()) })
				_, err = c.Read(make([]byte, 1))
				return err
			}, err
		}, others + `accepts the connection`},
	} {
		t.Run(c.kind, func(t *testing.T) {
			wait, err := c.make(c.kind)
			ipctest.NoErr(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- wait(ctx) }()
			want := regexp.MustCompile(`(?m)^waits +` + me + ` waits until ` + c.want + `, for \d+\.\d s$`)
			for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
				code, out, errs := samepageIn("stat", c.kind, "--kind", c.kind)
				if code == 0 && want.MatchString(out) {
					break
				}
				if time.Since(begun) > ipctest.Patience {
					t.Fatalf("exit code %d, no %s in\n%s%s", code, want, out, errs)
				}
			}
			cancel()
			if err := <-ended; err == nil {
				t.Error("it did not wait")
			}
		})
	}
}
