package house

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// house are the floors of the house, from the ground up: the picture of
// docs/architecture.md. A room may use those of the floors below its own.
type house [][]string

func floors(t *testing.T) (h house) {
	t.Helper()
	_, picture, _ := strings.Cut(read(t, "docs/architecture.md"), "```text\n")
	picture, _, _ = strings.Cut(picture, "```")
	var floor []string
	for _, line := range strings.Split(picture, "\n") {
		if strings.HasPrefix(line, "+--") && floor != nil {
			h, floor = append(h, floor), nil
		}
		// The number of the floor, the rooms, and behind two blanks what they are for.
		if m := regexp.MustCompile(`^\| .{4}  ((?:\S+ )*\S+)  `).FindStringSubmatch(line); m != nil {
			floor = append(floor, strings.Fields(m[1])...)
		}
	}
	slices.Reverse(h)
	if len(h) < 10 || !slices.Contains(h[1], "layout") || !slices.Contains(h[len(h)-1], "cmd/samepage") {
		t.Fatalf("the picture of docs/architecture.md has the floors %q", h)
	}
	return h
}

// testRooms serve tests, may use any room, and are used by tests only.
var testRooms = []string{"internal/ipctest", "internal/ipctest/agent", "internal/ipctest/memtest"}

// floorOf is the number of a room's floor, negative for one that stands on none.
func (h house) floorOf(room string) int {
	for i, f := range h {
		if slices.Contains(f, room) {
			return i
		}
	}
	if strings.HasPrefix(room, "cmd/") {
		return len(h) - 1
	}
	return -1
}

func TestArchDirection(t *testing.T) {
	h, seen := floors(t), map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() || slices.Contains(testRooms, s.room) || strings.HasPrefix(s.room, "examples/") ||
			strings.HasPrefix(s.room, "test/") || strings.HasPrefix(s.room, "tools") || strings.HasPrefix(s.room, "bench") {
			continue
		}
		mine := h.floorOf(s.room)
		seen[s.room] = true
		if mine < 0 {
			t.Errorf("%s: room %s stands on no floor of docs/architecture.md", s.file, s.room)
			continue
		}
		for _, i := range s.imports() {
			if i == "unsafe" || i == "samepage" || strings.HasPrefix(i, "samepage/") {
				room := strings.TrimPrefix(strings.TrimPrefix(i, "samepage"), "/")
				if room == "" {
					room = "."
				}
				if i == "unsafe" || strings.HasPrefix(room, "cmd/") && strings.HasPrefix(s.room, "cmd/") {
					continue
				}
				if theirs := h.floorOf(room); theirs < 0 || theirs >= mine {
					t.Errorf("%s: %s (floor %d) uses %s (floor %d)", s.file, s.room, mine, room, theirs)
				}
			}
		}
	}
	for _, f := range h {
		for _, room := range f {
			if !seen[room] {
				t.Errorf("docs/architecture.md has the room %s, which has no file", room)
			}
		}
	}
}

// Nothing runs upwards but by arguments: no room has a variable that a room above it sets.
func TestArchNoHooks(t *testing.T) {
	hooks := map[string]bool{} // exported variables without a value, as "room.Name"
	all := sources(t)
	library := func(s *source) bool {
		return !s.isTest() && !slices.Contains(testRooms, s.room) &&
			!regexp.MustCompile(`^(examples|test|tools|bench|cmd)(/|$)`).MatchString(s.room)
	}
	for _, s := range all {
		for _, d := range s.ast.Decls {
			v, ok := d.(*ast.GenDecl)
			if !ok || v.Tok != token.VAR || !library(s) {
				continue
			}
			for _, spec := range v.Specs {
				spec := spec.(*ast.ValueSpec)
				if _, is := spec.Type.(*ast.FuncType); is && len(spec.Values) == 0 {
					t.Errorf("%s: %s is a function that somebody else sets; give it as an argument", s.file, spec.Names[0])
				}
				for _, n := range spec.Names {
					if n.IsExported() {
						hooks[s.room+"."+n.Name] = true
					}
				}
			}
		}
	}
	for _, s := range all {
		if !library(s) {
			continue
		}
		rooms := map[string]string{}
		for _, i := range s.imports() {
			if i == "samepage" {
				rooms["samepage"] = "."
			} else if room, ok := strings.CutPrefix(i, "samepage/"); ok {
				rooms[path.Base(room)] = room
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok {
				return true
			}
			for _, l := range a.Lhs {
				if sel, ok := l.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && rooms[x.Name] != "" && hooks[rooms[x.Name]+"."+sel.Sel.Name] {
						t.Errorf("%s sets %s.%s", s.file, x.Name, sel.Sel.Name)
					}
				}
			}
			return true
		})
	}
}

