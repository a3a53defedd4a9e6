package rpc

import (
	"context"
	"iter"
	"runtime"

	"samepage/internal/call"
	"samepage/internal/segment"
	"samepage/layout"
)

// Stream asks what the first n bytes of Request say, and takes one part of the response after the
// other, in place and read-only. A part is good until the next turn of the loop. If the loop ends
// early, the call is given up. The deadline of ctx travels to the worker.
//
// The loop ends after an error, which it yields. If a part is there, Stream ignores ctx.
//
// Errors: those of Call.Do.
func (c *Call) Stream(ctx context.Context, n int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c.flags |= layout.CallStream
		if err := c.Start(ctx, n); err != nil {
			yield(nil, err)
			return
		}
		k := c.c
		for part := uint32(0); ; part++ {
			a, ok, err := k.part(ctx, c, part)
			if err != nil {
				yield(nil, k.wrap("call", err))
				return
			}
			if !ok || !yield(a.Bytes, nil) || c.c == nil { // the user has released the call
				return
			}
			k.consume(c, part+1)
			runtime.KeepAlive(k)
		}
	}
}

// part waits for part i of the answer. ok is false if the answer has ended.
func (c *client) part(ctx context.Context, k *Call, i uint32) (a call.Answer, ok bool, err error) {
	if !segment.Spin(func() bool { return c.set.Arrived(k.slot, k.n, i) }) {
		if err := c.sleep(ctx, k, answerWait{stream: true, k: i}); err != nil {
			return a, false, err
		}
	}
	if a, ok, err = c.set.Part(k.slot, k.n, i); err == nil {
		err = errOf(&a)
	}
	return a, ok, err
}

// consume lets go of the first i parts.
func (c *client) consume(k *Call, i uint32) {
	c.set.Consume(k.slot, k.n, i)
	c.ringWorkerOf(k.slot)
}

// Stream sends a copy of req, and takes one part of the response after the other; see Call.Stream.
// It waits until a call slot is free.
//
// Errors: those of Begin and of Call.Do.
func (c *Client) Stream(ctx context.Context, req []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		k, err := c.Begin(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer k.Release()
		copy(k.Request(), req) // if it is too long, Stream refuses it
		k.Stream(ctx, len(req))(yield)
	}
}
