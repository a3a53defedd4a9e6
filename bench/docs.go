package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The pages: docs/bench.md, docs/choosing.md, the README and the plots are made from JSON files in
// docs, so that nobody types a figure. A page has marked regions:
//
//	<!-- bench: table -->made text<!-- /bench -->
//
// The first word is the mark of a JSON file. Everything else on a page is written by hand. A
// sentence may have a figure, a ratio or a limit of one subject, in one mood or in the commonest
// one:
//
//	<!-- bench: ratio; message, 64 B/topic; far -->1.04<!-- /bench -->

// mark is what the regions of a page call a JSON file.
type mark string

const (
	ofBench    mark = "bench"
	ofChoosing mark = "choosing"
	ofWine     mark = "wine" // what docs/choosing.md says about Windows
)

// pagesJSON are the JSON files, relative to the root of the repository.
var pagesJSON = map[mark]string{
	ofBench:    "docs/bench.json",
	ofChoosing: "docs/choosing.json",
	ofWine:     "docs/choosing-wine.json",
}

const (
	pagesSVG   = "docs/bench.svg"
	pagesPlots = "docs/bench" // a folder, with a plot for each group of docs/bench.json
)

// pagesWithRegions are relative to the root of the repository.
var pagesWithRegions = []string{"docs/bench.md", "docs/choosing.md", "README.md"}

