package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/typed"
	"samepage/layout"
	"samepage/rpc"
)

type callOptions struct {
	object
	waiting
	raw        bool
	await      bool
	idempotent bool
	stream     bool
}

func newCallCommand(a *app) *cobra.Command {
	var o callOptions
	c := &cobra.Command{
		Use:   "call SERVICE",
		Short: "Call a service: standard input is the request",
		Long: `call reads standard input up to its end, sends it to a worker of the service, and
writes the response to standard output, unchanged. On a terminal it writes only text,
unless --raw is given.

If the service does not exist, the exit code is 3, and if it has no worker, 10; with
--await call waits for both. If the worker dies, the exit code is 8. If the worker
answers with an error, call writes its text to standard error, and the exit code is 1.

The calls of a service can have Go types, which the service describes. Then standard input
must have the bytes of a value of the request's type.

With --json the output is {"service", "size", "seconds", "text"}. If the response is not
UTF-8, "data" in base64 replaces "text". If it has a Go type, "value" does: an object with
the fields of the type.`,
		Example:           "  samepage call thumbnail <photo.jpg >small.jpg\n  echo hello | samepage call upper --await --timeout 5s",
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindService),
		RunE: func(c *cobra.Command, args []string) error {
			if a.json && o.stream {
				return usage(c, "--stream and --json exclude each other")
			}
			return runCall(c.Context(), a, o, args[0])
		},
	}
	o.addFlags(c)
	addRaw(c, &o.raw)
	f := c.Flags()
	f.BoolVar(&o.await, "await", false, "wait for the service and a worker")
	f.BoolVar(&o.idempotent, "idempotent", false, "the request does no harm if it is executed twice: if its worker dies, another one executes it")
	f.BoolVar(&o.stream, "stream", false, "write each part of the response as it arrives")
	o.addTimeout(c, noLimit)
	return c
}

// called tells the response to a call.
type called struct {
	Service string          `json:"service"`
	Size    int             `json:"size"` // of the response
	Seconds float64         `json:"seconds"`
	Text    *string         `json:"text,omitempty"`
	Data    *string         `json:"data,omitempty"` // base64
	Value   json.RawMessage `json:"value,omitempty"`
}

func (*called) text(io.Writer) error { return errors.ErrUnsupported } // it is written unchanged

// newCalled describes the response of a service with that schema.
func newCalled(name, schema string, resp []byte, took time.Duration) (*called, error) {
	s := string(resp)
	r := &called{Service: name, Size: len(s), Seconds: took.Seconds()}
	if schema != "" {
		types, err := layout.SplitSchema(schema)
		if err == nil && len(types) != 2 {
			err = fmt.Errorf("its calls have %d types, want two: %w", len(types), samepage.ErrCorrupt)
		}
		if err == nil {
			r.Value, err = new(typed.Decoder).JSON(types[1], s)
		}
		if err != nil {
			return nil, fmt.Errorf("the response of %q: %w", name, err)
		}
	} else if utf8.ValidString(s) {
		r.Text = &s
	} else {
		data := base64.StdEncoding.EncodeToString(resp)
		r.Data = &data
	}
	return r, nil
}

func runCall(ctx context.Context, a *app, o callOptions, name string) (err error) {
	ctx, cancel := o.within(ctx)
	defer cancel()
	c, err := o.open(ctx, name)
	if err != nil {
		return err
	}
	defer closing(c, &err)
	if o.await {
		if err := c.AwaitWorker(ctx); err != nil {
			return err
		}
	}
	k, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer k.Release()
	n, err := readInto(ctx, a, k.Request()[:c.MaxRequest()])
	if err != nil {
		return err
	}
	if want := c.MaxRequest(); c.Schema() != "" && n != want {
		return fmt.Errorf("the input has %s, but a request of %q is a value of %s: %w", numBytes(int64(n)), name, numBytes(int64(want)), samepage.ErrRange)
	}
	if o.idempotent {
		k.MarkIdempotent()
	}
	if o.stream {
		for part, err := range k.Stream(ctx, n) {
			if err == nil {
				err = a.writeAll(ctx, part, o.raw)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	begun := time.Now()
	if err := k.Do(ctx, n); err != nil {
		return err
	}
	if a.json {
		r, err := newCalled(name, c.Schema(), k.Response(), time.Since(begun))
		if err != nil {
			return err
		}
		return a.printer().print(r)
	}
	return a.writeAll(ctx, k.Response(), o.raw)
}

// open opens the service, of bytes or of any Go types. With --await it waits for it.
func (o *callOptions) open(ctx context.Context, name string) (*rpc.Client, error) {
	opts := &rpc.Options{Scope: o.scope, Owner: o.owner}
	c, err := o.openWith(ctx, name, opts)
	if errors.Is(err, samepage.ErrKindMismatch) {
		if st, ierr := rpc.Inspect(name, &samepage.InspectOptions{Scope: o.scope, Owner: o.owner}); ierr == nil && st.Schema != "" {
			opts.Schema = st.Schema
			return o.openWith(ctx, name, opts)
		}
	}
	return c, err
}

func (o *callOptions) openWith(ctx context.Context, name string, opts *rpc.Options) (*rpc.Client, error) {
	if o.await {
		c, err := rpc.AwaitClient(ctx, name, opts)
		return c, o.notYet(samepage.KindService, name, err)
	}
	c, err := rpc.OpenClient(name, opts)
	return c, o.notThere(samepage.KindService, name, err)
}

// readInto reads standard input up to its end into b, and returns how many bytes it has. An input
// that is longer than b is an error.
func readInto(ctx context.Context, a *app, b []byte) (int, error) {
	in := newFeed(ctx, a.stdin)
	n, err := io.ReadFull(in, b)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return n, nil
	case err != nil:
		return n, inputError(err)
	}
	var more [1]byte
	if _, err := io.ReadFull(in, more[:]); err == nil {
		return n, fmt.Errorf("the input is longer than the %s that a request of the service may have: %w", formatSize(int64(len(b))), samepage.ErrTooLarge)
	} else if !errors.Is(err, io.EOF) {
		return n, inputError(err)
	}
	return n, nil
}
