package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
	"samepage/internal/words"
)

func newCleanCommand(a *app) *cobra.Command {
	dryRun, verbose := false, false
	c := &cobra.Command{
		Use:   "clean",
		Short: "Remove what dead processes left",
		Long: `clean removes the objects that dead processes left. For each object it shows why
it may be removed, and who used it (process, program, and since when): who had a lock
or an event open, held it or waited for it; who published to a topic and who
subscribed. (On Windows only the process that created the object is known.)

It never touches an object that persists or that a living process uses. A stopped
process is alive. The library also removes such objects when it creates or opens
objects, so this command is never necessary: it only frees the memory at once.`,
		Args: names(0, 0),
		RunE: func(*cobra.Command, []string) error { return runClean(a.printer(), dryRun, verbose) },
	}
	c.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "only show what would be removed")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show what stays because it is in use, and who uses each lock, event, topic and cell")
	return c
}

// cleaned is an object that is removed, or one that is kept because it is in use.
type cleaned struct {
	samepage.Leftover
	Kept    bool
	Members []inspect.Member `json:"members"` // replace the Members of Leftover
}

func (c cleaned) MarshalJSON() ([]byte, error) {
	l := c.Leftover
	l.Members = nil
	return joined(l, struct {
		Kept    bool             `json:"kept,omitempty"`
		Members []inspect.Member `json:"members,omitempty"`
	}{c.Kept, c.Members})
}

type cleanedList struct {
	list   []cleaned
	dryRun bool
}

func (l cleanedList) MarshalJSON() ([]byte, error) { return marshalList(l.list) }

func (l cleanedList) text(w io.Writer) error {
	gone := 0
	for _, i := range l.list {
		what := "could not remove"
		switch {
		case i.Kept:
			what = "kept"
		case i.Removed:
			what = "removed"
		case l.dryRun:
			what = "would remove"
		}
		if !i.Kept {
			gone++
		}
		by := ""
		if i.MadeBy != 0 {
			by = ", made by " + words.Process(i.MadeBy, i.Foreign, false)
		}
		_, err := fmt.Fprintf(w, "%s %v %s, %v, %s%s: %s\n", what, i.Kind, plain(i.Name), i.Scope, sizeText(i.Info, i.Size), by, i.Reason)
		if err != nil {
			return err
		}
		past := !i.Kept
		for _, m := range i.Members {
			if _, err := fmt.Fprintln(w, "    "+memberLine(m, past)); err != nil {
				return err
			}
		}
	}
	if gone == 0 {
		_, err := fmt.Fprintln(w, "nothing to clean")
		return err
	}
	return nil
}

func runClean(p printer, dryRun, verbose bool) error {
	clean := samepage.Clean
	if dryRun {
		clean = samepage.Leftovers
	}
	found, err := clean()
	if err != nil {
		return err
	}
	all := cleanedList{dryRun: dryRun}
	var errs []error
	for _, l := range found {
		c := cleaned{Leftover: l, Members: inspect.Died(&l)}
		if l.Err != nil {
			errs = append(errs, fmt.Errorf("clean %q: %w", l.Name, l.Err))
		}
		all.list = append(all.list, c)
	}
	if verbose {
		kept, err := inUse()
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		all.list = append(all.list, kept...)
	}
	if err := p.print(all); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// inUse returns the objects that a living process uses, or may use.
func inUse() (kept []cleaned, err error) {
	now, err := inspect.Snapshot(nil)
	if err != nil {
		return nil, err
	}
	for _, o := range now.Objects {
		c := cleaned{Leftover: samepage.Leftover{Info: o.Info, Reason: "a living process uses it"}, Kept: true}
		switch {
		case o.Info.Err != nil:
			c.Reason = fmt.Sprintf("it is not known whether a living process uses it: %v", o.Info.Err)
		case !o.InUse:
			continue
		case o.Err != nil:
			c.Reason += fmt.Sprintf("; it is not known which one: %v", o.Err)
		case o.Detail != nil:
			c.Members = o.Detail.Members
		}
		kept = append(kept, c)
	}
	return kept, nil
}
