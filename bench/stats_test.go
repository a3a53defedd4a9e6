package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
)

func plain(v float64) sample { return sample{Mean: v} }

func spins(before, after float64) [2]sample {
	return [2]sample{{Mean: before, P50: before, P99: before}, {Mean: after, P50: after, P99: after}}
}

func TestRoundsThatDisagreeAreDropped(t *testing.T) {
	close := spins(55, 56)
	rounds := []round{
		newRound(plain(100), plain(150), plain(119), close, disagreement),
		newRound(plain(100), plain(900), plain(121), close, disagreement),
		newRound(plain(121), plain(900), plain(100), close, disagreement),
		newRound(plain(0), plain(1), plain(0), close, disagreement),
		newRound(plain(100), plain(900), plain(100), spins(55, 250), disagreement),
		newRound(plain(100), plain(110), plain(100), close, disagreement),
		newRound(plain(100), plain(130), plain(100), close, disagreement),
		newRound(plain(100), plain(300), plain(100), spins(250, 240), disagreement),
		newRound(plain(100), plain(120), plain(100), spins(43, 45), disagreement), // no change to speak of
		newRound(plain(100), plain(120), plain(100), spins(700, 700), disagreement),
		newRound(plain(100), plain(120), plain(100), [2]sample{}, disagreement),
	}
	var dropped []string
	for _, r := range rounds {
		dropped = append(dropped, r.Dropped)
	}
	limits, mood := "the limits disagree", "the mood changed"
	if want := []string{"", limits, limits, limits, mood, "", "", "", "", "others use the CPUs", ""}; !slices.Equal(dropped, want) {
		t.Errorf("dropped: %q, want %q", dropped, want)
	}
	if got := rounds[4].Mood; got != "near, then far" {
		t.Error(got)
	}

	moods := summarize(rounds, false, atMost(1.2))
	if len(moods) != 3 || moods[1].Mood != anyMood || moods[2].Mood != "far" || moods[0].Mood != "near" || moods[0].Rounds != 4 {
		t.Fatalf("%+v", moods)
	}
	// 1.1, 1.2, 1.3 and 150/109.5
	if got := moods[0].Ratio; got.Median != 1.25 || !alike(got.P25, 1.175) || !alike(got.P75, (3*1.3+150/109.5)/4) {
		t.Errorf("%+v", got)
	}
	if got := moods[2].Ratio; got != (spread{3, 3, 3}) {
		t.Errorf("%+v", got)
	}
	// A message that takes three times as long comes at a third of the rate.
	if got := summarize(rounds[7:8], true, goal{})[0].Ratio.Median; !alike(got, 1.0/3) {
		t.Errorf("rate %v", got)
	}
}

func alike(a, b float64) bool { return max(a, b)-min(a, b) < 1e-9 }

func TestQuantiles(t *testing.T) {
	if got := spreadOf([]float64{5, 1, 4, 2, 3}); got != (spread{3, 2, 4}) {
		t.Error(got)
	}
	if got := spreadOf([]float64{1, 2}); got != (spread{1.5, 1.25, 1.75}) {
		t.Error(got)
	}
	if got := spreadOf([]float64{7}); got != (spread{7, 7, 7}) {
		t.Error(got)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Error(got)
	}
}

func TestMood(t *testing.T) {
	for spin, want := range map[sample]string{
		{Mean: 55, P50: 50}: "near", {Mean: 250, P50: 240}: "far", {Mean: 25, P50: 24}: "resonant", plain(42): "resonant",
		{Mean: 47, P50: 50}: "near", {Mean: 2000, P50: 2000}: busy, {Mean: 250, P50: 55}: busy,
	} {
		if got := moodOf(spin); got != want {
			t.Errorf("%v: %s, want %s", spin, got, want)
		}
	}
}

// A goal may differ by the mood, and is judged only where enough rounds count.
func TestGoals(t *testing.T) {
	s := summary{Mood: near, Ratio: spread{Median: 0.9}, Value: spread{Median: 12}}
	for g, want := range map[goal]bool{
		{}: true, atMost(1): true, atMost(0.8): false, atLeast(0.8): true, atLeast(1): false,
		noMoreThan(12): true, noMoreThan(11): false, atLeastIn(1.2, 0.9): true, atLeastIn(0.2, 1): false,
	} {
		if g.met(s) != want {
			t.Errorf("%s: met is %v", g.all(perOp), !want)
		}
	}
	s.Mood = far
	if g := atLeastIn(1.2, 0.9); g.met(s) || g.all(perSec) != ">= 1.2x (far), >= 0.9x (near)" {
		t.Errorf("%s in far", g.all(perSec))
	}
	if g := atLeastIn(0.2, 1); !g.met(s) || g.show(perSec, resonant) != ">= 1x" {
		t.Errorf("%s in far", g.all(perSec))
	}

	at := func(spin, value float64) round {
		return newRound(plain(100), plain(value), plain(100), spins(spin, spin), disagreement)
	}
	rounds := []round{at(55, 100), at(55, 300), at(55, 310), at(200, 100), at(200, 100)}
	moods := summarize(rounds, true, atLeastIn(0.9, 0.5))
	if len(moods) != 2 || moods[0].Mood != near || moods[0].Met == nil || *moods[0].Met || moods[1].Met != nil {
		t.Errorf("%+v", moods)
	}
	rounds = append(rounds, at(200, 100), at(200, 100))
	if moods = summarize(rounds, true, atLeastIn(0.9, 0.5)); moods[0].Mood != far || moods[0].Met == nil || !*moods[0].Met {
		t.Errorf("%+v", moods)
	}
}

