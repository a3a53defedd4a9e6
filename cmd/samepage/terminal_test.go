package main

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestIsText(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "a line\n": true, "帧\tµs\r\n": true, "\ufeffbom": true, "👩\u200d🔧": true,
		"\x00": false, "\x1b[31m": false, "\xff": false, "half \xe5": false, "over\u202eride": false, "\x7f": false,
	} {
		if got := isText([]byte(text)); got != want {
			t.Errorf("isText(%q) is %v", text, got)
		}
	}
}

// Text goes to a terminal completely, whatever pieces it comes in, and its last line is ended.
func TestPayload(t *testing.T) {
	for _, c := range []struct {
		pieces []string
		want   string
		err    error
	}{
		{[]string{"250"}, "250\n", nil},
		{[]string{"250\n"}, "250\n", nil},
		{nil, "", nil},
		{[]string{"", "a"}, "a\n", nil},
		{[]string{"\xe5", "\xb8", "\xa7", "\n"}, "帧\n", nil},
		{[]string{"a\xe5", "\xb8\xa7"}, "a帧\n", nil},
		{[]string{"a\xe5"}, "a", errNotText},
		{[]string{"good\n", "\x00"}, "good\n", errNotText},
		{[]string{"\xe5", "x"}, "", errNotText},
		{[]string{"\x1b[2J"}, "", errNotText},
	} {
		var b strings.Builder
		p := &payload{w: &b, check: true}
		var err error
		for _, piece := range c.pieces {
			if _, err = io.WriteString(p, piece); err != nil {
				break
			}
		}
		if err == nil {
			err = p.end()
		}
		if b.String() != c.want || !errors.Is(err, c.err) {
			t.Errorf("pieces %q: %q, %v; want %q, %v", c.pieces, b.String(), err, c.want, c.err)
		}
	}
	var b strings.Builder
	p := &payload{w: &b} // no terminal
	_, err := io.WriteString(p, "\x00\xff")
	if err = errors.Join(err, p.end()); b.String() != "\x00\xff" || err != nil {
		t.Errorf("bytes went out as %q, %v", b.String(), err)
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"text": "text", "two\nlines": "two\nlines", "\x1b[31mred": `\x1b[31mred`,
		"\xff\x00": "(2 bytes, not text: --raw writes them)", "\xff": "(1 byte, not text: --raw writes them)",
	} {
		if got := string(shown([]byte(in), "--raw")); got != want {
			t.Errorf("shown(%q) is %q, want %q", in, got, want)
		}
	}
}

// screenLine is what a line of a terminal shows after output without line ends.
func screenLine(output string) string {
	var line []rune
	at := 0
	for _, r := range output {
		if r == '\r' {
			at = 0
			continue
		}
		if at == len(line) {
			line = append(line, 0)
		}
		line[at] = r
		at++
	}
	return strings.TrimRight(string(line), " ")
}

// A line replaces the one before, whatever characters they have, and never breaks.
func TestProgressReplacesLine(t *testing.T) {
	var w strings.Builder
	p := &progress{w: &w, columns: func() int { return 20 }}
	for _, line := range []string{"mean 123.4ms, more", "mean 9.5µs", "µµµµµµµµ", "short", "a line that is much too long for it", "µ"} {
		p.show(line)
		want := line
		if r := []rune(line); len(r) > 19 {
			want = string(r[:19])
		}
		if got := screenLine(w.String()); got != want {
			t.Errorf("%q stands as %q", line, got)
		}
	}
	p.done()
	if got := screenLine(w.String()); got != "" {
		t.Errorf("%q is left", got)
	}
}
