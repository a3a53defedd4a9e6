package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"

	lib "samepage"
)

var update = flag.Bool("update", false, "write the files of testdata again")

// someObjects makes an object of each kind. The same objects are there each time.
func someObjects(t *testing.T) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	closes := func(c interface{ Close() error }, err error) {
		t.Helper()
		ipctest.NoErr(t, err)
		t.Cleanup(func() { ipctest.NoErr(t, c.Close()) })
	}
	m, err := lib.Create("memory", 100, nil)
	closes(m, err)
	e, err := ipcsync.CreateEvent("event", nil)
	closes(e, err)
	mu, err := ipcsync.CreateMutex("mutex", nil)
	closes(mu, err)
	rw, err := ipcsync.CreateRWMutex("rwmutex", nil)
	closes(rw, err)
	sem, err := ipcsync.CreateSemaphore("semaphore", 1, 2, nil)
	closes(sem, err)
	p, err := pubsub.CreatePublisher("topic", &pubsub.Options{MaxSize: 8, Depth: 4})
	closes(p, err)
	ipctest.NoErr(t, p.Send(t.Context(), []byte("message")))
	s, err := pubsub.OpenSubscriber("topic", nil)
	closes(s, err)
	w, err := cell.CreateWriter("cell", 8, nil)
	closes(w, err)
	ipctest.NoErr(t, w.Set(t.Context(), []byte("value")))
	r, err := rpc.CreateWorker("service", nil)
	closes(r, err)
	l, err := stream.Listen("listener", &stream.Options{Connections: 2})
	closes(l, err)
}

// changing are the facts in JSON that differ from one run to the next, and between systems.
var changing = regexp.MustCompile(`"(at|created|joined|pid|id|owner|perm|path|size|allocated|seconds|per_second)": ("[^"]*"|[-0-9.e+]+)`)

