package main

import "fmt"

// goal is what a subject should reach. It may depend on the mood: small messages cost the work
// of the CPUs if these are near each other, and transfers between them if they are far.
type goal struct {
	Kind goalKind `json:"kind"`
	Far  float64  `json:"far"`
	Near float64  `json:"near"` // also for resonant, and for what does not depend on the mood
}

type goalKind string

const (
	noGoal     goalKind = ""
	ratioMost  goalKind = "ratio at most"
	ratioLeast goalKind = "ratio at least"
	figureMost goalKind = "figure at most" // in the group's unit
)

func atMost(ratio float64) goal        { return goal{ratioMost, ratio, ratio} }
func atLeastIn(far, near float64) goal { return goal{ratioLeast, far, near} }
func atLeast(ratio float64) goal       { return goal{ratioLeast, ratio, ratio} }
func noMoreThan(v float64) goal        { return goal{figureMost, v, v} }
func (g goal) in(mood string) float64 {
	if mood == far {
		return g.Far
	}
	return g.Near
}

// met says whether the goal is met in the mood of s.
func (g goal) met(s summary) bool {
	switch want := g.in(s.Mood); g.Kind {
	case ratioMost:
		return s.Ratio.Median <= want
	case ratioLeast:
		return s.Ratio.Median >= want
	case figureMost:
		return s.Value.Median <= want
	}
	return true
}

// show tells the goal in a mood.
func (g goal) show(u unit, mood string) string {
	switch want := g.in(mood); g.Kind {
	case ratioMost:
		return fmt.Sprintf("<= %gx", want)
	case ratioLeast:
		return fmt.Sprintf(">= %gx", want)
	case figureMost:
		return fmt.Sprintf("<= %g %s", want, u)
	}
	return ""
}

// all tells the goal in all moods.
func (g goal) all(u unit) string {
	if g.Far == g.Near {
		return g.show(u, near)
	}
	return g.show(u, far) + " (far), " + g.show(u, near) + " (near)"
}
