package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"samepage"
)

// notThere returns the error err of a call on an object of kind k. If err says that there is
// no such object, notThere gives it the text that all commands use, which also names objects
// that the user may have meant.
func (o *object) notThere(k samepage.Kind, name string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return o.missing(k.String(), name, err)
}

// missing returns an error that says that there is no object of that kind and name. The kind
// "object" stands for all kinds.
func (o *object) missing(kind, name string, err error) error {
	return &missingError{o.missingText(kind, name), err}
}

// missingError has a text of its own, since the text of err names paths that the user does
// not know.
type missingError struct {
	text string
	err  error
}

func (e *missingError) Error() string { return e.text }
func (e *missingError) Unwrap() error { return e.err }

// notYet returns the error err of a wait for an object. If err is a time-out and there is
// still no such object, the text says so.
func (o *object) notYet(k samepage.Kind, name string, err error) error {
	if err == nil || exitCode(err) != exitTimeout {
		return err
	}
	if _, serr := samepage.Stat(name, o.options(k)); !errors.Is(serr, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%s: %w", o.missingText(k.String(), name), err)
}

func (o *object) missingText(kind, name string) string {
	text := fmt.Sprintf("there is no %s %q", kind, name)
	if o.scope == samepage.Global {
		text += " in scope global"
	}
	return text + o.others(kind, name)
}

// others tells which objects of that name there are of another kind. If there are none, it
// tells whether there is one in the other scope.
func (o *object) others(kind, name string) string {
	if o.exact {
		return ""
	}
	is := func(k samepage.Kind, s samepage.Scope) bool {
		_, err := samepage.Stat(name, &samepage.Options{Kind: k, Scope: s, Owner: "*"})
		return err == nil
	}
	var found []string
	for _, k := range samepage.Kinds() {
		if k.String() != kind && is(k, o.scope) {
			found = append(found, article(k.String()))
		}
	}
	switch n := len(found); {
	case n == 1:
		return fmt.Sprintf(" (there is %s of that name)", found[0])
	case n > 1:
		return fmt.Sprintf(" (there are %s and %s of that name)", strings.Join(found[:n-1], ", "), found[n-1])
	}
	if strings.HasPrefix(name, `Local\`) || strings.HasPrefix(name, `Global\`) {
		return "" // the prefix says which scope is meant
	}
	other := samepage.Global
	if o.scope == other {
		other = samepage.Local
	}
	for _, k := range samepage.Kinds() {
		if (kind == "object" || kind == k.String()) && is(k, other) {
			return fmt.Sprintf(" (there is %s of that name in scope %v)", article(k.String()), other)
		}
	}
	return ""
}

// article is "a memory", "an event".
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
