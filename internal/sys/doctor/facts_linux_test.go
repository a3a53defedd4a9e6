package doctor

import (
	"testing"
)

// What doctor advises gives more descriptors, and no user is told to go beyond the hard limit.
func TestMoreFiles(t *testing.T) {
	for _, c := range []struct {
		soft, hard uint64
		want       string
	}{
		{32, 4096, "ulimit -n 1024"},
		{32, 1024, "ulimit -n 1024"},
		{32, 200, "ulimit -n 200"},
		{32, 64, "ulimit -n 64"},
		{32, 63, "as root: prlimit --pid=<your shell> --nofile=1024:1024"},
		{32, 32, "as root: prlimit --pid=<your shell> --nofile=1024:1024"},
	} {
		if got := moreFiles(c.soft, c.hard); got != c.want {
			t.Errorf("with %d of at most %d: %q, want %q", c.soft, c.hard, got, c.want)
		}
	}
}
