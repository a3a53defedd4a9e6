package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressAfter is how long a copy may take before it tells how far it is.
const progressAfter = 500 * time.Millisecond

// progress is a line about a copy that is rewritten in place.
type progress struct {
	w     io.Writer
	now   func() time.Time
	total int64 // bytes; negative: unknown
	start time.Time

	mu    sync.Mutex
	last  time.Time
	width int // of the line that stands there
	ended bool
}

// newProgress is nil, and then does nothing, where nobody would see it.
func newProgress(w io.Writer, total int64) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &progress{w: w, now: time.Now, total: total, start: time.Now()}
}

// at tells that n bytes are done, at most ten times a second.
func (p *progress) at(n int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	spent := now.Sub(p.start)
	if p.ended || spent < progressAfter || now.Sub(p.last) < 100*time.Millisecond {
		return
	}
	p.last = now
	line := formatSize(n)
	if p.total > 0 {
		line += fmt.Sprintf(" of %s, %d %%", formatSize(p.total), int(float64(n)/float64(p.total)*100))
	}
	line += fmt.Sprintf(", %s/s", formatSize(int64(float64(n)/spent.Seconds())))
	p.show(line)
}

// show replaces the line, with blanks over what was longer, since not every
// terminal knows how to erase.
func (p *progress) show(line string) {
	fmt.Fprintf(p.w, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

// done takes the line away.
func (p *progress) done() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.width > 0 {
		p.show("")
		fmt.Fprint(p.w, "\r")
		p.width = 0
	}
}
