package main

import (
	"fmt"
	"io"
	"strings"
)

const tableHead = "%-30s %10s %10s %10s  %-24s %-9s %-7s %s\n"

// table prints the results of a group.
func table(out io.Writer, g groupInfo, results []result) {
	of := "time"
	if g.Unit.rate() {
		of = "rate"
	}
	_, _ = fmt.Fprintf(out, "\n%s: %s, against %s\n", g.Name, g.About, g.Limit)
	_, _ = fmt.Fprintf(out, tableHead, "", "figure", "p50", "p99", of+" ratio (p25..p75)", "goal", "rounds", "mood, limit")
	for _, r := range results {
		for _, l := range r.lines(g) {
			_, _ = fmt.Fprintln(out, strings.TrimRight(l, " \n"))
		}
	}
}

// lines returns the lines of a result: one for each mood, the most frequent first.
func (r *result) lines(g groupInfo) (lines []string) {
	if len(r.Moods) == 0 {
		return []string{fmt.Sprintf(tableHead, r.Name, "", "", "", "no round counts", "", fmt.Sprintf("0/%d", r.Count), reasons(r.Dropped))}
	}
	name := r.Name
	for _, m := range r.Moods {
		goal := r.Goal.show(g.Unit, m.Mood)
		if m.Met != nil && !*m.Met {
			goal += " no"
		}
		ratio := fmt.Sprintf("%s (%s..%s)", digits(m.Ratio.Median), digits(m.Ratio.P25), digits(m.Ratio.P75))
		mood := m.Mood + ", " + g.figure(m.Limit.Median)
		if m.Fresh > 0 {
			mood += fmt.Sprintf(", %.1f %% of the reads new", 100*m.Fresh)
		}
		lines = append(lines, fmt.Sprintf(tableHead, name, g.figure(m.Value.Median), g.single(m.P50), g.single(m.P99), ratio, goal,
			fmt.Sprintf("%d/%d", m.Rounds, r.Count), mood))
		name = ""
	}
	return lines
}

// single shows the time of a single operation, if it was measured.
func (g groupInfo) single(ns float64) string {
	if g.Unit != perOp {
		return ""
	}
	return g.figure(ns)
}
