package hostile

import (
	"errors"
	"os"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// A file that cannot be mapped is refused when it is to be shared memory. Wine shows
// files of the system below that cannot, but for reading, where it gives a copy; Windows has
// none that everybody has.
func TestFilesThatCannotBeMapped(t *testing.T) {
	ipctest.Store(t)
	const path = `Z:\sys\kernel\profiling`
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no such file here: %v", err)
	}
	for what, do := range map[string]func() (*samepage.Memory, error){
		"map": func() (*samepage.Memory, error) {
			return samepage.MapFile(path, 0, nil)
		},
		"name": func() (*samepage.Memory, error) {
			return samepage.Create("x", 0, &samepage.Options{File: path})
		},
	} {
		m, err := do()
		if err == nil {
			t.Errorf("%s gives memory", what)
			closeMem(t, m)
			continue
		}
		ipctest.WantErr(t, err, errors.ErrUnsupported, path)
	}
}
