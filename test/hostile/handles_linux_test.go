package hostile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
)

// Who took a file by its bare descriptor is a user of it.
func TestBareHandleIsUserOfTheFile(t *testing.T) {
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, make([]byte, 8192), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ipctest.NoErr(t, err)
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 10) // as one that was inherited
	ipctest.NoErr(t, err)
	m, err := samepage.FromHandle(uint64(fd), 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer m.Close()
	alone, err := samepage.MapFile(path, 10, &samepage.Options{Exclusive: true, Truncate: true})
	if !errors.Is(err, samepage.ErrBusy) {
		t.Errorf("exclusive beside who took its descriptor: %v; the file is truncated below it", err)
		_, err = m.ReadAt(make([]byte, 10), 5000)
		t.Logf("read: %v", err)
		_ = alone.Close()
	}
}

// Memory that was taken for reading is handed on for reading, and no more.
func TestReadOnlyIsHandedOnReadOnly(t *testing.T) {
	ipctest.Store(t)
	for _, sealed := range []bool{false, true} {
		fd, err := unix.MemfdCreate("theirs", unix.MFD_ALLOW_SEALING) // inherited: no CLOEXEC
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, unix.Ftruncate(fd, 8192))
		if sealed {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK)
			ipctest.NoErr(t, err)
		}
		m, err := samepage.FromHandle(uint64(fd), 0, samepage.ReadOnly)
		ipctest.NoErr(t, err)
		cmd := ipctest.Command(t, "handle")
		v, err := samepage.InheritHandle(cmd, m, samepage.ReadOnly)
		ipctest.NoErr(t, err)
		f := cmd.ExtraFiles[v-3]
		if _, err := unix.Pwrite(int(f.Fd()), []byte("harm"), 0); err == nil {
			t.Errorf("sealed %v: the child's read-only descriptor can be written", sealed)
		}
		v, err = samepage.OfferHandle(m, samepage.ReadOnly)
		ipctest.NoErr(t, err)
		n, err := samepage.TakeHandle(os.Getpid(), v, 0, samepage.ReadWrite)
		if err == nil {
			_, err = n.WriteAt([]byte("harm"), 0)
			t.Errorf("sealed %v: what was offered for reading is taken for writing: %v, write: %v", sealed, n, err)
			_ = n.Close()
		}
		ipctest.NoErr(t, m.Close())
	}
}
