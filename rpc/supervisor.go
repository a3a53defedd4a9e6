package rpc

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"runtime"
	"time"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/internal/starter"
)

// MaxSupervised is the largest number of workers of a Supervisor.
const MaxSupervised = starter.MaxPlaces

// StopPolicy says when supervised workers end.
type StopPolicy int

const (
	// StopWithLast: when the last Supervisor of the service is closed. If the process of the last
	// one is killed, Windows ends the workers. On Linux they go on, and the next Supervisor of the
	// service finds them.
	StopWithLast StopPolicy = iota
	// StopWithStarter: when the Supervisor that has started them is closed, or its process ends.
	StopWithStarter
	// StopNever: a Supervisor does not end them. The next Supervisor of the service finds them.
	StopNever
)

// RestartPolicy says which workers a Supervisor starts again by itself. Each Ensure starts all that
// are missing.
type RestartPolicy int

const (
	// RestartAlways: each worker that ends.
	RestartAlways RestartPolicy = iota
	// RestartOnFailure: each worker that ends, unless its exit status is known to be 0.
	RestartOnFailure
	// RestartOnDemand: none, before the next Ensure.
	RestartOnDemand
)

// SupervisorOptions are the options of a Supervisor. All Supervisors of a service should have the
// same. The zero value means the default of each field, but Command is required.
type SupervisorOptions struct {
	// Command makes the command of a worker. The Supervisor starts the command, and calls its Wait.
	// Command may be called concurrently. The worker's arguments arrive unchanged. Where the
	// exec.Cmd says nothing, the worker inherits only environment and directory. Its standard
	// input and output are the null device. See samepage.StartLikeSelf for others, and set
	// SysProcAttr for the window and the console on Windows. The worker has the variable
	// SAMEPAGE_WORKER in its environment.
	//
	// If the command has no Stderr, the last lines of the worker's standard error are in
	// WorkerError. They are in a file in the directory for temporary files, which is cut when it
	// has more than 1 MiB. With StopWithStarter the lines go through this process to Stderr.
	Command func() (*exec.Cmd, error)
	// Workers is the number of workers: 1 to MaxSupervised, by default 1.
	Workers int
	// Ready returns nil when the worker with that process id is ready. Its ctx ends when the worker
	// ends. Each process that uses the worker calls it, for several workers concurrently. By
	// default a worker is ready when a process with its id is a worker of the service.
	Ready   func(ctx context.Context, pid int) error
	Stop    StopPolicy
	Restart RestartPolicy
	// MinDelay is the delay before the next start, after a worker that was no success: one that
	// was not ready for Steady. The delay doubles with each further one, up to MaxDelay. All
	// processes share the delay. By default MinDelay is 100 ms, MaxDelay 10 s and Steady 10 s.
	MinDelay, MaxDelay, Steady time.Duration
	// Grace is how long a worker may take to end after SIGTERM, before it is killed. On Windows
	// workers are killed at once. By default it is 5 s.
	Grace time.Duration
	// Notify is called when something happens to a worker, one call at a time. It must not call
	// methods of the Supervisor.
	Notify func(WorkerEvent)

	// Scope is the scope of the service, and of the record that the Supervisors share. Perm and
	// SecurityDescriptor are the rights of the record, and Owner its owner. They are the same as in
	// samepage.Options. Only a user who has the right to open the workers' processes can share
	// them.
	Scope              samepage.Scope
	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string
}

// WorkerEvent says what has happened to a supervised worker.
type WorkerEvent struct {
	// Place is the number of the worker, 0 to Workers-1. A successor has the same.
	Place int
	PID   int // 0: no worker could be started
	// Ready: the worker is ready. If Ready and Ended are false, it was started, or was found.
	Ready bool
	// Ended: the worker has ended, or could not be started. Err says why. Usually it is a
	// *WorkerError.
	Ended bool
	Err   error
}

// WorkerError says how a supervised worker ended, or why it could not be started. It matches
// samepage.ErrPeerDied if the worker had become ready, otherwise samepage.ErrPeerNotStarted. Its
// fields:
//
//	Name, Place                   of the service; 0 to Workers-1
//	PID, StartedBy                process ids of the worker (0: it could not be started), and of
//	                              the process that has started it
//	Started, Ready, Ended         times; Ready is zero if it did not become ready
//	ExitKnown, ExitCode, Signal   how it ended; ExitCode is -1 if a signal ended it. On Linux it is
//	                              not known if the process that had started it has ended before
//	Stderr                        the last lines of its standard error, at most 4096 bytes
//	Failures, Next                starts in a row that were no success; when the next can start
//	Err                           why it could not be started
type WorkerError = starter.WorkerError

// Supervisor keeps the workers of a service running. It starts them when they are first needed,
// and starts others when they end. All Supervisors of a service, in any processes, share the
// workers: of those that want to start a worker at the same time only one does.
//
// A worker and the processes that it has started end together: on Linux they are a process group,
// on Windows a job.
//
// Its methods may be called concurrently. The zero value is not usable. If a program drops a
// Supervisor without Close, the garbage collector closes it.
type Supervisor struct {
	name  string
	s     *starter.Supervisor
	guard forgotten.Guard
}

// Supervise returns a Supervisor of the workers of a service. It starts no worker, and does not
// need the service to exist.
//
// Errors: fs.ErrInvalid (options), samepage.ErrName (also if the name is longer than 189 bytes),
// and those of samepage.OpenOrCreate.
func Supervise(name string, opts SupervisorOptions) (*Supervisor, error) {
	c, err := opts.config(name)
	if err != nil {
		return nil, wrap("supervise", name, err)
	}
	in, err := starter.Supervise(name, c)
	if err != nil {
		return nil, wrap("supervise", name, err)
	}
	s := &Supervisor{name: name, s: in}
	s.guard = forgotten.Watch(s, "supervisor of service", name, closeForgotten, in)
	return s, nil
}