// A sample can say itself that it does not count, also that of a limit.
func TestSamplesWithoutNewValuesAreDropped(t *testing.T) {
	good, bad := freshValues(100, 0.4, leastFresh), freshValues(100, 0.009, leastFresh)
	if good.Dropped != "" || bad.Dropped == "" || freshValues(100, 0.009, leastFreshInC).Dropped != "" {
		t.Errorf("%+v, %+v", good, bad)
	}
	for _, r := range []round{
		newRound(good, bad, good, spins(55, 55), disagreement), newRound(bad, good, good, spins(55, 55), disagreement),
		newRound(good, good, bad, [2]sample{}, disagreement),
	} {
		if !strings.Contains(r.Dropped, "fewer than 1 % of the reads") {
			t.Errorf("%+v", r)
		}
	}
	if r := newRound(good, good, good, spins(55, 55), disagreement); r.Dropped != "" {
		t.Errorf("%+v", r)
	}
	if r := newRound(plain(100), plain(100), plain(140), [2]sample{}, 1.5); r.Dropped != "" {
		t.Errorf("with a tolerance of 1.5: %+v", r)
	}
}

// scripted is a measurer that tells what it is given, again and again.
type scripted struct {
	name string
	tell func(n int) (sample, error)
	n    *int
}

func script(name string, tell func(n int) (sample, error)) scripted {
	return scripted{name, tell, new(int)}
}

func (s scripted) String() string { return s.name }

func (s scripted) measure(context.Context, *bench, float64) (sample, error) {
	*s.n++
	return s.tell(*s.n)
}

// A subject whose rounds are dropped gets more rounds, and one that fails is not run for ever.
func TestSubjectsGetEnoughRounds(t *testing.T) {
	always := func(v float64) func(int) (sample, error) {
		return func(int) (sample, error) { return plain(v), nil }
	}
	g := &group{name: "g", limit: script("limit", always(100)), unit: perOp, oneCPU: true}
	steady, late := script("steady", always(110)), script("late", func(n int) (sample, error) {
		if n <= 4 {
			return sample{Mean: 1, Dropped: "too early"}, nil
		}
		return plain(130), nil
	})
	never, failing := script("never", func(int) (sample, error) { return sample{Dropped: "never"}, nil }), script("failing", func(int) (sample, error) {
		return sample{}, errors.New("broken")
	})
	sometimes := script("sometimes", func(n int) (sample, error) {
		if n == 2 {
			return sample{}, errors.New("once")
		}
		return plain(90), nil
	})
	var chosen []subject
	for _, m := range []scripted{steady, late, never, failing, sometimes} {
		chosen = append(chosen, subject{group: g, name: m.name, measurer: m, goal: atMost(1.2)})
	}
	b := newTestBench(t)
	results, err := b.measure(t.Context(), g, chosen, 5, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		count, dropped int
		few            bool
	}{{5, 0, false}, {7, 4, false}, {13, 13, true}, {3, 3, true}, {5, 1, false}} {
		if r := results[i]; r.Count != want.count || total(r.Dropped) != want.dropped || r.few() != want.few {
			t.Errorf("%s: %d rounds, dropped %v, few is %v", r.Name, r.Count, r.Dropped, r.few())
		}
	}
	all := report{Groups: []groupInfo{g.info()}, Results: results}
	var out bytes.Buffer
	err = all.verdict(&out, 5)
	if err == nil || !strings.Contains(err.Error(), "fewer than 3 rounds of one mood count for: g/never (0 of 13), g/failing (0 of 3)") ||
		!strings.Contains(err.Error(), "failed in some rounds: g/failing: broken; g/sometimes: once") {
		t.Errorf("%v", err)
	}
	for _, want := range []string{
		"dropped: 21 of 33 rounds: it failed: 4; never: 13; too early: 4", "  g/late: 4 of 7: too early: 4",
		"  g/late, any: 1.30x, goal <= 1.2x",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	// A quick look judges nothing.
	results, err = b.measure(t.Context(), g, chosen[:3], 2, func(string, ...any) {})
	if err != nil || results[0].Count != 2 || results[2].Count != 2 || results[0].Moods[0].Met != nil {
		t.Errorf("%v, %+v", err, results)
	}
	all.Results = results
	if err := all.verdict(&out, 2); err != nil || !strings.Contains(out.String(), "no goal is judged") {
		t.Error(err)
	}
}
