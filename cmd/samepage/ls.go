package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
)

type lsOptions struct {
	object
	verbose, watch bool
}

func newLsCommand(a *app) *cobra.Command {
	var o lsOptions
	c := &cobra.Command{
		Use:   "ls [NAME|PATTERN...]",
		Short: "List the objects that are in use or persist",
		Long: `ls lists the objects of both scopes that a living process uses or that persist. It
removes nothing: what dead processes left is not listed, and samepage clean removes
it. Exact names are not listed, except, on Windows, the sections of the existing C++
programs that samepage legacy is for: they are memory, and --verbose says what they have.

With arguments ls lists only objects that have one of these names, or whose names match one
of these patterns: * stands for any characters, ? for one, and [a-z] for one of these. If
there are none, the exit code is 3. With --watch ls lists again whenever the list has changed, until
Ctrl-C; it looks once a second.

A ? (with --json null) stands for a value that is not known. The reason is below the
table: the object belongs to another user, or is damaged, or something else lies in its
place. The exit code is 1 if an object is damaged.`,
		Example: `  samepage ls 'cam-*' --kind topic --watch`,
		Args:    cobra.ArbitraryArgs,

		ValidArgsFunction: completeNames(true, samepage.Kinds()...),
		RunE: func(c *cobra.Command, args []string) error {
			if o.watch {
				return watchLs(c.Context(), a, o, args)
			}
			return runLs(a.printer(), o, args)
		},
	}
	o.addKind(c)
	c.Flags().Lookup("kind").Usage = "list only objects of this kind"
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "list again whenever the list has changed")
	c.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "also show the state, how many members there are and how many wait, id, memory that it takes now, file and path")
	return c
}

// listing is a table of objects.
type listing struct {
	infos   []samepage.Info
	objects []inspect.Object
	verbose bool
}

func (l listing) MarshalJSON() ([]byte, error) { return marshalList(l.infos) }

func (l listing) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "NAME\tKIND\tSCOPE\tSIZE\tLIFETIME\tIN-USE\tOWNER\tCREATED"
	if l.verbose {
		head += "\tSTATE\tMEMBERS\tWAITING\tID\tMEMORY\tFILE\tPATH"
	}
	fmt.Fprintln(t, head)
	for n, i := range l.infos {
		cells := []string{
			dash(plain(i.Name)), i.Kind.String(), i.Scope.String(), sizeText(i, i.Size), lifetimeText(i),
			inUseText(i), dash(i.Owner), when(i.Created),
		}
		if l.verbose {
			cells = append(cells, stateCells(&l.objects[n])...)
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
func stateCells(o *inspect.Object) []string {
	text := dash(o.Text())
	if o.Err != nil {
		text = "-" // the reason is below the table
	}
	if o.Detail == nil {
		return []string{text, "-", "-"}
	}
	return []string{text, strconv.Itoa(len(o.Detail.Members)), strconv.Itoa(o.Detail.Waiting())}
}

// wants says whether a command shows an object: its kind is asked for, and so is its name, or no
// name is given.
func (o *object) wants(i samepage.Info, names []string) bool {
	if !slices.Contains(o.kinds, i.Kind) {
		return false
	}
	for _, name := range names {
		if scope, pattern := scoped(name, i.Scope); scope == i.Scope && matches(pattern, i.Name) {
			return true
		}
	}
	return len(names) == 0
}

// watchLs lists the objects each time that the list has changed, until ctx ends.
func watchLs(ctx context.Context, a *app, o lsOptions, names []string) error {
	var last []byte
	for {
		var now bytes.Buffer
		err := runLs((&app{stdout: &now, json: a.json}).printer(), o, names)
		if err != nil && exitCode(err) != exitMissing && !errors.Is(err, samepage.ErrCorrupt) {
			return err
		}
		if last == nil || !bytes.Equal(now.Bytes(), last) {
			begin := ""
			switch {
			case terminalOf(a.stdout) != nil:
				begin = "\x1b[H\x1b[2J" // clears the screen
			case last != nil && !a.json:
				begin = "\n"
			}
			if _, err := io.WriteString(a.stdout, begin+now.String()); err != nil {
				if readerGone(err) {
					return nil
				}
				return err
			}
			last = append([]byte{}, now.Bytes()...)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// runLs looks into each object that has members, so that a damaged header is found and told.
func runLs(p printer, opts lsOptions, names []string) error {
	now, err := inspect.Snapshot(&inspect.Options{Match: func(i *samepage.Info) bool { return opts.wants(*i, names) }})
	if err != nil {
		return err
	}
	l := listing{verbose: opts.verbose}
	var damaged []error
	for _, o := range now.Objects {
		i := o.Info
		i.Err = o.Err
		if errors.Is(i.Err, samepage.ErrCorrupt) {
			damaged = append(damaged, fmt.Errorf("ls: %s: %w", nameOf(i), i.Err))
		}
		l.infos, l.objects = append(l.infos, i), append(l.objects, o)
	}
	if err := p.print(l); err != nil {
		return err
	}
	if len(names) > 0 && len(l.infos) == 0 {
		quoted := make([]string, len(names))
		for n, name := range names {
			quoted[n] = strconv.Quote(name)
		}
		return &missingError{"there is no object " + strings.Join(quoted, " or "), fs.ErrNotExist}
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
