package main

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
)

// If put into a sparse memory finds no space, it says so. cat reads bytes that were never
// written without taking space.
func TestSparseOnAFullDisk(t *testing.T) {
	dir := ipctest.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=755"); err != nil {
		t.Skipf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { ipctest.NoErr(t, unix.Unmount(dir, 0)) })
	t.Setenv("SAMEPAGE_DIR", dir)
	for _, args := range [][]string{{"create", "s", "--size", "1GiB", "--sparse"}, {"create", "full", "--size", "2MiB"}} {
		if _, stderr, code := command(t, args...); code != 0 {
			t.Fatal(args, code, stderr)
		}
	}
	var stderr strings.Builder
	c := exec.Command("samepage", "put", "s")
	c.Stdin, c.Stderr = strings.NewReader("hello"), &stderr
	_ = c.Run()
	if code := c.ProcessState.ExitCode(); code != 6 || !strings.Contains(stderr.String(), "no space") || strings.Contains(stderr.String(), "corrupt") {
		t.Errorf("put: exit code %d, %s", code, stderr.String())
	}
	if out, stderr, code := command(t, "cat", "s", "--offset", "512MiB", "--length", "4KiB"); code != 0 || out != strings.Repeat("\x00", 4096) {
		t.Errorf("cat: exit code %d, %d bytes, %s", code, len(out), stderr)
	}
}
