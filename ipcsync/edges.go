package ipcsync

import "samepage/internal/edge"

// The words of each object for the race detector (package edge). What a Mutex, an
// RWMutex, a Semaphore or an Event hands over goes by edgeLock: Unlock, Release and Set
// release it, and whoever gets the lock, a unit or past the event acquires it. Readers of
// an RWMutex release edgeReaders, which writers alone acquire: the detector still sees
// two readers that write to one variable.
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
