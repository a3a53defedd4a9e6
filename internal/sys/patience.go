//go:build linux || windows

package sys

import (
	"fmt"
	"time"
)

// How long a caller waits for somebody who is just taking the same name away,
// which is a matter of microseconds unless that process is stopped there.
const (
	removalWait = 2 * time.Second
	removalStep = 200 * time.Microsecond
)

// patience counts out removalWait.
type patience struct{ since time.Time }

// wait sleeps a step and is false when all steps are used up.
func (p *patience) wait() bool {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	time.Sleep(removalStep)
	return time.Since(p.since) < removalWait
}

// errRemoving is for a name that somebody has been taking away for too long.
func errRemoving(name string) error {
	return fmt.Errorf("another process has been removing %q for more than %v: %w", name, removalWait, ErrBusy)
}
