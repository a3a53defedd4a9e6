package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/pubsub"
	"samepage/rpc"
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

// call calls a service of types that it does not have, and shows the response.
func TestTypedCall(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, err := rpc.CreateWorkerOf[[2]uint16, reading]("s", nil)
	ipctest.NoErr(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- w.Serve(ctx, func(_ *rpc.Job, q *[2]uint16, r *reading) error {
			*r = aReading
			r.Code = int16(q[0] + q[1])
			return nil
		})
	}()
	for request, want := range map[string]string{"\x02\x00\x03\x00": `"value":` + strings.Replace(readingJSON, "-300", "5", 1), "\x02": "", "12345": ""} {
		var out, errs, line bytes.Buffer
		code := run([]string{"call", "s", "--json"}, strings.NewReader(request), &out, &errs)
		switch {
		case want == "":
			if code != 11 {
				t.Errorf("%q: code %d, %s%s", request, code, &out, &errs)
			}
		case json.Compact(&line, out.Bytes()) != nil || code != 0 || !strings.Contains(line.String(), want) || strings.Contains(line.String(), "data"):
			t.Errorf("%q: code %d, %s%s", request, code, &out, &errs)
		}
	}
	cancel()
	<-done
	ipctest.NoErr(t, w.Close())
}
