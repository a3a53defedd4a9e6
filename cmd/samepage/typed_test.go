package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// Reading is a type that the command does not have.
type reading struct {
	At      samepage.Time
	None    samepage.Time
	Big     uint64
	Rows    [2][2]float32
	Limits  [3]float64
	Z       complex64
	Code    int16
	Name    [4]byte
	OK      samepage.Bool
	Signed  int8
	Nothing struct{}
	Inner   struct{ A, _ uint8 }
	_       [6]byte
}

var aReading = reading{
	At: samepage.TimeOf(time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)), Big: math.MaxUint64, Rows: [2][2]float32{{0.5, -1}, {1e30, 0}},
	Limits: [3]float64{math.Inf(1), math.NaN(), 1e-7}, Z: complex(1, -2), Code: -300, Name: [4]byte{'a', 0xff}, OK: 7, Signed: -1,
	Inner: struct{ A, _ uint8 }{A: 5},
}

const readingJSON = `{"At":"2026-01-02T03:04:05.0000006Z","None":null,"Big":18446744073709551615,"Rows":[[0.5,-1],[1e+30,0]],` +
	`"Limits":["+Inf","NaN",1e-07],"Z":[1,-2],"Code":-300,"Name":[97,255,0,0],"OK":true,"Signed":-1,"Inner":{"A":5}}`

// The command shows values of a type that it does not have.
func TestTypedJSON(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, err := pubsub.CreatePublisherOf[reading]("t", &pubsub.Options{Lifetime: samepage.Persist})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.Send(t.Context(), &aReading))
	ipctest.NoErr(t, p.Close())
	stdout, stderr, code := command(t, "sub", "t", "--json")
	if code != 0 || !strings.Contains(stdout, `"size":88,"value":`+readingJSON) || strings.Contains(stdout, "data") {
		t.Error(code, stdout, stderr)
	}

	w, err := cell.CreateWriterOf[reading]("c", &cell.Options{Lifetime: samepage.Persist})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, w.Set(t.Context(), &aReading))
	for _, args := range [][]string{{"cell", "get", "c", "--json"}, {"cell", "watch", "c", "--json", "-n", "1"}} {
		stdout, stderr, code := command(t, args...)
		var line bytes.Buffer
		if err := json.Compact(&line, []byte(stdout)); code != 0 || err != nil || !strings.Contains(line.String(), `"value":`+readingJSON) {
			t.Error(code, err, stdout, stderr)
		}
	}
	ipctest.NoErr(t, w.Close())
}

// Whatever another process writes as a description, decode returns JSON or an error.
func TestDecodeHostile(t *testing.T) {
	long := strings.Repeat("x", 60000)
	for _, x := range []struct {
		schema string
		size   int
		want   error
	}{
		{"nonsense", 1, samepage.ErrCorrupt},
		{"int8 int8", 1, samepage.ErrCorrupt},
		{"int64", 7, samepage.ErrCorrupt},
		{"int64", 9, samepage.ErrCorrupt},
		{"[1000000000]{}0", 0, nil},
		{"[10000]{0 " + long + " uint8;}1", 10000, samepage.ErrTooLarge},
		{"[100000]{" + strings.Repeat("0 A {}0;", 5000) + "0 B uint8;}1", 100000, nil},
	} {
		var d decoder
		v, err := d.decode(x.schema, strings.Repeat("\x01", x.size))
		if x.want != nil {
			ipctest.WantErr(t, err, x.want)
		} else if err != nil || !json.Valid(v) {
			t.Errorf("%.20q: %v", x.schema, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("reading={0 At time;8 Rows [2][2]float32;24 OK bool;25 _ [7]uint8;}32", strings.Repeat("\xff", 32))
	f.Add("[2]complex64", strings.Repeat("\x00", 16))
	f.Fuzz(func(t *testing.T, schema, b string) {
		var d decoder
		v, err := d.decode(schema, b)
		if err == nil && schema != "" && !json.Valid(v) {
			t.Errorf("%q", v)
		}
	})
}
