// Package store has the directories in which objects with names lie, says what is wrong with
// one and which command mends it, and waits for those who are just removing a name.
//
// Directories are not trusted until they are verified: others may own them, exchange them or let
// too many in.
//
// BaseDir, Where, Remote, Patience and RemovalWait are the same on each system. The rest is how
// one system keeps objects, and is for the rooms under internal/sys only.
package store

import (
	"fmt"
	"math/rand/v2"
	"time"

	"samepage/internal/sys/syserr"
)

// RemovalWait is how long a caller waits for a process that is just removing the same name.
// That takes microseconds, unless the process is stopped there. Tests change it, before
// anybody waits.
var RemovalWait = 2 * time.Second

const (
	firstStep   = 50 * time.Microsecond
	longestStep = 5 * time.Millisecond
	// longestSleep is what a step counts for at most: while the whole machine stood still,
	// so did those who are waited for.
	longestSleep = 20 * time.Millisecond
)

// Patience counts out RemovalWait. Its steps are random, because processes that block each
// other would otherwise do so again and again. They grow, because many that wait would
// otherwise take the time of the one that they wait for. The zero value has not waited yet.
type Patience struct {
	waited time.Duration
	step   time.Duration
}

// Wait sleeps a step and is false when RemovalWait is used up.
func (p *Patience) Wait() bool {
	if p.step == 0 {
		p.step = firstStep
	}
	begun := time.Now()
	time.Sleep(p.step/2 + rand.N(p.step))
	p.waited += min(time.Since(begun), longestSleep)
	p.step = min(2*p.step, longestStep)
	return p.waited < RemovalWait
}

// StillRemoving is the error for a name that another process has been removing for too long.
func StillRemoving(name string) error {
	return fmt.Errorf("another process has been removing %q for more than %v: %w", name, RemovalWait, syserr.ErrBusy)
}
