package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

const tableHead = "%-30s %10s %10s %10s  %-24s %-9s %-7s %s\n"

// table prints the results of a group.
func table(out io.Writer, g *group, results []result) {
	of := "time"
	if g.unit.rate() {
		of = "rate"
	}
	_, _ = fmt.Fprintf(out, "\n%s: %s, against %s\n", g.name, g.about, g.limit)
	_, _ = fmt.Fprintf(out, tableHead, "", "figure", "p50", "p99", of+" ratio (p25..p75)", "goal", "rounds", "mood, limit")
	for _, r := range results {
		for _, l := range r.lines(g) {
			_, _ = fmt.Fprintln(out, strings.TrimRight(l, " \n"))
		}
	}
}

// lines returns the lines of a result: one for each mood, the most frequent first.
func (r *result) lines(g *group) (lines []string) {
	goal := r.Goal
	if r.Met != nil && !*r.Met {
		goal += " no"
	}
	if len(r.Moods) == 0 {
		return []string{fmt.Sprintf(tableHead, r.Name, "", "", "", "no round counts", goal, fmt.Sprintf("0/%d", len(r.Round)), r.whyDropped())}
	}
	name := r.Name
	for _, m := range r.Moods {
		ratio := fmt.Sprintf("%s (%s..%s)", digits(m.Ratio.Median), digits(m.Ratio.P25), digits(m.Ratio.P75))
		lines = append(lines, fmt.Sprintf(tableHead, name, g.figure(m.Value.Median), g.single(m.P50), g.single(m.P99), ratio, goal,
			fmt.Sprintf("%d/%d", m.Rounds, len(r.Round)), m.Mood+", "+g.figure(m.Limit.Median)))
		name, goal = "", ""
	}
	return lines
}

// whyDropped says why the rounds of a result were dropped.
func (r *result) whyDropped() string {
	n := map[string]int{}
	for _, x := range r.Round {
		n[x.Dropped]++
	}
	var all []string
	for _, why := range slices.Sorted(maps.Keys(n)) {
		all = append(all, fmt.Sprintf("%s: %d", why, n[why]))
	}
	return strings.Join(all, "; ")
}

// single shows the time of a single operation, if it was measured.
func (g *group) single(ns float64) string {
	if g.unit != perOp {
		return ""
	}
	return g.figure(ns)
}
