package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// evil is a name that does something to a terminal in several ways.
const evil = "n\x1b]0;owned\a\u009b31m\u202ereversed\x7f"

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain ä 日本 😀\t1\n2": "plain ä 日本 😀\t1\n2",
		"a\x1b[2Jb":          `a\x1b[2Jb`,
		"\u009b\u202e\r\b":   `\u009b\u202e\x0d\x08`,
		"\xff\xfe�":          `\xff\xfe�`,
		"\U000e0001":         `\U000e0001`,
		"":                   "",
	} {
		if got := visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	var b strings.Builder
	words := []string{evil, "\U000e0001<&>\u2028"}
	if err := (jsonPrinter{&b}).print(listed(words)); err != nil {
		t.Fatal(err)
	}
	var back []string
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || fmt.Sprint(back) != fmt.Sprint(words) || strings.ContainsFunc(b.String(), hidden) {
		t.Errorf("%q is %q: %v", words, b.String(), err)
	}
}

type listed []string

func (l listed) text(io.Writer) error { return errors.ErrUnsupported }

// Whatever a command prints, no name reaches a terminal unchanged: names of objects, topics,
// files and options, in results, errors and JSON.
func TestNamesAreVisible(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	t.Chdir(ipctest.Dir(t))
	m, err := samepage.Create(evil, 4096, &samepage.Options{Lifetime: samepage.Persist})
	if errors.Is(err, fs.ErrInvalid) || errors.Is(err, samepage.ErrName) {
		t.Fatal(err)
	}
	ipctest.NoErr(t, err)
	defer m.Close()
	missing := "missing" + evil
	for _, args := range [][]string{
		{"ls"},
		{"ls", "--json"},
		{"stat", evil},
		{"stat", evil, "--json"},
		{"stat", missing},
		{"doctor"},
		{"cat", missing},
		{"rm", missing},
		{"create", evil, "--size", "1"},
		{"create", missing},
		{"put", evil, "--file", missing},
		{"cell", "get", missing},
		{"event", "wait", missing, "--timeout", "1ms"},
		{"pub", missing, "--y4m"},
		{"sub", missing, "--timeout", "1ms"},
		{"hz", missing, "--timeout", "1ms"},
		{"demo", "--images", missing},
		{"demo", "--" + missing},
		{missing},
		{"help", missing},
		{"__complete", "stat", ""},
		{"legacy", "baseimage", "send", missing},
		{"legacy", "baseimage", "grab", "--out", missing},
		{"legacy", "baseimage", "grab", "--out", "x.png", "--name", missing},
		{"legacy", "earseimage", "request", missing, "--out1", "1.png", "--out2", "2.png"},
		{"legacy", "earseimage", "serve", "--region", evil},
		{"legacy", "sharememory", "read", missing},
		{"legacy", "text", "read", missing},
		{"legacy", "handle", "read", "1", evil},
		{"rm", evil},
	} {
		stdout, stderr, _ := command(t, args...)
		if strings.ContainsFunc(strings.ReplaceAll(stdout+stderr, "\r\n", "\n"), hidden) {
			t.Errorf("%q says %q, %q", args, stdout, stderr)
		}
	}
}
