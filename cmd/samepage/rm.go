package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
)

func newRmCommand(a *app) *cobra.Command {
	var o object
	c := &cobra.Command{
		Use:   "rm NAME|PATTERN...",
		Short: "Remove objects that nobody uses",
		Long: `rm removes objects that no living process uses, including those that persist. If
objects of several kinds have the name, it removes one: the memory comes first, and
--kind chooses another. After a failure it goes on with the next name; the exit code
tells the first failure. If an object lies over a file, the file stays. Root may
remove objects of all users.

If no object has the name, and it has * for any characters, ? for one, or [a-z] for one
of these, it is a pattern. Then rm removes all objects whose names match, of all kinds or
of --kind. samepage ls PATTERN shows them. Quote a pattern, or the shell replaces it by the names of
files.`,
		Example: `  samepage rm 'cam-*'
  samepage rm '*' --kind event`,
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
	Kind    string `json:"kind,omitempty"` // of an object that was found by a pattern
	Removed bool   `json:"removed"`
	Error   string `json:"error,omitempty"`
}

type removals []removal

func (rs removals) text(w io.Writer) error {
	for _, r := range rs {
		if !r.Removed {
			continue // runRm prints the error
		}
		kind := ""
		if r.Kind != "" {
			kind = r.Kind + " "
		}
		if _, err := fmt.Fprintf(w, "removed %s%s\n", kind, plain(r.Name)); err != nil {
			return err
		}
	}
	return nil
}

// usedBy returns err. If err says that the object is in use, and the object has members,
// usedBy adds who they are.
func (o *object) usedBy(name string, opts *samepage.Options, err error) error {
	if !errors.Is(err, samepage.ErrBusy) || !inspect.HasMembers(opts.Kind) {
		return err
	}
	i, serr := samepage.Stat(name, opts)
	if serr != nil {
		return err
	}
	st, serr := look(i)
	if serr != nil || len(st.Members) == 0 {
		return err
	}
	return fmt.Errorf("%w by %s", err, inspect.Processes(st.Members))
}

// matching returns the objects that a pattern matches. It returns none if there is an object of
// that name.
func (o *object) matching(pattern string) (found []samepage.Info, err error) {
	if o.exact || !isPattern(pattern) {
		return nil, nil
	}
	for _, k := range o.kinds {
		if _, err := samepage.Stat(pattern, o.options(k)); err == nil {
			return nil, nil
		}
	}
	all, err := samepage.List()
	scope, pattern := scoped(pattern, o.scope)
	for _, i := range all {
		if i.Scope == scope && slices.Contains(o.kinds, i.Kind) && matches(pattern, i.Name) {
			found = append(found, i)
		}
	}
	return found, err
}

// runRm prints every failure itself, and returns the first.
func runRm(a *app, o object, names []string) error {
	var all removals
	var first error
	remove := func(name, kind string, o object) {
		err := o.first(name, func(opts *samepage.Options) error { return o.usedBy(name, opts, samepage.Remove(name, opts)) })
		r := removal{Name: name, Kind: kind, Removed: err == nil}
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
	for _, name := range names {
		found, err := o.matching(name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			remove(name, "", o)
		}
		for _, i := range found {
			one := o
			one.scope, one.kinds = i.Scope, []samepage.Kind{i.Kind}
			remove(i.Name, i.Kind.String(), one)
		}
	}
	if err := a.printer().print(all); err != nil {
		a.told = false
		return err
	}
	return first
}
