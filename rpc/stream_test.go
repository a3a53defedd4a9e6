package rpc_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

// sendParts is a handler that streams n parts of one byte, and then returns err.
func sendParts(n int, err error) rpc.Handler {
	return func(j *rpc.Job) error {
		for i := range n {
			b, err := j.Response(1)
			if err != nil {
				return err
			}
			b[0] = byte(i)
			if err := j.Send(); err != nil {
				return err
			}
		}
		return err
	}
}

// The parts of a stream come in order and complete, however many wait, and then its error.
func TestStreamParts(t *testing.T) {
	for _, parts := range []int{1, 2, 64} {
		for _, fails := range []error{nil, errors.New("at the end")} {
			w, c := newService(t, &rpc.Options{Parts: parts, Response: 10})
			stop := serveWith(t, w, sendParts(200, fails))
			n := 0
			var last error
			for b, err := range c.Stream(bg, []byte("x")) {
				if last = err; err == nil {
					if len(b) != 1 || b[0] != byte(n) {
						t.Fatalf("part %d is %v", n, b)
					}
					n++
				}
			}
			var e *rpc.Error
			if n != 200 || (fails == nil) != (last == nil) || fails != nil && (!errors.As(last, &e) || e.Text != fails.Error()) {
				t.Errorf("%d parts, then %v, want 200 and %v", n, last, fails)
			}
			ipctest.NoErr(t, c.Close())
			stop()
		}
	}
}

// If a worker stops before a client has taken all parts, the stream ends with an error: it is not
// complete.
func TestStreamCutByWorker(t *testing.T) {
	w, c := newService(t, &rpc.Options{Parts: 2})
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.Serve(ctx, sendParts(200, nil)) }()
	n := 0
	var last error
	for _, err := range c.Stream(bg, nil) {
		if n == 1 {
			cancel()
			ipctest.WantErr(t, <-ended, context.Canceled)
		}
		n++
		last = err
	}
	var e *rpc.Error
	if !errors.As(last, &e) || n >= 200 {
		t.Errorf("a stream of 200 parts ends after %d turns with %v", n, last)
	}
	ipctest.NoErr(t, c.Close())
	ipctest.NoErr(t, w.Close())
}

// A handler that panics while the client has not taken all parts does not wait for the client.
func TestStreamPanic(t *testing.T) {
	w, c := newService(t, nil)
	ended := make(chan any)
	go func() {
		defer func() { ended <- recover() }()
		_ = w.Serve(bg, func(j *rpc.Job) error {
			ipctest.NoErr(t, j.Send())
			panic("oh")
		})
	}()
	var last error
	for _, err := range c.Stream(bg, nil) {
		if err == nil {
			<-ended
		}
		last = err
	}
	var e *rpc.Error
	if !errors.As(last, &e) {
		t.Error(last)
	}
	ipctest.NoErr(t, c.Close())
	ipctest.NoErr(t, w.Close())
}

// A loop may end early, or release its call, and the slot is free again.
func TestStreamEndsEarly(t *testing.T) {
	w, c := newService(t, &rpc.Options{Calls: 1})
	defer serveWith(t, w, sendParts(200, nil))()
	for range 100 {
		for _, err := range c.Stream(bg, nil) {
			ipctest.NoErr(t, err)
			break
		}
		k, err := c.Begin(bg)
		ipctest.NoErr(t, err)
		for _, err := range k.Stream(bg, 0) {
			ipctest.NoErr(t, err)
			k.Release()
		}
	}
	ipctest.NoErr(t, c.Close())
}

// Only a client that asks for a stream gets parts.
func TestSendWithoutStream(t *testing.T) {
	w, c := newService(t, nil)
	defer serveWith(t, w, func(j *rpc.Job) error {
		if j.Streams() {
			return errors.New("it streams")
		}
		return j.Send()
	})()
	_, err := c.Call(bg, nil)
	var e *rpc.Error
	if !errors.As(err, &e) || !strings.Contains(e.Text, errors.ErrUnsupported.Error()) {
		t.Error(err)
	}
	ipctest.NoErr(t, c.Close())
}

// The error of a handler arrives as it is. A text that is too long is cut between two runes.
func TestErrorText(t *testing.T) {
	w, c := newService(t, &rpc.Options{Response: 1})
	var fails error
	defer serveWith(t, w, func(*rpc.Job) error { return fails })()
	for _, x := range []struct {
		err  error
		code uint32
		text string
	}{
		{errors.New("plain"), 0, "plain"},
		{&rpc.Error{Code: 7, Text: "with a code"}, 7, "with a code"},
		{&rpc.Error{}, 0, ""},
		{errors.New(strings.Repeat("x", 256)), 0, strings.Repeat("x", 256)},
		{errors.New(strings.Repeat("x", 257)), 0, strings.Repeat("x", 256)},
		{errors.New(strings.Repeat("x", 255) + "ü"), 0, strings.Repeat("x", 255)},
		{samepage.ErrCorrupt, 0, samepage.ErrCorrupt.Error()},
	} {
		fails = x.err
		_, err := c.Call(bg, nil)
		var e *rpc.Error
		if !errors.As(err, &e) || e.Code != x.code || e.Text != x.text || !utf8.ValidString(e.Text) {
			t.Errorf("%v arrives as %v", x.err, err)
		}
		if errors.Is(err, samepage.ErrCorrupt) {
			t.Errorf("%v matches what only the handler knows", err)
		}
	}
	ipctest.NoErr(t, c.Close())
}
