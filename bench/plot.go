package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// The plot has a panel for each group and a bar for each subject. The length of a bar is the
// logarithm of its time divided by that of the limit. For rates, too, it is the time of a
// message: short is good everywhere, and the limit is one line through all panels.
const (
	plotWidth  = 880
	plotLeft   = 216 // where bars begin
	plotRight  = 680 // where the longest bar ends; its label begins there
	plotTop    = 62
	panelHead  = 26
	panelGap   = 12
	rowHeight  = 20
	barHeight  = 12
	noteHeight = 17
	plotFont   = 12
)

// plotStyle has the colours of a light page, and those of a dark page for viewers that know
// which one they have. The plot has its own background, for viewers that do not.
const plotStyle = `
.ground{fill:#ffffff}.text{fill:#1f2328}.faint{fill:#59636e}.grid{stroke:#d8dee4}.limit{stroke:#cf222e}.limitText{fill:#cf222e}
.samepage{fill:#0969da}.peer{fill:#8c959f}.C{fill:#bf8700}.spread{stroke:#1f2328}.goal{stroke:#1a7f37}
@media (prefers-color-scheme: dark){
.ground{fill:#0d1117}.text{fill:#e6edf3}.faint{fill:#9198a1}.grid{stroke:#30363d}.limit{stroke:#ff7b72}.limitText{fill:#ff7b72}
.samepage{fill:#4493f8}.peer{fill:#656c76}.C{fill:#d29922}.spread{stroke:#e6edf3}.goal{stroke:#3fb950}}
`

// plot writes what it draws, and keeps its position.
type plot struct {
	bytes.Buffer
	y         int
	low, high float64 // of the axis
}

// bar is a result in its most frequent mood, as a multiple of the limit's time.
type bar struct {
	result
	main               summary
	at, from, to, goal float64
}

func newBar(r result) bar {
	m := r.Moods[0]
	b := bar{result: r, main: m, at: m.Ratio.Median, from: m.Ratio.P25, to: m.Ratio.P75}
	if r.subject.goal.kind == ratioMost || r.subject.goal.kind == ratioLeast {
		b.goal = r.subject.goal.value
	}
	if r.Unit.rate() {
		b.at, b.from, b.to = 1/b.at, 1/b.to, 1/b.from
		if b.goal > 0 {
			b.goal = 1 / b.goal
		}
	}
	return b
}

// writeSVG draws a report.
func writeSVG(out io.Writer, all report) error {
	p := &plot{y: plotTop, low: 0.5, high: 10}
	panels := map[string][]bar{}
	var order []string
	for _, r := range all.Results {
		if len(r.Moods) == 0 {
			continue
		}
		b := newBar(r)
		p.low, p.high = min(p.low, b.from, b.at), max(p.high, b.to, b.at)
		if panels[r.Group] == nil {
			order = append(order, r.Group)
		}
		panels[r.Group] = append(panels[r.Group], b)
	}
	p.low = p.low / 1.2
	if len(order) == 0 {
		return fmt.Errorf("nothing to draw: no round counts")
	}
	for _, g := range order {
		p.panel(panels[g])
	}
	p.notes(all)
	var whole plot
	whole.low, whole.high = p.low, p.high
	whole.head(p.y + 8)
	_, _ = whole.Write(p.Bytes())
	whole.WriteString("</svg>\n")
	_, err := out.Write(whole.Bytes())
	return err
}

// x is the position of a ratio.
func (p *plot) x(ratio float64) float64 {
	return plotLeft + (plotRight-plotLeft)*math.Log(ratio/p.low)/math.Log(p.high/p.low)
}

func (p *plot) printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format+"\n", args...) }

func (p *plot) text(x, y float64, class, more, s string) {
	p.printf(`<text x="%.1f" y="%.1f" class="%s"%s>%s</text>`, x, y, class, more, escape(s))
}

func escape(s string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(s)) // a Builder does not fail
	return escaped.String()
}

func (p *plot) line(x1, y1, x2, y2 float64, class, more string) {
	p.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"%s/>`, x1, y1, x2, y2, class, more)
}

