package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"samepage"
)

func newCleanCommand(a *app) *cobra.Command {
	dryRun := false
	c := &cobra.Command{
		Use:   "clean",
		Short: "Take away what nobody alive holds",
		Long: `clean takes away what dead processes left, and tells of each object why. It
never touches what a living process uses, nor what persists. The library does
the same whenever it comes across such an object, so nobody needs this command:
it gives the memory back at once.`,
		Args: names(0, 0),
		RunE: func(*cobra.Command, []string) error { return runClean(a.printer(), dryRun) },
	}
	c.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "only tell")
	return c
}

type leftover struct {
	samepage.Leftover
	Error string `json:"error,omitempty"`
}

type leftovers struct {
	list   []leftover
	dryRun bool
}

func (l leftovers) MarshalJSON() ([]byte, error) { return marshalList(l.list) }

func (l leftovers) text(w io.Writer) error {
	if len(l.list) == 0 {
		_, err := fmt.Fprintln(w, "nothing to clean")
		return err
	}
	for _, i := range l.list {
		what := "could not remove"
		switch {
		case i.Removed:
			what = "removed"
		case l.dryRun:
			what = "would remove"
		}
		if _, err := fmt.Fprintf(w, "%s %v %s, %v, %s: %s\n", what, i.Kind, plain(i.Name), i.Scope, formatSize(i.Size), i.Reason); err != nil {
			return err
		}
	}
	return nil
}

func runClean(p printer, dryRun bool) error {
	found, err := samepage.Clean(dryRun)
	if err != nil {
		return err
	}
	all := leftovers{dryRun: dryRun}
	var errs []error
	for _, l := range found {
		i := leftover{Leftover: l}
		if l.Err != nil {
			i.Error = l.Err.Error()
			errs = append(errs, fmt.Errorf("clean %q: %w", l.Name, l.Err))
		}
		all.list = append(all.list, i)
	}
	if err := p.print(all); err != nil {
		return err
	}
	return errors.Join(errs...)
}