func closeForgotten(s *starter.Supervisor) (kept bool) {
	// The workers may take a while, and the garbage collector must not wait.
	go func() { _ = s.Close() }()
	return false
}

// config checks the options. Errors: fs.ErrInvalid.
func (o *SupervisorOptions) config(name string) (c starter.Config, err error) {
	if o.Command == nil {
		return c, option.Bad("Command", "nil", "a function")
	}
	err = errors.Join(
		option.Range("Workers", o.Workers, 0, MaxSupervised),
		option.AtLeast("MinDelay", o.MinDelay, 0), option.AtLeast("MaxDelay", o.MaxDelay, 0),
		option.AtLeast("Steady", o.Steady, 0), option.AtLeast("Grace", o.Grace, 0),
		option.OneOf("Stop", o.Stop, StopWithLast, StopWithStarter, StopNever),
		option.OneOf("Restart", o.Restart, RestartAlways, RestartOnFailure, RestartOnDemand))
	if err != nil {
		return c, err
	}
	c = starter.Config{
		Options: starter.Options{
			Scope: o.Scope, Perm: o.Perm, SecurityDescriptor: o.SecurityDescriptor, Owner: o.Owner,
			Stop:     map[StopPolicy]starter.Stop{StopWithLast: starter.WithLast, StopWithStarter: starter.WithStarter, StopNever: starter.Stay}[o.Stop],
			Together: true, Tail: true,
			MinDelay: cmp.Or(o.MinDelay, 100*time.Millisecond), MaxDelay: cmp.Or(o.MaxDelay, 10*time.Second),
			Steady: cmp.Or(o.Steady, 10*time.Second), Grace: cmp.Or(o.Grace, 5*time.Second),
		},
		Places: max(1, o.Workers), Command: o.Command, Ready: o.Ready,
		Restart: map[RestartPolicy]starter.Restart{RestartAlways: starter.Always, RestartOnFailure: starter.OnFailure, RestartOnDemand: starter.OnDemand}[o.Restart],
	}
	if c.Ready == nil {
		in := samepage.InspectOptions{Scope: o.Scope, Owner: o.Owner}
		c.Ready = func(ctx context.Context, pid int) error { return awaitMember(ctx, name, &in, pid) }
	}
	if notify := o.Notify; notify != nil {
		c.Notify = func(n starter.Notice) {
			notify(WorkerEvent{Place: n.Place, PID: n.PID, Ready: n.Event == starter.Ready, Ended: n.Event == starter.Ended, Err: n.Err})
		}
	}
	return c, nil
}

// awaitMember waits until the process is a worker of the service.
func awaitMember(ctx context.Context, name string, opts *samepage.InspectOptions, pid int) error {
	return segment.Until(ctx, func() (bool, error) {
		st, err := inspect(name, opts)
		if err != nil {
			return false, nil // it does not exist yet, or is just being made
		}
		for _, m := range st.Members {
			if m.Worker && m.PID == pid && !m.Foreign && !m.Ended {
				return true, nil
			}
		}
		return false, nil
	})
}

// Ensure waits until a worker is ready, and starts all that are missing. If workers end before
// one is ready, it returns how they ended. While a delay is not over, it waits. If the call does
// not have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed; a *WorkerError, one for each worker; the errors of Command and Ready;
// the error of ctx, together with how the last workers ended.
func (s *Supervisor) Ensure(ctx context.Context) error {
	err := s.s.Ensure(ctx)
	runtime.KeepAlive(s)
	return wrap("start a worker of", s.name, err)
}

// Wait waits until no worker runs, and none will be started before the next Ensure. It returns
// nil if the exit status of each is known to be 0. If Ensure was never called, Wait waits for
// that. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed, the error of ctx, a *WorkerError, one for each worker.
func (s *Supervisor) Wait(ctx context.Context) error {
	err := s.s.Wait(ctx)
	runtime.KeepAlive(s)
	return wrap("wait for the workers of", s.name, err)
}

// End returns how the worker with that process id ended. It waits until that is known. It returns
// nil if it is none of the last workers. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (s *Supervisor) End(ctx context.Context, pid int) (*WorkerError, error) {
	e, err := s.s.End(ctx, pid)
	runtime.KeepAlive(s)
	return e, wrap("wait for a worker of", s.name, err)
}

// PIDs returns the process ids of the workers that run. Before the first Ensure it returns none.
func (s *Supervisor) PIDs() []int { return s.s.PIDs() }

// Close closes the Supervisor. SupervisorOptions.Stop says whether the workers go on. Close waits
// for the end of those that it ends. A second Close does nothing.
func (s *Supervisor) Close() error {
	s.guard.Done()
	return wrap("close the supervisor of", s.name, s.s.Close())
}

// StartWith makes s start the workers of the service when they are first needed: a call that
// finds no worker waits until s has started one. If a worker of s dies during a call, the error
// says how it ended. StartWith must be called before the first call. Several Clients may use one
// Supervisor. Close does not close it.
func (c *client) StartWith(s *Supervisor) { c.sup.Store(s) }

// ensure has s start workers until one of them is a worker of the service: a process can be ready,
// and not be one yet, or not any more.
func (c *client) ensure(ctx context.Context, s *Supervisor) error {
	return segment.Until(ctx, func() (bool, error) {
		if err := s.s.Ensure(ctx); err != nil {
			return false, err
		}
		if c.h.Others(isWorker) {
			return true, nil
		}
		err := c.h.CheckName()
		if errors.Is(err, samepage.ErrNameGone) || errors.Is(err, samepage.ErrClosed) {
			return false, err
		}
		return false, nil
	})
}
