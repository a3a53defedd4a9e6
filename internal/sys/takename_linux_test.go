package sys

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// What is mapped of an object over a file is the file, and not its record, also where the
// file system has no locks and so the file carries none.
func TestNameOverFileWithoutLocks(t *testing.T) {
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "below")
	ipctest.NoErr(t, os.WriteFile(path, make([]byte, 8192), 0o600))
	s := &Spec{Name: "x", Kind: layout.Memory, Access: layout.ReadWrite, File: path}
	d, err := store.Open(layout.Local, true)
	ipctest.NoErr(t, err)
	n, err := prepare(d, s)
	ipctest.NoErr(t, err)
	if n.fileLock != nil {
		n.fileLock.Close()
		n.fileLock = nil // as shareFile gives it there
	}
	entry := store.EntryName(s.Kind, s.Name)
	ipctest.NoErr(t, unix.Linkat(unix.AT_FDCWD, kernel.ProcFD(int(n.entryFD.Fd())), d.FD(), entry, unix.AT_SYMLINK_FOLLOW))
	n.takeName(d, entry)
	o := n.object(d, entry, s)
	var is, want unix.Stat_t
	ipctest.NoErr(t, unix.Fstat(int(o.file.Fd()), &is))
	ipctest.NoErr(t, unix.Stat(path, &want))
	if placeOf(&is) != placeOf(&want) {
		t.Error("the record is mapped in the file's place")
	}
	ipctest.NoErr(t, o.Close())
}
