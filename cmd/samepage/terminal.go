package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// terminalOf is the terminal that w writes to, nil when it is none.
func terminalOf(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// errNotText refuses to write to a terminal what would do more to it than show text.
var errNotText = errors.New("not text, and standard output is a terminal: send it to a file or a program, or say --raw")

// isText says whether b is text that a terminal shows and does nothing else with.
func isText(b []byte) bool { return textEnd(b) == len(b) }

// textEnd is where text ends in b: at the first byte that is no part of it, or at a
// character of which b has the beginning only.
func textEnd(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return i
		case !hidden(r), r == '\r':
		case r == '\ufeff', r == '\u200c', r == '\u200d': // a byte order mark, and joiners of letters
		default:
			return i
		}
		i += n
	}
	return len(b)
}

// payload is standard output for bytes of an object. On a terminal it takes text only,
// unless raw is set, and ends its last line.
type payload struct {
	w       io.Writer
	check   bool
	rest    []byte // the beginning of a character
	midline bool
}

func (a *app) payload(raw bool) *payload {
	return &payload{w: a.stdout, check: !raw && terminalOf(a.stdout) != nil}
}

// addRaw is the flag of commands with a payload.
func addRaw(c *cobra.Command, raw *bool) {
	c.Flags().BoolVar(raw, "raw", false, "write to a terminal, too, what is not text, and nothing behind it")
}

func (p *payload) Write(b []byte) (int, error) {
	if !p.check || len(b) == 0 {
		return p.w.Write(b)
	}
	all := b
	if len(p.rest) > 0 {
		all = append(p.rest, b...)
	}
	end := textEnd(all)
	p.rest = append([]byte(nil), all[end:]...)
	if len(p.rest) >= utf8.UTFMax || utf8.FullRune(p.rest) {
		return 0, errNotText
	}
	if end > 0 {
		p.midline = all[end-1] != '\n'
	}
	if _, err := p.w.Write(all[:end]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// end is called behind the last byte.
func (p *payload) end() error {
	if len(p.rest) > 0 {
		return errNotText
	}
	if !p.midline {
		return nil
	}
	_, err := io.WriteString(p.w, "\n")
	return err
}

// writeAll writes b as a payload, all of it or, where it may not be written, nothing. It
// ends with ctx, also while nobody takes what is written.
func (a *app) writeAll(ctx context.Context, b []byte, raw bool) error {
	p := a.payload(raw)
	if p.check && !isText(b) {
		return errNotText
	}
	if _, err := copyBytes(ctx, p, bytes.NewReader(b), nil); err != nil {
		return err
	}
	return p.end()
}

// shown is a line of a stream as a terminal may get it: text as it is, hidden characters in
// it made visible, of other bytes how many they are.
func shown(b []byte, hint string) []byte {
	const most = 16 << 10
	switch {
	case isText(b):
		return b
	case utf8.Valid(b) && len(b) <= most:
		return []byte(visible(string(b)))
	}
	return fmt.Appendf(nil, "(%s, not text: %s writes them)", count(len(b), "byte"), hint)
}
