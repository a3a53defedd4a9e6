package sys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// sweepScope removes what dead processes left in a scope, if this user may remove it: sidecars, own
// files of objects that do not exist any more, and files of store.Probe. See some for names and
// looks.
func sweepScope(s layout.Scope, names, looks int) int {
	d, err := store.Open(s, false)
	if err != nil {
		return 0
	}
	defer d.Close()
	f, err := os.Open(d.Path)
	if err != nil {
		return 0
	}
	defer f.Close()
	return some(f, names, looks, func(name string) bool {
		path := filepath.Join(d.Path, name)
		if strings.HasSuffix(name, store.RecordSuffix) {
			// This opens idle objects as well, but nobody waits for them longer than that takes.
			removed, _ := reap(path, false)
			return removed
		}
		entry, isData := store.EntryOf(path)
		return (isData && looksOrphaned(entry, path) || store.IsProbe(name)) && kernel.DeleteFile(path) == nil
	})
}

// looksOrphaned is isOrphan without waiting for another process, so the answer is not certain.
func looksOrphaned(sidecar, path string) bool {
	h, err := kernel.CreateFile(sidecar, windows.GENERIC_READ, entryShare, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	e := &entry{h: h, path: sidecar}
	var r *layout.Record
	if ok, _ := kernel.TryLock(h, gateByte, true); ok {
		_, r, _ = e.state()
	}
	_ = e.leave()
	return r != nil && r.Path != path
}
