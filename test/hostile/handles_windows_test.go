package hostile

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/windows"

	"samepage"
	"samepage/internal/ipctest"
)

// Nothing in such memory tells others what it is, as Attach wants to know.
func TestBareHandleHasNoToken(t *testing.T) {
	h, err := windows.CreateFileMapping(windows.InvalidHandle, nil, windows.PAGE_READWRITE, 0, 8192, nil)
	ipctest.NoErr(t, err)
	m, err := samepage.FromHandle(uint64(h), 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer m.Close()
	_, err = samepage.Grant(os.Getpid(), m, samepage.ReadWrite)
	ipctest.WantErr(t, err, errors.ErrUnsupported)
}
