package earseimage

import (
	"context"
	"errors"
	"fmt"

	"samepage"
	"samepage/internal/segment"
	"samepage/internal/sys/window"
)

// server is a worker.
type server struct {
	ctx   context.Context
	do    func(context.Context, Job) (first, second []byte, err error)
	tell  func(error)
	ready func()
}

// Serve makes this process the worker until ctx ends, and then returns the error of ctx. It
// calls do for each job, by one goroutine at a time. do returns two encoded images of the
// type of the source. Together they may have at most Room bytes, and neither may be empty.
// The context of do ends with ctx. Serve returns only after do has returned.
//
// If do fails, or if its results do not fit, the requester gets the text of the error, up to
// 4095 units in UTF-16. C++ requesters look only at whether the job succeeded. Serve calls
// WorkerOptions.Log as well. A job that makes no sense is answered, too. If there is no
// section, or one of another size, Serve has nowhere to write an answer, and calls only Log.
//
// On Windows do runs while Serve handles the requester's message. Before that message returns,
// Serve sends the message of the answer, and the requester has five seconds to handle it. The
// requester may send its next job while it handles an answer. Such calls may be nested up to 16
// deep.
//
// Errors: fs.ErrExist (another worker runs), errors.ErrUnsupported (the system is neither
// Windows nor Linux), the error of ctx.
func Serve(ctx context.Context, opts *WorkerOptions, do func(context.Context, Job) (first, second []byte, err error)) error {
	if opts == nil {
		opts = &WorkerOptions{}
	}
	w := &server{ctx: ctx, do: do, tell: opts.Log, ready: opts.Ready}
	if err := w.serve(); err != nil {
		return fmt.Errorf("earseimage: worker: %w", err)
	}
	return segment.Deadline(ctx.Err())
}

func (w *server) serve() (err error) {
	role, err := takeRole(workerName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, letGo(role)) }()
	if window.Supported {
		return w.serveWindow()
	}
	return w.serveEvents()
}

func (w *server) log(err error) {
	if w.tell != nil {
		w.tell(fmt.Errorf("earseimage: worker: %w", err))
	}
}

func (w *server) begun() {
	if w.ready != nil {
		w.ready()
	}
}

// answer does the job in the section and writes the answer. It returns an error if it could
// write no answer.
func (w *server) answer(mem *samepage.Memory) error {
	b := make([]byte, recordSize)
	if _, err := mem.ReadAt(b, 0); err != nil {
		return err
	}
	job, err := parseRequest(b)
	var first, second []byte
	if err == nil {
		err = w.ctx.Err() // starts no job after the end
	}
	if err == nil {
		first, second, err = w.do(w.ctx, job)
	}
	if err == nil {
		err = checkResults(first, second)
	}
	if err != nil {
		w.log(fmt.Errorf("job for %s: %w", plain(job.Source), err))
		return writeFailure(mem, err)
	}
	return writeAnswer(mem, job.Type, first, second)
}
