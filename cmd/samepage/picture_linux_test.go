package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

// A new picture has the rights of new files; an existing one keeps its own.
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

// If a command is given a FIFO for a picture, it says so, and does not wait for a writer. The
// same holds for a FIFO in a folder. (On other systems folders have no FIFOs.)
func TestPictureFIFO(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	fifo := filepath.Join(dir, "f.png")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	serveEarse(t)
	for _, args := range [][]string{
		{"legacy", "baseimage", "send", fifo},
		{"legacy", "earseimage", "request", fifo, "--out1", filepath.Join(dir, "1.png"), "--out2", filepath.Join(dir, "2.png")},
		{"demo", "--images", dir},
	} {
		var said bytes.Buffer
		cmd := exec.Command("samepage", args...)
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(ipctest.Patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		if !late.Stop() || cmd.ProcessState.Success() || !strings.Contains(said.String(), "FIFO") {
			t.Errorf("%q ends with %v: %s", args, cmd.ProcessState, &said)
		}
	}
}
