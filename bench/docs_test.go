package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// fullReport returns a report of one run that has a figure for each subject, in two moods.
func fullReport(t *testing.T) report {
	t.Helper()
	all := report{
		Machine: machine{CPU: "<CPU> & co", CPUs: 2, Kernel: "6.1-x", Go: "go1"}, Date: "2026-01-02", Seconds: 0.1, Runs: 1,
		LeftOut: []leftOut{{"a peer", "it is <not> here\nmore"}},
	}
	for _, g := range groups {
		all.Groups = append(all.Groups, g.info())
	}
	for i, s := range subjects() {
		r := newResult(s)
		at := func(spin float64) round {
			return newRound(plain(55), sample{Mean: float64(i*i*i+20) * 5, P50: 3, P99: 4}, plain(56), spins(spin, spin), disagreement)
		}
		r.Round = []round{at(55), at(56), at(57), at(57), at(250), at(240), at(250), newRound(plain(1), plain(1), plain(2), spins(55, 55), disagreement)}
		r.sum()
		all.Results = append(all.Results, r)
	}
	return all
}

// wordsOf returns the texts of a plot, and complains about what no viewer can draw.
func wordsOf(t *testing.T, drawn []byte) string {
	t.Helper()
	var words []string
	d := xml.NewDecoder(bytes.NewReader(drawn))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return strings.Join(words, "\n")
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
}

