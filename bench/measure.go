package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"samepage/internal/sys/doctor"
)

// report is what -json writes.
type report struct {
	Machine machine     `json:"machine"`
	Date    string      `json:"date"`
	Seconds float64     `json:"seconds"`
	Runs    int         `json:"runs"` // how many runs it tells together
	Groups  []groupInfo `json:"groups"`
	Results []result    `json:"results"`
	LeftOut []leftOut   `json:"leftOut"`
}

type machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Bound  string `json:"bound"`            // which processes are bound to CPUs
	System string `json:"system,omitempty"` // what runs on the kernel, if the programs are for another one
}

// result is the result of one subject. Samples are in nanoseconds (of one message if the unit
// is a rate), or percent of a CPU.
type result struct {
	Group   string         `json:"group"`
	Name    string         `json:"name"`
	Whose   string         `json:"whose"` // "samepage", "peer" or "C"
	Goal    goal           `json:"goal,omitzero"`
	Round   []round        `json:"rounds,omitempty"`
	Count   int            `json:"count"`             // all rounds
	Dropped map[string]int `json:"dropped,omitempty"` // how many do not count, by the reason
	// Moods are the rounds that count, by the machine's mood, the commonest first.
	Moods []summary `json:"moods"`

	rate bool
}

func (r *result) id() string { return r.Group + "/" + r.Name }

// spinLength is how long the ping-pong runs beside a limit that does not show the mood.
const spinLength = 0.02

// limit is one measurement of a limit. If the mood matters, it also has the spinning ping-pong
// of the same moment.
func (b *bench) limit(ctx context.Context, g *group) (s, mood sample, err error) {
	if s, err = b.block(ctx, g.limit, b.length(g)); err != nil {
		return s, mood, err
	}
	switch {
	case g.oneCPU:
		return s, sample{}, nil
	case g.limit.String() == spin.String():
		return s, s, nil
	}
	mood, err = b.block(ctx, spin, min(spinLength, b.seconds))
	return s, mood, err
}

func (b *bench) length(g *group) float64 {
	if g.length > 0 {
		return b.seconds * g.length
	}
	return b.seconds
}

// moreRounds is the least number of extra rounds that a subject may get.
const moreRounds = 8

// patience is how long a block may take beside the time that it measures. A subject that hangs
// must not make a whole run useless.
const patience = time.Minute

// block is one measurement of anything. It ends also if the subject hangs.
func (b *bench) block(ctx context.Context, m measurer, seconds float64) (sample, error) {
	most, cancel := context.WithTimeout(ctx, patience+time.Duration(20*seconds*float64(time.Second)))
	defer cancel()
	s, err := m.measure(most, b, seconds)
	if err != nil && ctx.Err() == nil && most.Err() != nil {
		err = fmt.Errorf("it did not end in time: %w", err)
	}
	return s, err
}

// measure runs limit, subject, limit, next subject, limit and so on, round by round. So all
// subjects of a group are measured in the same minutes, each between its own two limits. A round
// in which the subject fails is dropped. If too few rounds of a subject count, it gets more: up to
// as many again, and at least moreRounds.
func (b *bench) measure(ctx context.Context, g *group, chosen []subject, rounds int, say func(format string, args ...any)) ([]result, error) {
	if g.rounds > 0 {
		rounds = min(rounds, g.rounds)
	}
	tolerance := disagreement
	if g.tolerance > 0 {
		tolerance = g.tolerance
	}
	all := make([]result, len(chosen))
	for i, s := range chosen {
		all[i] = newResult(s)
	}
	before, spinBefore, err := b.limit(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("the limit of %s: %w", g.name, err)
	}
	info := g.info()
	for n := range rounds + max(rounds, moreRounds) {
		for i, s := range chosen {
			if n >= rounds && (rounds < enough || !all[i].few()) || all[i].hopeless() {
				continue
			}
			value, failed := b.block(ctx, s, b.length(g))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if failed != nil {
				value.Dropped = "it failed: " + oneLine(failed)
			}
			after, spinAfter, err := b.limit(ctx, g)
			if err != nil {
				return all, fmt.Errorf("the limit of %s: %w", g.name, err)
			}
			r := newRound(before, value, after, [2]sample{spinBefore, spinAfter}, tolerance)
			all[i].Round = append(all[i].Round, r)
			all[i].sum()
			before, spinBefore = after, spinAfter
			say("%s, %s: %s, limit %s, mood %s %s", turn(n, rounds), s.id(), info.figure(value.Mean), info.figure(r.limit()), r.mood(), r.Dropped)
		}
	}
	return all, nil
}

// oneLine is the text of an error in one line.
func oneLine(err error) string { return strings.Join(strings.Split(err.Error(), "\n"), "; ") }

func newResult(s subject) result {
	r := result{Group: s.group.name, Name: s.name, Whose: "samepage", Goal: s.goal, rate: s.unit.rate()}
	switch {
	case s.peer != nil:
		r.Whose = "peer"
	case s.ofC:
		r.Whose = "C"
	}
	return r
}

