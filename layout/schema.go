package layout

import (
	"fmt"
	"strconv"
	"strings"
)

// Schema describes the values of a type: where its fields lie, and of which kind they are.
type Schema struct {
	// Kind is "struct", "array", or the name of a type without parts: "int8" to "int64", "uint8" to
	// "uint64", "float32", "float64", "complex64", "complex128", "bool" (a byte that is false if
	// it is 0) or "time" (an int64, nanoseconds since 1970 in UTC; 0: no time).
	Kind   string
	Size   int     // bytes
	Fields []Field // of a struct
	Len    int     // elements of an array
	Elem   *Schema // of an array
}

// Field is a field of a struct.
type Field struct {
	Name   string // "_": padding
	Offset int    // bytes from the begin of the struct
	Schema
}

// maxValue is the size of the largest value that a schema may describe, in bytes.
const maxValue = 1<<31 - 1

// sizes are the sizes of the types that have no parts.
var sizes = map[string]int{
	"int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
	"float32": 4, "float64": 8, "complex64": 8, "complex128": 16, "bool": 1, "time": 8,
}

// ParseSchema is the inverse of Type.Schema. The schema of a service has two types, the request
// and the response, with a space between them; all others have one. All fields lie within their
// struct.
//
// Errors: ErrCorrupt.
func ParseSchema(text string) ([]Schema, error) {
	all, _, err := parseSchema(text)
	return all, err
}

// SplitSchema returns the schema of each type: one, or those of the requests and of the responses
// of a service.
//
// Errors: ErrCorrupt.
func SplitSchema(text string) ([]string, error) {
	_, texts, err := parseSchema(text)
	return texts, err
}

func parseSchema(text string) (all []Schema, texts []string, err error) {
	if len(text) > MaxSchema {
		return nil, nil, fmt.Errorf("schema of %d bytes, want at most %d: %w", len(text), MaxSchema, ErrCorrupt)
	}
	p := schemaParser{rest: text}
	for len(all) < 2 {
		begin := len(text) - len(p.rest)
		// The name ends with =, which is in no other place: it would need a field of that name.
		if i := strings.IndexByte(p.rest, '='); i >= 0 && !strings.ContainsAny(p.rest[:i], "{ ") {
			p.rest = p.rest[i+1:]
		}
		s, ok := p.parse(0)
		if !ok {
			return nil, nil, fmt.Errorf("schema makes no sense at byte %d of %d: %w", len(text)-len(p.rest), len(text), ErrCorrupt)
		}
		all, texts = append(all, s), append(texts, text[begin:len(text)-len(p.rest)])
		if p.rest == "" {
			return all, texts, nil
		}
		if !p.skip(" ") {
			break
		}
	}
	return nil, nil, fmt.Errorf("schema of %d bytes goes on at byte %d: %w", len(text), len(text)-len(p.rest), ErrCorrupt)
}

// TypeOfSchema returns the type that a schema of one type describes. Its name is the one in the
// schema, or the schema itself.
//
// Errors: ErrCorrupt; ErrType (the type has no bytes).
func TypeOfSchema(text string) (*Type, error) {
	all, err := ParseSchema(text)
	switch {
	case err != nil:
		return nil, err
	case len(all) != 1:
		return nil, fmt.Errorf("a schema of %d types, want one: %w", len(all), ErrCorrupt)
	case all[0].Size == 0:
		return nil, fmt.Errorf("a type that has no bytes: %w", ErrType)
	}
	name := text
	if i := strings.IndexByte(text, '='); i >= 0 && !strings.ContainsAny(text[:i], "{ ") {
		name = text[:i]
	}
	return NewType(name, text, all[0].Size, all[0].align())
}

// CallType returns the type of the calls of a service, and the bytes of a request and of a
// response.
//
// Errors: ErrType.
func CallType(request, response *Type) (*Type, [2]int, error) {
	ty, err := NewType("func("+request.Name+") "+response.Name, request.Schema+" "+response.Schema, request.Size, request.Align)
	return ty, [2]int{request.Size, response.Size}, err
}

// CallTypeOfSchema is CallType for the types that the schema of a service describes.
//
// Errors: those of TypeOfSchema.
func CallTypeOfSchema(text string) (*Type, [2]int, error) {
	texts, err := SplitSchema(text)
	if err == nil && len(texts) != 2 {
		err = fmt.Errorf("a schema of %d types, want two: %w", len(texts), ErrCorrupt)
	}
	if err != nil {
		return nil, [2]int{}, err
	}
	var types [2]*Type
	for i, text := range texts {
		if types[i], err = TypeOfSchema(text); err != nil {
			return nil, [2]int{}, err
		}
	}
	return CallType(types[0], types[1])
}

// align returns the alignment of values, on every system.
func (s *Schema) align() int {
	switch s.Kind {
	case "struct":
		a := 1
		for i := range s.Fields {
			a = max(a, s.Fields[i].align())
		}
		return a
	case "array":
		return s.Elem.align()
	case "complex64", "complex128":
		return s.Size / 2
	}
	return s.Size
}

// schemaParser reads a schema from its begin to its end. rest is what it has not read yet.
type schemaParser struct{ rest string }

func (p *schemaParser) skip(text string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, text)
	return ok
}

// number reads a number from 0 to maxValue.
func (p *schemaParser) number() (n int, ok bool) {
	i := 0
	for i < len(p.rest) && '0' <= p.rest[i] && p.rest[i] <= '9' {
		i++
	}
	v, err := strconv.ParseUint(p.rest[:i], 10, 31)
	p.rest = p.rest[i:]
	return int(v), err == nil
}

// parse reads a type. It goes down at most 100 levels.
func (p *schemaParser) parse(level int) (s Schema, ok bool) {
	switch {
	case level > 100:
		return s, false
	case p.skip("["):
		return p.array(level)
	case p.skip("{"):
		return p.structure(level)
	}
	end := strings.IndexAny(p.rest, "; ")
	if end < 0 {
		end = len(p.rest)
	}
	s.Kind = p.rest[:end]
	if s.Size, ok = sizes[s.Kind]; ok {
		p.rest = p.rest[end:]
	}
	return s, ok
}

func (p *schemaParser) array(level int) (s Schema, ok bool) {
	s.Kind = "array"
	if s.Len, ok = p.number(); !ok || !p.skip("]") {
		return s, false
	}
	elem, ok := p.parse(level + 1)
	if !ok || elem.Size > 0 && s.Len > maxValue/elem.Size {
		return s, false
	}
	s.Elem, s.Size = &elem, s.Len*elem.Size
	return s, true
}

func (p *schemaParser) structure(level int) (s Schema, ok bool) {
	s.Kind = "struct"
	end := 0
	for !p.skip("}") {
		var f Field
		if f.Offset, ok = p.number(); !ok || f.Offset < end || !p.skip(" ") {
			return s, false
		}
		if f.Name, p.rest, ok = strings.Cut(p.rest, " "); !ok || f.Name == "" || strings.ContainsAny(f.Name, "{};[]=") {
			return s, false
		}
		if f.Schema, ok = p.parse(level + 1); !ok || !p.skip(";") || f.Size > maxValue-f.Offset {
			return s, false
		}
		end = f.Offset + f.Size
		s.Fields = append(s.Fields, f)
	}
	if s.Size, ok = p.number(); !ok || s.Size < end {
		return s, false
	}
	return s, true
}
