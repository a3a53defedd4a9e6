package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/option"
	"samepage/rpc"
)

type workerOptions struct {
	object
	restart   string
	processes int
	delay     time.Duration
	maxDelay  time.Duration
}

// restarts are the values of --restart.
var restarts = map[string]rpc.RestartPolicy{
	"always": rpc.RestartAlways, "on-failure": rpc.RestartOnFailure, "never": rpc.RestartOnDemand,
}

func newWorkerCommand(a *app) *cobra.Command {
	o := workerOptions{}
	c := &cobra.Command{
		Use:   "worker SERVICE -- COMMAND ARG...",
		Short: "Keep a worker of a service running",
		Long: `worker starts COMMAND, which is a worker of the service, and starts it again when it
ends. After an end that comes soon it waits before the next start: --delay, and twice as
long after each further one, up to --max-delay. COMMAND and the processes that it has
started end together, and end when worker ends. Several commands samepage worker for one
service share the workers: together they keep --processes of them running.

worker tells on standard error what happens. It ends with Ctrl-C. With --restart
on-failure it also ends when COMMAND has ended with exit status 0, and with --restart
never when COMMAND has ended. If COMMAND fails then, the exit code is 8, or 10 if no
worker of the service was running before.`,
		Example:           "  samepage worker thumbnail -- ./thumbnailer --quality 80\n  samepage worker upper --processes 4 -- samepage serve upper -- tr a-z A-Z",
		Args:              nameAndCommand,
		ValidArgsFunction: completeNames(false, samepage.KindService),
		RunE: func(c *cobra.Command, args []string) error {
			if _, ok := restarts[o.restart]; !ok {
				return usage(c, "--restart is %s, want always, on-failure or never", o.restart)
			}
			return runWorker(c.Context(), a, o, args[0], args[1:])
		},
	}
	o.addFlags(c)
	f := c.Flags()
	o.addRights(f)
	f.StringVar(&o.restart, "restart", "always", "start COMMAND again when it has ended: `always`, on-failure or never")
	completeChoices(c, "restart", "always", "on-failure", "never")
	f.IntVar(&o.processes, "processes", 1, "keep this `number` of processes running")
	f.DurationVar(&o.delay, "delay", 100*time.Millisecond, "wait this long before the next start, if the worker has ended soon")
	f.DurationVar(&o.maxDelay, "max-delay", 10*time.Second, "wait at most this long before the next start")
	return c
}

// supervised tells what a samepage worker has done.
type supervised struct {
	Service string `json:"service"`
	Started uint64 `json:"started"` // workers, also those that others have started
	Failed  uint64 `json:"failed"`  // of these, those that ended in another way than with exit status 0
}

func (r supervised) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "workers of %s: %d started, %d failed\n", plain(r.Service), r.Started, r.Failed)
	return err
}

func runWorker(ctx context.Context, a *app, o workerOptions, name string, command []string) error {
	if err := errors.Join(option.Range("Processes", o.processes, 1, rpc.MaxSupervised),
		option.AtLeast("Delay", o.delay, 0), option.AtLeast("MaxDelay", o.maxDelay, 0)); err != nil {
		return err
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return noProgram(err)
	}
	var started, failed atomic.Uint64
	s, err := rpc.Supervise(name, rpc.SupervisorOptions{
		Command: func() (*exec.Cmd, error) {
			cmd := exec.Command(command[0], command[1:]...)
			samepage.StartLikeSelf(cmd)
			cmd.Stdin = nil
			return cmd, nil
		},
		Ready: func(ctx context.Context, _ int) error { return o.awaitWorker(ctx, name) },
		Notify: func(e rpc.WorkerEvent) {
			text := "started"
			switch {
			case e.Ready:
				text = "is ready"
			case e.Ended:
				text = "has ended"
				var w *rpc.WorkerError
				if !errors.As(e.Err, &w) || !w.ExitKnown || w.ExitCode != 0 {
					failed.Add(1)
					text = "has failed: " + visible(fmt.Sprint(e.Err))
				}
			default:
				started.Add(1)
			}
			if ctx.Err() == nil {
				fmt.Fprintf(a.notes(), "samepage: worker %d of %s, process %d, %s\n", e.Place+1, plain(name), e.PID, text)
			}
		},
		Workers: o.processes, Stop: rpc.StopWithStarter, Restart: restarts[o.restart], MinDelay: o.delay, MaxDelay: max(o.delay, o.maxDelay),
		Scope: o.scope, Perm: o.perm, SecurityDescriptor: o.sddl, Owner: o.owner,
	})
	if err != nil {
		return err
	}
	err = s.Ensure(ctx)
	if o.restart == "always" {
		<-ctx.Done() // a worker that has failed is started again
		err = ctx.Err()
	} else if err == nil || ctx.Err() == nil {
		err = s.Wait(ctx)
	}
	return errors.Join(err, s.Close(), a.summary(supervised{name, started.Load(), failed.Load()}))
}

// awaitWorker waits until the service has a worker. The command need not be the worker itself: it
// may be a shell that starts it.
func (o *workerOptions) awaitWorker(ctx context.Context, name string) (err error) {
	c, err := rpc.AwaitClient(ctx, name, &rpc.Options{Scope: o.scope, Owner: o.owner})
	if err != nil {
		return err
	}
	defer closing(c, &err)
	return c.AwaitWorker(ctx)
}
