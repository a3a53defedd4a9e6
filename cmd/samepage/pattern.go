package main

import (
	"path"
	"strings"

	"samepage"
)

// matches says whether an object has this name, or the name matches this pattern. In a pattern *
// stands for any characters, ? for one, and [a-z] for one of these.
func matches(pattern, name string) bool {
	if pattern == name {
		return true
	}
	ok, _ := path.Match(pattern, name) // a bad pattern matches nothing
	return ok
}

// scoped returns the scope and the rest of a name or a pattern. A prefix chooses the scope.
func scoped(pattern string, otherwise samepage.Scope) (samepage.Scope, string) {
	if rest, ok := strings.CutPrefix(pattern, `Local\`); ok {
		return samepage.Local, rest
	}
	if rest, ok := strings.CutPrefix(pattern, `Global\`); ok {
		return samepage.Global, rest
	}
	return otherwise, pattern
}

// isPattern says whether text can match other names than itself.
func isPattern(text string) bool { return strings.ContainsAny(text, "*?[") }
