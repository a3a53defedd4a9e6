package house

import (
	"bytes"
	"go/format"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The house: what each room may use, from the ground up. A room may use those
// of the lines before its own and none of its own line.
var floors = [][]string{
	{"layout", "internal/fault", "internal/forgotten", "internal/edge"},
	{"internal/option"},
	{"internal/sys/syserr"},
	{"internal/sys/internal/kernel"},
	{"internal/sys/window", "internal/sys/process", "internal/sys/waker", "internal/sys/kernelevent"},
	{"internal/sys/store"},
	{"internal/sys/lockfile"},
	{"internal/sys"},
	{"internal/sys/doctor"},
	{"internal/object"},
	{"internal/segment", "internal/lane"},
	{"internal/laneseg"},
	{"."},
	{"ipcsync", "cell", "pubsub"},
	{"internal/starter", "internal/facts"},
	{"rpc", "stream"},
	{"frame"},
	{"legacy/baseimage", "legacy/earseimage", "legacy/sharememory", "legacy/text"},
	{"cmd"},
}

// testRooms serve tests, may use any room, and are used by tests only.
var testRooms = []string{"internal/ipctest", "internal/ipctest/agent", "internal/ipctest/memtest"}

func floorOf(room string) int {
	for i, f := range floors {
		if slices.Contains(f, room) {
			return i
		}
	}
	if strings.HasPrefix(room, "cmd/") {
		return len(floors) - 1
	}
	return -1
}

func TestArchDirection(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || slices.Contains(testRooms, s.room) || strings.HasPrefix(s.room, "examples/") ||
			strings.HasPrefix(s.room, "test/") || strings.HasPrefix(s.room, "tools") || strings.HasPrefix(s.room, "bench") {
			continue
		}
		mine := floorOf(s.room)
		if mine < 0 {
			t.Errorf("%s: room %s stands on no floor of this test", s.file, s.room)
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
				if theirs := floorOf(room); theirs < 0 || theirs >= mine {
					t.Errorf("%s: %s (floor %d) uses %s (floor %d)", s.file, s.room, mine, room, theirs)
				}
			}
		}
	}
}

// systemRooms may ask the system beside internal/sys, each for its reason. None of them is
// part of the library: they test and measure it.
var systemRooms = map[string]string{
	"internal/ipctest":       "it stops processes, has terminals, and takes turns by the kernel's events",
	"internal/ipctest/agent": "it becomes another user, which only a process of its own can",
	"bench":                  "a module of its own: it measures the system's calls beside ours",
	"tools/testreport":       "a module of its own: it outlives the signal that ends the tests",
}

// reasonToAsk says why a room may ask the system, empty if it may not.
func reasonToAsk(room string) string {
	if room == "internal/sys" || strings.HasPrefix(room, "internal/sys/") {
		return "that is what it is for"
	}
	return systemRooms[room]
}

// Only internal/sys and the rooms below it have files for one system and call it.
func TestArchOneOSRoom(t *testing.T) {
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
			signals := i == "syscall" && floorOf(s.room) == len(floors)-1 // the command names SIGTERM
			if i == "syscall" && !signals || strings.HasPrefix(i, "golang.org/x/sys") {
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
