package main

import (
	"fmt"
	"math"
	"strings"
)

// The plot of the README: the time of one message of 64 B and of 1 MiB, polled and asleep, beside
// the peers, on one axis of time. The limits are lines.

// glance is the half for readers that poll, or that for readers that sleep. All of it is of one
// mood, the commonest of this module's messages.
type glance struct {
	mood  string
	limit float64
	rows  []glanceRow // this module's first
}

// glanceRow is a system. A figure is 0 if it was not measured.
type glanceRow struct {
	name       string
	ours       bool
	at64, at1M float64 // ns
}

func (r glanceRow) small() string   { return shortTime(r.at64) }
func (r glanceRow) large() string   { return shortTime(r.at1M) }
func (g *glance) limitText() string { return shortTime(g.limit) }

func shortTime(ns float64) string {
	if ns == 0 {
		return "not measured"
	}
	return groupInfo{Unit: perOp}.figure(ns)
}

// tickTime shows a power of ten of nanoseconds.
func tickTime(ns float64) string {
	for _, u := range []struct {
		ns   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= u.ns*0.99 {
			return fmt.Sprintf("%.0f %s", ns/u.ns, u.name)
		}
	}
	return fmt.Sprintf("%.0f ns", ns)
}

// best is the peer with the shortest time of a small message.
func (g *glance) best() *glanceRow {
	var best *glanceRow
	for i := range g.rows {
		if r := &g.rows[i]; !r.ours && r.at64 > 0 && (best == nil || r.at64 < best.at64) {
			best = r
		}
	}
	return best
}

// glance takes the figures of two groups.
func (all *report) glance(small, large *group) *glance {
	var g *glance
	value := func(r result) float64 {
		m, ok := r.mood(g.mood)
		if !ok {
			return 0
		}
		return m.Value.Median
	}
	for _, r := range all.of(small.name) {
		if r.Whose == "samepage" && r.Name == "topic" && len(r.Moods) > 0 {
			g = &glance{mood: r.Moods[0].Mood, limit: r.Moods[0].Limit.Median}
		}
	}
	if g == nil {
		return nil
	}
	at1M := map[string]float64{}
	for _, r := range all.of(large.name) {
		at1M[r.Name] = value(r)
	}
	for _, r := range all.of(small.name) {
		switch {
		case r.Whose == "samepage" && r.Name == "topic":
			g.rows = append([]glanceRow{{"samepage", true, value(r), at1M[r.Name]}}, g.rows...)
		case r.Whose == "peer" && value(r) > 0:
			name, _, _ := strings.Cut(r.Name, ",")
			g.rows = append(g.rows, glanceRow{name, false, value(r), at1M[r.Name]})
		}
	}
	return g
}

const (
	glanceWidth = 760
	glanceLeft  = 170 // where the axis begins
	glanceRight = 590 // where it ends; the figures are right of it
	glanceRowH  = 24
)

// drawGlance draws the plot of the README.
func drawGlance(all *report) []byte {
	halves := []*glance{all.glance(message64, message1M), all.glance(asleep64, asleep1M)}
	titles := []string{"the reader polls", "the reader sleeps"}
	p := &plot{low: math.Inf(1), high: 0, left: glanceLeft, right: glanceRight}
	for _, g := range halves {
		if g == nil {
			continue
		}
		p.low, p.high = min(p.low, g.limit), max(p.high, g.limit)
		for _, r := range g.rows {
			for _, v := range []float64{r.at64, r.at1M} {
				if v > 0 {
					p.low, p.high = min(p.low, v), max(p.high, v)
				}
			}
		}
	}
	if p.high == 0 {
		p.low, p.high = 100, 1e6
	}
	p.low, p.high = math.Pow(10, math.Floor(math.Log10(p.low)))*0.8, math.Pow(10, math.Ceil(math.Log10(p.high)))
	p.y = 74
	for i, g := range halves {
		if g != nil {
			p.half(g, titles[i])
		}
	}
	height := p.y - 14
	whole := &plot{low: p.low, high: p.high, left: p.left, right: p.right}
	whole.begin(glanceWidth, height, "How long a message takes from one process to another")
	whole.text(16, 26, "text", ` font-size="16" font-weight="bold"`, "How long a message takes from one process to another")
	whole.text(16, 46, "faint", "", "logarithmic, left is fast")
	x := float64(glanceLeft) + 70
	whole.printf(`<circle cx="%.1f" cy="42" r="4" class="samepage"/>`, x)
	whole.text(x+10, 46, "text", "", "64 B")
	whole.printf(`<rect x="%.1f" y="36" width="12" height="12" class="box"/>`, x+60)
	whole.text(x+78, 46, "text", "", "1 MiB")
	whole.line(x+140, 34, x+140, 50, "limit", ` stroke-width="2"`)
	whole.text(x+150, 46, "limitText", "", "the limit: a word, passed by two C programs")
	_, _ = whole.Write(p.Bytes())
	whole.WriteString("</svg>\n")
	return whole.Bytes()
}

// half draws the rows of readers of one kind, and their axis.
func (p *plot) half(g *glance, title string) {
	top := p.y
	if g.mood != anyMood {
		title += ", processors " + g.mood
	}
	p.printf(`<text x="16" y="%d" class="text" font-weight="bold">%s<tspan class="limitText" font-weight="normal" dx="8">%s</tspan></text>`,
		top+4, escape(title), escape("limit "+g.limitText()))
	p.text(glanceRight+12, float64(top)+4, "faint", "", "64 B, 1 MiB")
	bottom := top + 14 + len(g.rows)*glanceRowH
	for v := math.Pow(10, math.Ceil(math.Log10(p.low))); v <= p.high; v *= 10 {
		p.line(p.x(v), float64(top)+14, p.x(v), float64(bottom), "grid", "")
		p.text(p.x(v), float64(bottom)+14, "faint", ` text-anchor="middle" font-size="11"`, tickTime(v))
	}
	p.line(p.x(g.limit), float64(top)+12, p.x(g.limit), float64(bottom)+2, "limit", ` stroke-width="2"`)
	p.y = top + 14
	for _, r := range g.rows {
		y := float64(p.y) + glanceRowH/2
		class, weight, ink := "peer", "", "ink"
		if r.ours {
			class, weight, ink = "samepage", ` font-weight="bold"`, "inkOurs"
		}
		p.text(glanceLeft-10, y+4, "text", ` text-anchor="end"`+weight, r.name)
		if r.at64 > 0 && r.at1M > 0 {
			p.line(p.x(r.at64), y, p.x(r.at1M), y, ink, ` stroke-width="3"`)
		}
		if r.at1M > 0 {
			p.printf(`<rect x="%.1f" y="%.1f" width="12" height="12" class="box %s"/>`, p.x(r.at1M)-6, y-6, ink)
		}
		if r.at64 > 0 {
			p.printf(`<circle cx="%.1f" cy="%.1f" r="4" class="%s"/>`, p.x(r.at64), y, class)
		}
		p.text(glanceRight+12, y+4, "text", weight, fmt.Sprintf("%s, %s", r.small(), r.large()))
		p.y += glanceRowH
	}
	p.y = bottom + 40
}
