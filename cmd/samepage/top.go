package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
)

type topOptions struct {
	object
	interval time.Duration
	once     bool
	sort     string
}

func newTopCommand(a *app) *cobra.Command {
	var o topOptions
	c := &cobra.Command{
		Use:   "top [NAME|PATTERN...]",
		Short: "Watch the objects, their rates, and who waits for whom",
		Long: `top shows the objects of both scopes again and again: the memory that each takes, its
users, the rate of its messages or values, how far the slowest reliable subscriber is
behind (LAG), and how many members wait for others (BLOCKED). Sentences say who waits
for whom, and for how long. top joins no object, and no process notices it.

On a terminal the keys are: arrows to choose an object, Enter for its details and
members, w for all who wait, s to sort by the next column, r to reverse, / to show only
names that contain a text, space to pause, Esc to go back, q to end. Elsewhere, and
with --once, it writes tables. With --json it writes one object for each look, in a
line; package samepage/inspect describes it. With --once it also has the processes that
have mapped each object (Linux).

With arguments top shows only objects that have one of these names, or whose names match
one of these patterns, as in samepage ls.`,
		Example:           "  samepage top 'cam-*'\n  samepage top --once --json | jq '.objects[].info.name'",
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeNames(true, samepage.Kinds()...),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.interval <= 0:
				return usage(c, "--interval %v is not positive", o.interval)
			case topColumn(o.sort) < 0:
				return usage(c, "--sort %q is not a column, want one of %s", o.sort, strings.Join(topColumnNames(), ", "))
			}
			return runTop(c.Context(), a, o, args)
		},
	}
	o.addKind(c)
	f := c.Flags()
	f.Lookup("kind").Usage = "show only objects of this kind"
	f.DurationVarP(&o.interval, "interval", "i", time.Second, "time between two looks")
	f.BoolVar(&o.once, "once", false, "show one table, with the rates of one interval, and end")
	f.StringVar(&o.sort, "sort", "blocked", "sort by this `column`: "+strings.Join(topColumnNames(), ", "))
	completeChoices(c, "sort", topColumnNames()...)
	return c
}

// topRow is what top shows of an object.
type topRow struct {
	object  *inspect.Object
	name    string
	memory  int64
	users   int
	rate    float64 // negative: it has none, or it is not known
	lag     uint64
	blocked int
	text    string // its state in words
}

