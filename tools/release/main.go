// Release makes the files of a release from the last commit: an archive with the command for each
// system, a .deb for each Linux, the changelog, and the checksums of all of them.
//
//	release [-out FOLDER] [-version v1.2.3] [-targets linux/amd64,...] [-cached]
//
// It makes everything twice, in two folders, and fails if one byte differs. The second time Go
// compiles everything again; -cached allows what the first time left in Go's cache. The files
// depend on the commit, the version and the version of Go, and on nothing else of this machine.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "dist", "the folder for the files; it is emptied first")
	version := flag.String("version", "", "the version, such as v1.2.3 (default: the tag of the commit, or a pseudo-version)")
	targets := flag.String("targets", "linux/amd64,linux/arm64,windows/amd64,windows/arm64", "the systems to build for")
	cached := flag.Bool("cached", false, "use Go's cache the second time, too")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "release: no arguments are expected, got %q\n", flag.Args())
		os.Exit(2)
	}
	if err := run(*out, *version, strings.Split(*targets, ","), *cached); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes the release twice, compares the two, and keeps the first in the folder out.
func run(out, version string, targets []string, cached bool) error {
	c, err := lastCommit(version)
	if err == nil {
		err = checkMaintainer(maintainer, c.version)
	}
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "samepage-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	first, err := make1(c, filepath.Join(tmp, "one"), targets, "")
	if err != nil {
		return err
	}
	cache := ""
	if !cached {
		cache = filepath.Join(tmp, "cache")
	}
	second, err := make1(c, filepath.Join(tmp, "another", "folder"), targets, cache)
	if err != nil {
		return err
	}
	if err := same(first, second); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, f := range first {
		if err := os.WriteFile(filepath.Join(out, f.name), f.data, 0o644); err != nil {
			return err
		}
		fmt.Printf("%9d  %s\n", len(f.data), filepath.Join(out, f.name))
	}
	fmt.Printf("release: %s, made twice, the same bytes\n", c.version)
	return nil
}

// file is a file of a release, or of an archive.
type file struct {
	name string // with slashes
	mode os.FileMode
	data []byte
}

// same compares two releases, file by file. The error names all files that differ.
func same(a, b []file) error {
	if len(a) != len(b) {
		return fmt.Errorf("the second time there are %d files, the first time %d", len(b), len(a))
	}
	var errs []error
	for i := range a {
		if a[i].name != b[i].name || a[i].mode != b[i].mode || !bytes.Equal(a[i].data, b[i].data) {
			errs = append(errs, fmt.Errorf("%s is not the same when it is made again", a[i].name))
		}
	}
	return errors.Join(errs...)
}

// commit is what a release is made from.
type commit struct {
	root    string // of the repository
	version string
	time    time.Time
}

var versionForm = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// lastCommit is the last commit of the repository around this folder.
func lastCommit(version string) (c commit, err error) {
	root, err := output("", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return c, err
	}
	c.root = strings.TrimSpace(string(root))
	text, err := output(c.root, nil, "git", "log", "-1", "--format=%ct %H")
	if err != nil {
		return c, err
	}
	var seconds int64
	var hash string
	if _, err := fmt.Sscan(string(text), &seconds, &hash); err != nil {
		return c, fmt.Errorf("git log: %q: %w", text, err)
	}
	c.time = time.Unix(seconds, 0).UTC()
	if c.version = version; version == "" {
		tag, err := output(c.root, nil, "git", "tag", "--points-at", "HEAD", "--list", "v*", "--sort=version:refname")
		if err != nil {
			return c, err
		}
		if tags := strings.Fields(string(tag)); len(tags) > 0 {
			c.version = tags[len(tags)-1]
		} else {
			c.version = fmt.Sprintf("v0.0.0-%s-%.12s", c.time.Format("20060102150405"), hash)
		}
	}
	if !versionForm.MatchString(c.version) {
		return c, fmt.Errorf("the version is %q, want one such as v1.2.3", c.version)
	}
	if changed, err := output(c.root, nil, "git", "status", "--porcelain"); err == nil && len(changed) > 0 {
		fmt.Fprintln(os.Stderr, "release: note: the release has what is committed; the work tree has changes that it lacks")
	}
	return c, nil
}

// make1 makes a release once, in the new folder dir, and returns its files. cache is a folder for
// Go's cache, or empty for the usual one.
func make1(c commit, dir string, targets []string, cache string) (files []file, err error) {
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return nil, err
	}
	archive := filepath.Join(dir, "tree.tar")
	if _, err := output(c.root, nil, "git", "archive", "--format=tar", "-o", archive, "HEAD"); err != nil {
		return nil, err
	}
	if _, err := output(tree, nil, "tar", "-xf", archive); err != nil {
		return nil, err
	}
	b := &builder{commit: c, tree: tree, dir: dir, cache: cache}
	log, err := changelog(filepath.Join(tree, "changelog"))
	if err != nil {
		return nil, err
	}
	shared, err := b.shared(log)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		goos, goarch, ok := strings.Cut(t, "/")
		if !ok {
			return nil, fmt.Errorf("the target is %q, want a system and a processor such as linux/amd64", t)
		}
		made, err := b.target(goos, goarch, shared)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		files = append(files, made...)
	}
	files = append(files, file{"CHANGELOG.md", 0o644, []byte(log)})
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	var sums strings.Builder
	for _, f := range files {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(f.data), f.name)
	}
	return append(files, file{"SHA256SUMS", 0o644, []byte(sums.String())}), nil
}

// output runs a command in the folder dir, with env added to the environment, and returns its
// standard output.
func output(dir string, env []string, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	var errs bytes.Buffer
	c.Stderr = &errs
	b, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(c.Args, " "), err, errs.Bytes())
	}
	return b, nil
}
