package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"samepage"
)

func newLsCommand(a *app) *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use:   "ls",
		Short: "List the objects that are used or persist",
		Long: `ls lists the objects of both scopes that somebody alive uses or that persist.
What the dead left it takes away. Exact names are not listed.`,
		Args: names(0, 0),
		RunE: func(*cobra.Command, []string) error { return runLs(a.printer(), verbose) },
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also tell who holds, publishes and waits, id, memory taken, file and path")
	return c
}

// listing is objects, in a table.
type listing struct {
	infos   []samepage.Info
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
	for _, i := range l.infos {
		cells := []string{
			plain(i.Name), i.Kind.String(), i.Scope.String(), formatSize(i.Size), i.Lifetime.String(),
			yesNo(i.InUse), dash(i.Owner), when(i.Created),
		}
		if l.verbose {
			cells = append(cells, stateCells(i)...)
			cells = append(cells, i.ID.String(), formatSize(i.Allocated), dash(i.File), dash(i.Path))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// stateCells are the state, the members and the sleepers of an object.
func stateCells(i samepage.Info) []string {
	if !hasMembers(i.Kind) {
		return []string{"-", "-", "-"}
	}
	st, err := inspect(i)
	if err != nil {
		return []string{"?", "?", "?"} // gone meanwhile, or another user's
	}
	return []string{st.text, strconv.Itoa(len(st.members)), strconv.Itoa(st.waiting())}
}

func runLs(p printer, verbose bool) error {
	infos, err := samepage.List()
	if err != nil {
		return err
	}
	return p.print(listing{infos, verbose})
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
