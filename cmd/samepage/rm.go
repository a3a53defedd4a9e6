package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/facts"
)

func newRmCommand(a *app) *cobra.Command {
	var o object
	c := &cobra.Command{
		Use:   "rm NAME...",
		Short: "Remove objects that nobody uses",
		Long: `rm removes objects that no living process uses, including those that persist. If
objects of several kinds have the name, it removes one: the memory comes first, and
--kind chooses another. After a failure it goes on with the next name; the exit code
tells the first failure. If an object lies over a file, the file stays. Root may
remove objects of all users.`,
		Args:              names(1, math.MaxInt),
		ValidArgsFunction: completeNames(true, samepage.Kinds()...),
		RunE:              func(_ *cobra.Command, args []string) error { return runRm(a, o, args) },
	}
	o.addFlags(c)
	o.addExact(c.Flags())
	o.addKind(c)
	return c
}

type removal struct {
	Name    string `json:"name"`
	Removed bool   `json:"removed"`
	Error   string `json:"error,omitempty"`
}

type removals []removal

func (rs removals) text(w io.Writer) error {
	for _, r := range rs {
		if !r.Removed {
			continue // runRm prints the error
		}
		if _, err := fmt.Fprintln(w, "removed", plain(r.Name)); err != nil {
			return err
		}
	}
	return nil
}

// usedBy returns err. If err says that the object is in use, and the object has members,
// usedBy adds who they are.
func (o *object) usedBy(name string, opts *samepage.Options, err error) error {
	if !errors.Is(err, samepage.ErrBusy) || !facts.HasMembers(opts.Kind) {
		return err
	}
	i, serr := samepage.Stat(name, opts)
	if serr != nil {
		return err
	}
	st, serr := inspect(i)
	if serr != nil || len(st.Members) == 0 {
		return err
	}
	const few = 4
	var by []string
	for _, m := range st.Members[:min(len(st.Members), few)] {
		by = append(by, processName(m.PID, m.Name, m.Foreign, m.Ended))
	}
	text := strings.Join(by, ", ")
	if more := len(st.Members) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("%w by %s", err, text)
}

// runRm prints every failure itself, and returns the first.
func runRm(a *app, o object, names []string) error {
	var all removals
	var first error
	for _, name := range names {
		err := o.first(name, func(opts *samepage.Options) error { return o.usedBy(name, opts, samepage.Remove(name, opts)) })
		r := removal{Name: name, Removed: err == nil}
		if err != nil {
			r.Error = err.Error()
			fmt.Fprintln(a.stderr, message(err))
			a.told = true
			if first == nil {
				first = err
			}
		}
		all = append(all, r)
	}
	if err := a.printer().print(all); err != nil {
		a.told = false
		return err
	}
	return first
}
