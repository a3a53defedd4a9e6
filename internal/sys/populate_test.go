package sys

import (
	"bytes"
	"testing"

	"samepage/layout"
)

// populating are the ways to provide pages: Populate, and what it does on old kernels.
var populating = map[string]func([]byte){"populate": Populate, "touch": touch}

// Pages are provided without a change of their content, wherever the memory begins and ends.
func TestPopulate(t *testing.T) {
	inStore(t)
	for name, populate := range populating {
		o := must(Create(&Spec{Name: "x", Size: 100_000}))(t)
		b := mapAll(t, o, layout.ReadWrite)
		want := make([]byte, len(b))
		for i := range b {
			b[i] = byte(i % 251)
			want[i] = b[i]
		}
		for _, r := range [][2]int{{0, 0}, {0, len(b)}, {4, 5}, {128, 4096}, {4092, 4097}, {8192, len(b)}, {len(b) - 4, len(b)}} {
			populate(b[r[0]:r[1]])
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%s changed the memory", name)
		}
		noErr(t, o.Close())
	}
}
