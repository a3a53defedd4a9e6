package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		main()
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // no process here leaves goroutines to wait for
	os.Exit(m.Run())
}

func newTestBench(t *testing.T) *bench {
	t.Helper()
	b, err := newBench(0.01)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func wantFigure(t *testing.T, m measurer, b *bench, seconds float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*ipctest.Patience) // many processes, one after another
	defer cancel()
	s, err := m.measure(ctx, b, seconds)
	if errors.Is(err, errMissing) || err != nil && strings.Contains(err.Error(), errMissing.Error()) {
		t.Skip(err)
	}
	if err != nil || s.Mean <= 0 || s.P50 < 0 || s.P99 < s.P50 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Each subject runs and returns a figure. The test does not judge the figure.
func TestSubjectsRun(t *testing.T) {
	b := newTestBench(t)
	for _, s := range ours {
		t.Run(s.id(), func(t *testing.T) { wantFigure(t, s, b, 0.01) })
	}
}

func TestLimitsRun(t *testing.T) {
	b := newTestBench(t)
	if err := b.compileLimits(t.Context()); errors.Is(err, errMissing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, s := range ofC {
		t.Run(s.id(), func(t *testing.T) { wantFigure(t, s, b, 0.01) })
	}
	seen := map[string]bool{}
	for _, g := range groups {
		if p, ok := g.limit.(program); ok && !seen[p.String()] {
			seen[p.String()] = true
			t.Run(p.String(), func(t *testing.T) { wantFigure(t, p, b, 0.01) })
		}
	}
}

func TestPeersRun(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector judges peers, too, and they are not ours")
	}
	b := newTestBench(t)
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			if err := p.prepare(t.Context(), b); errors.Is(err, errMissing) {
				t.Skip(whyMissing(err))
			} else if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, s := range p.subjects {
				if seen[s.String()] || s.group == message8M { // one measurement, against two limits; a long one
					continue
				}
				seen[s.String()] = true
				t.Run(s.group.name, func(t *testing.T) { wantFigure(t, s, b, 0.002) })
			}
		})
	}
}

// A process that ends early, or is told to end, ends a measurement at once.
func TestCancelledMeasurementsEnd(t *testing.T) {
	b := newTestBench(t)
	for _, m := range []measurer{alone("mutex"), crowd{"rlock", 1}} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if s, err := m.measure(ctx, b, 10*ipctest.Patience.Seconds()); err == nil {
			t.Errorf("%v: %v", m, s)
		}
		if took := time.Since(begun); took > ipctest.Patience {
			t.Errorf("%v took %v", m, took)
		}
	}
}

func plain(v float64) sample { return sample{Mean: v} }

func spins(before, after float64) [2]sample {
	return [2]sample{{Mean: before, P50: before, P99: before}, {Mean: after, P50: after, P99: after}}
}

func TestRoundsThatDisagreeAreDropped(t *testing.T) {
	near := spins(55, 56)
	rounds := []round{
		newRound(plain(100), plain(150), plain(119), near),
		newRound(plain(100), plain(900), plain(121), near),
		newRound(plain(121), plain(900), plain(100), near),
		newRound(plain(0), plain(1), plain(0), near),
		newRound(plain(100), plain(900), plain(100), spins(55, 250)),
		newRound(plain(100), plain(110), plain(100), near),
		newRound(plain(100), plain(130), plain(100), near),
		newRound(plain(100), plain(300), plain(100), spins(250, 240)),
		newRound(plain(100), plain(120), plain(100), spins(43, 45)), // no change to speak of
		newRound(plain(100), plain(120), plain(100), spins(700, 700)),
		newRound(plain(100), plain(120), plain(100), [2]sample{}),
	}
	var dropped []string
	for _, r := range rounds {
		dropped = append(dropped, r.Dropped)
	}
	limits, mood := "the limits disagree", "the mood changed"
	if want := []string{"", limits, limits, limits, mood, "", "", "", "", "others use the CPUs", ""}; !slices.Equal(dropped, want) {
		t.Errorf("dropped: %q, want %q", dropped, want)
	}
	if got := rounds[4].Mood; got != "near, then far" {
		t.Error(got)
	}

	moods := summarize(rounds, false)
	if len(moods) != 3 || moods[1].Mood != anyMood || moods[2].Mood != "far" || moods[0].Mood != "near" || moods[0].Rounds != 4 {
		t.Fatalf("%+v", moods)
	}
	// 1.1, 1.2, 1.3 and 150/109.5
	if got := moods[0].Ratio; got.Median != 1.25 || !alike(got.P25, 1.175) || !alike(got.P75, (3*1.3+150/109.5)/4) {
		t.Errorf("%+v", got)
	}
	if got := moods[2].Ratio; got != (spread{3, 3, 3}) {
		t.Errorf("%+v", got)
	}
	// A message that takes three times as long comes at a third of the rate.
	if got := summarize(rounds[7:8], true)[0].Ratio.Median; !alike(got, 1.0/3) {
		t.Errorf("rate %v", got)
	}
}

func alike(a, b float64) bool { return max(a, b)-min(a, b) < 1e-9 }

