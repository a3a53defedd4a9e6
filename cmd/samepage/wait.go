package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
)

// waiting is the --timeout of a command. It means the same in all commands: how long the command
// waits at a time for other processes. The zero value is no limit.
type waiting struct {
	given   bool
	timeout time.Duration
}

// addTimeout adds the flag. otherwise says what the command does without it.
func (w *waiting) addTimeout(c *cobra.Command, otherwise string) {
	c.Flags().Var(timeoutFlag{w}, "timeout", "wait at most this long for other processes, such as 500ms or 2m; 0: do not wait (default: "+otherwise+")")
}

// noLimit is what most commands do without --timeout.
const noLimit = "no limit"

// within is ctx with the --timeout.
func (w *waiting) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if !w.given {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, w.timeout)
}

type timeoutFlag struct{ p *waiting }

func (f timeoutFlag) String() string {
	if f.p == nil || !f.p.given { // pflag asks a zero value
		return ""
	}
	return f.p.timeout.String()
}

func (timeoutFlag) Type() string { return "duration" }

func (f timeoutFlag) Set(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return errors.New("want " + wanted["duration"])
	case d < 0:
		return errors.New("it is negative")
	}
	f.p.given, f.p.timeout = true, d
	return nil
}
