package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// groups are the kinds of changes, in the order in which readers want them: by the word that a
// note begins with.
var groups = []struct{ word, title string }{
	{"New", "New"},
	{"Changed", "Changed"},
	{"Fixed", "Fixed"},
	{"Removed", "Removed"},
}

// note is one file below changelog.
type note struct{ word, title, text string }

// changelog makes one page of the notes below the folder changelog: a folder for each version, and
// unreleased for those of the next one. The newest version is first.
func changelog(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var versions []string
	for _, e := range entries {
		switch {
		case !e.IsDir():
		case e.Name() == "unreleased":
		case semver.IsValid(e.Name()):
			versions = append(versions, e.Name())
		default:
			return "", fmt.Errorf("%s is not named for a version", filepath.Join(dir, e.Name()))
		}
	}
	semver.Sort(versions)
	slices.Reverse(versions)
	var b strings.Builder
	b.WriteString("# Changes\n")
	for _, v := range append([]string{"unreleased"}, versions...) {
		notes, err := readNotes(filepath.Join(dir, v))
		if v == "unreleased" && (errors.Is(err, fs.ErrNotExist) || err == nil && len(notes) == 0) {
			continue // just after a release
		}
		if err != nil {
			return "", err
		}
		title := v
		if v == "unreleased" {
			title = "Not released yet"
		}
		fmt.Fprintf(&b, "\n## %s\n", title)
		for _, g := range groups {
			first := true
			for _, n := range notes {
				if n.word != g.word {
					continue
				}
				if first {
					fmt.Fprintf(&b, "\n### %s\n", g.title)
					first = false
				}
				fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace("**"+n.title+".** "+n.text))
			}
		}
	}
	return b.String(), nil
}

// readNotes reads the notes of one version, in the order of their file names.
func readNotes(dir string) (notes []note, err error) {
	paths, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		if filepath.Ext(p.Name()) != ".md" {
			return nil, fmt.Errorf("%s is not a note: its name does not end in .md", filepath.Join(dir, p.Name()))
		}
		text, err := os.ReadFile(filepath.Join(dir, p.Name()))
		if err != nil {
			return nil, err
		}
		n, err := parseNote(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, p.Name()), err)
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// parseNote reads a note: a line with the word of a group, a colon and a title, an empty line, and
// text.
func parseNote(text string) (note, error) {
	head, body, _ := strings.Cut(strings.TrimSpace(text), "\n")
	word, title, _ := strings.Cut(head, ": ")
	if word == "Added" {
		word = "New" // both are in use
	}
	for _, g := range groups {
		if g.word == word && title != "" {
			if body != "" && !strings.HasPrefix(body, "\n") {
				return note{}, errors.New("the second line is not empty")
			}
			return note{word, strings.TrimSuffix(title, "."), strings.TrimSpace(body)}, nil
		}
	}
	return note{}, fmt.Errorf("the first line is %q, want New, Changed, Fixed or Removed, a colon and a title", head)
}
