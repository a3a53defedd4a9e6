package starter

import (
	"fmt"
	"strings"
	"time"

	"samepage"
)

// WorkerError says how a worker ended, or why it could not be started. It matches
// samepage.ErrPeerDied if the worker had become ready, otherwise samepage.ErrPeerNotStarted.
type WorkerError struct {
	Name  string `json:"name"`
	Place int    `json:"place"` // 0 to the number of workers - 1
	PID   int    `json:"pid"`   // 0: the command could not be started, Err says why
	// StartedBy is the process id of the process that has started the worker, or has tried to.
	StartedBy int `json:"started_by"`
	// Started, Ready and Ended are times of the wall clock. Ready is zero if the worker did not
	// become ready. Ended is when the end was noticed.
	Started time.Time `json:"started"`
	Ready   time.Time `json:"ready,omitzero"`
	Ended   time.Time `json:"ended"`
	// ExitKnown says whether ExitCode and Signal are known. On Linux only the process that has
	// started a worker can learn them. It writes them down for the others, unless it ended before
	// the worker, or did not wait for it.
	ExitKnown bool `json:"exit_known"`
	// ExitCode is the exit code, or -1 if a signal has ended the worker.
	ExitCode int `json:"exit_code"`
	// Signal is the text of the signal that has ended the worker, such as "killed", or empty.
	Signal string `json:"signal,omitempty"`
	// Stderr has the last lines that the worker wrote to standard error: at most 4096 bytes, as
	// valid UTF-8.
	Stderr string `json:"stderr,omitempty"`
	// Failures is how many starts in a row were no success. After a success it is 0.
	Failures int `json:"failures"`
	// Next is when the next worker can be started, zero for at once.
	Next time.Time `json:"next,omitzero"`
	// Err is why the command could not be started. If another process has tried, only the text is
	// known, in Stderr.
	Err error `json:"-"`
}

func (e *WorkerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "worker of %q", e.Name)
	if e.PID == 0 {
		fmt.Fprintf(&b, ", which process %d tried to start, could not be started", e.StartedBy)
		if e.Err != nil {
			fmt.Fprintf(&b, ": %v", e.Err)
			return b.String()
		}
	} else {
		fmt.Fprintf(&b, " (process %d, started by process %d) ", e.PID, e.StartedBy)
		switch {
		case !e.ExitKnown:
			fmt.Fprintf(&b, "ended; only process %d could learn its exit status", e.StartedBy)
		case e.Signal != "":
			fmt.Fprintf(&b, "was ended by a signal: %s", e.Signal)
		default:
			fmt.Fprintf(&b, "ended with exit status %d", e.ExitCode)
		}
		if e.Ready.IsZero() {
			b.WriteString(", before it was ready")
		}
	}
	if e.Stderr != "" {
		fmt.Fprintf(&b, "; last lines of standard error:\n%s", strings.TrimRight(e.Stderr, "\n"))
	}
	return b.String()
}

// Is matches samepage.ErrPeerDied and samepage.ErrPeerNotStarted, see WorkerError.
func (e *WorkerError) Is(target error) bool {
	if e.Ready.IsZero() {
		return target == samepage.ErrPeerNotStarted
	}
	return target == samepage.ErrPeerDied
}

// Unwrap returns Err.
func (e *WorkerError) Unwrap() error { return e.Err }

// ended is the error for a child that has ended. cause is why it could not be started, if this
// process knows.
func (s *Starter) ended(r *record, cause error) *WorkerError {
	exit := r.exit()
	return &WorkerError{
		Name: s.name, Place: s.opts.Place, PID: int(r.ChildPID), StartedBy: int(r.StarterPID),
		Started: timeOf(r.StartedAt), Ready: timeOf(r.ReadyAt), Ended: timeOf(r.EndedAt),
		ExitKnown: exit.Known, ExitCode: exit.Code, Signal: exit.Signal, Stderr: text(r.tail()),
		Failures: int(r.Failures), Next: timeOf(r.NotBefore), Err: cause,
	}
}
