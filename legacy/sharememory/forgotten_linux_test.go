package sharememory_test

import (
	"runtime"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

//go:noinline
func lockAndForget(t *testing.T, dir string) {
	l := newLock(t, dir)
	ipctest.NoErr(t, l.Lock(t.Context()))
}

// A lock that was never unlocked stays locked until the process ends. (There is no such test on
// Windows, because there its files could not be removed at the end of the test.)
func TestForgottenLockStays(t *testing.T) {
	dir := ipctest.Dir(t)
	lockAndForget(t, dir)
	other := newLock(t, dir)
	if ok, err := other.TryLock(); ok || err != nil {
		t.Fatalf("not locked at first: %v %v", ok, err)
	}
	for range 5 {
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	if ok, err := other.TryLock(); ok || err != nil {
		t.Errorf("nobody has unlocked it, and it is free: %v, %v", ok, err)
	}
}
