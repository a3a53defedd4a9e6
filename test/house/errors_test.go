package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An error of the system is found by errors.Is, wherever it was wrapped: fmt.Errorf has it
// with %w. Who does not want its class has sys.OnlyNumber of it.
func TestArchErrorsAreWrapped(t *testing.T) {
	anError := regexp.MustCompile(`^([a-z]*err|cause|e)$`)
	verb := regexp.MustCompile(`%[-+# 0-9.*\[\]]*([a-zA-Z%])`)
	calls := 0
	for _, s := range sources(t) {
		switch room, _, _ := strings.Cut(s.room, "/"); {
		case s.isTest(), slices.Contains(testRooms, s.room), room == "bench", room == "test", room == "tools", room == "examples", room == "layout", room == "frame":
			continue // those have no errors of the system
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "Errorf" {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			calls++
			format, _ := strconv.Unquote(lit.Value)
			i := 1
			for _, v := range verb.FindAllStringSubmatch(format, -1) {
				if v[1] == "%" || i >= len(call.Args) {
					continue
				}
				if id, ok := call.Args[i].(*ast.Ident); ok && anError.MatchString(id.Name) && v[1] != "w" {
					t.Errorf("%s: %s in %s loses what %s is: use %%w, and sys.OnlyNumber for an error of another class", s.file, v[0], lit.Value, id.Name)
				}
				i++
			}
			return true
		})
	}
	if calls < 300 {
		t.Errorf("only %d calls of Errorf were seen", calls)
	}
}
