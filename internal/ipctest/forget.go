package ipctest

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// Forgotten is how many objects Forget drops.
func Forgotten(t testing.TB) int { return Repeat(t, 200, 100, "") }

// Forget has open open objects, with the numbers from 0 on, and drop them. It collects
// garbage until this process has no more descriptors and mappings than before, which
// usage counts (sys.Usage), and left, which may be nil, finds nothing. It fails the test
// when that does not come.
func Forget(t testing.TB, usage func() (handles, mappings int, err error), open func(i int) error, left func() error) {
	t.Helper()
	if left == nil {
		left = func() error { return nil }
	}
	n := Forgotten(t)
	// What the first one makes for all may stay.
	NoErr(t, open(n))
	Collect(t, "the first one", left)
	handles, mappings, err := usage()
	NoErr(t, err)
	some := 0
	if runtime.GOOS == "windows" {
		// Go's own mappings come and go, and a thread may have one handle more than usual. What is
		// not given back is one of each open, or more.
		some = n / 2
	}
	for i := range n {
		NoErr(t, open(i))
	}
	Collect(t, fmt.Sprint(n, " of them"), func() error {
		h, m, err := usage()
		if err == nil && (h > handles+some || m > mappings+some) {
			err = fmt.Errorf("%d descriptors and %d mappings, before %d and %d", h, m, handles, mappings)
		}
		if err == nil {
			err = left()
		}
		return err
	})
}

// Collect collects garbage until gone is nil. It fails the test when that does not come.
func Collect(t testing.TB, what string, gone func() error) {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; {
		runtime.GC()
		err := gone()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not given back: %v", what, err)
		}
		time.Sleep(time.Millisecond) // for the goroutines that give back
	}
}
