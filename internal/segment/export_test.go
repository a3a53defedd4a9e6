package segment

import (
	"testing"
	"time"

	"samepage/internal/ipctest"
)

// StopWatch keeps the death watch from looking until the end of the test, so that a
// ring that is lost has somebody sleep for ever.
func StopWatch(t testing.TB) {
	t.Helper()
	haveOneWatch(true)
	t.Cleanup(func() { haveOneWatch(false) })
	stopped := func() bool {
		watch.mu.Lock()
		defer watch.mu.Unlock()
		stopped := !watch.running
		watch.running = true // so nobody starts it
		return stopped
	}
	for begun := time.Now(); !stopped(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("the death watch looks, though nobody sleeps")
		}
	}
	t.Cleanup(func() {
		watch.mu.Lock()
		watch.running = false
		watch.mu.Unlock()
	})
}
