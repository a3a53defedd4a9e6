package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/ipcsync"
)

type semaphoreOptions struct {
	object
	waiting
	units, max uint32
}

func newSemaphoreCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "semaphore",
		Short: "Create semaphores, acquire and release their units, and run commands with one",
		Long: `A semaphore has a number of units, up to a maximum. acquire takes one, and waits while
there is none. release adds units. A unit has no owner: anybody may release it, and if a
process dies, the units that it has acquired are lost until somebody releases them.

create creates a semaphore, and run does if --units is given. It stays until
samepage rm --kind semaphore removes it. samepage stat shows how many units there are.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newSemaphoreCreateCommand(a), newSemaphoreAcquireCommand(a), newSemaphoreReleaseCommand(a), newSemaphoreRunCommand(a))
	return c
}

// newSemaphoreVerb adds to c what the commands on semaphores share.
func newSemaphoreVerb(o *semaphoreOptions, c *cobra.Command) *cobra.Command {
	if c.Args == nil {
		c.Args = names(1, 1)
	}
	c.ValidArgsFunction = completeNames(false, samepage.KindSemaphore)
	o.addFlags(c)
	return c
}

func newSemaphoreCreateCommand(a *app) *cobra.Command {
	var o semaphoreOptions
	c := newSemaphoreVerb(&o, &cobra.Command{
		Use:   "create NAME --units N",
		Short: "Create a semaphore",
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.checkUnits(c); err != nil {
				return err
			}
			s, err := ipcsync.CreateSemaphore(args[0], o.units, cmp.Or(o.max, o.units), o.persistentLock())
			if err != nil {
				return err
			}
			return errors.Join(a.printer().print(counted{args[0], "created", s.Count()}), s.Close())
		},
	})
	o.addRights(c.Flags())
	o.addUnits(c, "`number` of units of the new semaphore")
	return c
}

// addUnits adds the flags about a new semaphore.
func (o *semaphoreOptions) addUnits(c *cobra.Command, units string) {
	c.Flags().Uint32Var(&o.units, "units", 0, units)
	c.Flags().Uint32Var(&o.max, "max", 0, "largest `number` of units of a new semaphore; 0: as many as --units")
	c.Flags().Lookup("units").DefValue = "0"
}

// checkUnits checks the flags about a new semaphore.
func (o *semaphoreOptions) checkUnits(c *cobra.Command) error {
	switch {
	case o.units == 0 && o.max == 0:
		return usage(c, "--units N is missing, want 1 or more")
	case o.max != 0 && o.units > o.max:
		return usage(c, "--units is %d, but --max is %d", o.units, o.max)
	}
	return nil
}

func newSemaphoreAcquireCommand(a *app) *cobra.Command {
	var o semaphoreOptions
	c := newSemaphoreVerb(&o, &cobra.Command{
		Use:   "acquire NAME",
		Short: "Take a unit; wait while there is none",
		Long: `acquire takes a unit, and waits while there is none. If the semaphore does not exist,
acquire says so on standard error, and waits until somebody creates it. The exit code is 7 if
the time runs out first.`,
		RunE: func(c *cobra.Command, args []string) (err error) {
			ctx, cancel := o.within(c.Context())
			defer cancel()
			s, err := o.acquire(ctx, a, args[0])
			if err != nil {
				return err
			}
			defer closing(s, &err)
			return a.printer().print(counted{args[0], "acquired", s.Count()})
		},
	})
	o.addTimeout(c, noLimit)
	return c
}

func newSemaphoreReleaseCommand(a *app) *cobra.Command {
	var o semaphoreOptions
	c := newSemaphoreVerb(&o, &cobra.Command{
		Use:   "release NAME",
		Short: "Add a unit, or --units of them",
		RunE: func(c *cobra.Command, args []string) (err error) {
			s, err := ipcsync.OpenSemaphore(args[0], &ipcsync.Options{Scope: o.scope, Owner: o.owner})
			if err != nil {
				return o.notThere(samepage.KindSemaphore, args[0], err)
			}
			defer closing(s, &err)
			if err := s.Release(o.units); err != nil {
				return err
			}
			return a.printer().print(counted{args[0], "released", s.Count()})
		},
	})
	c.Flags().Uint32Var(&o.units, "units", 1, "`number` of units to add")
	return c
}

func newSemaphoreRunCommand(a *app) *cobra.Command {
	var o semaphoreOptions
	c := newSemaphoreVerb(&o, &cobra.Command{
		Use:   "run NAME -- COMMAND ARG...",
		Short: "Run a command with a unit: as many at a time as there are units",
		Long: `run takes a unit, runs COMMAND, and gives the unit back. COMMAND has the standard input and
output of run, and its exit code is the exit code of run, as with samepage lock. If the time
runs out before there is a unit, COMMAND is not run, and the exit code is 7.

With --units run creates the semaphore if it does not exist. If run is killed, its unit is
lost.`,
		Example: `  samepage semaphore run convert --units 4 -- convert in.png out.jpg`,
		Args:    nameAndCommand,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("units") || o.max != 0 {
				if err := o.checkUnits(c); err != nil {
					return err
				}
			}
			return runSemaphoreRun(c.Context(), a, o, args[0], args[1:])
		},
	})
	o.addRights(c.Flags())
	o.addUnits(c, "create the semaphore with this `number` of units if it does not exist")
	o.addTimeout(c, noLimit)
	return c
}

// counted tells what was done to a semaphore.
type counted struct {
	Name      string `json:"name"`
	Semaphore string `json:"semaphore"` // created, acquired or released
	Units     uint32 `json:"units"`     // that are available now
}

func (r counted) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "semaphore %s: %s; %s left\n", plain(r.Name), r.Semaphore, count64(uint64(r.Units), "unit"))
	return err
}

// acquire opens the semaphore and takes a unit. If it does not exist, acquire says so and waits.
func (o *semaphoreOptions) acquire(ctx context.Context, a *app, name string) (*ipcsync.Semaphore, error) {
	opts := &ipcsync.Options{Scope: o.scope, Owner: o.owner}
	s, err := ipcsync.OpenSemaphore(name, opts)
	if errors.Is(err, fs.ErrNotExist) {
		if !o.given || o.timeout > 0 {
			fmt.Fprintf(a.notes(), "samepage: waiting for semaphore %s\n", plain(name))
		}
		s, err = ipcsync.AwaitSemaphore(ctx, name, opts)
		err = o.notYet(samepage.KindSemaphore, name, err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.Acquire(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func runSemaphoreRun(ctx context.Context, a *app, o semaphoreOptions, name string, command []string) (err error) {
	if _, err := exec.LookPath(command[0]); err != nil {
		return noProgram(err)
	}
	if o.units > 0 || o.max > 0 {
		first, existed, err := ipcsync.OpenOrCreateSemaphore(name, o.units, cmp.Or(o.max, o.units), o.persistentLock())
		if err != nil {
			return err
		}
		if !existed {
			a.tellCreated(samepage.KindSemaphore, name)
		}
		if err := first.Close(); err != nil {
			return err
		}
	}
	limit, cancel := o.within(ctx)
	s, err := o.acquire(limit, a, name)
	cancel()
	if err != nil {
		return err
	}
	defer closing(s, &err)
	return errors.Join(a.runCommand(ctx, command, nil), s.Release(1))
}
