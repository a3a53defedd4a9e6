package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/inspect"
	"samepage/internal/sys/doctor"
	"samepage/internal/sys/syserr"
	"samepage/internal/words"
	"samepage/ipcsync"
)

func newDoctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and its objects",
		Long: `doctor checks what this machine offers for shared memory, and the objects that
exist. If something is wrong, it shows the command that repairs it. It changes nothing.

BAD means that something is wrong. The exit code is then 1:
- a part of the machine does not work;
- the owner of a lock died, and nobody has declared the lock consistent since;
- a member table is full of living members: nobody else can open the object;
- an object cannot be read;
- the name of an object was removed while processes have the object open (Linux).

A note is harmless:
- objects that no living process uses: samepage clean removes them;
- members that died while they had an object open: the next member that finds such a
  member repairs what it held;
- members for which others wait now: a subscriber for which a publisher waits, the
  holder of a lock, a writer that has its turn on a cell and may be a stopped process.
With --json a note has "ok" true and a "finding".`,
		Args: names(0, 0),
		RunE: func(*cobra.Command, []string) error { return runDoctor(a.printer(), doctor.Facts()) },
	}
}

// finding is a fact about the machine or, if Finding is set, about an object.
type finding struct {
	doctor.Fact
	Finding string                  `json:"finding,omitempty"`
	Object  *objectName             `json:"object,omitempty"`
	Died    *ipcsync.OwnerDiedError `json:"died,omitempty"`
	Members []inspect.Member        `json:"members,omitempty"` // the dead ones, or the blockers
	// Processes are those that have an object open whose name was removed.
	Processes []doctor.Program `json:"processes,omitempty"`
}

type objectName struct {
	Name  string         `json:"name"`
	Kind  samepage.Kind  `json:"kind"`
	Scope samepage.Scope `json:"scope"`
}

type findings []finding

func (l findings) MarshalJSON() ([]byte, error) { return marshalList([]finding(l)) }

func (l findings) text(w io.Writer) error {
	for _, f := range l {
		mark := "ok  "
		switch {
		case !f.OK:
			mark = "BAD "
		case f.Finding != "":
			mark = "note"
		}
		text := fmt.Sprintf("%s %s: %s\n", mark, f.Name, f.Value)
		for _, m := range f.Members {
			text += "     " + memberLine(m, !m.Alive) + "\n"
		}
		for _, p := range f.Processes {
			text += fmt.Sprintf("     process %d (%s)\n", p.PID, plain(p.Name))
		}
		if f.Note != "" {
			text += "     " + f.Note + "\n"
		}
		if f.Mend != "" {
			text += "     repair: " + f.Mend + "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func runDoctor(p printer, machine []doctor.Fact) error {
	var found findings
	for _, f := range machine {
		found = append(found, finding{Fact: f})
	}
	found = append(found, lookAtObjects()...)
	found = append(found, nameGone(doctor.FindRemoved())...)
	if err := p.print(found); err != nil {
		return err
	}
	bad := 0
	for _, f := range found {
		if !f.OK {
			bad++
		}
	}
	if bad > 0 {
		return errors.New("doctor: " + count(bad, "finding") + " BAD")
	}
	return nil
}

// lookAtObjects returns the findings about the objects that exist.
func lookAtObjects() findings {
	now, err := inspect.Snapshot(nil)
	if err != nil {
		return findings{{Fact: doctor.Fact{Name: "objects", Value: "unknown", Note: err.Error()}}}
	}
	all := findings{{Fact: doctor.Fact{Name: "objects", Value: count(len(now.Objects), "object") + " in use or persistent", OK: true}}}
	all = append(all, unused(now.Leftovers)...)
	for _, o := range now.Objects {
		for _, f := range o.Findings() {
			all = append(all, inWords(f))
		}
	}
	return all
}

// nameGone returns the findings about objects whose names were removed while processes have
// them open.
func nameGone(removed []doctor.Removed) (all findings) {
	for _, r := range removed {
		f := finding{Finding: inspect.NameGone, Processes: r.Processes, Fact: doctor.Fact{
			Name:  plain(r.Path),
			Value: "it was removed while " + count(len(r.Processes), "process") + " had it open",
			Note:  "whoever opens the name now gets another object (ErrNameGone); restart these processes, so that all use the same object again",
		}}
		if r.Name != "" {
			f.Object = &objectName{r.Name, samepage.Kind(r.Kind), samepage.Scope(r.Scope)}
			f.Name = nameOf(samepage.Info{Name: r.Name, Kind: samepage.Kind(r.Kind), Scope: samepage.Scope(r.Scope)})
		}
		all = append(all, f)
	}
	return all
}

// unused returns one finding about all objects that no living process uses, which clean
// removes, and one about each of them that cannot be read.
func unused(left []samepage.Leftover) (all findings) {
	const few = 5
	var names []string
	var size int64
	n := 0
	for _, l := range left {
		if l.Err != nil {
			f := findingOf(l.Info, inspect.Unreadable, l.Reason)
			f.Note, f.Mend = syserr.Mend(l.Err)
			all = append(all, f)
			continue
		}
		if n++; n <= few {
			names = append(names, nameOf(l.Info))
		}
		size += l.Allocated
	}
	if n == 0 {
		return all
	}
	note := strings.Join(names, ", ")
	if n > few {
		note += fmt.Sprintf(" and %d more", n-few)
	}
	return append(all, finding{Finding: inspect.Unused, Fact: doctor.Fact{
		Name: "left over", OK: true, Mend: "samepage clean", Note: note,
		Value: fmt.Sprintf("%s that no living process uses, %s", count(n, "object"), formatSize(size)),
	}})
}

// inWords puts a finding into words for people.
func inWords(found inspect.Finding) finding {
	f := findingOf(found.Object.Info, found.What, "")
	f.OK, f.Members, f.Mend, f.Note = found.OK, found.Members, found.Mend, found.Note
	st := found.Object.Detail
	switch found.What {
	case inspect.Unreadable:
		f.Value = "it cannot be read"
	case inspect.Dirty:
		f.Value = "its owner died, and nobody has declared it consistent since"
		f.Note = "each Lock returns ErrOwnerDied until an owner has checked what the lock guards and calls Consistent"
		if d := st.Died; d != nil {
			f.Died = d
			f.Note = fmt.Sprintf("it was %s, noticed %s; %s", words.Named(d.PID, d.Name, d.Foreign, false), when(d.At), f.Note)
		}
	case inspect.Full:
		f.Value = fmt.Sprintf("its member table is full: %d of %d", len(st.Members), st.Room)
		f.Note = "nobody else can open it; whoever creates it sets the number (Options.Members)"
	case inspect.InTheWay:
		f.Value, f.Note = blocked(st)
	case inspect.Dead:
		f.Value = fmt.Sprintf("%d of %s died with it open", len(found.Members), count(len(st.Members), "member"))
		f.Note = "harmless: the next member that meets them repairs what they held"
	}
	return f
}

func findingOf(i samepage.Info, what, value string) finding {
	return finding{
		Fact:    doctor.Fact{Name: nameOf(i), Value: value},
		Finding: what, Object: &objectName{i.Name, i.Kind, i.Scope},
	}
}

// nameOf names an object for people.
func nameOf(i samepage.Info) string { return inspect.Title(i) }
