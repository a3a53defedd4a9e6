//go:build samepagefault

package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Enabled says whether this build has crash points.
const Enabled = true

var (
	where = -1 // the point at which this process dies
	pass  atomic.Int64
	held  string // the file at which it waits instead
)

func init() {
	point, file, _ := strings.Cut(os.Getenv("SAMEPAGE_FAULT"), "@")
	held = file
	name, times, _ := strings.Cut(point, ":")
	for _, p := range All() {
		if p.String() == name {
			where = int(p)
		}
	}
	n, _ := strconv.ParseInt(times, 10, 64)
	pass.Store(n)
}

// At is a place where a process may die.
func At(p Point) {
	if int(p) != where {
		return
	}
	n := pass.Add(-1)
	if n >= 0 {
		return
	}
	if held != "" {
		if n == -1 {
			hold(held)
		}
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // go no step further
}

// hold makes a file, and returns when the file is gone.
func hold(file string) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(file); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
