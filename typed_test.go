package samepage_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
)

type reading struct {
	At    samepage.Time
	Value [2]float32
	OK    samepage.Bool
	_     [7]byte
}

func TestCheckType(t *testing.T) {
	ipctest.NoErr(t, samepage.CheckType[reading]())
	ty, err := layout.TypeOf(reflect.TypeFor[reading]())
	if want := "reading={0 At time;8 Value [2]float32;16 OK bool;17 _ [7]uint8;}24"; err != nil || ty.Schema != want {
		t.Errorf("%+v, %v", ty, err)
	}
	err = samepage.CheckType[struct {
		OK bool
		N  int
	}]()
	ipctest.WantErr(t, err, samepage.ErrType)
	for _, part := range []string{"samepage: ", ".OK is a bool", ".N is an int", "_  [7]byte"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: no %q", err, part)
		}
	}
	ipctest.WantErr(t, samepage.CheckType[any](), samepage.ErrType)
}

// A value that one view writes is read by another one, in place.
func TestAsSlice(t *testing.T) {
	m, err := samepage.CreateUnnamed(4096, nil)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, m.Close()) }()
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	tail, err := m.View(4000, 0, samepage.ReadOnly) // 96 bytes, and not at a multiple of 64
	ipctest.NoErr(t, err)

	matrix, err := samepage.As[[4][3]float64](v, 4000)
	ipctest.NoErr(t, err)
	matrix[3][2] = 7
	rows, err := samepage.Slice[[3]float64](tail, 0, 0)
	ipctest.NoErr(t, err)
	if len(rows) != 4 || cap(rows) != 4 || rows[3][2] != 7 {
		t.Error(rows)
	}
	numbers, err := samepage.Slice[float64](tail, 88, 1)
	ipctest.NoErr(t, err)
	if len(numbers) != 1 || numbers[0] != 7 {
		t.Error(numbers)
	}
	r, err := samepage.As[reading](v, 8)
	ipctest.NoErr(t, err)
	r.OK = samepage.BoolOf(true)
	bytes, err := samepage.Slice[byte](v, 8, 24)
	ipctest.NoErr(t, err)
	if bytes[16] != 1 {
		t.Error(bytes)
	}

	for _, x := range []struct {
		view *samepage.View
		off  int
		n    int
		want error
	}{
		{v, 4, 1, samepage.ErrAlignment},
		{tail, 4, 1, samepage.ErrAlignment},
		{v, -8, 1, samepage.ErrRange},
		{v, 4096, 0, samepage.ErrRange},
		{v, 4096 - 16, 1, samepage.ErrRange},
		{v, math.MaxInt - 7, 1, samepage.ErrRange},
		{v, 0, math.MaxInt, samepage.ErrRange},
		{v, 0, 4096/24 + 1, samepage.ErrRange},
		{v, 0, -1, samepage.ErrNegativeSize},
	} {
		_, err := samepage.Slice[reading](x.view, x.off, x.n)
		ipctest.WantErr(t, err, x.want)
	}
	_, err = samepage.As[int](v, 0)
	ipctest.WantErr(t, err, samepage.ErrType)
	_, err = samepage.As[complex128](v, 8) // two numbers of 8 bytes
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, tail.Close())
	ipctest.NoErr(t, v.Close())
	_, err = samepage.As[reading](v, 0)
	ipctest.WantErr(t, err, samepage.ErrClosed)
}

func TestBoolTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	type both struct {
		At, None samepage.Time
		OK, No   samepage.Bool
	}
	v := both{At: samepage.TimeOf(at), OK: 200}
	if !v.At.Time().Equal(at) || !v.None.Time().IsZero() || samepage.TimeOf(time.Time{}) != 0 || !v.OK.Bool() || v.No.Bool() || samepage.BoolOf(false) != 0 {
		t.Error(v)
	}
	b, err := json.Marshal(v)
	ipctest.NoErr(t, err)
	if want := `{"At":"2026-01-02T03:04:05.000000678Z","None":"0001-01-01T00:00:00Z","OK":true,"No":false}`; string(b) != want {
		t.Errorf("%s, want %s", b, want)
	}
	var back both
	ipctest.NoErr(t, json.Unmarshal(b, &back))
	if v.OK = 1; back != v || fmt.Sprint(v.OK, v.No, v.At) != "true false 2026-01-02T03:04:05.000000678Z" {
		t.Error(back, v)
	}
	for _, bad := range []string{`{"OK":1}`, `{"At":"yesterday"}`} {
		if json.Unmarshal([]byte(bad), &back) == nil {
			t.Error(bad)
		}
	}
}
