package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"samepage/rpc"
)

// playCalls calls a service in place. The first process is the worker. Both touch the first line
// of each request and response, as the limit does, or write and read all of it (o.Whole).
func playCalls(o order, ready func() error) (s sample, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opts := &rpc.Options{Request: o.Size, Response: o.Size, Calls: 2, Members: 4}
	if !o.First {
		c, _, err := rpc.OpenOrCreateClient(o.Name, opts)
		if err != nil {
			return s, err
		}
		if err := ready(); err != nil {
			return s, err
		}
		if err := c.AwaitWorker(ctx); err != nil {
			return s, err
		}
		n := uint64(0)
		s, err = trips(o, func() error {
			n++
			return callOnce(ctx, c, o, n)
		})
		// The worker ends when the last call says so.
		return s, errors.Join(err, callOnce(ctx, c, o, 0), c.Close())
	}
	w, _, err := rpc.OpenOrCreateWorker(o.Name, opts)
	if err != nil {
		return s, err
	}
	if err := ready(); err != nil {
		return s, err
	}
	var served uint64
	err = w.Serve(ctx, func(j *rpc.Job) error {
		n, err := readNumber(j.Request(), o)
		if err != nil {
			return err
		}
		b, err := j.Response(o.Size)
		if err != nil {
			return err
		}
		writeNumber(b, o, n)
		if n == 0 {
			cancel()
		}
		served++
		return nil
	})
	if ctx.Err() != nil {
		err = nil
	}
	return s, errors.Join(err, w.Close())
}

func callOnce(ctx context.Context, c *rpc.Client, o order, n uint64) error {
	k, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer k.Release()
	writeNumber(k.Request()[:o.Size], o, n)
	if err := k.Do(ctx, o.Size); err != nil {
		return err
	}
	got, err := readNumber(k.Response(), o)
	if err == nil && got != n {
		err = fmt.Errorf("the answer to call %d says %d", n, got)
	}
	return err
}

// writeNumber writes a request or a response that has a number.
func writeNumber(b []byte, o order, n uint64) {
	if o.Whole {
		fill(b, 0)
	}
	binary.LittleEndian.PutUint64(b, n)
}

// readNumber reads a request or a response of writeNumber.
func readNumber(b []byte, o order) (n uint64, err error) {
	n = binary.LittleEndian.Uint64(b)
	if o.Whole {
		err = check(b, int(n))
	}
	return n, err
}
