package house

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
)

// What the pages for users show works. TestPages follows each page from its first block to its
// last, as a reader does:
//
//   - a block "sh" is run by sh, in the folder where the block before it ended. A block "sh 2" is
//     run in another terminal while the page goes on, and must have ended at the end of the page;
//   - a block "text" right after it is what it prints, and a block "text 2" is what the last block of that terminal
//     prints. Elsewhere it is only text. Three dots stand for any part of a line, and on a line of
//     their own for any lines;
//   - a block after a paragraph that begins with "Save this as `FILE`" is written to that file;
//   - any other block "go" is a part of a function, and must compile;
//   - a block after a paragraph that begins with "Not tried by the tests:" is for the reader only.
//     The paragraph says why.

// block is a block of a page.
type block struct {
	line     int    // of its first line
	language string // what stands behind the fence
	terminal string
	intro    string // the first line of the paragraph before it
	text     string
}

const notTried = "Not tried by the tests:"

func (b *block) tried() bool { return !strings.HasPrefix(b.intro, notTried) }

// file is the name of the file that the block is, or empty.
func (b *block) file() string {
	if m := regexp.MustCompile("^Save this as `([^`]+)`").FindStringSubmatch(b.intro); m != nil {
		return m[1]
	}
	return ""
}

// blocks are the blocks of a page.
func blocks(page string) (all []*block, err error) {
	var now *block
	intro, paragraph := "", true
	for i, line := range strings.Split(page, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && now != nil:
			all, now, intro, paragraph = append(all, now), nil, "", true
		case fence:
			language, terminal, _ := strings.Cut(info, " ")
			now = &block{line: i + 2, language: language, terminal: terminal, intro: intro}
		case now != nil:
			now.text += line + "\n"
		case line == "":
			paragraph = true
		case strings.HasPrefix(line, "    ") && paragraph:
			return nil, fmt.Errorf("line %d is an indented block, which has no language: use a fence", i+1)
		case paragraph:
			intro, paragraph = line, false
		}
	}
	if now != nil {
		return nil, fmt.Errorf("the block at line %d has no end", now.line)
	}
	return all, nil
}

// userPages are the paths of the pages for users, from the root of the repository.
func userPages(t *testing.T, root string) (pages []string) {
	pages = []string{"README.md", "SECURITY.md"}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		if d.IsDir() && slices.Contains([]string{"docs/decisions", "docs/mission", "docs/models", "docs/protocol"}, rel) {
			return filepath.SkipDir
		}
		if path.Ext(rel) == ".md" && !slices.Contains([]string{"docs/releasing.md", "docs/architecture.md"}, rel) {
			pages = append(pages, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here")
	}
	root, err := filepath.Abs(root(t))
	if err != nil {
		t.Fatal(err)
	}
	env := pageEnv(t, root)
	store := ipctest.Store(t)
	exports := exportData(t, root)
	for _, name := range userPages(t, root) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, err := blocks(string(text))
			if err != nil {
				t.Fatal(err)
			}
			own, err := os.MkdirTemp(store, "")
			if err != nil {
				t.Fatal(err)
			}
			r := &reader{t: t, home: ipctest.Dir(t), exports: exports}
			r.env = append(slices.Clone(env), "SAMEPAGE_DIR="+own, "HOME="+r.home, "GOBIN="+filepath.Join(r.home, "bin"))
			r.folder = r.home
			if err := os.Symlink(root, filepath.Join(r.home, "samepage")); err != nil {
				t.Fatal(err)
			}
			r.read(all)
		})
	}
}

// pageEnv is the environment for the commands of the pages: that of a new user who has the command
// samepage, with the caches of this one. What was fetched before is not fetched again.
func pageEnv(t *testing.T, root string) []string {
	t.Helper()
	bin := ipctest.Dir(t)
	build := exec.Command("go", "build", "-o", bin, "./cmd/samepage")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	v := strings.Split(strings.TrimSpace(string(out)), "\n")
	return append(os.Environ(), "GOCACHE="+v[0], "GOMODCACHE="+v[1], "GOFLAGS=", "GOWORK=", "XDG_DATA_HOME=",
		"GOPROXY=file://"+v[1]+"/cache/download,"+v[2], "PATH="+bin+":"+os.Getenv("PATH"))
}