func topRows(s *inspect.State) (rows []topRow) {
	for i := range s.Objects {
		o := &s.Objects[i]
		r := topRow{object: o, name: dash(plain(o.Name)), memory: o.Allocated, rate: -1, text: o.Text()}
		if o.Scope == samepage.Global {
			r.name = `Global\` + r.name
		}
		if o.Rate != nil {
			r.rate = o.Rate.PerSecond
		}
		if d := o.Detail; d != nil {
			r.users, r.blocked = len(d.Members)-len(d.Dead()), d.Blocked()
			for _, m := range d.Members {
				r.lag = max(r.lag, sum(m.Behind))
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// topColumns are the columns of the table. Numbers are sorted from the largest.
var topColumns = []struct {
	name    string
	numbers bool
	cell    func(*topRow) string
	less    func(a, b *topRow) int
}{
	{"name", false, func(r *topRow) string { return r.name }, func(a, b *topRow) int { return cmp.Compare(a.name, b.name) }},
	{"kind", false, func(r *topRow) string { return r.object.Kind.String() }, func(a, b *topRow) int { return cmp.Compare(a.object.Kind, b.object.Kind) }},
	{"memory", true, func(r *topRow) string { return sizeText(r.object.Info, r.memory) }, func(a, b *topRow) int { return cmp.Compare(b.memory, a.memory) }},
	{"users", true, func(r *topRow) string { return numeral(r.users, r.object.Detail == nil) }, func(a, b *topRow) int { return cmp.Compare(b.users, a.users) }},
	{"rate", true, func(r *topRow) string {
		if r.rate < 0 {
			return "-"
		}
		return formatRate(r.rate)
	}, func(a, b *topRow) int { return cmp.Compare(b.rate, a.rate) }},
	{"lag", true, func(r *topRow) string { return numeral(int(r.lag), r.lag == 0) }, func(a, b *topRow) int { return cmp.Compare(b.lag, a.lag) }},
	{"blocked", true, func(r *topRow) string { return numeral(r.blocked, r.blocked == 0) }, func(a, b *topRow) int { return cmp.Compare(b.blocked, a.blocked) }},
}

func numeral(n int, none bool) string {
	if none {
		return "-"
	}
	return strconv.Itoa(n)
}

func topColumnNames() (all []string) {
	for _, c := range topColumns {
		all = append(all, c.name)
	}
	return all
}

func topColumn(name string) int { return slices.Index(topColumnNames(), name) }

// sortTop sorts by a column. Rows that are equal there keep the order of ls.
func sortTop(rows []topRow, column int, reverse bool) {
	slices.SortStableFunc(rows, func(a, b topRow) int {
		n := topColumns[column].less(&a, &b)
		if reverse {
			return -n
		}
		return n
	})
}

// topTable is one look, for a printer.
type topTable struct {
	*inspect.State
	column int
}

func (t topTable) MarshalJSON() ([]byte, error) { return json.Marshal(t.State) }

func (t topTable) text(w io.Writer) error {
	rows := topRows(t.State)
	sortTop(rows, t.column, false)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ToUpper(strings.Join(topColumnNames(), "\t"))+"\tSTATE")
	for i := range rows {
		for _, c := range topColumns {
			fmt.Fprint(tw, c.cell(&rows[i]), "\t")
		}
		fmt.Fprintln(tw, dash(rows[i].text))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, line := range append(topWaits(t.State), topSummary(t.State)) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// topSummary says in a line how much there is.
func topSummary(s *inspect.State) string {
	text := fmt.Sprintf("%s, %s of memory", count(len(s.Objects), "object"), formatSize(s.Memory.Allocated))
	if n := len(s.Leftovers); n > 0 {
		text += fmt.Sprintf(", %s of it in %s that no living process uses (samepage clean)", formatSize(s.Memory.Leftover), count(n, "object"))
	}
	return text
}

// topWaits says who waits for whom, at all objects, and who waits in a circle.
func topWaits(s *inspect.State) (all []string) {
	for i := range s.Objects {
		o := &s.Objects[i]
		if o.Detail == nil {
			continue
		}
		for _, w := range o.Detail.Sentences(s.At) {
			if w.On {
				all = append(all, nameOf(o.Info)+": "+w.String())
			}
		}
	}
	for _, c := range s.Circles() {
		all = append(all, "circle: "+c)
	}
	return all
}

// looker takes snapshots, and compares each with the one before.
type looker struct {
	opts inspect.Options
	last *inspect.State
}

func (l *looker) look() (*inspect.State, error) {
	s, err := inspect.Snapshot(&l.opts)
	if err != nil {
		return nil, err
	}
	if l.last != nil {
		s.Since(l.last)
	}
	l.last = s
	return s, nil
}

func runTop(ctx context.Context, a *app, o topOptions, names []string) error {
	signal.Ignore(syscall.SIGPIPE)
	l := &looker{opts: inspect.Options{
		Match:  func(i *samepage.Info) bool { return o.wants(*i, names) },
		Shares: o.once && a.json,
	}}
	if !a.json && !o.once && terminalOf(a.stdout) != nil {
		return showTop(ctx, a, l, o.interval, topColumn(o.sort))
	}
	for n := 0; ; n++ {
		s, err := l.look()
		if err != nil {
			return err
		}
		if n > 0 || !o.once { // with --once the first look is only for the rates
			if err := a.tellTop(topTable{s, topColumn(o.sort)}, n > 0 && !o.once, o.once); err != nil {
				if readerGone(err) {
					return nil
				}
				return err
			}
		}
		if n > 0 && o.once {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.interval):
		}
	}
}

// tellTop prints a look. If it is not the only one, it is one line of JSON, or a table with an
// empty line before it.
func (a *app) tellTop(t topTable, again, only bool) error {
	if a.json && !only {
		e := json.NewEncoder(visibleJSON{a.stdout})
		e.SetEscapeHTML(false)
		return e.Encode(t)
	}
	if again {
		if _, err := io.WriteString(a.stdout, "\n"); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	p := a.printer()
	if !a.json {
		p = textPrinter{&b}
	}
	if err := p.print(t); err != nil || a.json {
		return err
	}
	_, err := a.stdout.Write(b.Bytes())
	return err
}
