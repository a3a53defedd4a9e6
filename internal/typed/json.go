// Package typed turns values of Go types, which a topic or a cell describes by a schema, into JSON.
package typed

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"samepage"
	"samepage/layout"
)

// Decoder turns values of Go types into JSON. This program does not have the types: the object
// describes them. Other processes may write any description and any value. The zero value works.
// Only one goroutine at a time may use it.
type Decoder struct {
	text   string // the schema that was parsed last
	schema layout.Schema
}

// JSON returns the value in b, or nil if there is no schema.
//
// Errors: samepage.ErrCorrupt, samepage.ErrTooLarge (the JSON is absurdly long for the value).
func (d *Decoder) JSON(schema, b string) (json.RawMessage, error) {
	if schema == "" {
		return nil, nil
	}
	if schema != d.text {
		all, err := layout.ParseSchema(schema)
		if err != nil {
			return nil, err
		}
		if len(all) != 1 {
			return nil, fmt.Errorf("a schema of %d types, want one: %w", len(all), samepage.ErrCorrupt)
		}
		shownFields(&all[0])
		d.text, d.schema = schema, all[0]
	}
	if len(b) != d.schema.Size {
		return nil, fmt.Errorf("%d bytes, but the type has %d: %w", len(b), d.schema.Size, samepage.ErrCorrupt)
	}
	e := valueEncoder{b: []byte(b), most: 1<<20 + 256*len(b)}
	e.value(&d.schema, 0)
	if len(e.out) > e.most {
		return nil, fmt.Errorf("the JSON of a value of %d bytes is longer than %d: %w", len(b), e.most, samepage.ErrTooLarge)
	}
	return e.out, nil
}

// shownFields removes fields that are not shown: padding, and those without bytes.
func shownFields(s *layout.Schema) {
	s.Fields = slices.DeleteFunc(s.Fields, func(f layout.Field) bool { return f.Name == "_" || f.Size == 0 })
	for i := range s.Fields {
		shownFields(&s.Fields[i].Schema)
	}
	if s.Elem != nil {
		shownFields(s.Elem)
	}
}

// valueEncoder writes a value in JSON. It stops when out is longer than most: a description can
// have long names, and repeat them often.
type valueEncoder struct {
	b, out []byte
	most   int
}

// value writes the value at off. A field lies within its struct, and b has the size of the whole.
func (e *valueEncoder) value(s *layout.Schema, off int) {
	le := binary.LittleEndian
	switch s.Kind {
	case "struct":
		e.list('{', '}', len(s.Fields), func(i int) {
			f := &s.Fields[i]
			e.marshal(f.Name)
			e.out = append(e.out, ':')
			e.value(&f.Schema, off+f.Offset)
		})
	case "array":
		if s.Elem.Size == 0 {
			e.out = append(e.out, "[]"...)
			return
		}
		e.list('[', ']', s.Len, func(i int) { e.value(s.Elem, off+i*s.Elem.Size) })
	case "int8":
		e.int(int64(int8(e.b[off])))
	case "int16":
		e.int(int64(int16(le.Uint16(e.b[off:]))))
	case "int32":
		e.int(int64(int32(le.Uint32(e.b[off:]))))
	case "int64":
		e.int(int64(le.Uint64(e.b[off:])))
	case "uint8":
		e.int(int64(e.b[off]))
	case "uint16":
		e.int(int64(le.Uint16(e.b[off:])))
	case "uint32":
		e.int(int64(le.Uint32(e.b[off:])))
	case "uint64":
		e.out = strconv.AppendUint(e.out, le.Uint64(e.b[off:]), 10)
	case "float32":
		e.float(float64(math.Float32frombits(le.Uint32(e.b[off:]))), 32)
	case "float64":
		e.float(math.Float64frombits(le.Uint64(e.b[off:])), 64)
	case "complex64", "complex128":
		part := layout.Schema{Kind: "float32", Size: 4}
		if s.Size == 16 {
			part = layout.Schema{Kind: "float64", Size: 8}
		}
		e.list('[', ']', 2, func(i int) { e.value(&part, off+i*part.Size) })
	case "bool":
		e.out = strconv.AppendBool(e.out, e.b[off] != 0)
	case "time":
		if t := samepage.Time(le.Uint64(e.b[off:])); t != 0 {
			e.marshal(t)
		} else {
			e.out = append(e.out, "null"...)
		}
	}
}

// list writes n elements.
func (e *valueEncoder) list(begin, end byte, n int, element func(int)) {
	e.out = append(e.out, begin)
	for i := 0; i < n && len(e.out) <= e.most; i++ {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		element(i)
	}
	e.out = append(e.out, end)
}

func (e *valueEncoder) int(n int64) { e.out = strconv.AppendInt(e.out, n, 10) }

// float writes a number. JSON has none for "NaN", "+Inf" and "-Inf", so they are strings.
func (e *valueEncoder) float(v float64, bits int) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		e.marshal(strconv.FormatFloat(v, 'g', -1, 64))
		return
	}
	form := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		form = 'e'
	}
	e.out = strconv.AppendFloat(e.out, v, form, -1, bits)
}

func (e *valueEncoder) marshal(v any) {
	b, err := json.Marshal(v)
	if err != nil { // impossible: names and times
		b = []byte("null")
	}
	e.out = append(e.out, b...)
}