// head draws what is above and below the panels: background, title and axis.
func (p *plot) head(height int) {
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="sans-serif" font-size="%d">`,
		plotWidth, height, plotWidth, height, plotFont)
	p.printf("<title>samepage and peers against what C programs reach on this machine</title>")
	p.printf("<style>%s</style>", plotStyle)
	p.printf(`<rect class="ground" width="%d" height="%d" rx="6"/>`, plotWidth, height)
	p.text(16, 24, "text", ` font-size="15" font-weight="bold"`, "Time as a multiple of the limit, which a C program measured beside it")
	p.text(16, 42, "faint", "", "logarithmic, short is good; the thin line is where the middle half of the rounds lies")
	for _, tick := range p.ticks() {
		class := "faint"
		if tick == 1 {
			class = "limitText"
		}
		p.text(p.x(tick), plotTop, class, ` text-anchor="middle"`, fmt.Sprintf("%gx", tick))
	}
}

// ticks are the powers of ten on the axis; 1 is the limit.
func (p *plot) ticks() (all []float64) {
	for n := math.Ceil(math.Log10(p.low)); n <= math.Log10(p.high); n++ {
		all = append(all, math.Pow(10, n))
	}
	return all
}

// panel draws the panel of a group.
func (p *plot) panel(bars []bar) {
	g, first := bars[0].subject.group, bars[0]
	p.y += panelHead
	p.printf(`<text x="16" y="%d" class="faint"><tspan class="text" font-weight="bold">%s</tspan>%s</text>`,
		p.y-9, escape(g.name), escape(": "+g.about))
	limit := fmt.Sprintf("limit: %s, %s", g.limit, g.figure(first.main.Limit.Median))
	if first.main.Mood != anyMood {
		limit += " (" + first.main.Mood + ")"
	}
	p.text(plotWidth-16, float64(p.y)-9, "faint", ` text-anchor="end"`, limit)
	for _, tick := range p.ticks() {
		class := "grid"
		if tick == 1 {
			class = "limit"
		}
		p.line(p.x(tick), float64(p.y), p.x(tick), float64(p.y+len(bars)*rowHeight), class, "")
	}
	for _, b := range bars {
		y := float64(p.y)
		middle := y + rowHeight/2
		label := digits(b.at) + "x, " + g.figure(b.main.Value.Median)
		if b.main.Mood != first.main.Mood {
			label += " (" + b.main.Mood + ")"
		}
		p.text(plotLeft-8, middle+4, "text", ` text-anchor="end"`, b.Name)
		p.printf(`<rect x="%d" y="%.1f" width="%.1f" height="%d" class="%s"/>`,
			plotLeft, y+(rowHeight-barHeight)/2, max(1, p.x(b.at)-plotLeft), barHeight, b.Whose)
		p.line(p.x(b.from), middle, p.x(b.to), middle, "spread", ` stroke-width="2"`)
		if b.goal > 0 {
			p.line(p.x(b.goal), y+1, p.x(b.goal), y+rowHeight-1, "goal", ` stroke-width="3"`)
		}
		p.text(max(p.x(b.at), p.x(b.to), p.x(max(b.goal, p.low)))+8, middle+4, "text", "", label)
		p.y += rowHeight
	}
	p.y += panelGap
}

// notes say what the colours mean, what was left out, and on which machine it was measured.
func (p *plot) notes(all report) {
	y := float64(p.y) + noteHeight
	x := 16.0
	for _, l := range [][2]string{{"samepage", "samepage"}, {"peer", "peers"}, {"C", "parts, in C"}} {
		if !slices.ContainsFunc(all.Results, func(r result) bool { return r.Whose == l[0] }) {
			continue
		}
		p.printf(`<rect x="%.1f" y="%.1f" width="12" height="12" class="%s"/>`, x, y-10, l[0])
		p.text(x+18, y, "text", "", l[1])
		x += 100
	}
	if slices.ContainsFunc(all.Results, func(r result) bool { return r.Goal != "" }) {
		p.line(x+6, y-11, x+6, y+3, "goal", ` stroke-width="3"`)
		p.text(x+18, y, "text", "", "goal")
	}
	p.y += noteHeight
	m := all.Machine
	note := func(s string) {
		p.y += noteHeight
		p.text(16, float64(p.y), "faint", "", s)
	}
	note(fmt.Sprintf("%s, %d CPUs, Linux %s, %s; blocks of %g s", m.CPU, m.CPUs, m.Kernel, m.Go, all.Seconds))
	for _, l := range all.LeftOut {
		why, _, _ := strings.Cut(l.Why, "\n")
		note(fmt.Sprintf("left out: %s: %s", l.Name, why))
	}
}
