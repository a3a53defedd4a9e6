package main

import (
	"strings"
	"testing"

	lib "samepage"
)

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1": 1, "4096": 4096, "7B": 7, "1kB": 1000, "1K": 1024, "1KiB": 1024, "64MiB": 64 << 20, "64M": 64 << 20,
		"1GB": 1e9, "1.5GiB": 3 << 29, "1.5 GiB": 3 << 29, "0.5k": 512, "2.001kB": 2001, "64TiB": lib.MaxSize,
		"1tb": 1e12, "0.000000000001TB": 1, "007": 7,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"": "not a size", "x": "not a size", "MiB": "not a size", "1e3": "not a size", "0x10": "not a size",
		"1..5": "not a size", "1.": "not a size", ".5k": "not a size", "1,5k": "not a size", "+1": "not a size", " 1": "not a size",
		"1  k": "not a size", "1_000": "not a size", "１": "not a size",
		"-1": "negative", "-0": "negative", "-1.5GiB": "negative",
		"1.3KiB": "whole number", "0.5": "whole number", "1.0001kB": "whole number",
		"5XB": `unknown unit "XB"`, "5PiB": "unknown unit",
		"65TiB": "too large", "9223372036854775808": "too large", "99999999999999999999999999TiB": "too large",
		strings.Repeat("9", 41): "not a size",
	} {
		if got, err := parseSize(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseSize(%q) = %d, %v, want an error with %q", in, got, err, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1", "1.5GiB", "-3k", "9999999999999999999", "64TiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && (n < 0 || n > lib.MaxSize) {
			t.Errorf("parseSize(%q) = %d", s, n)
		}
	})
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 64 << 20: "64 MiB", 5 << 30: "5 GiB",
		lib.MaxSize: "64 TiB", 1<<63 - 1: "8192 PiB", 1000000: "976.6 KiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("formatSize(%d) = %q, want %q", n, got, want)
		}
	}
}
