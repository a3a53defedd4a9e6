package main

import (
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"samepage/internal/ipctest"
)

// In a store of 64 MB, as in containers, the demo does all pictures for which there is space,
// also one of 1600 x 1200 pixels. It skips and names the others, with what helps. It takes no
// memory for a file that only claims to be large.
// (On other systems a test cannot choose the size of the store.)
func TestDemoSmallStore(t *testing.T) {
	store := ipctest.Dir(t)
	if err := syscall.Mount("tmpfs", store, "tmpfs", 0, "size=64m,mode=755"); err != nil {
		t.Skipf("only root mounts a small store: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(store, syscall.MNT_DETACH) })
	t.Setenv("SAMEPAGE_DIR", store)
	dir := ipctest.Dir(t)
	save := func(name string, w, h int) {
		t.Helper()
		if err := writePicture(filepath.Join(dir, name), image.NewGray(image.Rect(0, 0, w, h))); err != nil {
			t.Fatal(err)
		}
	}
	save("large1.png", 3000, 2000)
	save("large2.png", 3000, 2000)
	only, _, code := command(t, "demo", "--images", dir, "--json")
	if code != 6 {
		t.Errorf("only large pictures: exit code %d, %s", code, only)
	}
	save("fits.png", 1600, 1200)
	save("small.png", 30, 20)
	save("long.png", 16000, 10000)
	b, err := os.ReadFile(filepath.Join(dir, "long.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "long.png"), b[:68], 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := command(t, "demo", "--images", dir, "--json")
	var sum struct {
		Pictures int
		Skipped  []struct{ File, Reason string }
	}
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || code != 0 || sum.Pictures != 2 {
		t.Fatalf("exit code %d, %v, %s, %s", code, err, stdout, stderr)
	}
	told := map[string]string{}
	for _, s := range sum.Skipped {
		told[filepath.Base(s.File)] = s.Reason
	}
	const large = "pictures of its size need 120 MiB of shared memory, and there is no space for that; use a larger /dev/shm (docker run --shm-size), or set SAMEPAGE_DIR to a folder of another file system, or a smaller --max-bytes, "
	for name, why := range map[string]string{"large1.png": large, "large2.png": large, "long.png": "for which a png needs at least 155038 bytes, and it has 68"} {
		if !strings.Contains(told[name], why) || !strings.Contains(stderr, "skipped "+filepath.Join(dir, name)) {
			t.Errorf("%s is told to be %q, and standard error has %s", name, told[name], stderr)
		}
	}
	if len(told) != 3 {
		t.Errorf("skipped: %v", told)
	}
}
