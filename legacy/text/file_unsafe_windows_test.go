package text_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/ipctest"
	"samepage/legacy/text"
)

// Create finds an existing name before it changes the file, also if it has no right to open the
// name.
func TestTextKeepsItsFileBesideAClosedName(t *testing.T) {
	name := "a section that nobody may open"
	sd, err := windows.SecurityDescriptorFromString("D:P(A;;RC;;;OW)")
	ipctest.NoErr(t, err)
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	p, _ := windows.UTF16PtrFromString(`Local\` + name)
	h, err := windows.CreateFileMapping(windows.InvalidHandle, sa, windows.PAGE_READWRITE, 0, 4096, p)
	ipctest.NoErr(t, err)
	defer windows.CloseHandle(h)
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = text.Create(name, path, 0)
	ipctest.WantErr(t, err, fs.ErrPermission)
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file has %d bytes now, %.10q", len(b), b)
	}
}
