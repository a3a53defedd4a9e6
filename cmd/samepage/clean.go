package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/facts"
)

func newCleanCommand(a *app) *cobra.Command {
	dryRun, verbose := false, false
	c := &cobra.Command{
		Use:   "clean",
		Short: "Take away what nobody alive holds",
		Long: `clean takes away what dead processes left, and tells of each object why it may
go, and of a lock or an event who had it open, held it or waited for it, of a topic
who published and who subscribed: process, program, and since when. (On Windows
the dead leave nothing that would tell who held what, only who made it.)

It never touches what a living process uses, nor what persists. A process that is
stopped lives. The library does the same whenever it comes across such an object,
so nobody needs this command: it gives the memory back at once.`,
		Args: names(0, 0),
		RunE: func(*cobra.Command, []string) error { return runClean(a.printer(), dryRun, verbose) },
	}
	c.Flags().BoolVarP(&dryRun, "dry-run", "n", false, "only tell")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also tell what stays because it is used, and who uses a lock, an event or a topic")
	return c
}

// cleaned is an object that goes, or one that stays because it is used.
type cleaned struct {
	samepage.Leftover
	Kept    bool
	Members []facts.Member `json:"members"` // stand in for those of the Leftover
}

func (c cleaned) MarshalJSON() ([]byte, error) {
	l := c.Leftover
	l.Members = nil
	return joined(l, struct {
		Kept    bool           `json:"kept,omitempty"`
		Members []facts.Member `json:"members,omitempty"`
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
			by = ", made by " + processID(i.MadeBy, i.Foreign)
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
		c := cleaned{Leftover: l, Members: facts.Died(&l)}
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

// inUse are the objects that somebody alive uses, or may use.
func inUse() (kept []cleaned, err error) {
	used, err := facts.Objects()
	for _, o := range used {
		c := cleaned{Leftover: samepage.Leftover{Info: o.Info, Reason: "a living process uses it"}, Kept: true}
		switch {
		case o.Info.Err != nil:
			c.Reason = fmt.Sprintf("whether a living process uses it is not known: %v", o.Info.Err)
		case !o.InUse:
			continue
		case o.Err != nil:
			c.Reason += fmt.Sprintf("; which one cannot be told: %v", o.Err)
		case o.State != nil:
			c.Members = o.State.Members
		}
		kept = append(kept, c)
	}
	return kept, err
}
