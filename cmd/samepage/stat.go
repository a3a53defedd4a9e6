package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
)

func newStatCommand(a *app) *cobra.Command {
	var o object
	c := &cobra.Command{
		Use:   "stat NAME",
		Short: "Show what is known about one object",
		Long: `stat shows what is known about an object. It does not become a user of the
object, and changes nothing. For a lock or an event it also shows who has it open,
who holds it and who waits, with the command lines of their processes. For a topic it
shows who publishes and who subscribes, how many messages each reliable subscriber is
behind, and what named readers have acknowledged. A topic does not have their names:
stat shows a hash. For a cell it shows the number of the latest value and who writes. If
members wait for others, a sentence says who waits for whom and for how long, and
whether that process is stopped (Linux). On Windows the size of an exact object is
rounded up to a page. The size is what an object takes at most, and the memory is what
it takes now. On Linux stat also shows which processes have mapped how much of it.`,
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.Kinds()...),
		RunE:              func(_ *cobra.Command, args []string) error { return runStat(a.printer(), o, args[0]) },
	}
	o.addFlags(c)
	o.addExact(c.Flags())
	o.addKind(c)
	return c
}

type about struct {
	samepage.Info
	shares []inspect.Share
	legacy *inspect.Legacy // nil: it is no section of an existing C++ program
}

func (i about) MarshalJSON() ([]byte, error) {
	j := struct {
		Legacy string          `json:"legacy,omitempty"`
		Text   string          `json:"text,omitempty"`
		State  any             `json:"state,omitempty"`
		Shares []inspect.Share `json:"shares,omitempty"`
	}{Shares: i.shares}
	if l := i.legacy; l != nil {
		j.Legacy, j.Text, j.State = l.System, l.String(), l.Of
	}
	return joined(i.Info, j)
}

// unknown stands in tables for a value that is not known.
const unknown = "?"

func sizeText(i samepage.Info, n int64) string {
	if i.Err != nil && n == 0 {
		return unknown
	}
	return formatSize(n)
}

func lifetimeText(i samepage.Info) string {
	if i.Err != nil && i.Lifetime == samepage.WhileUsed {
		return unknown
	}
	return i.Lifetime.String()
}

func inUseText(i samepage.Info) string {
	if i.Err != nil {
		return unknown
	}
	return yesNo(i.InUse)
}

func idText(i samepage.Info) string {
	if i.Err != nil && i.ID == (samepage.ID{}) {
		return unknown
	}
	return i.ID.String()
}

func (i about) text(w io.Writer) error {
	bytes := func(n int64) string {
		if s := sizeText(i.Info, n); s == unknown {
			return s
		}
		return fmt.Sprintf("%s (%s)", numBytes(n), formatSize(n))
	}
	size := bytes(i.Size)
	if i.Rounded {
		size += ", rounded up to a page"
	}
	pairs := [][2]string{
		{"name", plain(i.Name)},
		{"kind", i.Kind.String()},
		{"scope", i.Scope.String()},
		{"size", size},
		{"memory", bytes(i.Allocated)},
		{"lifetime", lifetimeText(i.Info)},
		{"in use", inUseText(i.Info)},
		{"owner", dash(i.Owner)},
		{"rights", dash(i.Perm)},
		{"created", when(i.Created)},
		{"id", idText(i.Info)},
	}
	if i.legacy != nil {
		pairs = append(pairs, [2]string{"state", i.legacy.String()})
	}
	if i.File != "" {
		pairs = append(pairs, [2]string{"file", i.File})
	}
	if i.Path != "" {
		pairs = append(pairs, [2]string{"path", i.Path})
	}
	if i.Err != nil {
		pairs = append(pairs, [2]string{"unknown", i.Err.Error()})
	}
	if err := lines(w, pairs...); err != nil {
		return err
	}
	return writeShares(w, i.shares)
}

func runStat(p printer, o object, name string) error {
	return o.first(name, func(opts *samepage.Options) error {
		i, err := samepage.Stat(name, opts)
		if err != nil {
			return err
		}
		shares, _ := inspect.SharesOf(i) // only Linux tells them
		if !inspect.HasMembers(i.Kind) || opts.Exact {
			return p.print(about{i, shares, inspect.LegacyOf(i)})
		}
		st, err := look(i)
		if err != nil {
			return err
		}
		st.shares = shares
		return p.print(stateAbout{about{Info: i}, st.Of, st})
	})
}

// stateAbout is about an object that has a state and members.
type stateAbout struct {
	about
	State any
	st    *state
}

func (s stateAbout) MarshalJSON() ([]byte, error) {
	return joined(s.Info, struct {
		State   any              `json:"state"`
		Members []inspect.Member `json:"members"`
		Waits   []inspect.Wait   `json:"waits,omitempty"`
		Shares  []inspect.Share  `json:"shares,omitempty"`
	}{s.State, s.st.Members, s.st.Waits, s.st.shares})
}

func (s stateAbout) text(w io.Writer) error {
	if err := s.about.text(w); err != nil {
		return err
	}
	return s.st.write(w)
}
