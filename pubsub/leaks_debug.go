//go:build samepagedebug

package pubsub

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// leaks keeps the stacks that took loans and holds, by slot or pin word. The error of Close has the
// stacks of the forgotten ones.
type leaks struct {
	mu  sync.Mutex
	all map[uint32][]uintptr
}

func (l *leaks) took(i uint32) {
	pcs := make([]uintptr, 16)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[uint32][]uintptr{}
	}
	l.all[i] = pcs[:runtime.Callers(3, pcs)]
}

func (l *leaks) gave(i uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, i)
}

func (l *leaks) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var w strings.Builder
	for _, pcs := range l.all {
		w.WriteString("; taken at")
		frames := runtime.CallersFrames(pcs)
		for {
			f, more := frames.Next()
			fmt.Fprintf(&w, "\n\t%s:%d", f.File, f.Line)
			if !more {
				break
			}
		}
	}
	return w.String()
}