// writeDocs makes the pages below root. If there are files of runs, it first tells these runs
// together, and this becomes the JSON files. A JSON file whose groups are in none of the runs stays
// as it is.
func writeDocs(root string, runs []string) error {
	var all []report
	for _, f := range runs {
		r, err := readReport(f)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	for m, file := range pagesJSON {
		var parts []report
		for _, r := range all {
			if part := r.part(m); len(part.Groups) > 0 {
				parts = append(parts, part)
			}
		}
		if len(parts) == 0 {
			continue
		}
		merged, err := merge(parts)
		if err != nil {
			return err
		}
		if err := merged.save(filepath.Join(root, file)); err != nil {
			return err
		}
	}
	pages, err := makeDocs(root)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(root, pagesPlots), 0o755); err != nil {
		return err
	}
	drawn, err := os.ReadDir(filepath.Join(root, pagesPlots))
	if err != nil {
		return err
	}
	for _, e := range drawn {
		if name := pagesPlots + "/" + e.Name(); pages[name] == nil { // its group is gone
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				return err
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// part is what a report says about the groups of one JSON file.
func (all *report) part(m mark) report {
	p := *all
	p.Groups, p.Results = nil, nil
	for _, g := range all.Groups {
		if cmp.Or(g.Mark, ofBench) == m {
			p.Groups = append(p.Groups, g)
			p.Results = append(p.Results, all.of(g.Name)...)
		}
	}
	return p
}

func readReport(file string) (r report, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// makeDocs returns the pages that the JSON files give, by their names below root.
func makeDocs(root string) (map[string][]byte, error) {
	reports := map[mark]*report{}
	for m, file := range pagesJSON {
		r, err := readReport(filepath.Join(root, file))
		if err != nil {
			return nil, err
		}
		reports[m] = &r
	}
	pages := map[string][]byte{}
	for _, name := range pagesWithRegions {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		// Git may check text files out with other line ends.
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		if pages[name], err = fillRegions(reports, text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	all := reports[ofBench]
	for _, g := range all.Groups {
		if drawn := drawGroup(g, all); drawn != nil {
			pages[pagesPlots+"/"+plotName(g)] = drawn
		}
	}
	pages[pagesSVG] = drawGlance(all)
	return pages, nil
}

// plotName is the name of the file with a group's plot.
func plotName(g groupInfo) string {
	words := regexp.MustCompile(`[a-z0-9]+`).FindAllString(strings.ToLower(g.Name), -1)
	return strings.Join(words, "-") + ".svg"
}

var region = regexp.MustCompile(`(?s)<!-- (bench|choosing|wine): ([^>]*) -->.*?<!-- /(?:bench|choosing|wine) -->`)

// fillRegions fills the regions of a page.
func fillRegions(reports map[mark]*report, page []byte) ([]byte, error) {
	var failed error
	page = region.ReplaceAllFunc(page, func(old []byte) []byte {
		found := region.FindSubmatch(old)
		m, what := mark(found[1]), string(found[2])
		text, err := reports[m].text(what)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("region %q of %s: %w", what, pagesJSON[m], err))
		}
		return fmt.Appendf(nil, "<!-- %s: %s -->%s<!-- /%s -->", m, what, text, m)
	})
	return page, failed
}

// text is the text of a region.
func (all *report) text(what string) (string, error) {
	words := strings.Split(what, "; ")
	blocks := map[string]func() string{
		"machine": all.machineText, "table": all.goalsTable, "others": all.othersTable, "plots": all.plotsText,
		"dropped": all.droppedText, "readme": all.glanceText, "measured": all.measuredText,
	}
	if what == "mood" {
		return all.commonestMood(), nil
	}
	if f := blocks[words[0]]; f != nil && len(words) == 1 {
		return "\n" + strings.TrimSpace(f()) + "\n", nil
	}
	if len(words) < 2 || len(words) > 3 {
		return "", errors.New("there is no such text")
	}
	if words[0] == "row" {
		return all.rowText(words[1])
	}
	i := slices.IndexFunc(all.Results, func(r result) bool { return r.id() == words[1] })
	if i < 0 {
		return "", errors.New("there is no such subject")
	}
	r := &all.Results[i]
	m, found := r.commonest(), len(r.Moods) > 0
	if len(words) == 3 {
		m, found = r.mood(words[2])
	}
	if !found {
		return "not measured", nil
	}
	switch g := all.info(r.Group); words[0] {
	case "figure":
		return g.figure(m.Value.Median), nil
	case "limit":
		return g.figure(m.Limit.Median), nil
	case "ratio":
		return digits(m.Ratio.Median), nil
	}
	return "", errors.New("want figure, limit, ratio or row")
}

// commonest is the summary of the commonest mood.
func (r *result) commonest() summary {
	if len(r.Moods) == 0 {
		return summary{}
	}
	return r.Moods[0]
}

func (r *result) mood(mood string) (summary, bool) {
	for _, m := range r.Moods {
		if m.Mood == mood {
			return m, true
		}
	}
	return summary{}, false
}

// merge tells runs together: all their rounds that count, and the median of each run. The runs
// may have different subjects. The single rounds are left out.
func merge(runs []report) (report, error) {
	all := runs[0]
	all.Groups, all.Results, all.LeftOut, all.Runs = nil, nil, []leftOut{}, 0
	rounds, runsOf := map[string][]round{}, map[string]int{}
	medians := map[string]map[string][]float64{}
	dates := []string{}
	for _, run := range runs {
		if run.Runs != 1 {
			return all, fmt.Errorf("a report of %d runs has no single rounds", run.Runs)
		}
		m := run.Machine
		if m.CPU != all.Machine.CPU || m.CPUs != all.Machine.CPUs || m.Go != all.Machine.Go || run.Seconds != all.Seconds {
			return all, fmt.Errorf("the runs differ: %s, %d CPUs, %s, %g s, and %s, %d CPUs, %s, %g s", all.Machine.CPU,
				all.Machine.CPUs, all.Machine.Go, all.Seconds, m.CPU, m.CPUs, m.Go, run.Seconds)
		}
		dates = append(dates, run.Date)
		for _, g := range run.Groups {
			if all.info(g.Name) != g {
				if slices.ContainsFunc(all.Groups, func(x groupInfo) bool { return x.Name == g.Name }) {
					return all, fmt.Errorf("the runs differ in group %s", g.Name)
				}
				all.Groups = append(all.Groups, g)
			}
		}
		for _, l := range run.LeftOut {
			if !slices.Contains(all.LeftOut, l) {
				all.LeftOut = append(all.LeftOut, l)
			}
		}
		for _, r := range run.Results {
			id := r.id()
			if rounds[id] == nil {
				all.Results = append(all.Results, r)
				medians[id] = map[string][]float64{}
			}
			rounds[id] = append(rounds[id], r.Round...)
			runsOf[id]++
			all.Runs = max(all.Runs, runsOf[id])
			for _, m := range r.Moods {
				medians[id][m.Mood] = append(medians[id][m.Mood], m.Ratio.Median)
			}
		}
	}
	slices.Sort(dates)
	if dates = slices.Compact(dates); len(dates) > 1 {
		all.Date = dates[0] + " to " + dates[len(dates)-1]
	}
	for i := range all.Results {
		r := &all.Results[i]
		r.rate = all.info(r.Group).Unit.rate()
		r.Round = rounds[r.id()]
		r.sum()
		for j := range r.Moods {
			r.Moods[j].Runs = medians[r.id()][r.Moods[j].Mood]
		}
		short := map[string]int{}
		for why, n := range r.Dropped {
			short[shortly(why)] += n
		}
		r.Dropped, r.Round = short, nil
	}
	all.inOrder()
	return all, nil
}

// inOrder puts groups and subjects into the order in which this program has them.
func (all *report) inOrder() {
	at := func(names []string, name string) int {
		if i := slices.Index(names, name); i >= 0 {
			return i
		}
		return len(names)
	}
	var gs, ss []string
	for _, g := range groups {
		gs = append(gs, g.name)
	}
	for _, s := range subjects() {
		ss = append(ss, s.id())
	}
	slices.SortStableFunc(all.Groups, func(a, b groupInfo) int { return cmp.Compare(at(gs, a.Name), at(gs, b.Name)) })
	slices.SortStableFunc(all.Results, func(a, b result) int { return cmp.Compare(at(ss, a.id()), at(ss, b.id())) })
}

// differing returns the names of pages that are not as the JSON files give them.
func differing(root string) (names []string, err error) {
	pages, err := makeDocs(root)
	if err != nil {
		return nil, err
	}
	for name, want := range pages {
		have, err := os.ReadFile(filepath.Join(root, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if !bytes.Equal(bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n")), want) {
			names = append(names, name)
		}
	}
	drawn, err := os.ReadDir(filepath.Join(root, pagesPlots))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range drawn {
		if name := pagesPlots + "/" + e.Name(); pages[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
