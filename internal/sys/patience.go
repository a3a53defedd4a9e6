//go:build linux || windows

package sys

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// How long a caller waits for somebody who is just taking the same name away,
// which is a matter of microseconds unless that process is stopped there.
const (
	removalWait = 2 * time.Second
	firstStep   = 50 * time.Microsecond
	longestStep = 5 * time.Millisecond
)

// patience counts out removalWait. Its steps are random, or those who hinder
// each other would do so again and again, and grow, or many who wait would take
// the time of the one they wait for.
type patience struct {
	since time.Time
	step  time.Duration
}

// wait sleeps a step and is false when all steps are used up.
func (p *patience) wait() bool {
	if p.since.IsZero() {
		p.since, p.step = time.Now(), firstStep
	}
	time.Sleep(p.step/2 + rand.N(p.step))
	p.step = min(2*p.step, longestStep)
	return time.Since(p.since) < removalWait
}

// errRemoving is for a name that somebody has been taking away for too long.
func errRemoving(name string) error {
	return fmt.Errorf("another process has been removing %q for more than %v: %w", name, removalWait, ErrBusy)
}
