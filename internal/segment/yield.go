package segment

import (
	"runtime"
	"runtime/metrics"
	"sync"
)

// A goroutine that waits for another process can keep other goroutines of its own process from
// running: it spins on a P, or its thread blocks in the kernel and keeps the P until the Go runtime
// notices. This costs most if they do the work for which the other process waits. But
// runtime.Gosched is not free: if no other goroutine can run, it wakes a thread that finds nothing
// to do. So it is called only if the runtime says that a goroutine waits for a P.

// Yield lets other goroutines of this process run, if some wait for a P. It reports whether ready
// returned true then. Call it before a wait, and in a loop that spins.
func Yield(ready func() bool) bool {
	const most = 4
	for range most {
		if !othersCanRun() {
			return false
		}
		runtime.Gosched()
		if ready() {
			return true
		}
	}
	return false
}

// othersCanRun says whether another goroutine waits for a P. It takes about 60 ns.
func othersCanRun() bool {
	s := runnable.Get().(*[1]metrics.Sample)
	metrics.Read(s[:])
	n := s[0].Value.Uint64()
	runnable.Put(s)
	return n > 0
}

var runnable = sync.Pool{New: func() any {
	return &[1]metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
}}
