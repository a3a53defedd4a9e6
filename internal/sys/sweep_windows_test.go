package sys

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// busyEntry keeps dead entry i as one who is just making it, until release.
func busyEntry(t *testing.T, i int) (release func()) {
	t.Helper()
	path := filepath.Join(store.Where(layout.Local), fmt.Sprintf("memory-%032x%s", i, store.RecordSuffix))
	e := &entry{h: must(kernel.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, entryShare, nil, windows.OPEN_EXISTING, 0))(t), path: path}
	noErr(t, e.gate())
	return e.close
}

// An object's own file goes when the object is gone, and no other one does.
func TestSweepTakesOrphans(t *testing.T) {
	patiently(t)
	inStore(t)
	o := must(Create(spec([]string{"x", "persist"})))(t)
	defer closeObject(t, o)
	mine := o.entry.path
	makeDead(t, 1)
	dead := filepath.Join(store.Where(layout.Local), fmt.Sprintf("memory-%032x%s", 0, store.RecordSuffix))
	id := must(kernel.RandomID())(t)
	for _, path := range []string{
		store.DataPath(mine, id), // of an earlier one of the name
		store.DataPath(filepath.Join(store.Where(layout.Local), fmt.Sprintf("memory-%032x%s", 77, store.RecordSuffix)), id), // its sidecar is gone
		store.DataPath(dead, id),
		filepath.Join(store.Where(layout.Local), id.String()+".tmp"),
	} {
		noErr(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	release := busyEntry(t, 0)
	if n := sweepScope(layout.Local, -1, -1); n != 3 {
		t.Errorf("%d files are taken away, want 3", n)
	}
	wantFiles(t, 4) // the object's two, and the busy one's two
	release()
	sweepScope(layout.Local, -1, -1)
	sweepScope(layout.Local, -1, -1)
	wantFiles(t, 2)
}
