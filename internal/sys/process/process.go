// Package process identifies processes so that a reused process id is never mistaken for the old
// process, keeps handles to processes, starts groups of processes that end together, and counts
// what this process has open. Every function has the same signature on each system.
package process

import "samepage/layout"

// GroupID is a random number that no two groups have in common.
type GroupID [16]byte

// GroupOptions say how a group begins, see StartGroup.
type GroupOptions struct {
	ID GroupID
	// Together: the child leads a group of its own, which Kill ends. Without it the child is in
	// the group of this process, and Kill ends only the child.
	Together bool
	// WithParent: the child ends when this process ends.
	WithParent bool
}

// Exit is how a process ended. The zero value means that it is not known.
type Exit struct {
	Known  bool
	Code   int    // -1 if a signal has ended the process
	Signal string // the text of that signal, or empty
}

// Group is a handle to a process that was started with StartGroup, and to the processes that it
// has started. Ended, Exit, Ask and Kill may be called concurrently. Close must be the last call.
//
// On Linux the group is a process group. A process that changes its group leaves it. On Windows the
// group is a job object, which nothing leaves.
type Group struct {
	p    layout.Process
	held *Running
	job  job
}

// Process returns the first process of the group.
func (g *Group) Process() layout.Process { return g.p }

// Ended says whether the first process of the group has ended, also if nobody has waited for it
// yet.
func (g *Group) Ended() (bool, error) { return g.held.Ended() }
