package typed

import (
	"encoding/json"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// Whatever another process writes as a description, JSON returns JSON or an error.
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
		var d Decoder
		v, err := d.JSON(x.schema, strings.Repeat("\x01", x.size))
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
		var d Decoder
		v, err := d.JSON(schema, b)
		if err == nil && schema != "" && !json.Valid(v) {
			t.Errorf("%q", v)
		}
	})
}
