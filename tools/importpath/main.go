// Importpath renames an import path, and the paths below it, in Go files:
//
//	importpath OLD NEW FILE...
//
// It changes only import declarations. tools/modpath uses it.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: importpath OLD NEW FILE...")
		os.Exit(2)
	}
	for _, file := range os.Args[3:] {
		src, err := os.ReadFile(file)
		if err == nil {
			var out []byte
			if out, err = rename(src, os.Args[1], os.Args[2]); err == nil && !bytes.Equal(out, src) {
				err = os.WriteFile(file, out, 0o644)
			}
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "importpath: %s: %v\n", file, err)
			os.Exit(1)
		}
	}
}

// rename returns a Go file in which to replaces old in each import of old or of a path below it.
func rename(src []byte, old, to string) ([]byte, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", src, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var out []byte
	done := 0
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		if path != old && !strings.HasPrefix(path, old+"/") {
			continue
		}
		at := fset.Position(i.Path.Pos()).Offset
		out = append(append(out, src[done:at]...), strconv.Quote(to+path[len(old):])...)
		done = at + len(i.Path.Value)
	}
	if done == 0 {
		return src, nil
	}
	return format.Source(append(out, src[done:]...)) // the order of imports may be another one
}
