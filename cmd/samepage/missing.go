package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"samepage"
)

// notThere is err, which a call on an object of that kind and name returned. When it
// says that there is no such object it gets the one text that all commands have for
// that, and tells of objects that were perhaps meant.
func (o *object) notThere(k samepage.Kind, name string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return o.missing(k.String(), name, err)
}

// missing says that there is no object of that name, of a kind or, for "object", of any.
func (o *object) missing(kind, name string, err error) error {
	return &missingError{o.missingText(kind, name), err}
}

// missingError keeps what it says apart from the error that it stands for, which names
// places of ours.
type missingError struct {
	text string
	err  error
}

func (e *missingError) Error() string { return e.text }
func (e *missingError) Unwrap() error { return e.err }

// notYet is err, with which a wait for an object ended. When that is a time-out it says
// whether the object was there at the end.
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

// others tells of objects of that name of another kind or, without one, in the other
// scope.
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
		return "" // which says the scope
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
