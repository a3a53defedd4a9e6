//go:build samepagedebug

package forgotten

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// place is where an object was opened.
type place struct {
	what, name string
	pcs        []uintptr
}

func opened(what, name string) *place {
	pcs := make([]uintptr, 32)
	return &place{what, name, pcs[:runtime.Callers(3, pcs)]}
}

// tell reports the object, with one write.
func (p *place) tell(kept bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "samepage: not closed: %s %q", p.what, p.name)
	if kept {
		b.WriteString(", which is locked and stays so until this process ends")
	}
	b.WriteString("; opened at")
	frames := runtime.CallersFrames(p.pcs)
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "\n\t%s:%d", f.File, f.Line)
		if !more {
			break
		}
	}
	fmt.Fprintln(os.Stderr, b.String())
}
