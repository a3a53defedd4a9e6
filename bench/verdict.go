package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// verdict says at the end of a run how many rounds were dropped, and which goals are not met. It
// returns an error if a subject failed, or if too few of its rounds count. A run of fewer than
// enough rounds is only a quick look. It judges nothing.
func (all *report) verdict(out io.Writer, rounds int) error {
	count, dropped := 0, map[string]int{}
	var lines, missed, few, failing []string
	for i := range all.Results {
		r := &all.Results[i]
		count += r.Count
		for why, n := range r.Dropped {
			dropped[shortly(why)] += n
		}
		if len(r.Dropped) > 0 {
			lines = append(lines, fmt.Sprintf("  %s: %d of %d: %s", r.id(), total(r.Dropped), r.Count, reasons(r.Dropped)))
		}
		for _, m := range r.Moods {
			if m.Met != nil && !*m.Met {
				missed = append(missed, fmt.Sprintf("  %s, %s: %s, goal %s", r.id(), m.Mood, r.reached(m, all.info(r.Group)), r.Goal.show(all.info(r.Group).Unit, m.Mood)))
			}
		}
		if n, why := r.failed(); n > 0 && r.Whose != "peer" {
			failing = append(failing, fmt.Sprintf("%s: %s", r.id(), why))
		}
		if r.few() {
			few = append(few, fmt.Sprintf("%s (%d of %d)", r.id(), r.Count-total(r.Dropped), r.Count))
		}
	}
	say := func(s string) { _, _ = fmt.Fprintln(out, s) }
	say(fmt.Sprintf("\ndropped: %d of %d rounds%s", total(dropped), count, after(": ", reasons(dropped))))
	for _, l := range lines {
		say(l)
	}
	var err error
	if len(failing) > 0 {
		err = fmt.Errorf("failed in some rounds: %s", strings.Join(failing, "; "))
	}
	if rounds < enough {
		say(fmt.Sprintf("\nno goal is judged: %d rounds were asked for, and that takes %d", rounds, enough))
		return err
	}
	if len(missed) > 0 {
		say("\nnot met:")
		for _, l := range missed {
			say(l)
		}
	}
	if len(few) > 0 {
		err = errors.Join(err, fmt.Errorf("fewer than %d rounds of one mood count for: %s", enough, strings.Join(few, ", ")))
	}
	return err
}

// reached is what the goal is about: the ratio, or the figure.
func (r *result) reached(m summary, g groupInfo) string {
	if r.Goal.Kind == figureMost {
		return g.figure(m.Value.Median)
	}
	return digits(m.Ratio.Median) + "x"
}

// info is the group with a name.
func (all *report) info(name string) groupInfo {
	for _, g := range all.Groups {
		if g.Name == name {
			return g
		}
	}
	return groupInfo{Name: name}
}

// reasons tells why how many rounds were dropped.
func reasons(dropped map[string]int) string {
	var all []string
	for _, why := range slices.Sorted(maps.Keys(dropped)) {
		all = append(all, fmt.Sprintf("%s: %d", why, dropped[why]))
	}
	return strings.Join(all, "; ")
}

// shortly is a reason without the text of an error.
func shortly(why string) string {
	if strings.HasPrefix(why, "it failed") {
		return "it failed"
	}
	return why
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// after is s behind something, or nothing if s is empty.
func after(something, s string) string {
	if s == "" {
		return ""
	}
	return something + s
}
