package samepage_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/mission.md has every row that is built, and the tests that it names
// exist.
func TestMissionPage(t *testing.T) {
	var want []string
	for _, r := range []struct {
		seed     string
		from, to int
	}{
		{"000", 1, 22},
		{"001", 1, 14},
		{"002", 6, 14},
		{"002", 16, 22},
		{"002", 27, 32},
		{"002", 35, 35},
		{"003", 1, 7},
		{"003", 13, 14},
		{"003", 16, 16},
		{"003", 18, 24},
		{"004", 1, 17},
	} {
		for i := r.from; i <= r.to; i++ {
			want = append(want, fmt.Sprintf("%s-%02d", r.seed, i))
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
	page := strings.ReplaceAll(string(must(os.ReadFile("docs/mission.md"))(t)), "\r\n", "\n")
	var have []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d{3}-\d{2}) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$`).FindAllStringSubmatch(page, -1) {
		have = append(have, m[1])
		tests := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1)
		if len(tests) == 0 {
			t.Errorf("row %s names no test", m[1])
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
	src := strings.ReplaceAll(string(must(os.ReadFile("example_test.go"))(t)), "\r\n", "\n")
	_, body, _ := strings.Cut(src, "func Example() {\n")
	body, _, ok := strings.Cut(body, "\t// Output:")
	if !ok {
		t.Fatal("no Example")
	}
	body = strings.TrimPrefix(strings.ReplaceAll("\n"+body, "\n\t", "\n"), "\n")
	readme := strings.ReplaceAll(string(must(os.ReadFile("README.md"))(t)), "\r\n", "\n")
	if !strings.Contains(readme, "```go\n"+body+"```") {
		t.Errorf("README.md lacks the body of Example:\n%s", body)
	}
}
