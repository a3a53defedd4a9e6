package inspect

import (
	"maps"
	"slices"
	"time"
)

// Reason says what a member waits for. The words do not change.
type Reason string

// These are the reasons.
const (
	ForLock       Reason = "lock"       // a mutex or an RWMutex, until its holders unlock it
	ForEvent      Reason = "event"      // until somebody sets an event
	ForUnit       Reason = "unit"       // until somebody releases a unit of a semaphore
	ForSpace      Reason = "space"      // a publisher, until reliable subscribers let go of messages
	ForSubscriber Reason = "subscriber" // a publisher, until there are subscribers
	ForMessage    Reason = "message"    // a subscriber
	ForTurn       Reason = "turn"       // a writer of a cell, until another writer has finished
	ForValue      Reason = "value"      // a reader of a cell
	ForCall       Reason = "call"       // a worker
	ForWorker     Reason = "worker"     // a client, until a worker takes its call
	ForAnswer     Reason = "answer"     // a client, until a worker answers
	ForAccept     Reason = "accept"     // a dialer, until the listener accepts the connection
	ForData       Reason = "data"       // a member of a listener: data, space or a connection
)

// Wait says that a member sleeps. A member that waits in several goroutines has one Wait.
type Wait struct {
	Member int    `json:"member"` // index in Detail.Members
	For    Reason `json:"for"`
	// On are the living members for which it waits: indices in Detail.Members. All of them must go
	// on before the wait ends. If there are none, the member waits for something new, which any
	// other member can bring; such a wait is normally long.
	On []int `json:"on,omitempty"`
	// Since is when the wait began, by the clock of the member, if Exact is set. A program of an
	// older version does not tell it. Then it is when State.Since first saw this wait: the wait can
	// be older, and it can have ended and begun again between two snapshots. It is zero if there was
	// no snapshot before.
	Since time.Time `json:"since,omitzero"`
	Exact bool      `json:"exact,omitempty"`

	// progress counts what the member waits for. If it has changed, this is another wait.
	progress uint64
}

// wait adds a Wait for each member that sleeps, on those of on that are other members.
func (d *Detail) wait(why Reason, on []int) {
	for i, m := range d.Members {
		if !m.Waits {
			continue
		}
		w := Wait{Member: i, For: why, On: on}
		if slices.Contains(on, i) {
			w.On = slices.DeleteFunc(slices.Clone(on), func(k int) bool { return k == i })
		}
		d.Waits = append(d.Waits, w)
	}
}

// Step is a part of a cycle: a process waits at an object for the process of the next step.
type Step struct {
	PID    int    `json:"pid"`
	Name   string `json:"name"`   // of the program
	Object int    `json:"object"` // index in State.Objects
}

// findCycles returns processes that wait for one another in a circle. It counts only waits for
// certain members, and processes whose ids are known here. Each process is in at most one of the
// cycles.
func findCycles(objects []Object) [][]Step {
	g := graph{edges: map[int][]edge{}, at: map[int]int{}, done: map[int]bool{}}
	for o := range objects {
		d := objects[o].Detail
		if d == nil {
			continue
		}
		for _, w := range d.Waits {
			m := d.Members[w.Member]
			for _, i := range w.On {
				if by := d.Members[i]; !m.Foreign && !by.Foreign && by.PID != m.PID {
					g.edges[m.PID] = append(g.edges[m.PID], edge{Step{m.PID, m.Name, o}, by.PID})
				}
			}
		}
	}
	for _, pid := range slices.Sorted(maps.Keys(g.edges)) {
		for g.visit(pid) {
		}
	}
	return g.cycles
}

type edge struct {
	Step
	to int
}

// graph is searched depth first.
type graph struct {
	edges  map[int][]edge // of a process id
	path   []Step
	at     map[int]int  // where a process is in path
	done   map[int]bool // the process is in no other cycle
	cycles [][]Step
}

// visit looks for a cycle that goes through the path and then pid, and adds it to cycles.
func (g *graph) visit(pid int) (found bool) {
	if k, ok := g.at[pid]; ok {
		cycle := slices.Clone(g.path[k:])
		for _, s := range cycle {
			g.done[s.PID] = true
		}
		g.cycles = append(g.cycles, cycle)
		return true
	}
	if g.done[pid] {
		return false
	}
	g.at[pid] = len(g.path)
	defer delete(g.at, pid)
	for _, e := range g.edges[pid] {
		g.path = append(g.path, e.Step)
		found := g.visit(e.to)
		g.path = g.path[:len(g.path)-1]
		if found {
			return true
		}
	}
	g.done[pid] = true
	return false
}
