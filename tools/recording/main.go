// Recording runs a script in several terminals, and draws what they show as an SVG that moves:
//
//	recording FOLDER <docs/recording.txt >docs/recording.svg
//
// FOLDER has the programs that the script runs. The lines of the script:
//
//	2$ COMMAND    terminal 2 runs the command to its end
//	2& COMMAND    terminal 2 runs the command, and the script goes on
//	2? TEXT       wait until terminal 2 shows the text
//	2.            wait until the command in terminal 2 has ended
//
// Nothing in the SVG depends on the time or the machine, if nothing in the output does. A viewer
// that does not move pictures shows the end.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"html"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: recording FOLDER <SCRIPT >SVG")
		os.Exit(2)
	}
	if err := record(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "recording:", err)
		os.Exit(1)
	}
}

// shown is a line that appears in a terminal at a step.
type shown struct {
	terminal int
	step     int
	text     string
	typed    bool
}

// record runs the script and writes the picture.
func record(folder string, script io.Reader, svg io.Writer) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	objects, err := os.MkdirTemp("", "samepage-recording")
	if err != nil {
		return err
	}
	defer os.RemoveAll(objects)
	env := append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"), "SAMEPAGE_DIR="+objects)

	terminals := map[int]*terminal{}
	defer func() {
		for _, t := range terminals {
			t.kill()
		}
	}()
	var lines []shown
	step := 0
	for s := bufio.NewScanner(script); s.Scan(); step++ {
		line := s.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			step--
			continue
		}
		if len(line) < 2 || line[0] < '1' || line[0] > '9' {
			return fmt.Errorf("the line %q begins with no terminal", line)
		}
		n, what, rest := int(line[0]-'0'), line[1], strings.TrimPrefix(line[2:], " ")
		t := terminals[n]
		if t == nil {
			t = &terminal{}
			terminals[n] = t
		}
		switch what {
		case '$', '&':
			lines = append(lines, shown{n, step, rest, true})
			if err := t.start(rest, env, objects); err != nil {
				return err
			}
			if what == '$' {
				err = t.end()
			}
		case '?':
			err = t.until(rest)
		case '.':
			err = t.end()
		default:
			return fmt.Errorf("the line %q has no command", line)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		for _, l := range t.news() {
			lines = append(lines, shown{n, step, l, false})
		}
	}
	return draw(svg, lines)
}

// terminal runs one command at a time.
type terminal struct {
	cmd  *exec.Cmd
	done chan error

	mu   sync.Mutex
	out  bytes.Buffer
	seen int // bytes of out that are drawn
}

// Write is called by the command's pipe.
func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.out.Write(b)
}

func (t *terminal) start(command string, env []string, dir string) error {
	t.cmd = exec.Command("sh", "-c", command)
	t.cmd.Env, t.cmd.Dir = env, dir
	t.cmd.Stdout, t.cmd.Stderr = t, t
	if err := t.cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func(c *exec.Cmd) { done <- c.Wait() }(t.cmd)
	t.done = done
	return nil
}

// patience only ends a recording that hangs.
const patience = 2 * time.Minute

func (t *terminal) end() error {
	select {
	case err := <-t.done:
		t.cmd = nil
		return err
	case <-time.After(patience):
		return fmt.Errorf("the command has not ended after %v", patience)
	}
}

func (t *terminal) until(text string) error {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		t.mu.Lock()
		found := strings.Contains(t.out.String(), text)
		t.mu.Unlock()
		if found {
			return nil
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("it was not shown after %v", patience)
		}
	}
}

func (t *terminal) kill() {
	if t.cmd != nil {
		_ = t.cmd.Process.Kill()
	}
}

// news are the complete lines that were not drawn yet.
func (t *terminal) news() (lines []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.out.String()[t.seen:]
	end := strings.LastIndexByte(fresh, '\n') + 1
	t.seen += end
	for line := range strings.Lines(fresh[:end]) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	return lines
}

// The picture: two terminals above one, in pixels and milliseconds.
const (
	width, gap       = 900, 10
	lineHeight, rows = 19, 7
	paneHeight       = rows*lineHeight + 16
	stepTime         = 1400
)

// draw writes the SVG. Each line is hidden until the time of its step is over.
func draw(w io.Writer, lines []shown) error {
	b := bufio.NewWriter(w)
	height := 2*paneHeight + 3*gap
	half := (width - 3*gap) / 2
	panes := map[int][3]int{1: {gap, gap, half}, 2: {2*gap + half, gap, half}, 3: {gap, 2*gap + paneHeight, width - 2*gap}}
	fmt.Fprintf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\">\n", width, height)
	fmt.Fprint(b, `<title>A publisher and two subscribers in three terminals</title>
<style>
text { font: 14px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d8dee9; white-space: pre }
.typed { fill: #a3e08c }
.line { animation: wait step-end }
@keyframes wait { from { opacity: 0 } to { opacity: 1 } }
@media (prefers-reduced-motion: reduce) { .line { animation: none } }
</style>
`)
	for n := 1; n <= len(panes); n++ {
		p := panes[n]
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\" fill=\"#20262e\"/>\n", p[0], p[1], p[2], paneHeight)
	}
	used := map[int]int{}
	for _, l := range lines {
		p, ok := panes[l.terminal]
		if !ok {
			return fmt.Errorf("there is no terminal %d in the picture", l.terminal)
		}
		used[l.terminal]++
		if used[l.terminal] > rows {
			return fmt.Errorf("terminal %d shows more than %d lines", l.terminal, rows)
		}
		class, text := "line", l.text
		if l.typed {
			class, text = "line typed", "$ "+text
		}
		fmt.Fprintf(b, "<text class=\"%s\" style=\"animation-duration:%dms\" x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n",
			class, l.step*stepTime, p[0]+12, p[1]+4+used[l.terminal]*lineHeight, html.EscapeString(text))
	}
	fmt.Fprint(b, "</svg>\n")
	return b.Flush()
}
