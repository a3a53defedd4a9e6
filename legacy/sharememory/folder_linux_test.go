package sharememory_test

import (
	"errors"
	"io/fs"
	"runtime"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/sharememory"
)

//go:noinline
func lockAndForget(t *testing.T, dir string) {
	l := newLock(t, dir)
	ipctest.NoErr(t, l.Lock(t.Context()))
}

// A lock that was never unlocked stays locked until the process ends.
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
		t.Errorf("nobody unlocked it, and it is to be had: %v, %v", ok, err)
	}
}

func TestShareMemoryWithoutLockFolder(t *testing.T) {
	ipctest.Store(t)
	o := &sharememory.Options{Lock: sharememory.FileLockOptions{Dir: "/proc/nosuch/locks"}}
	_, err := sharememory.AwaitReader(t.Context(), "v", o) // not for ever
	ipctest.WantErr(t, err, samepage.ErrStore)
	_, err = sharememory.OpenReader("v", o)
	ipctest.WantErr(t, err, samepage.ErrStore)
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder is taken for a missing block: %v", err)
	}
}
