package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// builder makes one release.
type builder struct {
	commit
	tree  string // the files of the commit
	dir   string // for everything else
	cache string // Go's cache, or empty
}

// number is the version without the v.
func (b *builder) number() string { return strings.TrimPrefix(b.version, "v") }

// env has every variable of the environment on which the bytes of a build depend.
func (b *builder) env(goos, goarch string) []string {
	env := []string{
		"GOOS=" + goos, "GOARCH=" + goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=",
		"CGO_ENABLED=0", "GOFLAGS=", "GOWORK=" + filepath.Join(b.tree, "go.work"),
	}
	if b.cache != "" {
		env = append(env, "GOCACHE="+b.cache)
	}
	return env
}

// build builds the command for a system, and returns the path of the program.
func (b *builder) build(goos, goarch string) (string, error) {
	exe := filepath.Join(b.dir, goos+"-"+goarch, "samepage")
	if goos == "windows" {
		exe += ".exe"
	}
	_, err := output(b.tree, b.env(goos, goarch), "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w -buildid= -X main.release="+b.version, "-o", exe, "./cmd/samepage")
	return exe, err
}

// shared are the files that are in every archive.
func (b *builder) shared(log string) (files []file, err error) {
	exe, err := b.build(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	for _, shell := range completions {
		text, err := output(b.dir, nil, exe, "completion", shell.name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"completions/" + shell.file, 0o644, text})
	}
	man, err := b.man(exe)
	if err != nil {
		return nil, err
	}
	files = append(files, man...)
	text, err := os.ReadFile(filepath.Join(b.tree, "LICENSE"))
	if err != nil {
		return nil, err
	}
	return append(files, file{"LICENSE", 0o644, text}, file{"CHANGELOG.md", 0o644, []byte(log)}), nil
}

// man are the pages for man(1), which the command writes itself.
func (b *builder) man(exe string) (files []file, err error) {
	dir := filepath.Join(b.dir, "man")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := output(b.dir, nil, exe, "man", dir); err != nil {
		return nil, err
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) == 0 {
		return nil, fmt.Errorf("samepage man wrote %d pages: %v", len(pages), err)
	}
	for _, p := range pages {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"man/" + filepath.Base(p), 0o644, text})
	}
	return files, nil
}

// completions are the shells that the command knows, the name of the file that each reads, and the
// folder of that file on Debian.
var completions = []struct{ name, file, debian string }{
	{"bash", "samepage.bash", "/usr/share/bash-completion/completions/samepage"},
	{"zsh", "_samepage", "/usr/share/zsh/vendor-completions/_samepage"},
	{"fish", "samepage.fish", "/usr/share/fish/vendor_completions.d/samepage.fish"},
	{"powershell", "samepage.ps1", ""},
}

// target makes the archive for a system and, for Linux, the .deb.
func (b *builder) target(goos, goarch string, shared []file) (files []file, err error) {
	exe, err := b.build(goos, goarch)
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		return nil, err
	}
	licences, err := b.licences(goos, goarch)
	if err != nil {
		return nil, err
	}
	content := append(slices.Clone(shared),
		file{filepath.Base(exe), 0o755, program}, file{"LICENSES.txt", 0o644, licences})
	slices.SortFunc(content, func(a, b file) int { return strings.Compare(a.name, b.name) })

	folder := fmt.Sprintf("samepage-%s-%s-%s", b.number(), goos, goarch)
	inside := make([]file, len(content))
	for i, f := range content {
		inside[i] = file{path.Join(folder, f.name), f.mode, f.data}
	}
	if goos == "windows" {
		data, err := zipped(inside, b.time)
		return []file{{folder + ".zip", 0o644, data}}, err
	}
	data, err := tarred(inside, b.time)
	if err != nil {
		return nil, err
	}
	files = append(files, file{folder + ".tar.gz", 0o644, data})
	if goos != "linux" {
		return files, nil
	}
	pack, err := b.debian(goarch, content)
	return append(files, pack), err
}

// licences are the licences of all modules in the program, and of Go.
func (b *builder) licences(goos, goarch string) ([]byte, error) {
	list, err := output(b.tree, b.env(goos, goarch), "go", "list", "-deps",
		"-f", "{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", "./cmd/samepage")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(list)), "\n")
	slices.Sort(lines)
	root, err := output(b.tree, nil, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	goroot, goversion, _ := strings.Cut(strings.TrimSpace(string(root)), "\n")
	lines = append(lines, "Go "+goversion+" "+goroot)

	var text strings.Builder
	text.WriteString("The program has parts of these works, under the licences that follow.\n")
	for _, line := range slices.Compact(lines) {
		if line == "" {
			continue
		}
		part := strings.SplitN(line, " ", 3)
		found := false
		for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "PATENTS"} {
			licence, err := os.ReadFile(filepath.Join(part[2], name))
			if err != nil {
				continue
			}
			found = found || strings.HasPrefix(name, "LICENSE")
			fmt.Fprintf(&text, "\n\n==== %s %s: %s\n\n%s", part[0], part[1], name, licence)
		}
		if !found {
			return nil, fmt.Errorf("module %s has no licence in %s", part[0], part[2])
		}
	}
	return []byte(text.String()), nil
}
