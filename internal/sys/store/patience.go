// Package store has the directories of named objects. It says what is wrong with a directory and
// which command repairs it, and it waits for processes that are removing a name.
//
// Directories are not trusted until they are verified: another user may own them or exchange them,
// or their mode may give rights to too many users.
//
// BaseDir, Where, Remote, Patience and RemovalWait are the same on each system. All other functions
// depend on the system, and are only for the packages under internal/sys.
package store

import (
	"fmt"
	"math/rand/v2"
	"time"

	"samepage/internal/sys/syserr"
)

// RemovalWait is how long a caller waits for a process that is removing the same name. A removal
// takes microseconds, unless the process is stopped in the middle of it. Tests change RemovalWait
// before anything waits.
var RemovalWait = 2 * time.Second

const (
	firstStep   = 50 * time.Microsecond
	longestStep = 5 * time.Millisecond
	// longestSleep is the most that a step counts. If the whole machine stood still for a longer
	// time, the other process stood still, too.
	longestSleep = 20 * time.Millisecond
)

// Patience waits in steps until RemovalWait is over. The steps are random, because processes that
// block each other would otherwise do so again and again. They grow, because many waiting processes
// would otherwise take CPU time from the process that they wait for. The zero value has not waited
// yet.
type Patience struct {
	waited time.Duration
	step   time.Duration
}

// Wait sleeps for one step. It returns false if RemovalWait is over.
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

// StillRemoving returns the error for a name that another process has been removing for too long.
func StillRemoving(name string) error {
	return fmt.Errorf("another process has been removing %q for more than %v: %w", name, RemovalWait, syserr.ErrBusy)
}
