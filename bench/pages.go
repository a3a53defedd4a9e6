package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The texts of the regions.

func (all *report) machineText() string {
	return all.measuredText() + "\n\n" + wrap("Bound are "+all.Machine.Bound+".")
}

// measuredText says when and where the figures were measured.
func (all *report) measuredText() string {
	m := all.Machine
	most := 0
	for _, r := range all.Results {
		most = max(most, r.Count)
	}
	runs := "one run"
	if all.Runs > 1 {
		runs = fmt.Sprintf("%d runs", all.Runs)
	}
	return wrap(fmt.Sprintf("Measured on %s in %s, on a machine with %d virtual processors (%s, %s), %s. Each block lasts %g s. "+
		"A subject has up to %d rounds in all.", all.Date, runs, m.CPUs, m.CPU, m.system(), m.Go, all.Seconds, most))
}

// wrap breaks a text into lines of up to 100 characters.
func wrap(text string) string {
	var out strings.Builder
	at := 0
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > 100:
			out.WriteByte('\n')
			at = 0
		default:
			out.WriteByte(' ')
			at++
		}
		out.WriteString(word)
		at += n
	}
	return out.String()
}

// system names the system.
func (m machine) system() string {
	if m.System != "" {
		return fmt.Sprintf("%s, on Linux %s", m.System, release(m.Kernel))
	}
	return "Linux " + release(m.Kernel)
}

// release is the part of a kernel's release that says which source it was built from.
func release(kernel string) string {
	version, _, _ := strings.Cut(kernel, "-")
	return version
}

// goalsTable has a row for each subject of this module and each mood.
func (all *report) goalsTable() string {
	var out strings.Builder
	out.WriteString("| what | mood | figure | limit | ratio | middle half | runs | goal | |\n|---|---|---|---|---|---|---|---|---|\n")
	for i := range all.Results {
		r := &all.Results[i]
		g := all.info(r.Group)
		if r.Whose != "samepage" {
			continue
		}
		what := g.Name + ": " + r.Name
		if len(r.Moods) == 0 {
			_, _ = fmt.Fprintf(&out, "| %s | | | | no round counts | | | | |\n", what)
		}
		for _, m := range r.Moods {
			verdict := ""
			switch goal := r.Goal.Kind; {
			case goal == noGoal:
			case m.Met == nil:
				verdict = "too few rounds"
			case *m.Met:
				verdict = "met"
			default:
				verdict = "**not met**"
			}
			var runs []string
			for _, v := range m.Runs {
				runs = append(runs, digits(v))
			}
			_, _ = fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s to %s | %s | %s | %s |\n", what, m.Mood, g.figure(m.Value.Median),
				g.figure(m.Limit.Median), digits(m.Ratio.Median), digits(m.Ratio.P25), digits(m.Ratio.P75), strings.Join(runs, ", "),
				strings.NewReplacer("<=", "≤", ">=", "≥").Replace(r.Goal.show(g.Unit, m.Mood)), verdict)
			what = ""
		}
	}
	return out.String()
}

// othersTable has a row for each exchange of a peer, in its commonest mood.
func (all *report) othersTable() string {
	var out strings.Builder
	out.WriteString("| what | system | mood | figure | ratio |\n|---|---|---|---|---|\n")
	last := ""
	for i := range all.Results {
		r := &all.Results[i]
		if r.Whose != "peer" || len(r.Moods) == 0 {
			continue
		}
		what := r.Group
		if what == last {
			what = ""
		}
		last = r.Group
		m := r.Moods[0]
		_, _ = fmt.Fprintf(&out, "| %s | %s | %s | %s | %s |\n", what, r.Name, m.Mood, all.info(r.Group).figure(m.Value.Median), digits(m.Ratio.Median))
	}
	for _, l := range all.LeftOut {
		_, _ = fmt.Fprintf(&out, "| left out | %s | | | %s |\n", l.Name, oneCell(l.Why))
	}
	return out.String()
}

func oneCell(s string) string {
	return strings.NewReplacer("|", "/", "\n", "; ", "<", "‹", ">", "›").Replace(s)
}

