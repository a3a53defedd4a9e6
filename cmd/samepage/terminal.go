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

// terminalOf returns the terminal that w writes to, or nil if w is no terminal.
func terminalOf(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// errNotText is the error about bytes that would do more to a terminal than show text.
var errNotText = errors.New("not text, and standard output is a terminal: send it to a file or a program, or use --raw")

// isText says whether b is text that a terminal only shows.
func isText(b []byte) bool { return textEnd(b) == len(b) }

// textEnd is the index in b where the text ends: at the first byte that is not text, or at a
// character that is cut off at the end of b.
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

// payload is standard output for the bytes of an object. On a terminal it accepts only text,
// unless raw is set, and adds a line end to the last line.
type payload struct {
	w       io.Writer
	check   bool
	rest    []byte // the beginning of a character
	midline bool
}

func (a *app) payload(raw bool) *payload {
	return &payload{w: a.stdout, check: !raw && terminalOf(a.stdout) != nil}
}

// addRaw adds the flag of commands with a payload.
func addRaw(c *cobra.Command, raw *bool) {
	c.Flags().BoolVar(raw, "raw", false, "write all bytes unchanged, also to a terminal, and add no line end")
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

// end is called after the last byte.
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

// writeAll writes b as a payload. If the terminal must not get b, writeAll writes nothing. It
// ends when ctx ends, even if the write blocks.
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

// shown returns a line of a stream in the form for a terminal: text unchanged; text with
// hidden characters with escapes for these; in place of other bytes their number. hint names
// the option that writes the bytes.
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
