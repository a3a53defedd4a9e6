package legacy

import (
	"context"
	"errors"
	"fmt"

	"samepage"
	"samepage/internal/segment"
	"samepage/internal/sys/window"
)

// earseServer is a worker.
type earseServer struct {
	ctx   context.Context
	do    func(context.Context, EarseImageJob) (first, second []byte, err error)
	tell  func(error)
	ready func()
}

// ServeEarseImage is a worker until ctx ends, and then returns its error. It calls do
// for each job, by one goroutine at a time; do returns two encoded images, of the type
// of the job's source, which together have at most EarseImageRoom bytes, none of them
// empty. The context of do ends with ctx; ServeEarseImage returns only after do has.
//
// When do fails, or what it returns does not fit, the requester is told so, with the
// error's text, of which the first 4095 units in UTF-16 fit; C++ requesters look only
// at whether it succeeded. EarseImageOptions.Log is told as well. The requester also
// gets an answer to a job that makes no sense. Where there is no section, or one of
// another size, there is nowhere to write an answer, and Log is told only.
//
// On Windows the job is done within the requester's message, and the answer is told by
// a message within that, for which a requester has five seconds. A requester may send
// its next job while it is told, up to 16 deep.
//
// Errors: fs.ErrExist (another worker runs), errors.ErrUnsupported (neither Windows
// nor Linux), the error of ctx.
func ServeEarseImage(ctx context.Context, opts *EarseImageOptions, do func(context.Context, EarseImageJob) (first, second []byte, err error)) error {
	if opts == nil {
		opts = &EarseImageOptions{}
	}
	w := &earseServer{ctx: ctx, do: do, tell: opts.Log, ready: opts.Ready}
	if err := w.serve(); err != nil {
		return fmt.Errorf("legacy: EarseImage worker: %w", err)
	}
	return segment.Deadline(ctx.Err())
}

func (w *earseServer) serve() (err error) {
	role, err := takeEarseRole(earseWorker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, earseLetGo(role)) }()
	if window.Supported {
		return w.serveWindow()
	}
	return w.serveEvents()
}

func (w *earseServer) log(err error) {
	if w.tell != nil {
		w.tell(fmt.Errorf("legacy: EarseImage worker: %w", err))
	}
}

func (w *earseServer) begun() {
	if w.ready != nil {
		w.ready()
	}
}

// answer does the job that stands in the section, and writes the answer. Its error
// says that there is none, and that none can be told.
func (w *earseServer) answer(mem *samepage.Memory) error {
	b := make([]byte, earseRecordSize)
	if _, err := mem.ReadAt(b, 0); err != nil {
		return err
	}
	job, err := parseEarseRequest(b)
	var first, second []byte
	if err == nil {
		err = w.ctx.Err() // rather than begin
	}
	if err == nil {
		first, second, err = w.do(w.ctx, job)
	}
	if err == nil {
		err = checkEarseResults(first, second)
	}
	if err != nil {
		w.log(fmt.Errorf("job for %s: %w", earsePlain(job.Source), err))
		return writeEarseFailure(mem, err)
	}
	return writeEarseAnswer(mem, job.Type, first, second)
}
