package main

import (
	"fmt"
	"io"
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
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also tell id, memory taken, file and path")
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
		head += "\tID\tALLOCATED\tFILE\tPATH"
	}
	fmt.Fprintln(t, head)
	for _, i := range l.infos {
		cells := []string{
			plain(i.Name), i.Kind.String(), i.Scope.String(), formatSize(i.Size), i.Lifetime.String(),
			yesNo(i.InUse), dash(i.Owner), when(i.Created),
		}
		if l.verbose {
			cells = append(cells, i.ID.String(), formatSize(i.Allocated), dash(i.File), dash(i.Path))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
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
