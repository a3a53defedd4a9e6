package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"samepage"
)

func newStatCommand(a *app) *cobra.Command {
	var o object
	c := &cobra.Command{
		Use:   "stat NAME",
		Short: "Tell about one object",
		Long: `stat tells what is known of an object, without becoming a user of it; of a lock
or an event also who has it open, who holds it, and who waits; of a topic who
publishes and who subscribes, and how many messages a reliable subscriber is
behind. The size of an exact object on Windows is known rounded up to a page only.`,
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.Kinds()...),
		RunE:              func(_ *cobra.Command, args []string) error { return runStat(a.printer(), o, args[0]) },
	}
	o.addFlags(c)
	o.addExact(c.Flags())
	o.addKind(c)
	return c
}

type about samepage.Info

func (i about) text(w io.Writer) error {
	size := fmt.Sprintf("%d bytes (%s)", i.Size, formatSize(i.Size))
	if i.Rounded {
		size += ", rounded up to a page"
	}
	pairs := [][2]string{
		{"name", plain(i.Name)},
		{"kind", i.Kind.String()},
		{"scope", i.Scope.String()},
		{"size", size},
		{"allocated", fmt.Sprintf("%d bytes (%s)", i.Allocated, formatSize(i.Allocated))},
		{"lifetime", i.Lifetime.String()},
		{"in use", yesNo(i.InUse)},
		{"owner", dash(i.Owner)},
		{"rights", dash(i.Perm)},
		{"created", when(i.Created)},
		{"id", i.ID.String()},
	}
	if i.File != "" {
		pairs = append(pairs, [2]string{"file", i.File})
	}
	if i.Path != "" {
		pairs = append(pairs, [2]string{"path", i.Path})
	}
	return lines(w, pairs...)
}

func runStat(p printer, o object, name string) error {
	return o.first(name, func(opts *samepage.Options) error {
		i, err := samepage.Stat(name, opts)
		if err != nil {
			return err
		}
		if !hasMembers(i.Kind) || opts.Exact {
			return p.print(about(i))
		}
		st, err := inspect(i)
		if err != nil {
			return err
		}
		return p.print(stateAbout{about(i), st.json, st})
	})
}

// stateAbout is an object that has a state and members.
type stateAbout struct {
	about
	State any `json:"state"`
	st    *state
}

func (s stateAbout) text(w io.Writer) error {
	if err := s.about.text(w); err != nil {
		return err
	}
	return s.st.write(w)
}
