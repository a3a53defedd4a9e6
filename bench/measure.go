package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// report is what -json writes.
type report struct {
	Machine machine  `json:"machine"`
	Seconds float64  `json:"seconds"`
	Results []result `json:"results"`
}

type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Pinned string `json:"pinned"` // which processes are bound to CPUs
}

// result is one subject's. Ratios are of the rounds that count.
type result struct {
	Name   string  `json:"name"`
	Limit  string  `json:"limit"`
	Unit   string  `json:"unit"`
	Goal   float64 `json:"goal,omitempty"`
	Rounds []round `json:"rounds"`
	Ratio  spread  `json:"ratio"`
	Limits spread  `json:"limits"`
	Values spread  `json:"values"`
	// Spin is the spinning ping-pong before and after, in nanoseconds, and Mood
	// what it says of the machine.
	Spin [2]float64 `json:"spin"`
	Mood string     `json:"mood"`
}

// round is limit, subject, limit.
type round struct {
	Before  float64 `json:"before"`
	Value   float64 `json:"value"`
	After   float64 `json:"after"`
	Dropped bool    `json:"dropped,omitempty"`
}

// disagreement is how far the limits of a round may lie apart.
const disagreement = 1.2

func newRound(before, value, after float64) round {
	steady := before > 0 && after > 0 && max(before, after) <= disagreement*min(before, after)
	return round{before, value, after, !steady}
}

func (r round) limit() float64 { return (r.Before + r.After) / 2 }

// spread is the middle of some values and their ends.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

func (r *result) sum() {
	var ratios, limits, values []float64
	for _, x := range r.Rounds {
		if !x.Dropped {
			ratios = append(ratios, x.Value/x.limit())
			limits = append(limits, x.limit())
			values = append(values, x.Value)
		}
	}
	r.Ratio, r.Limits, r.Values = spreadOf(ratios), spreadOf(limits), spreadOf(values)
}

func (r *result) line() string {
	used := 0
	for _, x := range r.Rounds {
		if !x.Dropped {
			used++
		}
	}
	ratio := "none counts"
	if used > 0 {
		ratio = fmt.Sprintf("%.2f (%.2f %.2f)", r.Ratio.Median, r.Ratio.Min, r.Ratio.Max)
	}
	return fmt.Sprintf("%-18s %-22s %9s %9s  %-22s %-7s %-6s %s", r.Name, r.Limit,
		figure(r.Limits.Median, r.Unit), figure(r.Values.Median, r.Unit), ratio, goal(r.Goal),
		fmt.Sprintf("%d/%d", used, len(r.Rounds)), r.Mood)
}

func figure(v float64, unit string) string {
	switch {
	case unit == "ns" && v >= 1000:
		return fmt.Sprintf("%.1f us", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func goal(g float64) string {
	if g == 0 {
		return "none"
	}
	return fmt.Sprintf("<= %.1f", g)
}

// moodOf names the distance of the two cores, by the spinning ping-pong between
// them. "resonant" is near, with PAUSE in step with the transfer: such figures
// are not to be compared with those of the others.
func moodOf(ns [2]float64) string {
	one := func(v float64) string {
		switch {
		case v < 44:
			return "resonant"
		case v < 120:
			return "near"
		}
		return "far"
	}
	before, after := one(ns[0]), one(ns[1])
	if before == after {
		return before
	}
	return before + ", then " + after
}

func (b *bench) measure(s subject, rounds int) (result, error) {
	r := result{Name: s.name, Limit: s.limit.String(), Unit: "ns", Goal: s.goal}
	var err error
	if r.Spin[0], err = spin.measure(b); err != nil {
		return r, err
	}
	// The limit after a subject is the one before the next.
	before, err := s.limit.measure(b)
	if err != nil {
		return r, err
	}
	for range rounds {
		value, err := s.measure(b)
		if err != nil {
			return r, err
		}
		after, err := s.limit.measure(b)
		if err != nil {
			return r, err
		}
		r.Rounds = append(r.Rounds, newRound(before, value, after))
		before = after
	}
	if r.Spin[1], err = spin.measure(b); err != nil {
		return r, err
	}
	r.Mood = moodOf(r.Spin)
	r.sum()
	return r, nil
}

func thisMachine() machine {
	m := machine{CPU: "unknown CPU", CPUs: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version() + " " + runtime.GOARCH, Pinned: "limits of two processes; subjects that are asleep"}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if f := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(b); f != nil {
			m.CPU = string(f[1])
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	return m
}