// fetching are lines that the go command prints only if a module is not on this machine yet.
var fetching = regexp.MustCompile(`(?m)^go: downloading .*\n`)

// reader follows a page.
type reader struct {
	t       *testing.T
	home    string
	folder  string // where the last block ended
	env     []string
	exports map[string]string
	others  []*terminal
}

// terminal is a block that runs.
type terminal struct {
	*block
	cmd *exec.Cmd
	out bytes.Buffer
	dir string // the file that will have the folder where it ends
}

func (r *reader) read(all []*block) {
	printed := map[*block]*terminal{} // who prints what
	var before *terminal              // the block before, if it was run
	for _, b := range all {
		last := before
		before = nil
		switch {
		case !b.tried():
		case b.file() != "":
			name := filepath.Join(r.folder, b.file())
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				r.t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(b.text), 0o644); err != nil {
				r.t.Fatal(err)
			}
			r.formatted(b)
		case b.language == "go":
			r.formatted(b)
			for _, err := range compileFragment(b.text, r.exports) {
				r.t.Errorf("line %d: %v", b.line, err)
			}
		case b.language == "sh" && b.terminal == "":
			c := r.start(b)
			r.end(c)
			before = c
			dir, err := os.ReadFile(c.dir)
			if err != nil {
				r.t.Fatal(err)
			}
			r.folder = strings.TrimSuffix(string(dir), "\n")
		case b.language == "sh":
			before = r.start(b)
			r.others = append(r.others, before)
		case b.language == "text" && b.terminal == "":
			printed[b] = last
		case b.language == "text":
			for _, c := range r.others {
				if c.terminal == b.terminal {
					printed[b] = c
				}
			}
		default:
			r.t.Errorf("line %d: nothing tries a block %q here; see pages_linux_test.go", b.line, b.language)
		}
	}
	for _, c := range r.others {
		r.end(c)
	}
	for b, c := range printed {
		if c != nil && !matchOutput(b.text, fetching.ReplaceAllString(c.out.String(), "")) {
			r.t.Errorf("line %d: the page says that this is printed:\n%s\nand this is printed:\n%s", b.line, b.text, &c.out)
		}
	}
}

// start runs a block. A command that fails ends it.
func (r *reader) start(b *block) *terminal {
	c := &terminal{block: b, dir: filepath.Join(r.t.TempDir(), "folder")}
	c.cmd = exec.Command("sh", "-eu", "-c", "trap 'pwd >\"$SAMEPAGE_PAGE\"' EXIT\n"+b.text)
	c.cmd.Env = append(slices.Clone(r.env), "SAMEPAGE_PAGE="+c.dir)
	c.cmd.Dir = r.folder
	if b.terminal != "" {
		c.cmd.Dir = r.home
	}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		r.t.Fatalf("line %d: %v", b.line, err)
	}
	r.t.Cleanup(c.kill)
	return c
}

// kill ends the block with all that it has started.
func (c *terminal) kill() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }

// end waits for the end of a block, which must succeed.
func (r *reader) end(c *terminal) {
	late := time.AfterFunc(ipctest.Patience, c.kill)
	defer late.Stop()
	if err := c.cmd.Wait(); err != nil {
		r.t.Fatalf("line %d: %v\n%s\nprinted\n%s", c.line, err, c.text, &c.out)
	}
}

func (r *reader) formatted(b *block) {
	if b.language != "go" {
		return
	}
	if want, err := format.Source([]byte(b.text)); err != nil || string(want) != b.text {
		r.t.Errorf("line %d: not formatted as gofmt does it: %v\n%s", b.line, err, want)
	}
}

