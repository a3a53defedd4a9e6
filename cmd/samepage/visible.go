package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Others choose the names of files, objects and programs, and these names are also in the
// errors of the system. A terminal takes some characters for commands. So all text for people
// goes through visible, and JSON through visibleJSON, wherever the text comes from. Bytes for
// programs (cat, sub, cell get) are written unchanged.

// visible returns text with an escape of Go, such as \x1b, in place of each character that
// cannot be seen. Line ends and tabs stay.
func visible(text string) string {
	if !strings.ContainsFunc(text, hidden) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !hidden(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// hidden says whether a character cannot be seen: a control character, a character that
// changes the direction of text, or a code that is no character.
func hidden(r rune) bool { return !unicode.IsGraphic(r) && r != '\n' && r != '\t' }

// visibleWriter writes text for people. Each Write must have whole characters.
type visibleWriter struct{ w io.Writer }

func (v visibleWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(v.w, visible(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// visibleJSON writes JSON. It replaces the hidden characters that encoding/json leaves in
// strings by escapes of JSON, which mean the same. Each Write must have whole characters.
type visibleJSON struct{ w io.Writer }

func (v visibleJSON) Write(p []byte) (int, error) {
	if err := v.write(string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (v visibleJSON) write(text string) error {
	if strings.ContainsFunc(text, hidden) {
		var b strings.Builder
		for _, r := range text {
			switch {
			case !hidden(r):
				b.WriteRune(r)
			case r < 0x10000:
				fmt.Fprintf(&b, `\u%04x`, r)
			default:
				r -= 0x10000
				fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			}
		}
		text = b.String()
	}
	_, err := io.WriteString(v.w, text)
	return err
}
