package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/ipcsync"
)

type eventOptions struct {
	object
	waiting
	manual bool
	hold   bool
}

// event returns the options that find the event.
func (o *eventOptions) event() *ipcsync.EventOptions {
	return &ipcsync.EventOptions{Scope: o.scope, Owner: o.owner, Exact: o.exact}
}

// creating returns the options that create the event.
func (o *eventOptions) creating() *ipcsync.EventOptions {
	e := o.event()
	e.Manual, e.Perm, e.SecurityDescriptor = o.manual, o.perm, o.sddl
	if !o.hold {
		e.Lifetime = samepage.Persist
	}
	return e
}

func newEventCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "event",
		Short: "Set, reset and wait for events",
		Long: `An event is either set or not. An auto-reset event lets one waiter pass, which
unsets the event. A manual-reset event lets all waiters pass until it is reset. If
nobody waits, the event stays set until somebody waits. Setting it twice before a wait
has the same effect as setting it once.

If the event does not exist, set creates it and says so on standard error. The event
stays until samepage rm --kind event removes it. wait never creates an event: it waits
until somebody creates it. So either command may come first.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newEventSetCommand(a), newEventResetCommand(a), newEventWaitCommand(a))
	return c
}

// newEventVerb adds to c what all commands on events share.
func newEventVerb(o *eventOptions, c *cobra.Command) *cobra.Command {
	c.Args = names(1, 1)
	c.ValidArgsFunction = completeNames(false, samepage.KindEvent)
	o.addFlags(c)
	o.addExact(c.Flags())
	return c
}

func newEventSetCommand(a *app) *cobra.Command {
	var o eventOptions
	c := newEventVerb(&o, &cobra.Command{
		Use:   "set NAME",
		Short: "Set an event; create it if it does not exist",
		RunE: func(c *cobra.Command, args []string) error {
			err := runEventSet(c.Context(), a, o, args[0])
			if errors.Is(err, fs.ErrNotExist) && o.vanishes() {
				return usage(c, "there is no event %q; on Windows an exact name exists only while a program uses it, and this command would end at once: use --hold", args[0])
			}
			return err
		},
	})
	o.addRights(c.Flags())
	c.Flags().BoolVar(&o.manual, "manual", false, "an event that set creates is manual-reset")
	c.Flags().BoolVar(&o.hold, "hold", false, "keep running and use the event until Ctrl-C; an event that set creates then lives only while it is used")
	return c
}

func newEventResetCommand(a *app) *cobra.Command {
	var o eventOptions
	return newEventVerb(&o, &cobra.Command{
		Use:   "reset NAME",
		Short: "Unset an event",
		RunE:  func(_ *cobra.Command, args []string) error { return runEventReset(a.printer(), o, args[0]) },
	})
}

func newEventWaitCommand(a *app) *cobra.Command {
	var o eventOptions
	c := newEventVerb(&o, &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until an event is set",
		Long: `wait sleeps until the event is set. If the event is auto-reset, wait unsets it. If the
event does not exist, wait says so on standard error, and waits until somebody creates
it. The exit code is 7 if the time runs out first, and 130 after Ctrl-C.`,
		RunE: func(c *cobra.Command, args []string) error {
			return runEventWait(c.Context(), a, o, args[0])
		},
	})
	o.addTimeout(c, noLimit)
	return c
}

// happened tells what was done to an event.
type happened struct {
	Name    string `json:"name"`
	Event   string `json:"event"`   // set, reset or passed
	Created bool   `json:"created"` // it did not exist and was created
	Held    bool   `json:"held,omitempty"`
}

func (r happened) text(w io.Writer) error {
	tail := ""
	if r.Created {
		tail = " (created)"
	}
	if r.Held {
		tail += "; held until Ctrl-C"
	}
	_, err := fmt.Fprintf(w, "event %s: %s%s\n", plain(r.Name), r.Event, tail)
	return err
}

func runEventSet(ctx context.Context, a *app, o eventOptions, name string) (err error) {
	var e *ipcsync.Event
	existed := true
	if o.vanishes() && !o.hold {
		e, err = ipcsync.OpenEvent(name, o.event())
	} else {
		e, existed, err = ipcsync.OpenOrCreateEvent(name, o.creating())
	}
	if err != nil {
		return err
	}
	defer closing(e, &err)
	if existed {
		var others []string
		if o.manual {
			others = append(others, "--manual")
		}
		o.tellUnused(a.notes(), name, others...)
	}
	if err := e.Set(); err != nil {
		return err
	}
	if !existed && !o.hold {
		a.tellCreated(samepage.KindEvent, name)
	}
	if err := a.printer().print(happened{name, "set", !existed, o.hold}); err != nil {
		return err
	}
	if o.hold {
		<-ctx.Done()
	}
	return nil
}

func runEventReset(p printer, o eventOptions, name string) (err error) {
	e, err := ipcsync.OpenEvent(name, o.event())
	if err != nil {
		return o.notThere(samepage.KindEvent, name, err)
	}
	defer closing(e, &err)
	if err := e.Reset(); err != nil {
		return err
	}
	return p.print(happened{Name: name, Event: "reset"})
}

func runEventWait(ctx context.Context, a *app, o eventOptions, name string) (err error) {
	ctx, cancel := o.within(ctx)
	defer cancel()
	e, err := o.await(ctx, a, name)
	if err != nil {
		return err
	}
	defer closing(e, &err)
	if err := e.Wait(ctx); err != nil {
		return err
	}
	return a.printer().print(happened{Name: name, Event: "passed"})
}

// await opens the event. If it does not exist, await says so and waits for it.
func (o *eventOptions) await(ctx context.Context, a *app, name string) (*ipcsync.Event, error) {
	e, err := ipcsync.OpenEvent(name, o.event())
	if !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	if !o.given || o.timeout > 0 {
		fmt.Fprintf(a.notes(), "samepage: waiting for event %s\n", plain(name))
	}
	e, err = ipcsync.AwaitEvent(ctx, name, o.event())
	return e, o.notYet(samepage.KindEvent, name, err)
}
