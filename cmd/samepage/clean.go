package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/ipcsync"
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
	Members []member `json:"members"` // stand in for those of the Leftover
}

func (c cleaned) MarshalJSON() ([]byte, error) {
	l := c.Leftover
	l.Members = nil
	return joined(l, struct {
		Kept    bool     `json:"kept,omitempty"`
		Members []member `json:"members,omitempty"`
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
	found, err := samepage.Clean(dryRun)
	if err != nil {
		return err
	}
	all := cleanedList{dryRun: dryRun}
	var errs []error
	for _, l := range found {
		c := cleaned{Leftover: l}
		for _, m := range l.Members {
			c.Members = append(c.Members, member{
				Member: ipcsync.Member{PID: m.PID, Name: m.Name, Joined: m.Joined, Foreign: m.Foreign, Owner: m.Owner, Reads: m.Reads, Waits: m.Waits},
				Role:   roleName(l.Kind, m.Role),
			})
		}
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
	used, _, err := samepage.Look()
	for _, i := range used {
		c := cleaned{Leftover: samepage.Leftover{Info: i, Reason: "a living process uses it"}, Kept: true}
		if i.Err != nil {
			c.Reason = fmt.Sprintf("whether a living process uses it is not known: %v", i.Err)
			kept = append(kept, c)
			continue
		}
		if !i.InUse {
			continue
		}
		if hasMembers(i.Kind) {
			st, err := inspect(i)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue // gone meanwhile
			case err != nil:
				c.Reason += fmt.Sprintf("; which one cannot be told: %v", err)
			default:
				c.Members = st.members
			}
		}
		kept = append(kept, c)
	}
	return kept, err
}
