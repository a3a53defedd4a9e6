package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/internal/facts"
)

func newLsCommand(a *app) *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use:   "ls",
		Short: "List the objects that are in use or persist",
		Long: `ls lists the objects of both scopes that a living process uses or that persist. It
removes nothing: what dead processes left is not listed, and samepage clean removes
it. Exact names are not listed.

A ? (with --json null) stands for a value that is not known. The reason is below the
table: the object belongs to another user, or is damaged, or something else lies in its
place. The exit code is 1 if an object is damaged.`,
		Args: names(0, 0),
		RunE: func(*cobra.Command, []string) error { return runLs(a.printer(), verbose) },
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the state, how many members there are and how many wait, id, memory taken, file and path")
	return c
}

// listing is a table of objects.
type listing struct {
	infos   []samepage.Info
	states  []*state // one for each object; nil: it has none, or it is not known
	verbose bool
}

func (l listing) MarshalJSON() ([]byte, error) { return marshalList(l.infos) }

func (l listing) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "NAME\tKIND\tSCOPE\tSIZE\tLIFETIME\tIN-USE\tOWNER\tCREATED"
	if l.verbose {
		head += "\tSTATE\tMEMBERS\tWAITING\tID\tALLOCATED\tFILE\tPATH"
	}
	fmt.Fprintln(t, head)
	for n, i := range l.infos {
		cells := []string{
			dash(plain(i.Name)), i.Kind.String(), i.Scope.String(), sizeText(i, i.Size), lifetimeText(i),
			inUseText(i), dash(i.Owner), when(i.Created),
		}
		if l.verbose {
			cells = append(cells, stateCells(l.states[n])...)
			cells = append(cells, idText(i), sizeText(i, i.Allocated), dash(i.File), dash(i.Path))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, i := range l.infos {
		if i.Err != nil {
			if _, err := fmt.Fprintf(w, "%s: %v\n", nameOf(i), i.Err); err != nil {
				return err
			}
		}
	}
	return nil
}

// stateCells are the state, the number of members and the number of sleepers of an object.
// st is nil if the object has no members, or they are not known.
func stateCells(st *state) []string {
	if st == nil {
		return []string{"-", "-", "-"}
	}
	return []string{st.text, strconv.Itoa(len(st.Members)), strconv.Itoa(st.Waiting())}
}

// runLs looks into each object that has members, so that a damaged header is found and told.
func runLs(p printer, verbose bool) error {
	objects, err := facts.Objects()
	if err != nil {
		return err
	}
	l := listing{verbose: verbose}
	var damaged []error
	for _, o := range objects {
		i := o.Info
		i.Err = o.Err
		if errors.Is(i.Err, samepage.ErrCorrupt) {
			damaged = append(damaged, fmt.Errorf("ls: %s: %w", nameOf(i), i.Err))
		}
		l.infos, l.states = append(l.infos, i), append(l.states, stateOf(o.State))
	}
	if err := p.print(l); err != nil {
		return err
	}
	return errors.Join(damaged...)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
