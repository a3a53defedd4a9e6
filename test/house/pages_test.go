package house

import (
	"fmt"
	"maps"
	"path"
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

// README.md shows what compiles and runs.
func TestReadmeShowsTheExample(t *testing.T) {
	src := read(t, "example_test.go")
	_, body, _ := strings.Cut(src, "func Example() {\n")
	body, _, ok := strings.Cut(body, "\t// Output:")
	if !ok {
		t.Fatal("no Example")
	}
	body = strings.TrimPrefix(strings.ReplaceAll("\n"+body, "\n\t", "\n"), "\n")
	readme := read(t, "README.md")
	if !strings.Contains(readme, "```go\n"+body+"```") {
		t.Errorf("README.md lacks the body of Example:\n%s", body)
	}
}
