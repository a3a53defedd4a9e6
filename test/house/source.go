// Package house checks the repository itself: which package uses which, what files are
// called, what pages say. It reads the sources; none of its tests needs a system.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the root of the repository: where go.work is, here or above.
func root(t *testing.T) string {
	t.Helper()
	for dir := "."; ; dir = filepath.Join(dir, "..") {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		if abs, err := filepath.Abs(dir); err != nil || filepath.Dir(abs) == abs {
			t.Fatalf("go.work is in no directory above (%v)", err)
		}
	}
}

type source struct {
	file string // with slashes, from the root
	room string
	src  []byte
	ast  *ast.File
	// module is the path of the library's module.
	module string
}

func (s *source) isTest() bool { return strings.HasSuffix(s.file, "_test.go") }

// sources are all Go files of the repository.
func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	fset, root := token.NewFileSet(), root(t)
	m := regexp.MustCompile(`(?m)^module (\S+)$`).FindStringSubmatch(read(t, "go.mod"))
	if m == nil {
		t.Fatal("go.mod has no module line")
	}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		p, err = filepath.Rel(root, p)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		f, err := parser.ParseFile(fset, p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, &source{p, path.Dir(p), src, f, m[1]})
		return nil
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d sources, %v", len(all), err)
	}
	return all
}

// imports are the paths that s imports. Those of this repository begin with samepage, whatever
// the path of the module is (tools/modpath).
func (s *source) imports() (paths []string) {
	for _, i := range s.ast.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		if rest, ok := strings.CutPrefix(path+"/", s.module+"/"); ok {
			path = strings.TrimSuffix("samepage/"+rest, "/")
		}
		paths = append(paths, path)
	}
	return paths
}

// read is a file of the repository, with the line ends of Unix.
func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// find is the content of the one file of that name.
func find(t *testing.T, name string) (content string) {
	t.Helper()
	root, n := root(t), 0
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != name {
			return err
		}
		n++
		if p, err = filepath.Rel(root, p); err == nil {
			content = read(t, p)
		}
		return err
	})
	if err != nil || n != 1 {
		t.Fatalf("%d files %s, %v", n, name, err)
	}
	return content
}

// files are those of a folder of the repository whose names end so, with slashes, from the
// root.
func files(t *testing.T, folder, end string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root(t), folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), end) {
			all = append(all, folder+"/"+e.Name())
		}
	}
	return all
}

// Waiting are the functions and methods with a context, by name and with what their comments
// say, of the packages that users wait in.
func Waiting(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, s := range sources(t) {
		room, _, _ := strings.Cut(s.room, "/")
		if s.isTest() || !slices.Contains([]string{".", "ipcsync", "cell", "pubsub", "rpc", "frame", "legacy"}, room) {
			continue
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Type.Params == nil || !slices.ContainsFunc(f.Type.Params.List, isContext) {
				continue
			}
			name := path.Base(s.room) + "."
			if s.room == "." {
				name = "samepage."
			}
			if f.Recv != nil {
				name += receiver(f) + "."
			}
			all[name+f.Name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
		}
	}
	return all
}

func isContext(p *ast.Field) bool {
	of, ok := p.Type.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "Context"
}

// receiver is the name of the type that a method is of.
func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	if p, ok := of.(*ast.StarExpr); ok {
		of = p.X
	}
	switch g := of.(type) {
	case *ast.IndexExpr:
		of = g.X
	case *ast.IndexListExpr:
		of = g.X
	}
	return of.(*ast.Ident).Name
}
