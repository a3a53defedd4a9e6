package main

import (
	"fmt"
	"io"
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
	// columns is how wide the terminal is just now; nil or 0: that is not known.
	columns func() int

	mu    sync.Mutex
	last  time.Time
	width int // of the line that stands there, in columns
	ended bool
}

// newProgress is nil, and then does nothing, where nobody would see it.
func newProgress(w io.Writer, total int64) *progress {
	f := terminalOf(w)
	if f == nil {
		return nil
	}
	columns := func() int {
		n, _, err := term.GetSize(int(f.Fd()))
		if err != nil {
			return 0
		}
		return n
	}
	return &progress{w: w, now: time.Now, columns: columns, total: total, start: time.Now()}
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
// terminal knows how to erase. What does not fit into one line is cut off: of a line that
// is broken into two only the second could be replaced. Each character of a line takes one
// column.
func (p *progress) show(line string) {
	r := []rune(line)
	if p.columns != nil {
		if n := p.columns() - 1; n > 0 && len(r) > n {
			r = r[:n]
		}
	}
	fmt.Fprintf(p.w, "\r%s%s", string(r), strings.Repeat(" ", max(0, p.width-len(r))))
	p.width = len(r)
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
