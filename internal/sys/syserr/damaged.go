package syserr

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode"

	"samepage/layout"
)

// Damaged adds to an error that matches layout.ErrCorrupt the command that removes the object. It
// does not change other errors.
func Damaged(err error, k layout.Kind, s layout.Scope, name string, exact bool) error {
	if !errors.Is(err, layout.ErrCorrupt) || name == "" || exact && runtime.GOOS == "windows" {
		return err // there the kernel removes a bare name with its last handle
	}
	return Mending(err, RemoveCommand(k, s, name, exact))
}

// RemoveCommand is the command that removes an object, for people to copy.
func RemoveCommand(k layout.Kind, s layout.Scope, name string, exact bool) string {
	c := "samepage rm --kind " + k.String()
	if s != layout.Local {
		c += " --scope " + s.String()
	}
	if exact {
		c += " --exact"
	}
	if strings.HasPrefix(name, "-") {
		c += " --"
	}
	return c + " " + Quote(name)
}

// Quote is one word of a command line, as the system's shell reads it.
func Quote(word string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.,:/+@%", r)
	}
	switch {
	case word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0:
		return word
	case runtime.GOOS == "windows":
		return `"` + word + `"`
	case strings.IndexFunc(word, func(r rune) bool { return !unicode.IsGraphic(r) }) < 0:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for i := range len(word) { // what cannot be printed may control a terminal
		fmt.Fprintf(&b, `\x%02x`, word[i])
	}
	return "$'" + b.String() + "'"
}
