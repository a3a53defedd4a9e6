//go:build linux || windows

package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"samepage/rpc"
)

func ok(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serving serves until stop is called. A worker of its own process would just call Serve.
func serving(w interface{ Close() error }, serve func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- serve(ctx) }()
	return func() {
		cancel()
		<-ended
		ok(w.Close())
	}
}

// A worker answers, and a client calls. Most often they are two processes.
func ExampleClient() {
	ctx, cancel := context.WithCancel(context.Background())
	worker, _, err := rpc.OpenOrCreateWorker("example-upper", nil)
	ok(err)
	ended := make(chan error)
	go func() {
		ended <- worker.Serve(ctx, rpc.Func(func(_ context.Context, req []byte) ([]byte, error) {
			return bytes.ToUpper(req), nil
		}))
	}()

	client, err := rpc.AwaitClient(ctx, "example-upper", nil)
	ok(err)
	resp, err := client.Call(ctx, []byte("hello"))
	ok(err)
	fmt.Printf("%s\n", resp)
	ok(client.Close())

	cancel()
	fmt.Println(errors.Is(<-ended, context.Canceled))
	ok(worker.Close())
	// Output:
	// HELLO
	// true
}

// Nothing is copied: the client writes the request where the worker reads it, and reads the
// response where the worker has written it.
func ExampleCall() {
	ctx := context.Background()
	worker, _, err := rpc.OpenOrCreateWorker("example-invert", &rpc.Options{Request: 1 << 20, Response: 1 << 20})
	ok(err)
	defer serving(worker, func(ctx context.Context) error {
		return worker.Serve(ctx, func(j *rpc.Job) error {
			room, err := j.Response(len(j.Request()))
			for i, b := range j.Request() {
				room[i] = ^b
			}
			return err
		})
	})()

	client, err := rpc.OpenClient("example-invert", nil)
	ok(err)
	defer client.Close()
	call, err := client.Begin(ctx)
	ok(err)
	defer call.Release()
	n := copy(call.Request(), []byte{0x00, 0x0f, 0xff})
	ok(call.Do(ctx, n))
	fmt.Printf("%x\n", call.Response()) // good until Release
	// Output: fff000
}

// A response may have many parts, one after the other.
func ExampleClient_Stream() {
	ctx := context.Background()
	worker, _, err := rpc.OpenOrCreateWorker("example-count", nil)
	ok(err)
	defer serving(worker, func(ctx context.Context) error {
		return worker.Serve(ctx, func(j *rpc.Job) error {
			for i := range 3 {
				room, err := j.Response(1) // waits until there is room
				if err != nil {
					return err
				}
				room[0] = '1' + byte(i)
				if err := j.Send(); err != nil {
					return err
				}
			}
			return nil
		})
	})()

	client, err := rpc.OpenClient("example-count", nil)
	ok(err)
	defer client.Close()
	for part, err := range client.Stream(ctx, nil) {
		ok(err)
		fmt.Printf("%s\n", part) // good until the next turn of the loop
	}
	// Output:
	// 1
	// 2
	// 3
}

// A handler may return an Error, with a code for the program that calls.
func ExampleError() {
	ctx := context.Background()
	worker, _, err := rpc.OpenOrCreateWorker("example-error", nil)
	ok(err)
	defer serving(worker, func(ctx context.Context) error {
		return worker.Serve(ctx, func(*rpc.Job) error { return &rpc.Error{Code: 404, Text: "no such picture"} })
	})()

	client, err := rpc.OpenClient("example-error", nil)
	ok(err)
	defer client.Close()
	_, err = client.Call(ctx, []byte("a picture"))
	var e *rpc.Error
	if errors.As(err, &e) {
		fmt.Println(e.Code, e.Text)
	}
	// Output: 404 no such picture
}

// The deadline of a call travels to the worker. The client returns at once when it ends.
func ExampleWorker() {
	ctx := context.Background()
	worker, _, err := rpc.OpenOrCreateWorker("example-slow", nil)
	ok(err)
	defer serving(worker, func(ctx context.Context) error {
		return worker.Serve(ctx, func(j *rpc.Job) error {
			<-j.Context().Done() // a picture that nobody waits for any more
			return j.Context().Err()
		})
	})()

	client, err := rpc.OpenClient("example-slow", nil)
	ok(err)
	defer client.Close()
	short, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	_, err = client.Call(short, nil)
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
	// Output: true
}

type Point struct{ X, Y float64 }

// Calls with Go types. A program with other types cannot open the service.
func ExampleClientOf() {
	ctx := context.Background()
	worker, _, err := rpc.OpenOrCreateWorkerOf[Point, float64]("example-norm", nil)
	ok(err)
	defer serving(worker, func(ctx context.Context) error {
		return worker.Serve(ctx, func(_ *rpc.Job, p *Point, norm *float64) error {
			*norm = p.X*p.X + p.Y*p.Y
			return nil
		})
	})()

	client, err := rpc.OpenClientOf[Point, float64]("example-norm", nil)
	ok(err)
	defer client.Close()
	var norm float64
	ok(client.Call(ctx, &Point{3, 4}, &norm))
	fmt.Println(norm)
	// Output: 25
}
