package hostile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// A file loses what it has to the one who makes an object over it, alone, and to nobody
// else.
func TestTruncate(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "f")
	fill := func() { ipctest.NoErr(t, os.WriteFile(path, make([]byte, 10_000), 0o600)) }
	wantFile := func(want string) {
		t.Helper()
		if b := must(os.ReadFile(path))(t); string(b) != want {
			t.Errorf("the file has %d bytes, %.20q; want %.20q", len(b), b, want)
		}
	}
	exclusive := func() *samepage.Options {
		return &samepage.Options{File: path, Exclusive: true, Truncate: true, Init: []byte("new")}
	}
	fill()
	m := must(samepage.Create("n", 5, exclusive()))(t)
	// Neither its users nor others who want the name or the file truncate it.
	o, _, err := samepage.OpenOrCreate("n", 7, exclusive())
	ipctest.NoErr(t, err)
	_, err = samepage.Create("n", 7, exclusive())
	ipctest.WantErr(t, err, fs.ErrExist)
	_, err = samepage.Create("other", 7, exclusive())
	ipctest.WantErr(t, err, samepage.ErrBusy)
	_, err = samepage.MapFile(path, 7, &samepage.Options{Exclusive: true, Truncate: true})
	ipctest.WantErr(t, err, samepage.ErrBusy)
	var b [5]byte
	must(o.ReadAt(b[:], 0))(t)
	if string(b[:]) != "new\x00\x00" || o.Size() != 5 {
		t.Errorf("%v has %q", o, b)
	}
	closeMem(t, o)
	closeMem(t, m)
	wantFile("new\x00\x00")

	// Somebody has it mapped without a name.
	shared := must(samepage.MapFile(path, 0, nil))(t)
	_, err = samepage.Create("n", 7, exclusive())
	ipctest.WantErr(t, err, samepage.ErrBusy)
	closeMem(t, shared)
	wantFile("new\x00\x00")

	fill()
	m = must(samepage.MapFile(path, 3, &samepage.Options{Exclusive: true, Truncate: true}))(t)
	closeMem(t, m)
	wantFile("\x00\x00\x00")

	for _, f := range []func() error{
		func() error {
			_, err := samepage.Create("n", 5, &samepage.Options{File: path, Truncate: true})
			return err
		},
		func() error {
			_, err := samepage.Create("n", 5, &samepage.Options{Exclusive: true, Truncate: true})
			return err
		},
		func() error {
			_, err := samepage.CreateUnnamed(5, &samepage.Options{Exclusive: true, Truncate: true})
			return err
		},
	} {
		ipctest.WantErr(t, f(), fs.ErrInvalid)
	}
	_, err = samepage.Create("n", 0, exclusive())
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	wantFile("\x00\x00\x00")
}

// Memory that is open for reading empties no file.
func TestTruncateReadOnly(t *testing.T) {
	ipctest.NeedNames(t)
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, make([]byte, 8192), 0o600))
	_, err := samepage.MapFile(path, 10, &samepage.Options{Access: samepage.ReadOnly, Exclusive: true, Truncate: true})
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if b := must(os.ReadFile(path))(t); len(b) != 8192 {
		t.Errorf("the file has %d bytes now", len(b))
	}
}