func TestQuantiles(t *testing.T) {
	if got := spreadOf([]float64{5, 1, 4, 2, 3}); got != (spread{3, 2, 4}) {
		t.Error(got)
	}
	if got := spreadOf([]float64{1, 2}); got != (spread{1.5, 1.25, 1.75}) {
		t.Error(got)
	}
	if got := spreadOf([]float64{7}); got != (spread{7, 7, 7}) {
		t.Error(got)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Error(got)
	}
}

func TestMood(t *testing.T) {
	for spin, want := range map[sample]string{
		{Mean: 55, P50: 50}: "near", {Mean: 250, P50: 240}: "far", {Mean: 25, P50: 24}: "resonant", plain(42): "resonant",
		{Mean: 47, P50: 50}: "near", {Mean: 2000, P50: 2000}: busy, {Mean: 250, P50: 55}: busy,
	} {
		if got := moodOf(spin); got != want {
			t.Errorf("%v: %s, want %s", spin, got, want)
		}
	}
}

func TestGoals(t *testing.T) {
	s := summary{Ratio: spread{Median: 0.9}, Value: spread{Median: 12}}
	for g, want := range map[goal]bool{
		{}: true, atMost(1): true, atMost(0.8): false, atLeast(0.8): true, atLeast(1): false,
		noMoreThan(12): true, noMoreThan(11): false,
	} {
		if g.met(s) != want {
			t.Errorf("%s: met is %v", g.show(perOp), !want)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range subjects() {
		if seen[s.id()] {
			t.Errorf("two subjects are %s", s.id())
		}
		seen[s.id()] = true
		if p, ok := s.measurer.(pair); ok && roles[p.role] == nil {
			t.Errorf("%s: no role %s", s.id(), p.role)
		}
		if !slices.Contains(groups, s.group) {
			t.Errorf("%s: a group that is not in groups", s.id())
		}
	}
}

// fullReport returns a report that has a figure for each subject.
func fullReport(t *testing.T) report {
	t.Helper()
	all := report{Machine: machine{CPU: "<CPU> & co"}, LeftOut: []leftOut{{"a peer", "it is <not> here\nmore"}}}
	for i, s := range subjects() {
		r := newResult(s)
		r.Round = []round{newRound(plain(55), sample{Mean: float64(i*i*i+20) * 5, P50: 3, P99: 4}, plain(56), spins(55, 250-195*float64(i%2)))}
		if i%2 == 0 {
			r.Round = append(r.Round, newRound(plain(55), plain(50), plain(55), spins(250, 250)))
		}
		r.sum()
		all.Results = append(all.Results, r)
	}
	return all
}

func TestSVG(t *testing.T) {
	var out bytes.Buffer
	if err := writeSVG(&out, fullReport(t)); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("SAMEPAGE_BENCH_SVG"); dir != "" { // to look at it
		if err := os.WriteFile(filepath.Join(dir, "test.svg"), out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var words []string
	d := xml.NewDecoder(bytes.NewReader(out.Bytes()))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.CharData:
			words = append(words, string(tok))
		case xml.StartElement:
			for _, a := range tok.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") ||
					a.Name.Local != "d" && strings.HasPrefix(a.Value, "-") {
					t.Errorf("<%s %s=%q>", tok.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	}
	text := strings.Join(words, "\n")
	for _, s := range subjects() {
		if !strings.Contains(text, s.name) || !strings.Contains(text, s.group.name) {
			t.Errorf("no %s", s.id())
		}
	}
	for _, want := range []string{"<CPU> & co", "left out: a peer: it is <not> here", ": " + oneWay} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if err := writeSVG(io.Discard, report{}); err == nil {
		t.Error("drew a report of nothing")
	}
}

func TestTableAndJSON(t *testing.T) {
	all := fullReport(t)
	var out bytes.Buffer
	for _, g := range groups {
		var mine []result
		for _, r := range all.Results {
			if r.Group == g.name {
				mine = append(mine, r)
			}
		}
		table(&out, g, mine)
	}
	for _, s := range subjects() {
		if !strings.Contains(out.String(), "\n"+s.name+" ") {
			t.Errorf("no %s in the table", s.id())
		}
	}
	dir := ipctest.Dir(t)
	file := filepath.Join(dir, "all.json")
	if err := all.save(task{json: file, svg: filepath.Join(dir, "all.svg")}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Results) != len(all.Results) || back.Results[0].Round[0] != all.Results[0].Round[0] || len(back.LeftOut) != 1 {
		t.Errorf("%d results, %+v, came back", len(back.Results), back.Results[0])
	}
}

func TestCommandLine(t *testing.T) {
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"-list", "-run", "^mutex"}, &out, &progress); err != nil || !strings.Contains(out.String(), "mutex, uncontended/mutex") {
		t.Errorf("%v: %s", err, &out)
	}
	for _, args := range [][]string{{"-run", "no such subject"}, {"-run", "("}, {"-rounds", "0"}, {"-seconds", "0"}, {"more"}} {
		if err := run(t.Context(), args, &out, &progress); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