// systemRooms may ask the system beside internal/sys, each for its reason. None of them is
// part of the library: they test and measure it.
var systemRooms = map[string]string{
	"internal/ipctest":       "it stops processes, has terminals, and takes turns by the kernel's events",
	"internal/ipctest/agent": "it becomes another user, which only a process of its own can",
	"test/line":              "a program: it joins two network namespaces, and plays the network between them",
	"bench":                  "a module of its own: it measures the system's calls beside ours",
	"tools/testreport":       "a module of its own: it outlives the signal that ends the tests",
}

// asksProcessor asks the processor what it can do, and not the system.
const asksProcessor = "golang.org/x/sys/cpu"

// reasonToAsk says why a room may ask the system, empty if it may not.
func reasonToAsk(room string) string {
	if room == "internal/sys" || strings.HasPrefix(room, "internal/sys/") {
		return "that is what it is for"
	}
	return systemRooms[room]
}

// Only internal/sys and the rooms below it have files for one system and call it.
func TestArchOneOSRoom(t *testing.T) {
	h := floors(t)
	system := regexp.MustCompile(`_(linux|windows|darwin|freebsd|unix|other)(_\w+)?\.go$`)
	build := regexp.MustCompile(`(?m)^//go:build .*(linux|windows|darwin|freebsd|unix).*$`)
	asks := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		var found []string
		if system.MatchString(path.Base(s.file)) {
			found = append(found, "the name of the file is for one system")
		}
		for _, i := range s.imports() {
			signals := i == "syscall" && h.floorOf(s.room) == len(h)-1 // the command names SIGTERM
			if i == "syscall" && !signals || strings.HasPrefix(i, "golang.org/x/sys") && i != asksProcessor {
				found = append(found, "it imports "+i)
			}
		}
		if m := build.Find(s.src); m != nil {
			found = append(found, string(m))
		}
		if len(found) == 0 {
			continue
		}
		asks[s.room] = true
		if reasonToAsk(s.room) == "" {
			t.Errorf("%s: %s; what asks the system lives in internal/sys", s.file, strings.Join(found, ", "))
		}
	}
	for room := range systemRooms {
		if !asks[room] {
			t.Errorf("%s does not ask the system; take it from the list", room)
		}
	}
}

func TestArchUnsafe(t *testing.T) {
	for _, s := range sources(t) {
		uses := slices.Contains(s.imports(), "unsafe")
		named := strings.Contains(path.Base(s.file), "_unsafe")
		// layout takes sizes and offsets only, for the compiler to check.
		if uses && !named && s.room == "layout" && !bytes.Contains(s.src, []byte("unsafe.Pointer")) {
			continue
		}
		if uses && !named {
			t.Errorf("%s uses unsafe; such files are named *_unsafe*.go", s.file)
		}
		if named && !uses {
			t.Errorf("%s does not use unsafe", s.file)
		}
	}
}

func TestArchModules(t *testing.T) {
	mod := []byte(read(t, "go.mod"))
	for _, l := range regexp.MustCompile(`(?m)^(?:require )?\s*(\S+) v\S+`).FindAllSubmatch(mod, -1) {
		if string(l[1]) != "golang.org/x/sys" {
			t.Errorf("the library requires %s; it may require golang.org/x/sys only", l[1])
		}
	}
	// The command's tests need nothing of the library's module that others
	// could not import; its code must not be imported by the library at all.
	for _, s := range sources(t) {
		for _, i := range s.imports() {
			if strings.HasPrefix(i, "samepage/cmd") && !strings.HasPrefix(s.room, "cmd/") {
				t.Errorf("%s imports %s", s.file, i)
			}
		}
	}
}

func TestArchPackageComments(t *testing.T) {
	has, rooms := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		rooms[s.room] = true
		if s.ast.Doc != nil {
			has[s.room] = true
		}
	}
	for room := range rooms {
		if !has[room] {
			t.Errorf("package %s has no comment", room)
		}
		if base := path.Base(room); slices.Contains([]string{"util", "utils", "common", "helpers", "misc"}, base) {
			t.Errorf("package %s is named for nothing", room)
		}
	}
}

func TestArchFormat(t *testing.T) {
	for _, s := range sources(t) {
		want, err := format.Source(s.src)
		if err != nil || !bytes.Equal(want, bytes.ReplaceAll(s.src, []byte("\r\n"), []byte("\n"))) {
			t.Errorf("%s is not gofmt'ed (%v)", s.file, err)
		}
		if n := bytes.Count(s.src, []byte("\n")); n > 700 && !s.isTest() {
			t.Errorf("%s has %d lines; split it", s.file, n)
		}
	}
}
