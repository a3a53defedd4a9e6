package layout

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

type good struct {
	A uint64
	B [3]int16
	C [2]byte
	D struct{ X, Y float32 }
}

type renamed struct {
	A uint64
	B [3]int16
	C [2]byte
	D struct{ X, Z float32 }
}

func TestTypeOf(t *testing.T) {
	g, err := TypeOf(reflect.TypeFor[good]())
	if err != nil || g.Size != 24 || g.Name != "layout.good" {
		t.Fatalf("%+v, %v", g, err)
	}
	if r, err := TypeOf(reflect.TypeFor[renamed]()); err != nil || r.Fingerprint == g.Fingerprint {
		t.Errorf("another field name has the same fingerprint: %v, %v", r, err)
	}
	for _, x := range []struct {
		v    any
		part string
	}{
		{struct{ A, B string }{}, ".A"},
		{struct{ A [2]*int32 }{}, ".A[]"},
		{struct{ In struct{ N int } }{}, ".In.N"},
		{struct {
			A uint8
			B uint32
		}{}, "3 bytes of padding before B"},
		{struct {
			A uint32
			B uint8
		}{}, "3 bytes of padding at its end"},
		{struct{ OK bool }{}, "samepage.Bool"},
		{struct{ At time.Time }{}, "samepage.Time"},
		{struct {
			A uint32
			Z struct{}
		}{}, "move it to the front"},
		{struct{}{}, "no bytes"},
		{map[int32]int32{}, "map"},
	} {
		_, err := TypeOf(reflect.TypeOf(x.v))
		if !errors.Is(err, ErrType) || !strings.Contains(err.Error(), x.part) {
			t.Errorf("%T: %v, want %q in it", x.v, err, x.part)
		}
	}
}

// rows is what a beginner writes.
type rows struct {
	Name  string
	At    time.Time
	N     int
	OK    bool
	Child inner
	Rows  []float32
	_     struct{ A uint8 }
	Done  chan int
	Again inner
	In    struct {
		Yes bool
		N   uint16
	}
	_ [4]byte
	good
}

type inner struct {
	A uint8
	B uint32
}

// All faults are told at once, with a type that has none.
func TestCorrected(t *testing.T) {
	_, err := TypeOf(reflect.TypeFor[rows]())
	if !errors.Is(err, ErrType) {
		t.Fatal(err)
	}
	text := err.Error()
	for _, part := range []string{
		"layout.rows.Name is a string", "rows.At is a time.Time", "rows.N is an int", "rows.OK is a bool", "rows.Child has 3 bytes of padding before B",
		"rows.Rows is a []float32", "rows.Done is a chan int", "rows.In.Yes is a bool", "rows.In has 1 byte of padding before N",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %s", part, text)
		}
	}
	_, got, _ := strings.Cut(text, "this one can:\n")
	want := `type rows struct {
	Name  [64]byte // choose a length
	At    samepage.Time
	N     int64
	OK    samepage.Bool
	_     [3]byte
	Child inner
	Rows  [16]float32 // choose a length
	_     struct {
		A uint8
	}
	// Done is left out
	_     [3]byte
	Again inner
	In    struct {
		Yes samepage.Bool
		_   [1]byte
		N   uint16
	}
	_     [4]byte
	good
}

type inner struct {
	A uint8
	_ [3]byte
	B uint32
}`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for _, x := range []struct {
		v    any
		want string // empty: there is none
	}{
		{0, "int64"},
		{uint(0), "uint64"},
		{[3]bool{}, "[3]samepage.Bool"},
		{"", "[64]byte"},
		{map[int]int{}, ""},
		{&rows{}, ""},
		{struct{ P *int }{}, ""},
		{[]string{}, ""},
		{[]int{}, "[16]int64"},
	} {
		_, err := TypeOf(reflect.TypeOf(x.v))
		if _, got, _ := strings.Cut(err.Error(), "this one can:\n"); got != x.want {
			t.Errorf("%T: %q, want %q", x.v, got, x.want)
		}
	}
}

// The corrected type of the test above has no faults.
type (
	rowsOK struct {
		Name  [64]byte
		At    int64
		N     int64
		OK    uint8
		_     [3]byte
		Child innerOK
		Rows  [16]float32
		_     struct{ A uint8 }
		_     [3]byte
		Again innerOK
		In    struct {
			Yes uint8
			_   [1]byte
			N   uint16
		}
		_ [4]byte
		good
	}
	innerOK struct {
		A uint8
		_ [3]byte
		B uint32
	}
)

func TestCorrectedHasNoFaults(t *testing.T) {
	ty, err := TypeOf(reflect.TypeFor[rowsOK]())
	if err != nil || ty.Size != int(reflect.TypeFor[rowsOK]().Size()) || ty.Align != 8 {
		t.Errorf("%+v, %v", ty, err)
	}
}

type pair[A, B any] struct {
	A A
	B B
}

// A type is its own name, without packages, and its fields.
func TestSchemaText(t *testing.T) {
	type other good
	for _, x := range []struct {
		v    any
		want string
	}{
		{good{}, "good={0 A uint64;8 B [3]int16;14 C [2]uint8;16 D {0 X float32;4 Y float32;}8;}24"},
		{other{}, "other={0 A uint64;8 B [3]int16;14 C [2]uint8;16 D {0 X float32;4 Y float32;}8;}24"},
		{struct{ A uint8 }{}, "{0 A uint8;}1"},
		{float64(0), "float64"},
		{time.Duration(0), "Duration=int64"},
		{[2][3]complex64{}, "[2][3]complex64"},
		{pair[good, [2]reflect.Kind]{}, ""}, // Kind is a uint
		{pair[good, [2]time.Month]{}, ""},
		{pair[time.Duration, uint64]{}, "pair[Duration,uint64]={0 A int64;8 B uint64;}16"},
	} {
		ty, err := TypeOf(reflect.TypeOf(x.v))
		if (err != nil) != (x.want == "") || err == nil && ty.Schema != x.want {
			t.Errorf("%T: %+v, %v, want %q", x.v, ty, err, x.want)
		}
	}
	long := make([]reflect.StructField, 4000)
	for i := range long {
		long[i] = reflect.StructField{Name: fmt.Sprintf("Field%d", i), Type: reflect.TypeFor[uint8]()}
	}
	if _, err := TypeOf(reflect.StructOf(long)); !errors.Is(err, ErrType) || !strings.Contains(err.Error(), "65536") {
		t.Error(err)
	}
}

func TestAs(t *testing.T) {
	b := make([]byte, 32)
	if _, err := As[good](b[:24]); err != nil {
		t.Error(err)
	}
	for _, short := range [][]byte{nil, b[:23], b[1:]} {
		if _, err := As[good](short); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d bytes: %v", len(short), err)
		}
	}
}
