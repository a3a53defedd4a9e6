package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/ipcsync"
)

func newStatCommand(a *app) *cobra.Command {
	var o object
	c := &cobra.Command{
		Use:   "stat NAME",
		Short: "Tell about one object",
		Long: `stat tells what is known of an object, without becoming a user of it; of a lock
or an event also who has it open, who holds it, and who waits. The size
of an exact object on Windows is known rounded up to a page only.`,
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.Kinds()...),
		RunE:              func(_ *cobra.Command, args []string) error { return runStat(a.printer(), o, args[0]) },
	}
	o.addFlags(c.Flags())
	o.addKind(c.Flags())
	completeChoices(c, "scope", "local", "global")
	completeChoices(c, "kind", strings.Split(kindFlag{}.Type(), "|")...)
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
		return p.print(lockAbout{about(i), st})
	})
}

// lockAbout is an object that has a state and members.
type lockAbout struct {
	about
	State *ipcsync.State `json:"state"`
}

func (l lockAbout) text(w io.Writer) error {
	if err := l.about.text(w); err != nil {
		return err
	}
	pairs := [][2]string{{"state", stateText(l.State)}}
	if d := l.State.Died; d != nil {
		pairs = append(pairs, [2]string{"died", fmt.Sprintf("process %d (%s), noticed %s", d.PID, plain(d.Name), when(d.At))})
	}
	pairs = append(pairs, [2]string{"members", fmt.Sprintf("%d of %d", len(l.State.Members), l.State.Room)})
	if err := lines(w, pairs...); err != nil {
		return err
	}
	for _, m := range l.State.Members {
		if _, err := fmt.Fprintln(w, "           "+memberLine(m, false)); err != nil {
			return err
		}
	}
	return nil
}

// stateText is a word or two on what a lock or an event is just now.
func stateText(st *ipcsync.State) string {
	var words []string
	switch st.Kind {
	case samepage.KindEvent:
		words = append(words, map[bool]string{true: "set", false: "not set"}[st.Set],
			map[bool]string{true: "manual-reset", false: "auto-reset"}[st.Manual])
	case samepage.KindSemaphore:
		words = append(words, fmt.Sprintf("%d of at most %d units", st.Units, st.Max))
	default:
		held := "free"
		for _, m := range st.Members {
			if m.Owner {
				held = fmt.Sprintf("held by process %d", m.PID)
			} else if m.Reads > 0 && held == "free" {
				held = "read"
			}
		}
		words = append(words, held)
		if st.Dirty {
			words = append(words, "not consistent since its owner died")
		}
	}
	return strings.Join(words, ", ")
}

// memberLine tells of a member: what it has, or had when all of it is past.
func memberLine(m ipcsync.Member, past bool) string {
	holds, waits := "holds it", "waits"
	if past {
		holds, waits = "held it", "waited"
	}
	s := fmt.Sprintf("process %d (%s), since %s", m.PID, plain(m.Name), when(m.Joined))
	if m.Owner {
		s += ", " + holds
	}
	if m.Reads > 0 {
		s += ", " + count(int(m.Reads), "read lock")
	}
	if m.Waits {
		s += ", " + waits
	}
	if !m.Alive && !past {
		s += ", dead"
	}
	return s
}
