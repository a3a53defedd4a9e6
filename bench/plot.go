package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The plot of a group has a panel for each mood and a bar for each subject. A bar leads from the
// limit to the subject's time, on a logarithmic axis of multiples of the limit. For rates, too,
// it is the time of a message: left is good everywhere, and the limit is one line.
const (
	plotWidth = 760
	plotLeft  = 220 // where the axis begins
	plotRight = 590 // where it ends; the label of a bar may be right of it
	rowHeight = 20
	barHeight = 12
)

// plotStyle has the colours of a light page, and those of a dark page for viewers that know
// which one they have. The plot has its own background, for viewers that do not.
const plotStyle = `
.ground{fill:#ffffff}.text{fill:#1f2328}.faint{fill:#59636e}.grid{stroke:#d8dee4}.limit{stroke:#cf222e}.limitText{fill:#cf222e}
.samepage{fill:#0969da}.peer{fill:#8c959f}.C{fill:#bf8700}.spread{stroke:#1f2328}.goal{stroke:#1a7f37}
.box{fill:#ffffff;stroke:#0969da;stroke-width:2}.ink{stroke:#8c959f}.inkOurs{stroke:#0969da}
@media (prefers-color-scheme: dark){
.ground{fill:#0d1117}.text{fill:#e6edf3}.faint{fill:#9198a1}.grid{stroke:#30363d}.limit{stroke:#ff7b72}.limitText{fill:#ff7b72}
.samepage{fill:#4493f8}.peer{fill:#848d97}.C{fill:#d29922}.spread{stroke:#e6edf3}.goal{stroke:#3fb950}
.box{fill:#0d1117;stroke:#4493f8}.ink{stroke:#848d97}.inkOurs{stroke:#4493f8}}
`

// plot writes what it draws, and keeps its position.
type plot struct {
	bytes.Buffer
	y           int
	low, high   float64 // of the axis
	left, right float64 // where the axis is
}