// plotsText shows the plots of all groups.
func (all *report) plotsText() string {
	var out strings.Builder
	for _, g := range all.Groups {
		if len(panels(g, all)) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(&out, "![%s: time as a multiple of the limit](bench/%s)\n\n", g.Name, plotName(g))
	}
	return out.String()
}

// droppedText says how many rounds do not count.
func (all *report) droppedText() string {
	count, dropped := 0, map[string]int{}
	var worst *result
	share := func(r *result) float64 { return float64(total(r.Dropped)) / float64(max(r.Count, 1)) }
	for i := range all.Results {
		r := &all.Results[i]
		count += r.Count
		for why, n := range r.Dropped {
			dropped[why] += n
		}
		if worst == nil || share(r) > share(worst) {
			worst = r
		}
	}
	text := fmt.Sprintf("Of %d rounds %d were dropped%s. ", count, total(dropped), after(" (", reasons(dropped)+")"))
	if total(dropped) == 0 {
		return fmt.Sprintf("None of %d rounds was dropped.", count)
	}
	return wrap(text + fmt.Sprintf("The most for one subject: %s, %d of %d.", worst.id(), total(worst.Dropped), worst.Count))
}

// glanceText is the sentence of the README.
func (all *report) glanceText() string {
	polled, slept := all.glance(message64, message1M), all.glance(asleep64, asleep1M)
	if polled == nil || slept == nil {
		return "Not measured."
	}
	p, s := polled.rows[0], slept.rows[0]
	text := fmt.Sprintf("A message of 64 B takes %s from one process to another that polls for it, and %s to one that sleeps. "+
		"A message of 1 MiB takes %s and %s. ", p.small(), s.small(), p.large(), s.large())
	text += fmt.Sprintf("Two C programs that pass only a word take %s and %s.", polled.limitText(), slept.limitText())
	var others []string
	for _, x := range []*glance{polled, slept} {
		if best := x.best(); best != nil {
			others = append(others, fmt.Sprintf("%s with %s and %s", best.name, best.small(), best.large()))
		}
	}
	if len(others) == 2 {
		text += fmt.Sprintf(" The fastest others are %s if they poll, and %s if they sleep.", others[0], others[1])
	}
	moods := polled.mood
	if slept.mood != polled.mood {
		moods += " (polled) and " + slept.mood + " (asleep)"
	}
	return wrap(text + fmt.Sprintf(" The two processors were %s: [docs/bench.md](docs/bench.md) says what that means, how it was measured, "+
		"and which goals are not met.", moods))
}

// theLimit is the name of a row that has the limits.
const theLimit = "limit"

// rowText has the cells of one way in the table of docs/choosing.md, one for each size.
func (all *report) rowText(name string) (string, error) {
	if name != theLimit && !slices.ContainsFunc(subjects(), func(s subject) bool { return s.name == name }) {
		return "", errors.New("there is no such way")
	}
	mood := all.commonestMood()
	var cells []string
	for _, g := range all.Groups {
		cells = append(cells, all.cell(g, name, mood))
	}
	return strings.Join(cells, " | "), nil
}

// commonestMood is the mood of most rounds.
func (all *report) commonestMood() (mood string) {
	rounds := map[string]int{}
	for _, r := range all.Results {
		for _, m := range r.Moods {
			if rounds[m.Mood] += m.Rounds; rounds[m.Mood] > rounds[mood] {
				mood = m.Mood
			}
		}
	}
	return mood
}

// cell has the figure of a way, and its ratio to the limit. If it was not measured in that mood, it
// has another mood, and says which.
func (all *report) cell(g groupInfo, name, mood string) string {
	for _, r := range all.of(g.Name) {
		m, found := r.mood(mood)
		switch {
		case name == theLimit && found:
			return g.figure(m.Limit.Median)
		case name != r.Name || len(r.Moods) == 0:
		case found:
			return fmt.Sprintf("%s (%s)", g.figure(m.Value.Median), digits(m.Ratio.Median))
		default:
			m = r.commonest()
			return fmt.Sprintf("%s (%s, %s)", g.figure(m.Value.Median), digits(m.Ratio.Median), m.Mood)
		}
	}
	return "not measured"
}
