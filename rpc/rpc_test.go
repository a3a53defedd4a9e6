package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"samepage"
	"samepage/internal/edge"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

func TestMain(m *testing.M) { ipctest.Main(m, helpers) }

// helpers are the programs of the other processes.
var helpers = map[string]func(args []string){}

// served is a service with a worker in this process.
type served struct {
	*rpc.Client
	w   *rpc.Worker
	end func() error
}

// serve makes a service, and a worker and a client of it in this process. All end with the test.
func serve(t *testing.T, opts *rpc.Options, h rpc.Handler) *served {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, err := rpc.CreateWorker("s", opts)
	ipctest.NoErr(t, err)
	c, err := rpc.OpenClient("s", nil)
	ipctest.NoErr(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx, h) }()
	s := &served{Client: c, w: w}
	s.end = sync.OnceValue(func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return fmt.Errorf("Serve returned %w", err)
		}
		return errors.Join(w.Close(), c.Close())
	})
	t.Cleanup(func() { ipctest.NoErr(t, s.end()) })
	return s
}

var bg = context.Background()

// Many calls, one after the other and several at a time, get their own answers.
func TestCalls(t *testing.T) {
	s := serve(t, &rpc.Options{Calls: 4}, func(j *rpc.Job) error {
		b, err := j.Response(len(j.Request()))
		copy(b, j.Request())
		return err
	})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			req := make([]byte, 16)
			for i := range 500 {
				binary.LittleEndian.PutUint64(req, uint64(i))
				binary.LittleEndian.PutUint64(req[8:], uint64(g))
				resp, err := s.Call(bg, req)
				if err != nil || !bytes.Equal(req, resp) {
					t.Errorf("%x: %x, %v", req, resp, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// An error of a handler comes back with its code and its text.
func TestErrors(t *testing.T) {
	s := serve(t, &rpc.Options{Response: 10}, rpc.Func(func(_ context.Context, b []byte) ([]byte, error) {
		switch string(b) {
		case "coded":
			return nil, fmt.Errorf("wrapped: %w", &rpc.Error{Code: 7, Text: "no such picture"})
		case "large":
			return make([]byte, 11), nil
		case "long":
			return nil, errors.New(string(bytes.Repeat([]byte("é"), 1000)))
		}
		return nil, errors.New("plain")
	}))
	for req, want := range map[string]rpc.Error{
		"":      {Text: "plain"},
		"coded": {Code: 7, Text: "no such picture"},
		"large": {Text: "rpc: a response of 11 bytes, want 0 to 10: too large"},
		"long":  {Text: string(bytes.Repeat([]byte("é"), 128))},
	} {
		_, err := s.Call(bg, []byte(req))
		var got *rpc.Error
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%q: %v, want %v", req, err, &want)
		}
	}
}

// A request that is too large is refused, and the slot is free again.
func TestSizes(t *testing.T) {
	s := serve(t, &rpc.Options{Request: 10, Response: 1 << 20, Calls: 1}, func(j *rpc.Job) error {
		_, err := j.Response(int(binary.LittleEndian.Uint32(j.Request())))
		return err
	})
	for range 3 {
		_, err := s.Call(bg, make([]byte, 11))
		ipctest.WantErr(t, err, samepage.ErrTooLarge, "11", "10")
	}
	k, err := s.Begin(bg)
	ipctest.NoErr(t, err)
	ipctest.WantErr(t, k.Do(bg, -1), samepage.ErrNegativeSize)
	k.Release()
	for _, n := range []int{0, 1, 1 << 20} {
		resp, err := s.Call(bg, binary.LittleEndian.AppendUint32(nil, uint32(n)))
		if err != nil || len(resp) != n {
			t.Errorf("%d bytes, %v, want %d", len(resp), err, n)
		}
	}
}

// Without a worker a call fails at once, and AwaitWorker waits.
func TestNoWorker(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c, err := rpc.CreateClient("s", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	_, err = c.Call(bg, nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, "no worker")
	came := make(chan error)
	go func() { came <- c.AwaitWorker(bg) }()
	w, err := rpc.OpenWorker("s", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, <-came)
	// A worker that leaves wakes the callers that depend on it.
	failed := make(chan error)
	go func() { _, err := c.Call(bg, nil); failed <- err }()
	for st := new(rpc.State); st.Waiting == 0; {
		st, err = rpc.Inspect("s", nil)
		ipctest.NoErr(t, err)
	}
	ipctest.NoErr(t, w.Close())
	ipctest.WantErr(t, <-failed, samepage.ErrPeerNotStarted)
}

// A caller that gives up returns although the handler goes on, and the slot comes back later. The
// handler learns that.
func TestCancel(t *testing.T) {
	begun, told := make(chan bool), make(chan error)
	s := serve(t, &rpc.Options{Calls: 1}, func(j *rpc.Job) error {
		if len(j.Request()) == 0 {
			return nil
		}
		begun <- true
		<-j.Context().Done()
		told <- context.Cause(j.Context())
		return nil
	})
	ctx, cancel := context.WithCancel(bg)
	failed := make(chan error)
	go func() { _, err := s.Call(ctx, []byte("wait")); failed <- err }()
	<-begun
	cancel()
	ipctest.WantErr(t, <-failed, context.Canceled, "has not answered")
	if err := <-told; err == nil || !bytes.Contains([]byte(err.Error()), []byte("given up")) {
		t.Errorf("the handler's context ended with %v", err)
	}
	_, err := s.Call(bg, nil) // waits for the only slot
	ipctest.NoErr(t, err)
}

// A streamed response arrives in parts, in order, however many parts the service has room for.
func TestStream(t *testing.T) {
	for _, parts := range []int{1, 2, 5} {
		s := serve(t, &rpc.Options{Parts: parts, Response: 100}, streamer)
		for _, end := range []byte{0, 1, 2} {
			for _, n := range []int{1, 3, 250} {
				got := 0
				var failed error
				for b, err := range s.Stream(bg, []byte{byte(n), end}) {
					if err != nil {
						failed = err
						continue
					}
					if len(b) != got%100 || len(b) > 0 && (b[0] != byte(got) || b[len(b)-1] != byte(got)) {
						t.Fatalf("part %d is %x", got, b)
					}
					got++
				}
				var e *rpc.Error
				if got != n || errors.As(failed, &e) != (end == 2) || end != 2 && failed != nil {
					t.Errorf("%d parts of %d with end %d: %d parts, %v", n, parts, end, got, failed)
				}
			}
		}
		for range s.Stream(bg, []byte{200, 0}) {
			break // gives the call up
		}
		_, err := s.Call(bg, []byte{3, 0})
		var e *rpc.Error
		if !errors.As(err, &e) {
			t.Errorf("parts for a client that takes one response: %v", err)
		}
		ipctest.NoErr(t, s.end())
	}
}

// streamer responds with as many parts as the first byte of the request says. Part i has i % 100
// bytes of value i. The second byte says how it ends: 0 after a Send, 1 without one, 2 with an
// error.
func streamer(j *rpc.Job) error {
	n := int(j.Request()[0])
	for i := range n {
		b, err := j.Response(i % 100)
		if err != nil {
			return err
		}
		for k := range b {
			b[k] = byte(i)
		}
		if i == n-1 && j.Request()[1] == 1 {
			return nil
		}
		if err := j.Send(); err != nil {
			return err
		}
	}
	if j.Request()[1] == 2 {
		return errors.New("failed at last")
	}
	return nil
}

type question struct{ A, B int64 }

type answer struct{ Sum, Product int64 }

// Both ends have Go types, and ends of other types are refused.
func TestTyped(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, err := rpc.CreateWorkerOf[question, answer]("s", nil)
	ipctest.NoErr(t, err)
	c, err := rpc.OpenClientOf[question, answer]("s", nil)
	ipctest.NoErr(t, err)
	_, err = rpc.OpenClientOf[answer, question]("s", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch, "func(rpc_test.question) rpc_test.answer", "func(rpc_test.answer) rpc_test.question")
	_, err = rpc.OpenClient("s", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch, "bytes")
	_, err = rpc.CreateClientOf[question, []byte]("t", nil)
	ipctest.WantErr(t, err, samepage.ErrType)
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() {
		done <- w.Serve(ctx, func(_ *rpc.Job, q *question, a *answer) error {
			*a = answer{q.A + q.B, q.A * q.B}
			return nil
		})
	}()
	var a answer
	ipctest.NoErr(t, c.Call(bg, &question{6, 7}, &a))
	if a != (answer{13, 42}) {
		t.Errorf("%+v", a)
	}
	cancel()
	<-done
	ipctest.NoErr(t, errors.Join(c.Close(), w.Close()))
}

// A call in place allocates nothing, whether it sleeps or not.
func TestNoAllocation(t *testing.T) {
	if edge.Enabled {
		t.Skip("the race detector allocates")
	}
	s := serve(t, nil, func(j *rpc.Job) error {
		_, err := j.Response(8)
		return err
	})
	failed := 0
	n := testing.AllocsPerRun(1000, func() {
		k, err := s.Begin(bg)
		if err == nil {
			err = k.Do(bg, 8)
			_ = k.Response()
			k.Release()
		}
		if err != nil {
			failed++
		}
	})
	if failed > 0 || n >= 1 {
		t.Errorf("%v allocations a call, %d calls failed", n, failed)
	}
}
