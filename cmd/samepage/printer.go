package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"samepage/internal/words"
)

// result is what a command prints. Its JSON form is stable.
type result interface {
	// text writes it as text for people.
	text(w io.Writer) error
}

// printer prints a result, as text or as JSON.
type printer interface {
	print(result) error
}

type textPrinter struct{ w io.Writer }

func (p textPrinter) print(r result) error { return r.text(visibleWriter(p)) }

type jsonPrinter struct{ w io.Writer }

func (p jsonPrinter) print(r result) error {
	e := json.NewEncoder(visibleJSON(p))
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// plain is a name for people to read. It is quoted if it has control characters, spaces or
// quotes: other users choose names, too, and such a name could change the terminal or be
// misread.
func plain(name string) string { return words.Plain(name) }

// lines writes one line for each pair of a label and a value.
func lines(w io.Writer, pairs ...[2]string) error {
	for _, p := range pairs {
		if _, err := fmt.Fprintf(w, "%-10s %s\n", p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

// joined returns one JSON object with the fields of all parts.
func joined(parts ...any) ([]byte, error) {
	all := []byte{'{'}
	for _, p := range parts {
		b, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		if inner := bytes.TrimSpace(b[1 : len(b)-1]); len(inner) > 0 {
			if len(all) > 1 {
				all = append(all, ',')
			}
			all = append(all, inner...)
		}
	}
	return append(all, '}'), nil
}

// marshalList returns a list in JSON: [] for nil, and never null.
func marshalList[T any](list []T) ([]byte, error) {
	if list == nil {
		list = []T{}
	}
	return json.Marshal(list)
}
