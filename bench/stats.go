package main

import (
	"cmp"
	"fmt"
	"slices"
)

// sample is the result of one block: the mean and, if single operations were timed too, their
// p50 and p99. The unit is nanoseconds, or percent of a CPU.
type sample struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50,omitempty"`
	P99  float64 `json:"p99,omitempty"`
	// Fresh is the share of reads that found a new value, if the mean is the time for each of them.
	Fresh   float64 `json:"fresh,omitempty"`
	Dropped string  `json:"dropped,omitempty"` // why it does not count, if it does not
	// Cut says that the process ended before it had done all that it was to do with another one.
	Cut bool `json:"cut,omitempty"`
}

// round is limit, subject, limit. Spin is the spinning ping-pong beside each limit.
type round struct {
	Before  sample    `json:"before"`
	Value   sample    `json:"value"`
	After   sample    `json:"after"`
	Spin    [2]sample `json:"spin"`
	Mood    string    `json:"mood"`
	Dropped string    `json:"dropped,omitempty"` // why it does not count
}

// disagreement is how much the two limits of a round may differ, where the group does not say more.
const (
	disagreement   = 1.2
	limitsDisagree = "the limits disagree"
)

func agree(a, b, tolerance float64) bool {
	return a > 0 && b > 0 && max(a, b) <= tolerance*min(a, b)
}

// anyMood is the mood of rounds in which no two CPUs exchange anything.
const anyMood = "any"

// newRound judges a round. Without a spin the measurement does not depend on the mood. The limits
// may differ by the factor tolerance.
func newRound(before, value, after sample, spin [2]sample, tolerance float64) round {
	r := round{Before: before, Value: value, After: after, Spin: spin, Mood: anyMood}
	later := anyMood
	if spin != ([2]sample{}) {
		r.Mood, later = moodOf(spin[0]), moodOf(spin[1])
	}
	for _, s := range []sample{before, after} {
		if s.Dropped != "" {
			r.Dropped = "the limit: " + s.Dropped
		}
	}
	switch {
	case value.Dropped != "":
		r.Dropped = value.Dropped
	case r.Dropped != "":
	case r.Mood == busy || later == busy:
		r.Dropped = "others use the CPUs"
	case !agree(before.Mean, after.Mean, tolerance):
		r.Dropped = limitsDisagree
	case later == anyMood:
		return r
	case later != r.Mood && !agree(spin[0].Mean, spin[1].Mean, disagreement):
		r.Dropped = "the mood changed"
	default: // a mood's edge between them is no change
		r.Mood = moodOf(sample{Mean: (spin[0].Mean + spin[1].Mean) / 2})
		return r
	}
	if later != r.Mood {
		r.Mood += ", then " + later
	}
	return r
}

func (r round) limit() float64 { return (r.Before.Mean + r.After.Mean) / 2 }

// mood tells the mood in words.
func (r round) mood() string {
	if r.Spin[1].Mean == 0 {
		return r.Mood
	}
	return fmt.Sprintf("%s, %.0f ns", r.Mood, r.Spin[1].Mean)
}

// moodOf names the distance of the two cores, by the spinning ping-pong between them.
func moodOf(spin sample) string {
	switch {
	case spin.Mean > 600, spin.P50 > 0 && spin.Mean > 2*spin.P50:
		return busy
	case spin.Mean < 44:
		return resonant
	case spin.Mean < 120:
		return near
	}
	return far
}

// The moods, beside anyMood. "resonant" is near, with PAUSE in step with the transfer. Do not
// compare such figures with those of the other moods.
const (
	near     = "near"
	far      = "far"
	resonant = "resonant"
)

// busy is not a mood. A spinner whose mean is far above its median, or above every distance of
// cores, waits for its CPU, and its figure shows what else runs there.
const busy = "busy"

// spread is the median of some values and their two quartiles.
type spread struct {
	Median float64 `json:"median"`
	P25    float64 `json:"p25"`
	P75    float64 `json:"p75"`
}

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	v = slices.Sorted(slices.Values(v))
	return spread{quantile(v, 0.5), quantile(v, 0.25), quantile(v, 0.75)}
}

// quantile is a quantile of sorted values, with interpolation between the two nearest.
func quantile(v []float64, q float64) float64 {
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 == len(v) {
		return v[i]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

// summary is about the rounds that count and had one mood.
type summary struct {
	Mood   string  `json:"mood"`
	Rounds int     `json:"rounds"`
	Ratio  spread  `json:"ratio"`
	Limit  spread  `json:"limit"`
	Value  spread  `json:"value"`
	P50    float64 `json:"p50,omitempty"` // medians of the rounds'
	P99    float64 `json:"p99,omitempty"`
	Fresh  float64 `json:"fresh,omitempty"`
	// Met says whether the goal for this mood is met. It is missing if there is no goal, or if
	// fewer than enough rounds count.
	Met *bool `json:"met,omitempty"`
	// Runs are the medians of the ratio in each run that has this mood, if several runs are told
	// together.
	Runs []float64 `json:"runs,omitempty"`
}

// enough is how many rounds of one mood must count, to say something about a subject.
const enough = 3

// summarize separates the moods, the most frequent first. If rate is set, the ratio is of the
// messages in a given time, and not of the time of a message.
func summarize(rounds []round, rate bool, want goal) []summary {
	byMood := map[string][]round{}
	for _, r := range rounds {
		if r.Dropped == "" {
			byMood[r.Mood] = append(byMood[r.Mood], r)
		}
	}
	var all []summary
	for mood, rs := range byMood {
		of := func(f func(r round) float64) spread {
			var v []float64
			for _, r := range rs {
				v = append(v, f(r))
			}
			return spreadOf(v)
		}
		s := summary{
			Mood: mood, Rounds: len(rs),
			Ratio: of(func(r round) float64 {
				if rate {
					return r.limit() / r.Value.Mean
				}
				return r.Value.Mean / r.limit()
			}),
			Limit: of(round.limit),
			Value: of(func(r round) float64 { return r.Value.Mean }),
			P50:   of(func(r round) float64 { return r.Value.P50 }).Median,
			P99:   of(func(r round) float64 { return r.Value.P99 }).Median,
			Fresh: of(func(r round) float64 { return r.Value.Fresh }).Median,
		}
		if want.Kind != noGoal && s.Rounds >= enough {
			met := want.met(s)
			s.Met = &met
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b summary) int {
		return cmp.Or(cmp.Compare(b.Rounds, a.Rounds), cmp.Compare(a.Mood, b.Mood))
	})
	return all
}
