package layout

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
)

// Type is a Go type whose values may lie in shared memory: it has the same bytes on every system,
// and no pointers.
type Type struct {
	Name   string // as Go prints it, cut to 64 bytes
	Size   int    // bytes
	Align  int    // a value begins at a multiple of Align, on every system
	Schema string // its name and its fields; see docs/layout.md
	// Fingerprint is the hash of Schema. It is never 0.
	Fingerprint uint64
}

// MaxSchema is the length of the longest schema, in bytes.
const MaxSchema = 64 << 10

// NewType returns a Type with the fingerprint of its schema.
//
// Errors: ErrType (the schema is longer than MaxSchema).
func NewType(name, schema string, size, align int) (*Type, error) {
	if len(schema) > MaxSchema {
		return nil, fmt.Errorf("the description of %s has %d bytes, want at most %d; use arrays in place of many fields: %w", name, len(schema), MaxSchema, ErrType)
	}
	var field [64]byte
	PutText(field[:], name)
	return &Type{Name: Text(field[:]), Size: size, Align: align, Schema: schema, Fingerprint: Fingerprint(schema)}, nil
}

// Fingerprint is the FNV-1a hash of a schema, 64 bits. It is never 0.
func Fingerprint(schema string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(schema))
	return max(h.Sum64(), 1)
}

// TypeOf checks t.
//
// Errors: ErrType; the text says which parts of t cannot be stored in shared memory, and has a
// type that can.
func TypeOf(t reflect.Type) (*Type, error) {
	if t == nil {
		return nil, fmt.Errorf("an interface without a type: %w", ErrType)
	}
	var c checker
	s := c.check(t, t.String())
	switch {
	case len(c.faults) > 0:
		return nil, &typeError{t, c.faults}
	case t.Size() == 0:
		return nil, fmt.Errorf("%v has no bytes: %w", t, ErrType)
	}
	if name := ownName(t); name != "" {
		s.schema = name + "=" + s.schema
	}
	return NewType(t.String(), s.schema, s.size, s.align)
}

// CheckType refuses a type that is not the type of the payload. nil means bytes.
//
// Errors: ErrKindMismatch, with both types.
func (h *SegmentHeader) CheckType(want *Type) error {
	var fingerprint uint64
	name := "bytes"
	if want != nil {
		fingerprint, name = want.Fingerprint, want.Name
	}
	if h.Fingerprint == fingerprint {
		return nil
	}
	has := "bytes"
	if h.Fingerprint != 0 {
		has = Text(h.TypeName[:])
	}
	return fmt.Errorf("it has type %s (%016x), want %s (%016x): %w", has, h.Fingerprint, name, fingerprint, ErrKindMismatch)
}

// root is the path of package samepage, also in a module that has another name.
var root = strings.TrimSuffix(reflect.TypeFor[Type]().PkgPath(), "/layout")

// special returns the name in a schema of samepage.Bool or samepage.Time, or "".
func special(t reflect.Type) string {
	if t.PkgPath() != root {
		return ""
	}
	switch t.Name() {
	case "Bool", "Time":
		return strings.ToLower(t.Name())
	}
	return ""
}

// ownName returns the name of a type without the packages in it, or "" for a type that has no
// name of its own. Two programs may have the same type in different packages.
func ownName(t reflect.Type) string {
	if t.PkgPath() == "" || special(t) != "" {
		return ""
	}
	const ends = "[], *(){}"
	var b strings.Builder
	for rest := t.Name(); rest != ""; {
		n := strings.IndexAny(rest, ends)
		if n < 0 {
			n = len(rest)
		}
		word := rest[:n]
		b.WriteString(word[strings.LastIndexAny(word, "./")+1:])
		rest = rest[n:]
		if rest != "" {
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return strings.ReplaceAll(b.String(), " ", "")
}

// checker collects the faults of a type.
type checker struct{ faults []string }

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// shape is what a type looks like in memory. It is the same on every system. For a type with
// faults, size and align are those of the type that is proposed in its place.
type shape struct {
	schema      string
	size, align int
}

// check checks t. path says where it is.
func (c *checker) check(t reflect.Type, path string) shape {
	if name := special(t); name != "" {
		return shape{name, int(t.Size()), int(t.Size())}
	}
	switch k := t.Kind(); k {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return shape{k.String(), int(t.Size()), int(t.Size())}
	case reflect.Complex64, reflect.Complex128:
		return shape{k.String(), int(t.Size()), int(t.Size()) / 2}
	case reflect.Array:
		s := c.check(t.Elem(), path+"[]")
		return shape{fmt.Sprintf("[%d]%s", t.Len(), s.schema), s.size * t.Len(), s.align}
	case reflect.Struct:
		if t != timeType {
			return c.checkStruct(t, path)
		}
	}
	r := replace(t)
	article := "a"
	if strings.ContainsRune("aeiou", rune(t.String()[0])) {
		article = "an"
	}
	c.fault("%s is %s %v, %s", path, article, t, r.why)
	return r.shape
}

func (c *checker) checkStruct(t reflect.Type, path string) shape {
	end, align := 0, 1
	known := true // no replacement has changed the size up to here
	var fields strings.Builder
	for i := range t.NumField() {
		f := t.Field(i)
		before := len(c.faults)
		s := c.check(f.Type, path+"."+f.Name)
		if pad := -end & (s.align - 1); pad > 0 {
			if known {
				c.fault("%s has %s before %s", path, padding(pad), f.Name)
			}
			end += pad
		}
		fmt.Fprintf(&fields, "%d %s %s;", end, f.Name, s.schema)
		if f.Type.Size() == 0 && i > 0 && i == t.NumField()-1 {
			c.fault("%s ends with %s, which has no bytes, so Go adds padding; move it to the front", path, f.Name)
		}
		end += s.size
		align = max(align, s.align)
		known = known && (len(c.faults) == before || s.size == int(f.Type.Size()))
	}
	if pad := -end & (align - 1); pad > 0 {
		if known {
			c.fault("%s has %s at its end", path, padding(pad))
		}
		end += pad
	}
	return shape{fmt.Sprintf("{%s}%d", fields.String(), end), end, align}
}

func padding(n int) string {
	if n == 1 {
		return "1 byte of padding"
	}
	return fmt.Sprintf("%d bytes of padding", n)
}

// typeError is the error about a type that cannot be in shared memory.
type typeError struct {
	t      reflect.Type
	faults []string
}

func (e *typeError) Error() string {
	text := strings.Join(e.faults, "; ") + ": " + ErrType.Error()
	if c := corrected(e.t); c != "" {
		text += "; this one can:\n" + c
	}
	return text
}

func (e *typeError) Unwrap() error { return ErrType }
