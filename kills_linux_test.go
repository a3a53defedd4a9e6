package samepage_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
)

// smallStore gives the test a store of its own in a tmpfs with those options. The
// error says why there is none: only root mounts one.
func smallStore(t *testing.T, options string) error {
	t.Helper()
	dir := ipctest.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options+",mode=755"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	t.Cleanup(func() { ipctest.NoErr(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	t.Setenv("SAMEPAGE_DIR", dir)
	return nil
}

// A create, of whatever kind, that finds no space for bytes or for a file takes away
// what the dead have and tries again.
func TestCreateTakesTheSpaceOfTheDead(t *testing.T) {
	for _, k := range everyKind {
		for _, full := range []string{"bytes", "files"} {
			if k.name == "unnamed" || k.name == "file lock" && full == "bytes" {
				continue // it has none there
			}
			t.Run(k.name+", "+full, func(t *testing.T) {
				if err := smallStore(t, "size=8m,nr_inodes=40"); err != nil {
					t.Skip(err)
				}
				dir := os.Getenv("SAMEPAGE_DIR")
				first := must(samepage.Create("first", 1, nil))(t) // which looks for the dead
				defer closeMem(t, first)
				c := startAgent(t)
				for i := 0; ; i++ {
					var st unix.Statfs_t
					ipctest.NoErr(t, unix.Statfs(dir, &st))
					if full == "bytes" {
						c.Want(fmt.Sprintf("ok %d", st.Bavail*4096), "create dead %d", st.Bavail*4096)
						break
					}
					if st.Ffree == 0 {
						break
					}
					c.Want("ok 1", "create dead%d 1", i)
				}
				c.Kill()
				o, err := k.create(dir, "x")
				ipctest.NoErr(t, err)
				ipctest.NoErr(t, o.Close())
			})
		}
	}
}
