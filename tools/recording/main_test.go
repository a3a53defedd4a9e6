package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// docs/recording.svg shows what the command does now.
func TestRecording(t *testing.T) {
	bin := t.TempDir()
	root := filepath.Join("..", "..")
	build := exec.Command("go", "build", "-o", bin, "./cmd/samepage")
	build.Dir, build.Env = root, append(os.Environ(), "GOWORK=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	script, err := os.Open(filepath.Join(root, "docs", "recording.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	var got bytes.Buffer
	if err := record(bin, script, &got); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(root, "docs", "recording.svg")
	if want, err := os.ReadFile(page); err != nil || !bytes.Equal(got.Bytes(), want) {
		if os.Getenv("SAMEPAGE_UPDATE") == "" {
			t.Fatalf("docs/recording.svg is not what the command shows (%v): SAMEPAGE_UPDATE=1 go test ./recording\n%s", err, &got)
		}
		if err := os.WriteFile(page, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadScripts(t *testing.T) {
	for script, want := range map[string]string{
		"x\n":         "no terminal",
		"1! a\n":      "no command",
		"1$ false\n":  "exit status 1",
		"7$ echo a\n": "no terminal 7",
		"1$ seq 20\n": "more than",
	} {
		if err := record(".", strings.NewReader(script), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", script, err, want)
		}
	}
}
