package store

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"samepage/internal/ipctest"
)

func TestRemote(t *testing.T) {
	dir := ipctest.Dir(t)
	if what, err := Remote(dir); what != "" || err != nil {
		t.Errorf("%s lies on %q, %v", dir, what, err)
	}
	if _, err := Remote(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
