//go:build linux || windows

package sys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"samepage/internal/fault"
	"samepage/internal/ipctest"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// makeDead puts entries into the local directory that nobody uses, as processes
// leave them that are killed.
func makeDead(t *testing.T, n int) {
	t.Helper()
	must("", os.MkdirAll(store.Where(layout.Local), 0o700))(t)
	for i := range n {
		name := "memory.dead" + strconv.Itoa(i)
		if runtime.GOOS == "windows" {
			name = fmt.Sprintf("memory-%032x%s", i, ".rec")
		}
		must("", os.WriteFile(filepath.Join(store.Where(layout.Local), name), nil, 0o600))(t)
	}
}

func countFiles(t *testing.T) int {
	t.Helper()
	return len(must(os.ReadDir(store.Where(layout.Local)))(t))
}

// The first create of a process takes a part of what is dead away, so that it does not
// take long where that is much; the next process goes on with it.
func TestFirstCreateTakesSomeOfTheDead(t *testing.T) {
	inStore(t)
	const dead = 3*sweepLooks + 10
	makeDead(t, dead)
	for i := 1; i <= 4; i++ {
		c := startPeer(t)
		c.Want("ok", "create x%d", i)
		c.Want("ok", "close")
		if got, want := countFiles(t), max(dead-i*sweepLooks, 0); got != want {
			t.Errorf("after the first create of %d processes there are %d dead entries of %d, want %d", i, got, dead, want)
		}
		makeDead(t, 0)
		c.Want("ok", "create y%d", i) // its second create
		c.Want("ok", "close")
		if got, want := countFiles(t), max(dead-i*sweepLooks, 0); got != want {
			t.Errorf("after the second create of a process there are %d dead entries, want %d", got, want)
		}
	}
}

// Also among many entries that live all dead ones are seen sooner or later.
func TestSweepsGoThroughAll(t *testing.T) {
	inStore(t)
	const living = 40
	for i := range living {
		s := spec([]string{fmt.Sprintf("idle%d", i), "persist", "size=1"})
		closeObject(t, must(Create(s))(t))
		defer Remove(s)
	}
	files := countFiles(t)
	makeDead(t, living)
	for sweeps := 0; countFiles(t) > files; sweeps++ {
		if sweeps == 1000 {
			t.Fatalf("after %d sweeps of 5 entries there still are %d dead ones", sweeps, countFiles(t)-files)
		}
		sweepScope(layout.Local, sweepNames, 5)
	}
	if n := len(must(List(layout.Local))(t)); n != living {
		t.Errorf("%d objects of %d are left", n, living)
	}
}

// A create that finds no space takes all that is dead away and tries again, and once
// more as long as that finds something.
func TestCreateWithoutSpaceTakesAllTheDead(t *testing.T) {
	inStore(t)
	for _, full := range []int{0, 1, 3} {
		const dead = 2*sweepLooks + 1
		makeDead(t, dead)
		var left []int
		o, err := withSpace(func() (int, error) {
			left = append(left, countFiles(t))
			if len(left) <= full {
				makeDead(t, 1) // another process has died
				return 0, fmt.Errorf("full: %w", syserr.ErrNoSpace)
			}
			return 42, nil
		})
		if o != 42 || err != nil {
			t.Errorf("full %d times: %d, %v", full, o, err)
		}
		want := []int{dead, 0, 0, 0}[:full+1]
		if fmt.Sprint(left) != fmt.Sprint(want) {
			t.Errorf("full %d times: there are %v dead entries at each try, want %v", full, left, want)
		}
		sweepScope(layout.Local, -1, -1)
	}
	tries := 0
	_, err := withSpace(func() (int, error) { tries++; return 0, syserr.ErrNoSpace })
	if wantErr(t, err, syserr.ErrNoSpace); tries != 2 {
		t.Errorf("without space, and nothing dead, it tries %d times, want 2", tries)
	}
	other := errors.New("other")
	tries = 0
	_, err = withSpace(func() (int, error) { tries++; return 0, other })
	if wantErr(t, err, other); tries != 1 {
		t.Errorf("with another error it tries %d times, want 1", tries)
	}
}

// Nobody is waited for: neither who uses an entry, nor who has been stopped while he
// takes one away.
func TestSweepWaitsForNobody(t *testing.T) {
	patiently(t) // whoever waits here, waits for the end of the test
	inStore(t)
	c := startPeer(t)
	c.Want("ok", "create used")
	files := countFiles(t)
	makeDead(t, 2)
	release := busyEntry(t, 0)
	swept := make(chan int)
	go func() { swept <- sweepScope(layout.Local, -1, -1) }()
	if n := <-swept; n != 1 {
		t.Errorf("%d entries are taken away, want the one that nobody is at", n)
	}
	release()
	if n := countFiles(t); n != files+1 {
		t.Errorf("%d files are left, want %d", n, files+1)
	}
	c.Want("ok 5000 false", "size")
}

// Killed at any step of making the first object of a store, a process leaves nothing
// that the next one does not take away.
func TestFaultStore(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	for _, p := range fault.Store() {
		if (p == fault.StoreDirMade) != (runtime.GOOS == "linux") {
			continue // a step of another system
		}
		base := inStore(t)
		cmd := ipctest.Command(t, "peer")
		cmd.Env = append(cmd.Env, "SAMEPAGE_FAULT="+p.String())
		c := ready(t, ipctest.StartCmd(t, cmd))
		c.Send("create x persist")
		if !c.EndsWithin(ipctest.Patience) {
			t.Errorf("%v: nobody comes there", p)
			continue
		}
		if len(all(t, base)) == 0 {
			t.Errorf("%v: nothing is left of the one who died", p)
		}
		// The second one sees what belonged to what the first one took away.
		for range 2 {
			c = startPeer(t)
			c.Want("ok", "create y")
			c.Want("ok", "close")
		}
		if left := all(t, base); len(left) != 0 {
			t.Errorf("%v: %q is left", p, left)
		}
	}
}

// all are the files below a store's directory, and the directories that are not where
// objects have theirs.
func all(t *testing.T, base string) (left []string) {
	t.Helper()
	noErr(t, filepath.WalkDir(base, func(path string, d os.DirEntry, err error) error {
		if err == nil && path != base && (!d.IsDir() || strings.HasPrefix(d.Name(), ".")) {
			left = append(left, d.Name())
		}
		return err
	}))
	return left
}
