package segment

import (
	"testing"
	"time"

	"samepage/internal/ipctest"
)

// StopWatch stops the death watch until the end of the test. So if a ring is lost, a member sleeps
// for ever.
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