// The JSON of top has these fields. Programs may count on them.
func TestTopJSON(t *testing.T) {
	someObjects(t)
	code, out, errs := samepageIn("top", "--once", "--json", "--interval", "1ms")
	if code != 0 || errs != "" {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	got := changing.ReplaceAll([]byte(out), []byte(`"$1": "..."`))
	got = regexp.MustCompile(`"name": "[^"]*test[^"]*"`).ReplaceAll(got, []byte(`"name": "..."`))
	got = regexp.MustCompile(`process \d+`).ReplaceAll(got, []byte("process N"))
	got = regexp.MustCompile(`\n *"rounded": true,?`).ReplaceAll(got, nil)
	if runtime.GOOS == "linux" && !bytes.Contains(got, []byte(`"proportional"`)) {
		t.Error("it does not have the shares of processes")
	}
	got = regexp.MustCompile(`,\n *"(command|shares)": \[[^\]]*\]`).ReplaceAll(got, nil)
	const golden = "testdata/top.json"
	if *update {
		ipctest.NoErr(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	ipctest.NoErr(t, err)
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	// Without --once there is one object in each line.
	ctx, cancel := context.WithCancel(t.Context())
	w := &cutAfter{lines: 3, cut: cancel}
	o := topOptions{interval: 1, sort: "name"}
	o.kinds = lib.Kinds()
	if err := runTop(ctx, &app{stdout: w, json: true}, o, []string{"t*"}); err == nil {
		t.Error("it ended without an error")
	}
	for _, line := range strings.Split(strings.TrimSpace(w.b.String()), "\n") {
		var s struct{ Objects []struct{ Info lib.Info } }
		if err := json.Unmarshal([]byte(line), &s); err != nil || len(s.Objects) != 1 || s.Objects[0].Info.Name != "topic" {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// cutAfter calls cut after so many lines.
type cutAfter struct {
	b     bytes.Buffer
	lines int
	cut   func()
}

func (c *cutAfter) Write(b []byte) (int, error) {
	if c.lines -= bytes.Count(b, []byte("\n")); c.lines <= 0 {
		c.cut()
	}
	return c.b.Write(b)
}

// press presses keys, one after another.
func (v *topView) press(keys ...string) {
	for _, k := range keys {
		m := tea.KeyPressMsg{Text: k, Code: []rune(k)[0]}
		switch k {
		case "enter":
			m = tea.KeyPressMsg{Code: tea.KeyEnter}
		case "esc":
			m = tea.KeyPressMsg{Code: tea.KeyEscape}
		case "down":
			m = tea.KeyPressMsg{Code: tea.KeyDown}
		case "end":
			m = tea.KeyPressMsg{Code: tea.KeyEnd}
		case "backspace":
			m = tea.KeyPressMsg{Code: tea.KeyBackspace}
		}
		v.Update(m)
	}
}

// The picture fits the terminal at each size, on each page, and the keys do what the foot says.
func TestTopView(t *testing.T) {
	someObjects(t)
	l := &looker{}
	v := &topView{look: l.look, interval: 1, column: topColumn("name")}
	v.Update(v.looks()())
	v.Update(v.looks()())
	shows := func(want ...string) {
		t.Helper()
		s := strings.Join(strings.Fields(ansi.Strip(v.View().Content)), " ")
		for _, w := range want {
			if !strings.Contains(s, w) {
				t.Errorf("it does not show %q:\n%s", w, s)
			}
		}
	}
	for _, size := range [][2]int{{80, 24}, {40, 10}, {1, 1}, {0, 0}, {250, 70}} {
		v.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		for _, keys := range []string{"", "enter", "w"} {
			if keys != "" {
				v.press(keys)
			}
			lines := strings.Split(v.View().Content, "\n")
			if len(lines) > max(size[1], 4) {
				t.Errorf("%v, %q: %d lines", size, keys, len(lines))
			}
			for _, l := range lines {
				if ansi.StringWidth(l) > size[0] {
					t.Errorf("%v, %q: %q is too wide", size, keys, l)
				}
			}
			v.press("esc")
		}
	}
	v.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	shows("*NAME", "MEMORY", "semaphore", "9 objects", "Enter details")
	if v.rows[0].name != "cell" {
		t.Errorf("the first row: %+v", v.rows[0])
	}
	v.press("r")
	if shows("^NAME"); v.rows[0].name != "topic" || v.rows[v.chosen].name != "cell" {
		t.Errorf("the first row: %+v, chosen %d", v.rows[0], v.chosen)
	}
	v.press("r", "s", "s") // by memory
	shows("*MEMORY")
	v.press("/", "t", "o", "p", "x", "backspace", "enter")
	if len(v.rows) != 1 || v.rows[0].lag != 1 {
		t.Errorf("rows: %+v", v.rows)
	}
	v.Update(tea.WindowSizeMsg{Width: 80, Height: 40}) // on Windows rights and paths take several lines
	v.press("enter")
	shows("name topic", "publisher process", "reliable subscriber", "rate 0/s", "Esc back")
	v.press("w")
	shows("nobody waits for somebody else")
	v.press("esc", "esc", "end")
	if len(v.rows) != 9 || v.chosen != 8 {
		t.Errorf("%d rows, chosen %d", len(v.rows), v.chosen)
	}
	v.look = func() (*inspect.State, error) { return nil, os.ErrPermission }
	v.Update(v.looks()())
	shows("the last look failed: permission denied", "9 objects")
}

// An object that cannot be read is in the table with the reason, and all others are as they are.
func TestTopBesideHostile(t *testing.T) {
	someObjects(t)
	_, before, _ := samepageIn("top", "--once", "--interval", "1ms", "--sort", "name")
	m, err := lib.Create("zzz", 4096, &lib.Options{Kind: lib.KindTopic})
	ipctest.NoErr(t, err)
	defer m.Close()
	code, out, errs := samepageIn("top", "--once", "--interval", "1ms", "--sort", "name")
	if code != 0 || errs != "" || !strings.Contains(out, "unreadable: ") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	fields := func(text string) (all []string) {
		for line := range strings.Lines(text) {
			all = append(all, strings.Join(strings.Fields(line), " "))
		}
		return all
	}
	now := fields(out)
	for _, line := range fields(before)[:10] { // the head and nine objects
		if !slices.Contains(now, line) {
			t.Errorf("no line %q in %s", line, out)
		}
	}
	if _, out, _ := samepageIn("top", "--once", "--json", "zzz"); !strings.Contains(out, `"error": "`) || !strings.Contains(out, `"unreadable"`) {
		t.Errorf("JSON: %s", out)
	}
}
