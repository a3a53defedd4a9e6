package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names of files, objects and programs are others' words, also inside the errors of the
// system, and what people read goes to a terminal, which takes some characters for orders.
// So all that this program says for people goes through visible, and JSON through
// visibleJSON, wherever the words come from. What is passed on for programs (cat, sub, cell
// get) goes as it is.

// visible is text with each character that is not to be seen as an escape of Go's, such as
// \x1b. Lines and tabs stay.
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

// hidden says whether a character is not to be seen: control characters, those that
// change the direction of text, and what is no character.
func hidden(r rune) bool { return !unicode.IsGraphic(r) && r != '\n' && r != '\t' }

// visibleWriter writes text for people. Each Write has whole characters.
type visibleWriter struct{ w io.Writer }

func (v visibleWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(v.w, visible(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// visibleJSON writes JSON, in whose texts encoding/json leaves some characters as they are:
// they go as escapes of JSON's, which mean the same. Each Write has whole characters.
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
