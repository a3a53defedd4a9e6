package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// Rows 000-29 and 000-30 of the mission: docs/choosing.md. Its figures are checked in
// TestPagesAreMadeFromTheJSON, and what is measured runs in TestSubjectsRun and TestPeersRun.

// tableOf returns the rows of the only table of a page.
func tableOf(t *testing.T, page string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|---"):
			tables++
		case strings.HasPrefix(line, "|"):
			rows = append(rows, strings.Split(strings.Trim(line, "|"), "|"))
		}
	}
	if tables != 1 || len(rows) < 2 {
		t.Fatalf("%s has %d tables and %d rows, want one table", page, tables, len(rows))
	}
	return rows[1:]
}

// Each way that is measured has a row on the page, and a figure for a small, a larger and a large
// message, on the system that it is for.
func TestMission000_29_SmallAndLarge(t *testing.T) {
	rows := tableOf(t, "docs/choosing.md")
	for m, sizes := range map[mark][]*group{ofChoosing: {choose64, choose64K, choose3M}, ofWine: {wine64, wine64K, wine3M}} {
		all, err := readReport(filepath.Join("..", pagesJSON[m]))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range subjects() {
			if !slices.Contains(sizes, s.group) {
				continue
			}
			i := slices.IndexFunc(all.Results, func(r result) bool { return r.id() == s.id() })
			if i < 0 || len(all.Results[i].Moods) == 0 {
				t.Errorf("%s has no figure for %s", pagesJSON[m], s.id())
			}
			region := "<!-- " + string(m) + ": row; " + s.name + " -->"
			row := slices.IndexFunc(rows, func(r []string) bool { return strings.Contains(strings.Join(r, "|"), region) })
			switch {
			case row < 0:
				t.Errorf("docs/choosing.md has no row with %s", region)
			case len(rows[row]) != 6:
				t.Errorf("the row with %s has %d columns, want 6", region, len(rows[row]))
			}
		}
		if wine := strings.Contains(all.Machine.System, "Wine"); wine != (m == ofWine) {
			t.Errorf("%s was measured on %q", pagesJSON[m], all.Machine.System)
		}
	}
}

// Each way that the articles name has a row, which says when it is right and when it is not.
func TestMission000_30_EveryWay(t *testing.T) {
	rows := tableOf(t, "docs/choosing.md")
	for _, way := range []string{
		"shared memory", "pipe", "named pipe", "Unix socket", "TCP socket", "RPC", "WM_COPYDATA", "clipboard", "mailslot",
		"COM", "DCOM", "DDE", "D-Bus", "serial", "parallel", "file", "section",
	} {
		i := slices.IndexFunc(rows, func(r []string) bool {
			return slices.Contains(strings.FieldsFunc(r[0], func(c rune) bool { return strings.ContainsRune(" ,:*()", c) }), strings.Fields(way)[0]) &&
				strings.Contains(r[0], way)
		})
		if i < 0 {
			t.Errorf("no row says when to take: %s", way)
		}
	}
	for _, r := range rows {
		limit := strings.Contains(r[0], "*Linux, the limit")
		if why := len(strings.TrimSpace(r[1])) > 0 && len(strings.TrimSpace(r[2])) > 0; why == limit {
			t.Errorf("row %q says %q and %q", r[0], r[1], r[2])
		}
	}
}

// A file of runs changes only the JSON files whose groups it has.
func TestRunsOfAPart(t *testing.T) {
	run := fullReport(t)
	all := map[mark]int{}
	for m := range pagesJSON {
		part := run.part(m)
		all[m] = len(part.Results)
		for _, r := range part.Results {
			if g := part.info(r.Group); len(g.About) == 0 {
				t.Errorf("%s has a result of group %s, and not the group", m, r.Group)
			}
		}
		again := part.part(m)
		if len(again.Results) != len(part.Results) || len(again.Groups) != len(part.Groups) {
			t.Errorf("%s: %d results of %d", m, len(again.Results), len(part.Results))
		}
	}
	if n := all[ofBench] + all[ofChoosing] + all[ofWine]; n != len(run.Results) || all[ofChoosing] == 0 || all[ofWine] == 0 {
		t.Errorf("%v results in the parts, want %d in all", all, len(run.Results))
	}
	root := ipctest.Dir(t)
	if err := os.MkdirAll(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, page := range pagesWithRegions {
		if err := os.WriteFile(filepath.Join(root, page), []byte("<!-- bench: row; topic --><!-- /bench -->"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := map[mark]string{ofBench: "bench run.json", ofChoosing: "choosing run.json", ofWine: "wine run.json"}
	for m, name := range files {
		part := run.part(m)
		files[m] = filepath.Join(root, name)
		if err := part.save(files[m]); err != nil {
			t.Fatal(err)
		}
	}
	if err := quietly(t, "-docs", root, files[ofBench], files[ofChoosing], files[ofWine]); err != nil {
		t.Fatal(err)
	}
	read := func(m mark) string {
		text, err := os.ReadFile(filepath.Join(root, pagesJSON[m]))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := map[mark]string{ofBench: read(ofBench), ofChoosing: read(ofChoosing), ofWine: read(ofWine)}
	two := run.part(ofChoosing)
	two.Date = "2026-01-05"
	if err := two.save(files[ofChoosing]); err != nil {
		t.Fatal(err)
	}
	if err := quietly(t, "-docs", root, files[ofChoosing]); err != nil {
		t.Fatal(err)
	}
	for m, was := range before {
		if changed := read(m) != was; changed != (m == ofChoosing) {
			t.Errorf("%s changed: %t", pagesJSON[m], changed)
		}
	}
}

// The cells of a row are of the commonest mood, or say their own.
func TestRows(t *testing.T) {
	run := fullReport(t)
	all, err := merge([]report{run.part(ofChoosing)})
	if err != nil {
		t.Fatal(err)
	}
	if mood := all.commonestMood(); mood != near {
		t.Fatalf("the mood is %q", mood)
	}
	r := &all.Results[slices.IndexFunc(all.Results, func(r result) bool { return r.id() == choose64K.name+"/topic" })]
	r.Moods = slices.DeleteFunc(r.Moods, func(m summary) bool { return m.Mood == near })
	all.Results = slices.DeleteFunc(all.Results, func(r result) bool { return r.id() == choose3M.name+"/topic" })
	text, err := all.text("row; topic")
	cells := strings.Split(text, " | ")
	if err != nil || len(cells) != 3 || !strings.HasSuffix(cells[1], ", far)") || strings.Contains(cells[0], "near") || cells[2] != "not measured" {
		t.Errorf("%q, %v", text, err)
	}
	text, err = all.text("row; limit")
	if err != nil || text != "55.5 ns | 55.5 ns | 55.5 ns" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := all.text("row; no such way"); err == nil {
		t.Errorf("%q, no error", text)
	}
}
