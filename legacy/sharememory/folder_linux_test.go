package sharememory_test

import (
	"errors"
	"io/fs"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/sharememory"
)

// The error for an impossible folder of lock files does not say that the block does not exist.
func TestShareMemoryWithoutLockFolder(t *testing.T) {
	ipctest.Store(t)
	o := &sharememory.Options{Lock: sharememory.FileLockOptions{Dir: "/proc/nosuch/locks"}}
	_, err := sharememory.AwaitReader(t.Context(), "v", o) // not for ever
	ipctest.WantErr(t, err, samepage.ErrStore)
	_, err = sharememory.OpenReader("v", o)
	ipctest.WantErr(t, err, samepage.ErrStore)
	if errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder is taken for a missing block: %v", err)
	}
}
