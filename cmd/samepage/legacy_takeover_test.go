package main

import (
	"encoding/binary"
	"image"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	lib "samepage"
	"samepage/internal/ipctest"
)

// A base that is no Go program has the section open. Another one does not write over its
// pictures unless that is asked for.
func TestBaseImageBesideAnotherBase(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Alone(t, "BaseImage")
	file := filepath.Join(ipctest.Dir(t), "in.png")
	if err := writePicture(file, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	const size = 33554432
	m, err := lib.Create("BaseImage", size, &lib.Options{Exact: runtime.GOOS == "windows"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	theirs := make([]byte, 20)
	for i, v := range []uint32{4, 2, 2, 8, 0x01020304} {
		binary.LittleEndian.PutUint32(theirs[4*i:], v)
	}
	if _, err := m.WriteAt(theirs, 0); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := command(t, "legacy", "baseimage", "send", file)
	if code != 4 || !strings.Contains(stderr, "--takeover") {
		t.Errorf("send beside another base ends with %d, %s", code, stderr)
	}
	now := make([]byte, 20)
	if _, err := m.ReadAt(now, 0); err != nil || string(now) != string(theirs) {
		t.Errorf("its picture is %x now, was %x, %v", now, theirs, err)
	}
	over := ipctest.StartCmd(t, exec.Command("samepage", "legacy", "baseimage", "send", "--takeover", file))
	if l := over.Line(); !strings.HasSuffix(l, "40 x 30 pixels are in BaseImage") {
		t.Errorf("send --takeover says %q", l)
	}
	if _, err := m.ReadAt(now, 0); err != nil || binary.LittleEndian.Uint32(now[4:]) != 40 {
		t.Errorf("the header is %x, %v", now, err)
	}
}