// x is the position of a value.
func (p *plot) x(v float64) float64 {
	return p.left + (p.right-p.left)*math.Log(v/p.low)/math.Log(p.high/p.low)
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

// begin draws the background.
func (p *plot) begin(width, height int, title string) {
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="sans-serif" font-size="12">`,
		width, height, width, height)
	p.printf("<title>%s</title>", escape(title))
	p.printf("<style>%s</style>", plotStyle)
	p.printf(`<rect class="ground" width="%d" height="%d" rx="6"/>`, width, height)
}

// bar is a result in one mood, as a multiple of the limit's time.
type bar struct {
	result
	m                  summary
	at, from, to, goal float64
}

func newBar(r result, m summary, rate bool) bar {
	b := bar{result: r, m: m, at: m.Ratio.Median, from: m.Ratio.P25, to: m.Ratio.P75}
	if r.Goal.Kind == ratioMost || r.Goal.Kind == ratioLeast {
		b.goal = r.Goal.in(m.Mood)
	}
	if rate {
		b.at, b.from, b.to = 1/b.at, 1/b.to, 1/b.from
		if b.goal > 0 {
			b.goal = 1 / b.goal
		}
	}
	return b
}

// panel is what is drawn of one mood.
type panel struct {
	mood string
	bars []bar
}

// panels returns a group's moods that have enough rounds of a subject, the commonest first. If no
// mood has, it returns the commonest.
func panels(g groupInfo, all *report) []panel {
	rounds, most := map[string]int{}, map[string]int{}
	for _, r := range all.of(g.Name) {
		for _, m := range r.Moods {
			rounds[m.Mood] += m.Rounds
			most[m.Mood] = max(most[m.Mood], m.Rounds)
		}
	}
	var moods []string
	for m := range rounds {
		moods = append(moods, m)
	}
	slices.SortFunc(moods, func(a, b string) int {
		if rounds[a] != rounds[b] {
			return rounds[b] - rounds[a]
		}
		return strings.Compare(a, b)
	})
	var some []panel
	for i, mood := range moods {
		if i > 0 && most[mood] < enough {
			continue
		}
		p := panel{mood: mood}
		for _, r := range all.of(g.Name) {
			if m, ok := r.mood(mood); ok && (m.Rounds >= enough || most[mood] < enough) {
				p.bars = append(p.bars, newBar(r, m, g.Unit.rate()))
			}
		}
		some = append(some, p)
	}
	return some
}

// drawGroup draws the plot of a group; nil if there is nothing to draw.
func drawGroup(g groupInfo, all *report) []byte {
	some := panels(g, all)
	if len(some) == 0 {
		return nil
	}
	p := &plot{low: 0.7, high: 2, left: plotLeft, right: plotRight}
	for _, s := range some {
		for _, b := range s.bars {
			p.low, p.high = min(p.low, b.from, b.at), max(p.high, b.to, b.at, b.goal)
			if b.goal > 0 {
				p.low = min(p.low, b.goal)
			}
		}
	}
	p.low, p.high = p.low/1.1, p.high*1.05
	p.y = 56
	for _, s := range some {
		p.panel(g, s)
	}
	p.legend(some)
	whole := &plot{low: p.low, high: p.high, left: p.left, right: p.right}
	whole.begin(plotWidth, p.y+10, g.Name+": time as a multiple of the limit")
	whole.printf(`<text x="16" y="24" class="faint"><tspan class="text" font-size="15" font-weight="bold">%s</tspan>%s</text>`,
		escape(g.Name), escape(": "+g.About))
	whole.text(16, 42, "faint", "", "time as a multiple of the limit: "+g.Limit)
	_, _ = whole.Write(p.Bytes())
	whole.WriteString("</svg>\n")
	return whole.Bytes()
}

// ticks are the values with a mark on the axis. 1 is the limit.
func (p *plot) ticks() (all []float64) {
	steps := []float64{1, 2, 5}
	if p.high/p.low > 60 {
		steps = steps[:1]
	}
	for n := math.Floor(math.Log10(p.low)); n <= math.Log10(p.high); n++ {
		for _, s := range steps {
			if v := s * math.Pow(10, n); v >= p.low && v <= p.high {
				all = append(all, v)
			}
		}
	}
	return all
}

// panel draws a mood.
func (p *plot) panel(g groupInfo, s panel) {
	top := p.y + 14
	bottom := top + len(s.bars)*rowHeight
	limit := "limit " + g.figure(s.bars[0].m.Limit.Median)
	if s.mood != anyMood {
		p.text(16, float64(p.y)+8, "text", ` font-weight="bold"`, s.mood)
		limit = s.mood + ", " + limit
	}
	p.text(plotWidth-16, float64(p.y)+8, "faint", ` text-anchor="end"`, limit)
	for _, tick := range p.ticks() {
		class, text := "grid", "faint"
		if tick == 1 {
			class, text = "limit", "limitText"
		}
		p.line(p.x(tick), float64(top), p.x(tick), float64(bottom), class, "")
		p.text(p.x(tick), float64(p.y)+8, text, ` text-anchor="middle" font-size="11"`, fmt.Sprintf("%gx", tick))
	}
	p.y = top
	for _, b := range s.bars {
		middle := float64(p.y) + rowHeight/2
		p.text(plotLeft-8, middle+4, "text", ` text-anchor="end"`, b.Name)
		from, to := min(p.x(1), p.x(b.at)), max(p.x(1), p.x(b.at))
		p.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%d" class="%s"/>`, from, middle-barHeight/2, max(2, to-from), barHeight, b.Whose)
		p.line(p.x(b.from), middle, p.x(b.to), middle, "spread", ` stroke-width="2"`)
		end := max(to, p.x(b.to))
		if b.goal > 0 {
			p.line(p.x(b.goal), middle-rowHeight/2+1, p.x(b.goal), middle+rowHeight/2-1, "goal", ` stroke-width="3"`)
			end = max(end, p.x(b.goal))
		}
		p.text(end+8, middle+4, "text", "", digits(b.at)+"x, "+g.figure(b.m.Value.Median))
		p.y += rowHeight
	}
	p.y = bottom + 14
}

// legend says what the colours mean.
func (p *plot) legend(some []panel) {
	seen := func(f func(b bar) bool) bool {
		return slices.ContainsFunc(some, func(s panel) bool { return slices.ContainsFunc(s.bars, f) })
	}
	y := float64(p.y) + 8
	x := 16.0
	for _, l := range [][2]string{{"samepage", "samepage"}, {"peer", "others"}, {"C", "parts, in C"}} {
		if seen(func(b bar) bool { return b.Whose == l[0] }) {
			p.printf(`<rect x="%.1f" y="%.1f" width="12" height="12" class="%s"/>`, x, y-10, l[0])
			p.text(x+18, y, "faint", "", l[1])
			x += 34 + 7*float64(len(l[1]))
		}
	}
	if seen(func(b bar) bool { return b.goal > 0 }) {
		p.line(x+6, y-11, x+6, y+3, "goal", ` stroke-width="3"`)
		p.text(x+18, y, "faint", "", "goal")
		x += 64
	}
	p.line(x, y-4, x+12, y-4, "spread", ` stroke-width="2"`)
	p.text(x+18, y, "faint", "", "the middle half of the rounds")
	p.y += 10
}
