//go:build samepagedebug

package samepage

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"samepage/internal/sys"
)

// The debug build: late use of a closed view faults where it happens, and a
// Memory that is collected without Close is told on standard error, with the
// stack that opened it.

func unmap(o *sys.Object, b []byte) error { return o.Poison(b) }

type watch struct {
	done atomic.Bool
	what string
}

func newWatch(m *Memory) *watch {
	w := &watch{what: m.String()}
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs)])
	for {
		f, more := frames.Next()
		w.what += fmt.Sprintf("\n\t%s:%d", f.File, f.Line)
		if !more {
			break
		}
	}
	runtime.AddCleanup(m, func(w *watch) {
		if !w.done.Load() {
			fmt.Fprintf(os.Stderr, "samepage: not closed: %s\n", w.what)
		}
	}, w)
	return w
}

func (w *watch) closed() { w.done.Store(true) }
