package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
)

// A new picture has the rights of new files, and one that was there keeps its own.
func TestPictureRights(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(ipctest.Dir(t), "p.png")
	for _, want := range []os.FileMode{0o600, 0o640} {
		if err := replaceFile(path, []byte("x")); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("the picture has mode %v, want %v (%v)", st.Mode(), want, err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}
