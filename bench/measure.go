package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// report is what -json writes.
type report struct {
	Machine machine   `json:"machine"`
	Seconds float64   `json:"seconds"`
	Results []result  `json:"results"`
	LeftOut []leftOut `json:"leftOut"`
}

type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Bound  string `json:"bound"` // which processes are bound to CPUs
}

// result is the result of one subject. Samples are in nanoseconds (of one message if the unit
// is a rate), or percent of a CPU.
type result struct {
	Group string  `json:"group"`
	Name  string  `json:"name"`
	Whose string  `json:"whose"` // "samepage", "peer" or "C"
	Limit string  `json:"limit"`
	Unit  unit    `json:"unit"`
	Goal  string  `json:"goal,omitempty"`
	Met   *bool   `json:"met,omitempty"` // in the commonest mood
	Round []round `json:"rounds"`
	// Moods are the rounds that count, by the machine's mood, the commonest first.
	Moods []summary `json:"moods"`

	subject  subject
	failures int // rounds in which it failed
}

// spinLength is how long the ping-pong runs beside a limit that does not show the mood.
const spinLength = 0.02

// limit is one measurement of a limit. If the mood matters, it also has the spinning ping-pong
// of the same moment.
func (b *bench) limit(ctx context.Context, g *group) (s, mood sample, err error) {
	if s, err = g.limit.measure(ctx, b, b.length(g)); err != nil {
		return s, mood, err
	}
	switch {
	case g.oneCPU:
		return s, sample{}, nil
	case g.limit.String() == spin.String():
		return s, s, nil
	}
	mood, err = spin.measure(ctx, b, min(spinLength, b.seconds))
	return s, mood, err
}

func (b *bench) length(g *group) float64 {
	if g.length > 0 {
		return b.seconds * g.length
	}
	return b.seconds
}

// measure runs limit, subject, limit, next subject, limit and so on, round by round. So all
// subjects of a group are measured in the same minutes, each between its own two limits. If a
// subject of ours fails, measure ends. If a peer fails, its round is dropped; a peer that
// never succeeds is left out.
func (b *bench) measure(ctx context.Context, g *group, chosen []subject, rounds int, progress io.Writer) ([]result, []leftOut, error) {
	if g.rounds > 0 {
		rounds = min(rounds, g.rounds)
	}
	all := make([]result, len(chosen))
	for i, s := range chosen {
		all[i] = newResult(s)
	}
	before, spinBefore, err := b.limit(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	for n := range rounds {
		for i, s := range chosen {
			value, failed := s.measure(ctx, b, b.length(g))
			if failed != nil && (s.peer == nil || ctx.Err() != nil) {
				return nil, nil, fmt.Errorf("%s: %w", s.id(), failed)
			}
			after, spinAfter, err := b.limit(ctx, g)
			if err != nil {
				return nil, nil, err
			}
			r := newRound(before, value, after, [2]sample{spinBefore, spinAfter})
			if failed != nil {
				r.Dropped = "it failed: " + oneLine(failed)
				all[i].failures++
			}
			all[i].Round = append(all[i].Round, r)
			before, spinBefore = after, spinAfter
			_, _ = fmt.Fprintf(progress, "%d/%d %s: %s, limit %s, mood %s %s\n", n+1, rounds, s.id(),
				g.figure(value.Mean), g.figure(r.limit()), r.mood(), r.Dropped)
		}
	}
	var good []result
	var left []leftOut
	for i, r := range all {
		if r.failures == len(r.Round) {
			left = append(left, leftOut{chosen[i].id(), r.Round[0].Dropped})
			continue
		}
		r.sum()
		good = append(good, r)
	}
	return good, left, nil
}

// oneLine is the text of an error in one line.
func oneLine(err error) string { return strings.Join(strings.Split(err.Error(), "\n"), "; ") }

func newResult(s subject) result {
	r := result{
		Group: s.group.name, Name: s.name, Whose: "samepage", Limit: s.limit.String(), Unit: s.unit,
		Goal: s.goal.show(s.unit), subject: s,
	}
	switch {
	case s.peer != nil:
		r.Whose = "peer"
	case s.ofC:
		r.Whose = "C"
	}
	return r
}

func (r *result) sum() {
	r.Moods = summarize(r.Round, r.Unit.rate())
	if r.subject.goal.kind != noGoal && len(r.Moods) > 0 {
		met := r.subject.goal.met(r.Moods[0])
		r.Met = &met
	}
}

func thisMachine() machine {
	m := machine{
		CPU: "unknown CPU", CPUs: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version() + " " + runtime.GOARCH,
		Bound: "the two processes of each limit, each peer in C++ and each exchange of ours, to CPUs 0 and 1; " +
			"ours that poll after they opened everything, those called asleep and messages of peers in Go from the start; " +
			"all subscribers of a publish to CPU 1; streams of peers in Go are not bound",
	}
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
