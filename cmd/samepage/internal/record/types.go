package record

import (
	"fmt"
	"strings"

	"github.com/foxglove/mcap/go/mcap"

	"samepage/layout"
)

// cdrHeader precedes a value: CDR, little-endian, as ROS 2 writes it. The bytes of a Go type that
// may be in shared memory are CDR themselves, because each number is aligned to its size, and all
// padding are fields.
var cdrHeader = []byte{0, 1, 0, 0}

// rosPackage is the package of the names of types in a schema.
const rosPackage = "samepage"

// rosSchema describes the type of a schema of layout in the language of ROS 2, "ros2msg". It is
// nil if the type has no such description.
func rosSchema(text string) *mcap.Schema {
	ty, err := layout.TypeOfSchema(text)
	if err != nil {
		return nil
	}
	all, err := layout.ParseSchema(text)
	if err != nil || !isCDR(&all[0], 0) {
		return nil
	}
	g := &rosTypes{names: map[string]bool{}}
	s := &all[0]
	if s.Kind != "struct" {
		s = &layout.Schema{Kind: "struct", Size: s.Size, Fields: []layout.Field{{Name: "value", Schema: *s}}}
	}
	name := g.name(ty.Name)
	data := g.fields(s, name)
	if g.bytes > layout.MaxSchema*4 {
		return nil
	}
	return &mcap.Schema{Name: rosPackage + "/msg/" + name, Encoding: "ros2msg", Data: []byte(data + g.more.String())}
}

// alignment returns the alignment of a value in CDR.
func alignment(s *layout.Schema) int {
	switch s.Kind {
	case "struct":
		a := 1
		for i := range s.Fields {
			a = max(a, alignment(&s.Fields[i].Schema))
		}
		return a
	case "array":
		return alignment(s.Elem)
	case "complex64", "complex128":
		return s.Size / 2
	}
	return s.Size
}

// isCDR says whether the bytes of a value at off are CDR: there are no gaps, and each number is
// aligned.
func isCDR(s *layout.Schema, off int) bool {
	switch s.Kind {
	case "struct":
		end := 0
		for i := range s.Fields {
			f := &s.Fields[i]
			if f.Offset != end || !isCDR(&f.Schema, off+f.Offset) {
				return false
			}
			end = f.Offset + f.Size
		}
		return end == s.Size
	case "array":
		return s.Size == 0 || s.Elem.Size%alignment(s.Elem) == 0 && isCDR(s.Elem, off)
	}
	return off%alignment(s) == 0
}

// rosTypes writes the definitions of types.
type rosTypes struct {
	names map[string]bool // in use
	more  strings.Builder // definitions of types of fields
	bytes int             // written, to end if there are too many
}

// name makes a name of a type that is not in use of text.
func (g *rosTypes) name(text string) string {
	name := typeName(text)
	for n, base := 2, name; g.names[name]; n++ {
		name = fmt.Sprint(base, n)
	}
	g.names[name] = true
	return name
}

// words are the words in text, in lower case: letters and digits, which begin with a letter.
func words(text string) (all []string) {
	r := []rune(text)
	begin := true // of a word
	for i, c := range r {
		upper, lower, digit := c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9'
		if !upper && !lower && !digit || digit && len(all) == 0 {
			begin = true
			continue
		}
		// An upper case letter begins a word after one of lower case, or before one: HTTPPort has two.
		if upper && i > 0 && (r[i-1] < 'A' || r[i-1] > 'Z' || i+1 < len(r) && r[i+1] >= 'a' && r[i+1] <= 'z') {
			begin = true
		}
		if begin && (len(all) == 0 || !digit) {
			all = append(all, "")
		}
		begin = false
		all[len(all)-1] += strings.ToLower(string(c))
	}
	return all
}

// fieldName is the name of a field in ROS 2, such as gps_time.
func fieldName(text string) string {
	if w := words(text); len(w) > 0 {
		return strings.Join(w, "_")
	}
	return "field"
}

// typeName is the name of a type in ROS 2, such as GpsTime.
func typeName(text string) string {
	var b strings.Builder
	for _, w := range words(text) {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	if b.Len() == 0 {
		return "Type"
	}
	return b.String()
}

// fields returns the lines of the fields of a struct.
func (g *rosTypes) fields(s *layout.Schema, of string) string {
	var b strings.Builder
	used := map[string]bool{}
	for i := range s.Fields {
		f := &s.Fields[i]
		if f.Size == 0 || g.bytes > layout.MaxSchema*4 {
			continue
		}
		name := "padding"
		if f.Name != "_" {
			name = fieldName(f.Name)
		}
		for n, base := 2, name; used[name]; n++ {
			name = fmt.Sprint(base, n)
		}
		used[name] = true
		line := g.typeOf(&f.Schema, of+typeName(f.Name)) + " " + name + "\n"
		g.bytes += len(line)
		b.WriteString(line)
	}
	return b.String()
}

// typeOf returns the type of a field. It defines the types that it needs.
func (g *rosTypes) typeOf(s *layout.Schema, name string) string {
	switch s.Kind {
	case "array":
		n, elem := s.Len, s.Elem
		for elem.Kind == "array" { // there are no arrays of arrays
			n, elem = n*elem.Len, elem.Elem
		}
		return fmt.Sprintf("%s[%d]", g.typeOf(elem, name), n)
	case "time": // nanoseconds since 1970
		return "int64"
	case "complex64", "complex128":
		part := map[string]string{"complex64": "float32", "complex128": "float64"}[s.Kind]
		return g.define("Complex"+s.Kind[len("complex"):], part+" re\n"+part+" im\n")
	case "struct":
		name = g.name(name)
		return g.write(name, g.fields(s, name))
	}
	return s.Kind
}

// define defines a type once.
func (g *rosTypes) define(name, fields string) string {
	if g.names[name] {
		return rosPackage + "/" + name
	}
	g.names[name] = true
	return g.write(name, fields)
}

func (g *rosTypes) write(name, fields string) string {
	fmt.Fprintf(&g.more, "%s\nMSG: %s/%s\n%s", strings.Repeat("=", 80), rosPackage, name, fields)
	return rosPackage + "/" + name
}
