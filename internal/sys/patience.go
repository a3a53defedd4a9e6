//go:build linux || windows

package sys

import (
	"fmt"
	"math/rand/v2"
	"time"

	"samepage/internal/sys/syserr"
)

const (
	firstStep   = 50 * time.Microsecond
	longestStep = 5 * time.Millisecond
	// longestSleep is what a step counts for at most: while the whole machine stood
	// still, so did those who are waited for.
	longestSleep = 20 * time.Millisecond
)

// patience counts out RemovalWait. Its steps are random, or those who hinder
// each other would do so again and again, and grow, or many who wait would take
// the time of the one they wait for.
type patience struct {
	waited time.Duration
	step   time.Duration
}

// wait sleeps a step and is false when all steps are used up.
func (p *patience) wait() bool {
	if p.step == 0 {
		p.step = firstStep
	}
	begun := time.Now()
	time.Sleep(p.step/2 + rand.N(p.step))
	p.waited += min(time.Since(begun), longestSleep)
	p.step = min(2*p.step, longestStep)
	return p.waited < RemovalWait
}

// errRemoving is for a name that somebody has been taking away for too long.
func errRemoving(name string) error {
	return fmt.Errorf("another process has been removing %q for more than %v: %w", name, RemovalWait, syserr.ErrBusy)
}