// matchOutput tells whether the output of a command is what a page says.
func matchOutput(page, output string) bool {
	pattern := regexp.QuoteMeta(page)
	pattern = regexp.MustCompile(`(?m)^\\\.\\\.\\\.\n`).ReplaceAllString(pattern, `(?:.*\n)*`)
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `.*`)
	return regexp.MustCompile(`\A` + pattern + `\z`).MatchString(output)
}

// module is the path of the library (see tools/modpath).
var module = reflect.TypeFor[samepage.Options]().PkgPath()

// fragmentImports are the packages that parts of functions may use, by their names.
var fragmentImports = map[string]string{
	"ipcsync": module + "/ipcsync", "samepage": module, "cell": module + "/cell", "pubsub": module + "/pubsub",
	"inspect": module + "/inspect", "web": module + "/inspect/web", "rpc": module + "/rpc", "stream": module + "/stream", "frame": module + "/frame",
	"baseimage": module + "/legacy/baseimage", "earseimage": module + "/legacy/earseimage",
	"sharememory": module + "/legacy/sharememory", "text": module + "/legacy/text",
	"bytes": "bytes", "context": "context", "errors": "errors", "fmt": "fmt", "fs": "io/fs", "image": "image", "io": "io",
	"log": "log", "net": "net", "http": "net/http", "os": "os", "exec": "os/exec", "strconv": "strconv", "strings": "strings", "time": "time",
}

// exportData has the file with the compiled interface of each of those packages, and of those that
// they use.
func exportData(t *testing.T, root string) map[string]string {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}
	for _, p := range fragmentImports {
		args = append(args, p)
	}
	c := exec.Command("go", args...)
	c.Dir = root
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[name] = file
	}
	return exports
}

// compileFragment checks a part of a function. It may use the variables of the function head
// below. That it declares a variable twice, or does not use one, is not an error.
func compileFragment(text string, exports map[string]string) (faults []error) {
	head := "package page\n"
	for name, p := range fragmentImports {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(text) {
			head += fmt.Sprintf("import %q\n", p)
		}
	}
	for _, p := range []string{"context", "image"} {
		if line := fmt.Sprintf("import %q\n", p); !strings.Contains(head, line) {
			head += line
		}
	}
	head += "func _(ctx context.Context, check func(error), b, picture []byte, size int64, img image.Image) (err error) {\n"
	text = head + text + "\nreturn\n}\n"
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "page", text, parser.SkipObjectResolution)
	if err != nil {
		return []error{err}
	}
	conf := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(p string) (io.ReadCloser, error) {
			if exports[p] == "" {
				return nil, fmt.Errorf("no package %s", p)
			}
			return os.Open(exports[p])
		}),
		Error: func(err error) {
			var e types.Error
			if errors.As(err, &e) && (e.Soft || strings.HasPrefix(e.Msg, "no new variables")) {
				return
			}
			faults = append(faults, err)
		},
	}
	_, _ = conf.Check("page", fset, []*ast.File{f}, nil)
	return faults
}

// The checks of the pages find what is wrong.
func TestPagesFindFaults(t *testing.T) {
	for page, want := range map[string]string{
		"a\n\n    samepage ls\n": "indented",
		"```sh\nsamepage ls\n":   "no end",
	} {
		if _, err := blocks(page); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", page, err, want)
		}
	}
	all, err := blocks("Not tried by the tests: no docker.\n\n```sh\na\n```\n\nSave this as `x/y.go`, beside it:\n\n```go\nb\n```\n\n```sh 2\nc\n```\n")
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	if all[0].tried() || all[1].file() != "x/y.go" || all[1].line != 10 || all[2].terminal != "2" || !all[2].tried() {
		t.Errorf("%+v, %+v, %+v", all[0], all[1], all[2])
	}
	for _, c := range []struct {
		page, out string
		want      bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "a\nb\n", false},
		{"a ... b\n...\nc\n", "a x b\ny\nz\nc\n", true},
		{"a.\n", "ab\n", false},
	} {
		if matchOutput(c.page, c.out) != c.want {
			t.Errorf("%q, %q: not %t", c.page, c.out, c.want)
		}
	}
}
