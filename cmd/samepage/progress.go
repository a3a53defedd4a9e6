package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progressAfter is how long a copy may take before it shows its progress.
const progressAfter = 500 * time.Millisecond

// progress is a line about a copy. It is rewritten in place.
type progress struct {
	w     io.Writer
	now   func() time.Time
	total int64 // bytes; negative: unknown
	start time.Time
	// columns is the width of the terminal now; nil or 0: it is not known.
	columns func() int

	mu    sync.Mutex
	last  time.Time
	width int // of the line on the terminal, in columns
	ended bool
}

// newProgress returns nil, which shows nothing, if w is no terminal.
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

// at shows that n bytes are done. It shows at most ten lines a second.
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

// show replaces the line. Blanks cover the rest of a longer line, since not every terminal
// can erase. A line that is too long for the terminal is cut: if the terminal broke it into
// two lines, only the second could be replaced. Each character takes one column.
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

// done removes the line.
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
