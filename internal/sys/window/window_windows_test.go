package window

import (
	"runtime"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
)

// A thousand windows leave no thread, no handle and no goroutine.
func TestWindowsLeaveNothing(t *testing.T) {
	round := func() {
		w := must(Open("samepage test", func(uint32) {}))(t)
		noErr(t, w.ID().Send(testAsk, 0))
		noErr(t, w.Close())
	}
	count := func() (n [3]int) {
		handles, _, err := process.Usage()
		noErr(t, err)
		return [3]int{ipctest.Threads(), handles, runtime.NumGoroutine()}
	}
	for range 20 {
		round()
	}
	before := count()
	for range 1000 {
		round()
	}
	after := count()
	// The last threads may still be on their way out, and the runtime may have taken some: more when
	// the machine is busy. What each window left would be a thousand.
	some := func() bool {
		return after[0] <= before[0]+100 && after[1] <= before[1]+50 && after[2] <= before[2]+10
	}
	for begun := time.Now(); time.Since(begun) < ipctest.Patience; after = count() {
		if some() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("threads, handles, goroutines: %v before, %v after a thousand windows", before, after)
	if !some() {
		t.Errorf("threads, handles, goroutines were %v, and are %v after a thousand windows", before, after)
	}
}
