//go:build linux || windows

package sys

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"

	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Processes that create something remove what dead processes left (docs/protocol/names.md). The
// first create of a process in each directory removes a little of it. A create that finds no space
// removes all of it. Neither waits for another process.
const (
	// sweepNames is how many names of a directory a first create reads at most.
	sweepNames = 1 << 16
	// sweepLooks is how many of those it looks at.
	sweepLooks = 256
)

// swept has the paths of the directories in which this process has made something.
var swept sync.Map

// sweepFirst does the sweep that belongs to the first create of a process in a directory.
func sweepFirst(d *store.Dir) {
	if _, before := swept.LoadOrStore(d.Path, nil); !before {
		sweepScope(d.Scope, sweepNames, sweepLooks)
	}
}

// withSpace returns the result of create. If create finds no space, withSpace removes what dead
// processes left, and calls create again.
func withSpace[T any](create func() (T, error)) (T, error) {
	o, err := create()
	for range 100 { // other processes may die as fast as this one removes
		if !errors.Is(err, syserr.ErrNoSpace) {
			return o, err
		}
		taken := 0
		for _, s := range []layout.Scope{layout.Local, layout.Global} {
			taken += sweepScope(s, -1, -1)
		}
		// Once more even when nothing was removed: another process may have removed it.
		if o, err = create(); taken == 0 {
			return o, err
		}
	}
	return o, err
}

// some reads at most names names in a directory (-1: all), and calls take for at most looks of
// them (-1: all). It begins at a random name, so that several processes one after another see all
// of them. It returns for how many take was true.
func some(f *os.File, names, looks int, take func(name string) bool) (taken int) {
	all, _ := f.Readdirnames(names)
	if len(all) == 0 {
		return 0
	}
	if looks < 0 || looks > len(all) {
		looks = len(all)
	}
	for begin := rand.IntN(len(all)); looks > 0; looks-- {
		if take(all[begin]) {
			taken++
		}
		begin = (begin + 1) % len(all)
	}
	return taken
}
