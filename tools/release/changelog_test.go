package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The notes of the repository can be read.
func TestNotesOfThisRepository(t *testing.T) {
	log, err := changelog(filepath.Join("..", "..", "changelog"))
	if err != nil || !strings.HasPrefix(log, "# Changes\n\n## ") {
		t.Errorf("%v, %.40q", err, log)
	}
}

func TestChangelog(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"unreleased/b.md": "Fixed: b\n\nIt works.\n",
		"unreleased/a.md": "New: a.\n\nUse it.\n",
		"v0.9.0/x.md":     "Changed: x\n\nOne.\n\nTwo.\n",
		"v0.10.0/y.md":    "Added: y\n",
	} {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := changelog(dir)
	want := `# Changes

## Not released yet

### New

**a.** Use it.

### Fixed

**b.** It works.

## v0.10.0

### New

**y.**

## v0.9.0

### Changed

**x.** One.

Two.
`
	if err != nil || got != want {
		t.Errorf("%v, %s", err, got)
	}
	if err := os.Mkdir(filepath.Join(dir, "next"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := changelog(dir); err == nil || !strings.Contains(err.Error(), "next") {
		t.Errorf("a folder that is no version: %v", err)
	}
}

func TestBadNotes(t *testing.T) {
	for _, text := range []string{"", "a\n\nb", "Wrong: a\n\nb", "New:\n\nb", "New: a\nb\n"} {
		if n, err := parseNote(text); err == nil {
			t.Errorf("%q is read as %+v", text, n)
		}
	}
}
