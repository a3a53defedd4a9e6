package house

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// docs/mission.md has every row of the mission, each with tests that exist. The
// rows in later are not built yet, and say so.
func TestMissionPage(t *testing.T) {
	rows := []struct {
		seed string
		n    int
	}{{"000", 30}, {"001", 14}, {"002", 37}, {"003", 24}, {"004", 17}}
	later := map[string]bool{"000-29": true, "000-30": true}
	var want []string
	for _, r := range rows {
		for i := range r.n {
			want = append(want, fmt.Sprintf("%s-%02d", r.seed, i+1))
		}
	}
	exist := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)\w*)\(`).FindAllSubmatch(s.src, -1) {
				exist[string(m[1])] = true
			}
		}
	}
	page := read(t, "docs/mission.md")
	var have []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d{3}-\d{2}) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$`).FindAllStringSubmatch(page, -1) {
		have = append(have, m[1])
		tests := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1)
		if later[m[1]] != (len(tests) == 0) || later[m[1]] != (m[3] == "not yet") {
			t.Errorf("row %s has the tests %q", m[1], m[3])
		}
		for _, name := range tests {
			if !exist[name[1]] {
				t.Errorf("row %s names test %s, which does not exist", m[1], name[1])
			}
		}
	}
	if strings.Join(have, " ") != strings.Join(want, " ") {
		t.Errorf("docs/mission.md has rows\n%s, want\n%s", have, want)
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