// sum sums the rounds up.
func (r *result) sum() {
	r.Count, r.Dropped = len(r.Round), nil
	for _, x := range r.Round {
		if x.Dropped != "" {
			if r.Dropped == nil {
				r.Dropped = map[string]int{}
			}
			r.Dropped[x.Dropped]++
		}
	}
	r.Moods = summarize(r.Round, r.rate, r.Goal)
}

// few says that too few rounds count in any one mood.
func (r *result) few() bool { return len(r.Moods) == 0 || r.Moods[0].Rounds < enough }

// failed says in how many rounds the subject failed, and why.
func (r *result) failed() (n int, why string) {
	for _, reason := range slices.Sorted(maps.Keys(r.Dropped)) {
		if text, is := strings.CutPrefix(reason, "it failed: "); is {
			n += r.Dropped[reason]
			why = text
		}
	}
	return n, why
}

// hopeless says that the subject has failed again and again, and never succeeded.
func (r *result) hopeless() bool {
	n, _ := r.failed()
	return n == r.Count && n >= enough
}

func thisMachine() machine {
	m := machine{
		CPU: "unknown CPU", CPUs: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version() + " " + runtime.GOARCH,
		Bound: "the two processes of each limit, each peer in C++ and each exchange of ours, to CPUs 0 and 1: " +
			"ours that poll after they opened everything, those called asleep and messages of peers in Go from the start; " +
			"all subscribers of a publish, to CPU 1; streams of peers in Go are not bound",
	}
	root := ""
	if runtime.GOOS != "linux" {
		m.System, m.Bound, root = systemFact(), "none", "Z:" // where Wine has the files of Linux
	}
	if b, err := os.ReadFile(root + "/proc/cpuinfo"); err == nil {
		if f := regexp.MustCompile(`(?m)^model name\s*:\s*(.*)$`).FindSubmatch(b); f != nil {
			m.CPU = string(f[1])
		}
	}
	if b, err := os.ReadFile(root + "/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	return m
}

// systemFact names the system, and also says if it is Wine.
func systemFact() string {
	for _, f := range doctor.Facts() {
		if f.Name == "system" {
			return f.Value
		}
	}
	return runtime.GOOS
}

// measureAll measures, and writes tables to out. It goes on after a failure, and saves what there
// is. Its error says what is missing.
func measureAll(ctx context.Context, chosen []subject, t task, out, progress io.Writer) error {
	b, err := newBench(t.seconds)
	if err != nil {
		return err
	}
	defer b.close()
	_, _ = fmt.Fprintln(progress, "compiling the limits, looking for peers")
	if slices.ContainsFunc(chosen, subject.needsC) {
		if err := b.compileLimits(ctx); err != nil {
			return err
		}
	}
	begun := time.Now()
	all := report{
		Machine: thisMachine(), Date: begun.UTC().Format(time.DateOnly), Seconds: t.seconds, Runs: 1, LeftOut: []leftOut{},
	}
	_, _ = fmt.Fprintf(out, "%s, %d CPUs, %s, %s\n", all.Machine.CPU, all.Machine.CPUs, all.Machine.system(), all.Machine.Go)
	chosen, left := b.prepare(ctx, chosen)
	all.LeftOut = append(all.LeftOut, left...)
	var failed error
	for _, g := range groups {
		var mine []subject
		for _, s := range chosen {
			if s.group == g {
				mine = append(mine, s)
			}
		}
		if len(mine) == 0 {
			continue
		}
		all.Groups = append(all.Groups, g.info())
		results, err := b.measure(ctx, g, mine, t.rounds, func(format string, args ...any) {
			_, _ = fmt.Fprintf(progress, "%v, %s\n", time.Since(begun).Round(time.Second), fmt.Sprintf(format, args...))
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = errors.Join(failed, err)
		for _, r := range results {
			n, why := r.failed()
			if r.Whose == "peer" && r.Count > 0 && n == r.Count {
				all.LeftOut = append(all.LeftOut, leftOut{r.id(), why})
			} else {
				all.Results = append(all.Results, r)
			}
		}
		table(out, g.info(), all.of(g.name))
	}
	_, _ = fmt.Fprintln(out)
	for _, l := range all.LeftOut {
		_, _ = fmt.Fprintf(out, "left out: %s: %s\n", l.Name, l.Why)
	}
	failed = errors.Join(failed, all.verdict(out, t.rounds))
	return errors.Join(failed, all.save(t.json))
}

// of returns the results of a group.
func (all *report) of(group string) (some []result) {
	for _, r := range all.Results {
		if r.Group == group {
			some = append(some, r)
		}
	}
	return some
}

// turn names a round, counted from 0.
func turn(n, rounds int) string {
	if n < rounds {
		return fmt.Sprintf("round %d/%d", n+1, rounds)
	}
	return fmt.Sprintf("extra round %d", n-rounds+1)
}
