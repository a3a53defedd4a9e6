package house

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The pages of the mission have every row, each with tests that exist.
func TestMissionPage(t *testing.T) {
	rows := []struct {
		seed string
		n    int
	}{{"000", 30}, {"001", 14}, {"002", 37}, {"003", 24}, {"004", 17}}
	var want []string
	for _, r := range rows {
		for i := range r.n {
			want = append(want, fmt.Sprintf("%s-%02d", r.seed, i+1))
		}
	}
	exist := map[string][]string{} // in which rooms
	for _, s := range sources(t) {
		if s.isTest() {
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)\w*)\(`).FindAllSubmatch(s.src, -1) {
				exist[string(m[1])] = append(exist[string(m[1])], s.room)
			}
		}
	}
	var have []string
	index := read(t, "docs/mission.md")
	for _, page := range files(t, "docs/mission", ".md") {
		if !strings.Contains(index, "]("+strings.TrimPrefix(page, "docs/")+")") {
			t.Errorf("docs/mission.md does not lead to %s", page)
		}
		var here []string
		for line := range strings.Lines(read(t, page)) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| row |") || strings.HasPrefix(line, "|---") {
				continue
			}
			here = append(here, checkRow(t, page, line, exist))
		}
		if !slices.IsSorted(here) || len(slices.Compact(slices.Clone(here))) != len(here) {
			t.Errorf("%s has its rows in another order, or one of them twice: %s", page, here)
		}
		have = append(have, here...)
	}
	slices.Sort(have)
	if have = slices.Compact(have); !slices.Equal(have, want) {
		t.Errorf("docs/mission has the rows\n%s, want\n%s", have, want)
	}
}

// missionRooms are the packages of the pages whose names do not say them.
var missionRooms = map[string][]string{
	"samepage": {"."}, "pubsub": {"pubsub", "cell"}, "starter": {"internal/starter"},
	"baseimage": {"legacy/baseimage"}, "earseimage": {"legacy/earseimage"}, "sharememory": {"legacy/sharememory"}, "text": {"legacy/text"},
}

// checkRow checks a row of a page of the mission, and is its number. At least one of its
// tests is in the package of the page, or below test.
func checkRow(t *testing.T, page, line string, exist map[string][]string) string {
	t.Helper()
	if n := len(strings.Fields(strings.ReplaceAll(line, "|", " "))); n > 40 {
		t.Errorf("%s: a row has %d words, and may have 40: %s", page, n, line)
	}
	m := regexp.MustCompile(`^\| (\d{3}-\d{2}) \| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$`).FindStringSubmatch(line)
	if m == nil {
		t.Errorf("%s: this row has not five columns, or no number: %s", page, line)
		return ""
	}
	tests := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1)
	if len(tests) == 0 {
		t.Errorf("%s: row %s has the tests %q", page, m[1], m[3])
	}
	name := strings.TrimSuffix(path.Base(page), ".md")
	rooms, ok := missionRooms[name]
	if !ok {
		rooms = []string{name}
	}
	here := false
	for _, name := range tests {
		if len(exist[name[1]]) == 0 {
			t.Errorf("%s: row %s names test %s, which does not exist", page, m[1], name[1])
		}
		for _, room := range exist[name[1]] {
			here = here || slices.Contains(rooms, room) || strings.HasPrefix(room, "test/")
		}
	}
	if !here {
		t.Errorf("%s: no test of row %s is in %v, or below test", page, m[1], rooms)
	}
	return m[1]
}

// The words in docs/protocol/baseimage.md lie where wire.h has them.
func TestBaseImagePage(t *testing.T) {
	wire := find(t, "wire.h")
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`offsetof\(BaseHeader, (\w+)\) == (\d+)`).FindAllStringSubmatch(wire, -1) {
		want[strings.ReplaceAll(m[1], "_", " ")] = m[2]
	}
	if m := regexp.MustCompile(`sizeof\(BaseHeader\) == (\d+)`).FindStringSubmatch(wire); m != nil {
		want["pixels"] = m[1] // behind the header
	}
	have := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z][a-z, ]*) \| ([\d, ]+) \|`).FindAllStringSubmatch(read(t, "docs/protocol/baseimage.md"), -1) {
		names, offsets := strings.Split(m[1], ", "), strings.Split(m[2], ", ")
		for i, name := range names[:min(len(names), len(offsets))] {
			have[name] = offsets[i]
		}
	}
	if len(want) < 5 || !maps.Equal(have, want) {
		t.Errorf("docs/protocol/baseimage.md has the words at %v, wire.h at %v", have, want)
	}
}

// docs/troubles.md has a row for each exported error, with its words, and no other.
func TestTroublesHasEachError(t *testing.T) {
	words := map[string]string{"ErrClosed": fs.ErrClosed.Error()}
	exported := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() || strings.HasPrefix(s.room, "cmd/") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?m)^(?:var|\t) ?(Err\w+)(?:\s+error)?\s+=\s*(?:(?:[\w.]+)\("([^"%]+)(?:: %w)?")?`).FindAllStringSubmatch(string(s.src), -1) {
			if m[2] != "" {
				words[m[1]] = m[2]
			}
			exported[m[1]] = exported[m[1]] || !strings.HasPrefix(s.room, "internal/") && s.room != "layout"
		}
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(Err\\w+)` \\| ([^|]+) \\|").FindAllStringSubmatch(read(t, "docs/troubles.md"), -1) {
		rows[m[1]] = m[2]
	}
	for name, ok := range exported {
		if ok && (words[name] == "" || !strings.Contains(rows[name], words[name])) {
			t.Errorf("docs/troubles.md has the words %q of %s, want %q", rows[name], name, words[name])
		}
	}
	for name := range rows {
		if !exported[name] {
			t.Errorf("docs/troubles.md has %s, which does not exist", name)
		}
	}
	if len(rows) < 20 {
		t.Errorf("docs/troubles.md has %d errors", len(rows))
	}
}

// docs/troubles.md has a row for each exit code of the command, and no other.
func TestTroublesHasEachExitCode(t *testing.T) {
	var want, have []string
	source := read(t, "cmd/samepage/exit.go")
	consts := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(exit\w+)\s+= (\d+)$`).FindAllStringSubmatch(source, -1) {
		consts[m[1]] = m[2]
	}
	for _, m := range regexp.MustCompile(`(?m)^\t\{(\w+), "`).FindAllStringSubmatch(source, -1) {
		want = append(want, cmp.Or(consts[m[1]], m[1]))
	}
	want = append(want, "0", consts["exitFailed"])
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(read(t, "docs/troubles.md"), -1) {
		have = append(have, m[1])
	}
	slices.Sort(want)
	slices.Sort(have)
	if len(want) < 10 || !slices.Equal(have, want) {
		t.Errorf("docs/troubles.md has the exit codes %q, want %q", have, want)
	}
}

// Each link of a page to a file of the repository leads to one.
func TestLinks(t *testing.T) {
	root, links := root(t), 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && p != root && strings.HasPrefix(d.Name(), ".") {
			return cmp.Or(err, filepath.SkipDir)
		}
		if filepath.Ext(p) != ".md" {
			return nil
		}
		page, err := os.ReadFile(p)
		for _, m := range regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(string(page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", p, m[1])
			}
		}
		return err
	})
	if err != nil || links < 100 {
		t.Errorf("%d links, %v", links, err)
	}
}