func TestPlots(t *testing.T) {
	all := fullReport(t)
	plots := map[string][]byte{"glance.svg": drawGlance(&all), "nothing.svg": drawGlance(&report{})}
	for _, g := range all.Groups {
		drawn := drawGroup(g, &all)
		plots[plotName(g)] = drawn
		text := wordsOf(t, drawn)
		for _, r := range all.of(g.Name) {
			if !strings.Contains(text, r.Name) {
				t.Errorf("%s: no %s", g.Name, r.Name)
			}
		}
		for _, want := range []string{g.Name, g.About, g.Limit, "near, limit", "far, limit"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q", g.Name, want)
			}
		}
	}
	if len(plots) != len(groups)+2 {
		t.Errorf("%d plots of %d groups: names are not unique", len(plots), len(groups))
	}
	text := wordsOf(t, plots["glance.svg"])
	for _, want := range []string{"samepage", "iceoryx 2.0", "Go Unix socket", "the reader polls, processors near", "the reader sleeps"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q at a glance", want)
		}
	}
	wordsOf(t, plots["nothing.svg"])
	if drawn := drawGroup(all.Groups[0], &report{}); drawn != nil {
		t.Errorf("drew a group without results")
	}
	if dir := os.Getenv("SAMEPAGE_BENCH_SVG"); dir != "" { // to look at them
		for name, drawn := range plots {
			if err := os.WriteFile(filepath.Join(dir, name), drawn, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTableAndJSON(t *testing.T) {
	all := fullReport(t)
	var out bytes.Buffer
	for _, g := range all.Groups {
		table(&out, g, all.of(g.Name))
	}
	for _, s := range subjects() {
		if !strings.Contains(out.String(), "\n"+s.name+" ") {
			t.Errorf("no %s in the table", s.id())
		}
	}
	file := filepath.Join(ipctest.Dir(t), "all.json")
	if err := all.save(file); err != nil {
		t.Fatal(err)
	}
	back, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Results) != len(all.Results) || back.Results[0].Round[0] != all.Results[0].Round[0] || len(back.LeftOut) != 1 ||
		back.Results[0].Goal != all.Results[0].Goal {
		t.Errorf("%d results, %+v, came back", len(back.Results), back.Results[0])
	}
}

// Several runs are told together: all rounds, and the median of each run.
func TestMerge(t *testing.T) {
	one, two := fullReport(t), fullReport(t)
	two.Date = "2026-01-04"
	for i := range two.Results {
		for j := range two.Results[i].Round {
			two.Results[i].Round[j].Value.Mean *= 2
		}
		two.Results[i].sum()
	}
	two.Results = two.Results[1:] // a run of some subjects only
	two.Groups = two.Groups[1:]
	slices.Reverse(two.Results)
	slices.Reverse(two.Groups)
	for _, order := range [][]report{{one, two}, {two, one}} {
		all, err := merge(order)
		if err != nil {
			t.Fatal(err)
		}
		if all.Runs != 2 || all.Date != "2026-01-02 to 2026-01-04" || len(all.Groups) != len(groups) || len(all.Results) != len(one.Results) ||
			len(all.LeftOut) != 1 {
			t.Fatalf("%d runs, %s, %d groups, %d results, %v", all.Runs, all.Date, len(all.Groups), len(all.Results), all.LeftOut)
		}
		for i, r := range all.Results {
			if r.id() != one.Results[i].id() {
				t.Fatalf("result %d is %s", i, r.id())
			}
			was := one.Results[i].Count
			if i > 0 && r.Count != 2*was || i == 0 && r.Count != was || r.Round != nil || total(r.Dropped) != r.Count/was {
				t.Errorf("%s: %d rounds of %d, dropped %v", r.id(), r.Count, was, r.Dropped)
			}
		}
		last := all.Results[len(all.Results)-1]
		if m := last.Moods[0]; len(m.Runs) != 2 || m.Runs[0] == m.Runs[1] || m.Ratio.Median < min(m.Runs[0], m.Runs[1]) {
			t.Errorf("%+v", m)
		}
		if _, err := merge([]report{all}); err == nil {
			t.Error("told a report of two runs as one")
		}
	}
	two.Machine.CPU = "another"
	if _, err := merge([]report{one, two}); err == nil {
		t.Error("told runs of two machines together")
	}
}

// The regions of a page are filled, and nothing else changes.
func TestRegions(t *testing.T) {
	root := ipctest.Dir(t)
	if err := os.MkdirAll(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page := "# A page\r\n<!-- bench: table --><!-- /bench -->\n<!-- bench: others -->old<!-- /bench --> and\n<!-- bench: plots -->\n<!-- /bench -->\n" +
		"<!-- bench: dropped --><!-- /bench --><!-- bench: machine --><!-- /bench -->\n" +
		"It takes <!-- bench: figure; message, 64 B/topic; far -->7 ns<!-- /bench -->, <!-- bench: ratio; message, 64 B/topic -->1<!-- /bench --> of it.\n"
	write("docs/bench.md", page)
	write("README.md", "<!-- bench: readme --><!-- /bench -->")
	write("docs/choosing.md", "| <!-- choosing: row; topic -->1 | 2<!-- /choosing --> |\n<!-- wine: row; limit --><!-- /wine -->, <!-- choosing: mood --><!-- /choosing -->")
	run := fullReport(t)
	if err := run.save(filepath.Join(root, "run.json")); err != nil {
		t.Fatal(err)
	}
	make := func(files ...string) error {
		return quietly(t, append([]string{"-docs", root}, files...)...)
	}
	if err := make(filepath.Join(root, "run.json")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs/bench.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# A page\n<!-- bench: table -->\n| what |", "| message, 64 B: topic | near |", "| left out | a peer | | | it is ‹not› here; more |",
		"](bench/message-64-b.svg)", "(<CPU> & co, Linux 6.1)", " were dropped (the limits disagree: ", "<!-- /bench --> and\n", " of it.\n",
		"It takes <!-- bench: figure; message, 64 B/topic; far -->",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	choosing, err := os.ReadFile(filepath.Join(root, "docs/choosing.md"))
	if want := "| <!-- choosing: row; topic -->"; err != nil || !strings.HasPrefix(string(choosing), want) || strings.Count(string(choosing), " | ") != 4 {
		t.Errorf("%v:\n%s", err, choosing)
	}
	if names, err := differing(root); err != nil || len(names) > 0 {
		t.Errorf("%q, %v", names, err)
	}
	write("docs/bench/message-64-b.svg", "other")
	write("docs/bench/left.svg", "a group that is gone")
	write("README.md", "<!-- bench: readme --> by hand <!-- /bench -->")
	want := []string{"README.md", "docs/bench/left.svg", "docs/bench/message-64-b.svg"}
	if names, err := differing(root); err != nil || !slices.Equal(names, want) {
		t.Errorf("%q, %v, want %q", names, err, want)
	}
	if err := make(); err != nil {
		t.Fatal(err)
	}
	if names, err := differing(root); err != nil || len(names) > 0 {
		t.Errorf("made again: %q, %v", names, err)
	}
	for _, bad := range []string{"no such", "ratio", "ratio; no such subject", "size; message, 64 B/topic"} {
		write("docs/bench.md", "<!-- bench: "+bad+" --><!-- /bench -->")
		if err := make(); err == nil {
			t.Errorf("region %q: no error", bad)
		}
	}
}

func quietly(t *testing.T, args ...string) error {
	return run(t.Context(), args, io.Discard, io.Discard)
}

// The pages of this repository are made from its docs/bench.json, and no figure is typed by hand.
func TestPagesAreMadeFromTheJSON(t *testing.T) {
	names, err := differing("..")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) > 0 {
		t.Errorf("%q are not as the JSON files in docs give them: go run ./bench -docs .", names)
	}
	for _, file := range pagesJSON {
		if st, err := os.Stat(filepath.Join("..", file)); err != nil || st.Size() > 1<<20 {
			t.Errorf("%v, %v", st, err)
		}
	}
}
