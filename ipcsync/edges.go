package ipcsync

import "samepage/internal/edge"

// These are the words of each object for the race detector (package edge). edgeLock stands for
// what a Mutex, an RWMutex, a Semaphore or an Event hands over. Unlock, Release and Set release
// it. Whoever gets the lock or a unit, or passes the event, acquires it. Readers of an RWMutex
// release edgeReaders, which only writers acquire. So the detector still reports two readers that
// write to one variable.
const (
	edgeLock = iota
	edgeReaders
)

func (o *handle) edgeRelease(n uint64) {
	if edge.Enabled {
		o.h.Edges.Release(n)
	}
}

func (o *handle) edgeAcquire(n uint64) {
	if edge.Enabled {
		o.h.Edges.Acquire(n)
	}
}
