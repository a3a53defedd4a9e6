package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Archives do not tell when and where they were made.
func TestArchivesAreTheSame(t *testing.T) {
	at := time.Unix(1_700_000_001, 0)
	files := []file{{"x/a", 0o644, []byte("a")}, {"x/b", 0o755, []byte("b")}}
	for name, pack := range map[string]func([]file, time.Time) ([]byte, error){"tar": tarred, "zip": zipped} {
		a, err := pack(files, at.UTC())
		if err != nil || len(a) == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		if b, err := pack(files, at.UTC()); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: not the same the second time, %v", name, err)
		}
	}
}

// A release that is not the same the second time names each file that differs.
func TestSame(t *testing.T) {
	a := []file{{"x", 0o644, []byte("x")}, {"y", 0o644, []byte("y")}, {"z", 0o644, []byte("z")}}
	if err := same(a, a); err != nil {
		t.Error(err)
	}
	b := []file{{"x", 0o644, []byte("!")}, a[1], {"z", 0o755, []byte("z")}}
	if err := same(a, b); err == nil || !strings.Contains(err.Error(), "x is") || !strings.Contains(err.Error(), "z is") || strings.Contains(err.Error(), "y is") {
		t.Error(err)
	}
	if err := same(a, a[:2]); err == nil {
		t.Error("a file is missing, and that is no error")
	}
}

// A release needs the address of a maintainer. A build without a tag does not.
func TestMaintainer(t *testing.T) {
	if err := checkMaintainer("someone <a@invalid.example>", "v1.0.0"); err == nil || !strings.Contains(err.Error(), "debian.go") {
		t.Error(err)
	}
	for who, version := range map[string]string{"someone <a@invalid.example>": "v0.0.0-20260101000000-0123456789ab", "someone <a@b.org>": "v1.0.0"} {
		if err := checkMaintainer(who, version); err != nil {
			t.Error(err)
		}
	}
}
