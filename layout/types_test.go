package layout

import (
	"errors"
	"reflect"
	"strings"
	"testing"
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
		{struct{ OK bool }{}, "uint8"},
		{struct{}{}, "no bytes"},
		{map[int32]int32{}, "map"},
	} {
		_, err := TypeOf(reflect.TypeOf(x.v))
		if !errors.Is(err, ErrType) || !strings.Contains(err.Error(), x.part) {
			t.Errorf("%T: %v, want %q in it", x.v, err, x.part)
		}
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
