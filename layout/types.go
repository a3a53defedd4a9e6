package layout

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
)

// Type is a Go type whose values may lie in shared memory: it has the same size on every system,
// and no pointers.
type Type struct {
	Name        string // as Go prints it, cut to 64 bytes
	Size        int    // bytes
	Fingerprint uint64 // hash of the names, types and offsets of all fields; never 0
}

// TypeOf checks t.
//
// Errors: ErrType; the text says which part of t cannot be stored in shared memory.
func TypeOf(t reflect.Type) (*Type, error) {
	var text strings.Builder
	if err := describe(&text, t, t.String()); err != nil {
		return nil, err
	}
	if t.Size() == 0 {
		return nil, fmt.Errorf("%v has no bytes: %w", t, ErrType)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(text.String()))
	ty := &Type{Name: t.String(), Size: int(t.Size()), Fingerprint: max(h.Sum64(), 1)}
	var field [64]byte
	PutText(field[:], ty.Name)
	ty.Name = Text(field[:])
	return ty, nil
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

// describe writes t in a canonical form: fixed-width types by their names, arrays as [N]T,
// structures as {offset name T; ...}size.
func describe(w *strings.Builder, t reflect.Type, path string) error {
	no := func(why string) error { return fmt.Errorf("%s is a %v, %s: %w", path, t, why, ErrType) }
	switch t.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		w.WriteString(t.Kind().String())
		return nil
	case reflect.Int, reflect.Uint, reflect.Uintptr:
		return no("whose size differs between systems")
	case reflect.Bool:
		return no("which has bit patterns that are not valid; use uint8")
	case reflect.Array:
		fmt.Fprintf(w, "[%d]", t.Len())
		return describe(w, t.Elem(), path+"[]")
	case reflect.Struct:
		w.WriteString("{")
		var end uintptr
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Offset != end {
				return fmt.Errorf("%s has %d bytes of padding before %s; add a field of that size: %w", path, f.Offset-end, f.Name, ErrType)
			}
			fmt.Fprintf(w, "%d %s ", f.Offset, f.Name)
			if err := describe(w, f.Type, path+"."+f.Name); err != nil {
				return err
			}
			w.WriteString(";")
			end = f.Offset + f.Type.Size()
		}
		if end != t.Size() {
			return fmt.Errorf("%s has %d bytes of padding at its end; add a field of that size: %w", path, t.Size()-end, ErrType)
		}
		fmt.Fprintf(w, "}%d", t.Size())
		return nil
	}
	return no("which may refer to the memory of one process")
}
