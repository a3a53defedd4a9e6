package house

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// exported are the exported functions, methods and types of a room, without what they
// belong to.
func exported(t *testing.T, room string) (names []string) {
	t.Helper()
	for _, s := range sources(t) {
		if s.isTest() || s.room != room {
			continue
		}
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names = append(names, d.Name.Name)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ty, ok := spec.(*ast.TypeSpec); ok {
						names = append(names, ty.Name.Name)
					}
				}
			}
		}
	}
	if len(names) == 0 {
		t.Fatalf("room %s has no names", room)
	}
	return names
}

// What docs/api.md names exists, and it names everything by which something is opened.
func TestAPIPage(t *testing.T) {
	page := read(t, "docs/api.md")
	rooms := map[string][]string{"samepage": exported(t, ".")}
	for _, r := range []string{"ipcsync", "cell", "pubsub", "rpc", "stream", "inspect", "frame"} {
		rooms[r] = exported(t, r)
	}
	rooms["web"] = exported(t, "inspect/web")
	for _, r := range []string{"baseimage", "earseimage", "sharememory", "text"} {
		rooms[r] = exported(t, "legacy/"+r)
	}
	ticked := regexp.MustCompile("`([^`]+)`")
	room, named := "", map[string]bool{}
	for _, line := range strings.Split(page, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			continue
		}
		if m := ticked.FindStringSubmatch(cells[1]); m != nil {
			room = m[1]
		}
		for _, m := range ticked.FindAllStringSubmatch(strings.Join(cells[2:], " "), -1) {
			for _, name := range strings.Fields(m[1]) {
				of := room
				if before, after, ok := strings.Cut(name, "."); ok {
					if rooms[before] != nil {
						of = before
					}
					name = after
				}
				named[of+"."+name] = true
				if !slices.Contains(rooms[of], name) {
					t.Errorf("docs/api.md: %s has no %s", of, name)
				}
			}
		}
	}
	for _, call := range regexp.MustCompile(`\b(\w+)\.([A-Z]\w*)\(`).FindAllStringSubmatch(page, -1) {
		if names := rooms[call[1]]; names != nil && !slices.Contains(names, call[2]) {
			t.Errorf("docs/api.md: %s has no %s", call[1], call[2])
		}
	}
	opens := regexp.MustCompile(`^(Create|Open|OpenOrCreate|Await)([A-Z]\w*)?$`)
	for _, r := range []string{"samepage", "ipcsync", "cell", "pubsub", "rpc", "stream", "frame"} {
		for _, n := range rooms[r] {
			if opens.MatchString(n) && !named[r+"."+n] {
				t.Errorf("docs/api.md does not name %s.%s", r, n)
			}
		}
	}
}
