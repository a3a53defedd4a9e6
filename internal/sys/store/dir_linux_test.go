package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
	"samepage/layout"
)

// Many who make the directory at the same time, each of whom takes away what the
// others are just making, make it, and leave nothing else.
func TestManyMakeTheDirectory(t *testing.T) {
	base := ipctest.Dir(t)
	for range 100 {
		bfd, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY, 0)
		ipctest.NoErr(t, err)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := makeDir(bfd, "samepage-x", layout.Local); err != nil {
					t.Error(err)
				}
				sweepMakers(base, "samepage-x")
			})
			all.Go(func() { sweepMakers(base, "samepage-x") })
		}
		all.Wait()
		if left, err := os.ReadDir(base); err != nil || len(left) != 1 || left[0].Name() != "samepage-x" {
			t.Fatalf("left is %v, %v", left, err)
		}
		ipctest.NoErr(t, os.Remove(filepath.Join(base, "samepage-x")))
		ipctest.NoErr(t, unix.Close(bfd))
	}
}

func sweepMakers(base, name string) {
	all, _ := os.ReadDir(base)
	for _, e := range all {
		if strings.HasPrefix(e.Name(), ".") && IsHalfMade(e.Name(), name) {
			_ = os.Remove(filepath.Join(base, e.Name()))
		}
	}
}
