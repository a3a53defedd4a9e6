package layout

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestParseSchema(t *testing.T) {
	text := "good={0 A uint64;8 B [3]int16;14 C [2]uint8;16 D {0 X float32;4 Y float32;}8;}24"
	all, err := ParseSchema(text + " [2]time")
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	s := all[0]
	d := s.Fields[3]
	if s.Kind != "struct" || s.Size != 24 || len(s.Fields) != 4 || d.Name != "D" || d.Offset != 16 || d.Fields[1].Kind != "float32" {
		t.Errorf("%+v", s)
	}
	if b := s.Fields[1]; b.Kind != "array" || b.Len != 3 || b.Elem.Kind != "int16" || b.Size != 6 {
		t.Errorf("%+v", b)
	}
	if s := all[1]; s.Len != 2 || s.Elem.Kind != "time" || s.Size != 16 {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{
		"", "x", "int", "[", "[2", "[2]", "[-1]int8", "[99999999999]int8", "[2147483647]int16", "{", "{}", "{0 A int8}1", "{0 A int8;}0", "{0 A int64;4 B int8;}16",
		"{0 A int8;}1 int8 int8", "int8 ", "int8;", "{0  int8;}1", "a=", "=", "{0 A=B int8;}1", "{2147483647 A int8;}2147483647",
		strings.Repeat("[1]", 200) + "int8", strings.Repeat("{0 A ", 200), "int8" + strings.Repeat(" ", MaxSchema),
	} {
		if all, err := ParseSchema(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%.40q: %+v, %v", bad, all, err)
		}
	}
}

// A program that does not have a type makes the same type of its schema.
func TestTypeOfSchema(t *testing.T) {
	for _, v := range []any{good{}, pair[good, [2]int32]{}, rowsOK{}, [2]float64{}, [3]complex64{}, int16(0), struct{ A [2]complex128 }{}} {
		want, err := TypeOf(reflect.TypeOf(v))
		if err != nil {
			t.Fatal(err)
		}
		got, err := TypeOfSchema(want.Schema)
		if err != nil || got.Size != want.Size || got.Align != want.Align || got.Schema != want.Schema || got.Fingerprint != want.Fingerprint {
			t.Errorf("%T: %+v, want %+v, %v", v, got, want, err)
		}
	}
	for text, want := range map[string]error{"": ErrCorrupt, "int8 int8": ErrCorrupt, "a={}0": ErrType, "[0]int8": ErrType} {
		if ty, err := TypeOfSchema(text); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v", text, ty, err)
		}
	}
	if ty, err := TypeOfSchema("good={0 A int8;}1"); err != nil || ty.Name != "good" {
		t.Error(ty, err)
	}
}

// The schema of a service is split into its two types, and makes the same type.
func TestCallTypeOfSchema(t *testing.T) {
	a, aerr := TypeOf(reflect.TypeOf(good{}))
	b, berr := TypeOf(reflect.TypeOf([2]float64{}))
	want, sizes, err := CallType(a, b)
	if err := errors.Join(aerr, berr, err); err != nil {
		t.Fatal(err)
	}
	got, gotSizes, err := CallTypeOfSchema(want.Schema)
	if err != nil || got.Fingerprint != want.Fingerprint || got.Align != want.Align || gotSizes != sizes || sizes != [2]int{a.Size, b.Size} || got.Name != "func(good) [2]float64" {
		t.Errorf("%+v, %v, want %+v, %v; %v", got, gotSizes, want, sizes, err)
	}
	if all, err := SplitSchema(want.Schema); err != nil || len(all) != 2 || all[0] != a.Schema || all[1] != b.Schema {
		t.Errorf("%q, %v", all, err)
	}
	for text, want := range map[string]error{"": ErrCorrupt, "int8": ErrCorrupt, "int8 int8 int8": ErrCorrupt, "int8 [0]int8": ErrType} {
		if ty, _, err := CallTypeOfSchema(text); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v", text, ty, err)
		}
	}
}

func FuzzParseSchema(f *testing.F) {
	for _, v := range []any{good{}, pair[good, [2]int32]{}, rowsOK{}, [2]float64{}} {
		ty, err := TypeOf(reflect.TypeOf(v))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ty.Schema)
		f.Add(ty.Schema + " " + ty.Schema)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseSchema(text)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		for _, s := range all {
			inside(t, &s)
		}
	})
}

// inside checks that all parts of s lie within s.
func inside(t *testing.T, s *Schema) {
	if s.Size < 0 || s.Size > maxValue {
		t.Errorf("size %d", s.Size)
	}
	if s.Elem != nil {
		if s.Len < 0 || s.Len*s.Elem.Size != s.Size {
			t.Errorf("%d elements of %d bytes in %d", s.Len, s.Elem.Size, s.Size)
		}
		inside(t, s.Elem)
	}
	for _, f := range s.Fields {
		if f.Offset < 0 || f.Offset > s.Size || f.Size > s.Size-f.Offset {
			t.Errorf("field of %d bytes at %d in %d", f.Size, f.Offset, s.Size)
		}
		inside(t, &f.Schema)
	}
}

// The schema lies between the header and the live words.
func TestGoldenSchema(t *testing.T) {
	ty, err := TypeOf(reflect.TypeFor[good]())
	if err != nil {
		t.Fatal(err)
	}
	h := &SegmentHeader{
		Kind: uint32(Mutex), Members: 1, Created: goldenTime, PID: 4242, Fingerprint: ty.Fingerprint, SchemaSize: uint32(len(ty.Schema)),
		Live: 384, LiveSize: LockWordsSize, Table: 384 + LockWordsSize, Size: 384 + LockWordsSize + MemberSize,
	}
	PutText(h.TypeName[:], ty.Name)
	b := make([]byte, h.Size)
	copy(b, EncodeSegment(h))
	copy(b[SegmentHeaderSize:], ty.Schema)
	const path = "testdata/v1/schema.bin"
	if *update {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, b) {
		t.Errorf("%s is not what this version writes", path)
	}
	got, err := ParseSegment(golden, Mutex, int64(len(golden)))
	if err != nil || Fingerprint(string(golden[SegmentHeaderSize:][:got.SchemaSize])) != got.Fingerprint {
		t.Errorf("%+v, %v", got, err)
	}
	for _, n := range []uint32{h.SchemaSize + 128, MaxSchema + 1, 1<<32 - 1} {
		h.SchemaSize = n
		if _, err := ParseSegment(EncodeSegment(h), Mutex, int64(len(b))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a schema of %d bytes: %v", n, err)
		}
	}
}
