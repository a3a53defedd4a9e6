package rpc

import (
	"context"

	"samepage/internal/segment"
	"samepage/layout"
)

// ClientOf calls a service with requests of type T and responses of type U, which
// [samepage.CheckType] must accept. An end for other types cannot open the service, and neither
// can a Client or a Worker. Its methods may be called concurrently.
type ClientOf[T, U any] struct{ client }

// CreateClientOf is CreateClient for calls with a T and a U. Options.Request and Response must be
// 0.
//
// Errors: samepage.ErrType (a type cannot be in shared memory; the text says why), and those of
// CreateClient.
func CreateClientOf[T, U any](name string, opts *Options) (*ClientOf[T, U], error) {
	c := new(ClientOf[T, U])
	_, err := c.start(segment.ToCreate, name, opts)
	return segment.OrNil(c, err)
}

// OpenClientOf is OpenClient for calls with a T and a U.
//
// Errors: samepage.ErrType, ErrKindMismatch (the service has calls of other types; the text names
// both), and those of OpenClient.
func OpenClientOf[T, U any](name string, opts *Options) (*ClientOf[T, U], error) {
	c := new(ClientOf[T, U])
	_, err := c.start(segment.ToOpen, name, opts)
	return segment.OrNil(c, err)
}

// OpenOrCreateClientOf is OpenOrCreateClient for calls with a T and a U.
//
// Errors: those of OpenClientOf and of OpenOrCreateClient.
func OpenOrCreateClientOf[T, U any](name string, opts *Options) (c *ClientOf[T, U], existed bool, err error) {
	c = new(ClientOf[T, U])
	existed, err = c.start(segment.ToOpenOrCreate, name, opts)
	c, err = segment.OrNil(c, err)
	return c, existed, err
}

// AwaitClientOf waits until the service exists, and then opens it like OpenClientOf. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of OpenClientOf except fs.ErrNotExist, and the error of ctx.
func AwaitClientOf[T, U any](ctx context.Context, name string, opts *Options) (*ClientOf[T, U], error) {
	return await(ctx, name, func() (*ClientOf[T, U], error) { return OpenClientOf[T, U](name, opts) })
}

func (c *ClientOf[T, U]) start(way segment.Way, name string, opts *Options) (existed bool, err error) {
	opts, ty, err := typed[T, U](way, opts)
	if err != nil {
		return false, wrap("open a client of", name, err)
	}
	return c.client.start(way, name, opts, ty)
}

// typed returns the options and the type of a service with calls of T and U.
func typed[T, U any](way segment.Way, opts *Options) (*Options, *layout.Type, error) {
	ty, sizes, err := callType[T, U]()
	if err != nil {
		return nil, nil, err
	}
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if err := o.untyped(); err != nil {
		return nil, nil, err
	}
	if way != segment.ToOpen {
		o.Request, o.Response = sizes[0], sizes[1]
	}
	return &o, ty, nil
}

// Call sends req and stores the response in resp.
//
// Errors: those of Client.Call.
func (c *ClientOf[T, U]) Call(ctx context.Context, req *T, resp *U) error {
	return c.call(ctx, req, resp, 0)
}

// CallIdempotent is Call for a request that does no harm if it is executed twice: if its worker
// dies, another worker executes it again.
//
// Errors: those of Client.Call.
func (c *ClientOf[T, U]) CallIdempotent(ctx context.Context, req *T, resp *U) error {
	return c.call(ctx, req, resp, layout.CallIdempotent)
}

func (c *ClientOf[T, U]) call(ctx context.Context, req *T, resp *U, flags uint32) error {
	k, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer k.Release()
	k.flags = flags
	p, err := layout.As[T](k.Request())
	if err != nil {
		return c.wrap("call", err)
	}
	*p = *req
	if err := k.Do(ctx, c.MaxRequest()); err != nil {
		return err
	}
	q, err := layout.As[U](k.Response())
	if err != nil {
		return c.wrap("call", err)
	}
	*resp = *q
	return nil
}

// WorkerOf answers calls of a service with requests of type T and responses of type U.
type WorkerOf[T, U any] struct{ worker }

// CreateWorkerOf is CreateWorker for calls with a T and a U. Options.Request and Response must be
// 0.
//
// Errors: those of CreateClientOf.
func CreateWorkerOf[T, U any](name string, opts *Options) (*WorkerOf[T, U], error) {
	w := new(WorkerOf[T, U])
	_, err := w.start(segment.ToCreate, name, opts)
	return segment.OrNil(w, err)
}

// OpenWorkerOf is OpenWorker for calls with a T and a U.
//
// Errors: those of OpenClientOf.
func OpenWorkerOf[T, U any](name string, opts *Options) (*WorkerOf[T, U], error) {
	w := new(WorkerOf[T, U])
	_, err := w.start(segment.ToOpen, name, opts)
	return segment.OrNil(w, err)
}

// OpenOrCreateWorkerOf is OpenOrCreateWorker for calls with a T and a U.
//
// Errors: those of OpenOrCreateClientOf.
func OpenOrCreateWorkerOf[T, U any](name string, opts *Options) (w *WorkerOf[T, U], existed bool, err error) {
	w = new(WorkerOf[T, U])
	existed, err = w.start(segment.ToOpenOrCreate, name, opts)
	w, err = segment.OrNil(w, err)
	return w, existed, err
}

// AwaitWorkerOf waits until the service exists, and then opens it like OpenWorkerOf. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of OpenWorkerOf except fs.ErrNotExist, and the error of ctx.
func AwaitWorkerOf[T, U any](ctx context.Context, name string, opts *Options) (*WorkerOf[T, U], error) {
	return await(ctx, name, func() (*WorkerOf[T, U], error) { return OpenWorkerOf[T, U](name, opts) })
}

func (w *WorkerOf[T, U]) start(way segment.Way, name string, opts *Options) (existed bool, err error) {
	opts, ty, err := typed[T, U](way, opts)
	if err != nil {
		return false, wrap("open a worker of", name, err)
	}
	return w.worker.start(way, name, opts, ty)
}

// Serve answers one call after the other, until ctx ends. h reads req and sets all of resp, both in
// place. They are good until h returns. The rules of Worker.Serve apply.
//
// Errors: those of Worker.Serve.
func (w *WorkerOf[T, U]) Serve(ctx context.Context, h func(j *Job, req *T, resp *U) error) error {
	return w.serve(ctx, func(j *Job) error {
		req, err := layout.As[T](j.Request())
		if err != nil {
			return err
		}
		b, err := j.Response(w.MaxResponse())
		if err != nil {
			return err
		}
		resp, err := layout.As[U](b)
		if err != nil {
			return err
		}
		return h(j, req, resp)
	})
}
