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

// What dead processes left is removed by those that create something later
// (docs/protocol/names.md): a little of it by the first create of a process in each directory,
// all of it by a create that finds no space. Neither waits for anybody.
const (
	// sweepNames is how many names of a directory a first create reads at most.
	sweepNames = 1 << 16
	// sweepLooks is how many of those it looks at.
	sweepLooks = 256
)

// swept has the paths of the directories in which this process has made something.
var swept sync.Map

// sweepFirst does what the first create of a process in a directory does.
func sweepFirst(d *store.Dir) {
	if _, before := swept.LoadOrStore(d.Path, nil); !before {
		sweepScope(d.Scope, sweepNames, sweepLooks)
	}
}

// withSpace is the result of create. If create finds no space, it removes what dead processes
// left, and calls create again.
func withSpace[T any](create func() (T, error)) (T, error) {
	o, err := create()
	for range 100 { // others may die as fast
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
// them (-1: all). It begins at a random one, so that processes which come one after another see
// all of them. It counts for how many take is true.
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
