package ipctest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// SmallStore gives the test a store of its own in a tmpfs with those options. The
// error says why there is none: only root mounts one.
func SmallStore(t testing.TB, options string) error {
	t.Helper()
	dir := Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options+",mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	t.Cleanup(func() { NoErr(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	t.Setenv("SAMEPAGE_DIR", dir)
	return nil
}
