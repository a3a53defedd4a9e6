package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/option"
	"samepage/rpc"
)

type serveOptions struct {
	object
	request, response int64
	calls             int
	members           int
	parallel          int
	count             uint64
}

func newServeCommand(a *app) *cobra.Command {
	var o serveOptions
	c := &cobra.Command{
		Use:   "serve SERVICE -- COMMAND ARG...",
		Short: "Answer the calls of a service with a command",
		Long: `serve is a worker of a service. For each call it starts COMMAND, with the request as its
standard input. Its standard output is the response. If COMMAND fails, the call fails
with the end of its standard error, and with its exit code as the code of the error. If
the caller gives up, COMMAND is killed.

If the service does not exist, serve creates it; --request, --response, --calls and
--members are for a new service. Several processes may serve one service: each call
goes to one of them. serve ends with Ctrl-C, or after --count calls. The service lives while
it is used.`,
		Example:           "  samepage serve upper -- tr a-z A-Z\n  samepage serve thumbnail --request 16MiB --parallel 4 -- convert - -resize 200x200 jpg:-",
		Args:              nameAndCommand,
		ValidArgsFunction: completeNames(false, samepage.KindService),
		RunE: func(c *cobra.Command, args []string) error {
			return runServe(c.Context(), a, o, args[0], args[1:])
		},
	}
	o.addFlags(c)
	f := c.Flags()
	o.addRights(f)
	f.Var(sizeFlag{&o.request, 1}, "request", "size of the largest request of a new service (default 1MiB)")
	f.Var(sizeFlag{&o.response, 1}, "response", "size of the largest response of a new service (default 1MiB)")
	f.IntVar(&o.calls, "calls", 0, "largest `number` of calls at a time of a new service; 0: 16")
	f.IntVar(&o.members, "members", 0, "largest `number` of clients and workers of a new service; 0: 64")
	f.IntVar(&o.parallel, "parallel", 1, "answer up to this `number` of calls at a time")
	f.Uint64Var(&o.count, "count", 0, "end after this `number` of calls; 0: never")
	return c
}

// nameAndCommand checks that the arguments are NAME -- COMMAND ARG...
func nameAndCommand(c *cobra.Command, args []string) error {
	if len(args) > 0 && c.ArgsLenAtDash() != 1 {
		return usage(c, "want %s, --, and a command", strings.Fields(c.Use)[1])
	}
	if len(args) == 1 {
		return usage(c, "the COMMAND after -- is missing")
	}
	return names(1, math.MaxInt)(c, args)
}

// serveSize is the size of requests and responses of a service that serve creates.
const serveSize = 1 << 20

func (o *serveOptions) open(a *app, name string) (*rpc.Worker, error) {
	opts := &rpc.Options{
		Scope: o.scope, Owner: o.owner, Perm: o.perm, SecurityDescriptor: o.sddl, Members: o.members, Calls: o.calls,
		Request: int(cmp.Or(o.request, serveSize)), Response: int(cmp.Or(o.response, serveSize)),
	}
	most := int64(min(math.MaxInt, math.MaxUint32))
	if err := errors.Join(option.Range("request", o.request, 0, most), option.Range("response", o.response, 0, most),
		option.Range("parallel", o.parallel, 1, 1024)); err != nil {
		return nil, err
	}
	w, err := rpc.CreateWorker(name, opts)
	if !errors.Is(err, fs.ErrExist) {
		return w, err
	}
	w, err = rpc.OpenWorker(name, &rpc.Options{Scope: o.scope, Owner: o.owner})
	if err != nil {
		return nil, err
	}
	var others []string
	flags := map[string][2]int64{"--request": {o.request, int64(w.MaxRequest())}, "--response": {o.response, int64(w.MaxResponse())}}
	for _, flag := range slices.Sorted(maps.Keys(flags)) {
		if x := flags[flag]; x[0] != 0 && x[0] != x[1] {
			others = append(others, fmt.Sprintf("%s (it has %s)", flag, formatSize(x[1])))
		}
	}
	o.tellUnused(a.notes(), name, others...)
	return w, nil
}

// served tells how many calls were answered.
type served struct {
	Service string `json:"service"`
	Calls   uint64 `json:"calls"`
	Failed  uint64 `json:"failed"` // of these
}

func (r served) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "served %s: %s, %d failed\n", plain(r.Service), count64(r.Calls, "call"), r.Failed)
	return err
}

func runServe(ctx context.Context, a *app, o serveOptions, name string, command []string) (err error) {
	if _, err := exec.LookPath(command[0]); err != nil {
		return noProgram(err)
	}
	w, err := o.open(a, name)
	if err != nil {
		return err
	}
	defer closing(w, &err)
	var calls, failed atomic.Uint64
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := errors.New("done")
	handler := func(j *rpc.Job) error {
		n := calls.Add(1)
		if o.count > 0 && n >= o.count {
			defer cancel(done)
		}
		err := answerWith(j, command)
		if err != nil {
			failed.Add(1)
		}
		return err
	}
	var all sync.WaitGroup
	errs := make([]error, o.parallel)
	for i := range errs {
		all.Go(func() {
			if errs[i] = w.Serve(ctx, handler); errs[i] != nil && ctx.Err() == nil {
				cancel(errs[i])
			}
		})
	}
	all.Wait()
	err = a.summary(served{name, calls.Load(), failed.Load()})
	if cause := context.Cause(ctx); cause == done {
		return err
	}
	return errors.Join(append(errs, err)...)
}

// tail keeps the last bytes that are written to it.
type tail struct{ b []byte }

const tailSize = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if n := len(t.b) - tailSize; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

// room is a writer into the response of a call.
type room struct {
	b []byte
	n int
}

var errNoRoom = errors.New("the output of the command is larger than a response of the service")

func (r *room) Write(p []byte) (int, error) {
	n := copy(r.b[r.n:], p)
	r.n += n
	if n < len(p) {
		return n, errNoRoom
	}
	return n, nil
}

// answerWith answers a call with the output of a command.
func answerWith(j *rpc.Job, command []string) error {
	b, err := j.Response(j.MaxResponse())
	if err != nil {
		return err
	}
	out, last := &room{b: b}, &tail{}
	c := exec.CommandContext(j.Context(), command[0], command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(j.Request()), out, last
	c.WaitDelay = time.Second // for a grandchild that keeps the output open
	err = c.Run()
	if err == nil {
		_, err = j.Response(out.n)
		return err
	}
	e := &rpc.Error{Text: fmt.Sprintf("%s: %v", command[0], err)}
	if text := strings.TrimSpace(string(last.b)); text != "" {
		e.Text = text
	}
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() > 0 {
		e.Code = uint32(failed.ExitCode())
	}
	return e
}
