package sys

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// busyEntry keeps dead entry i as one who is just taking it away, until release.
func busyEntry(t *testing.T, i int) (release func()) {
	t.Helper()
	f := must(os.OpenFile(filepath.Join(store.Where(layout.Local), fmt.Sprint("memory.dead", i)), os.O_RDWR, 0))(t)
	if ok, err := (kernel.Locks{F: f}).TryExclusive(presenceByte); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return func() { noErr(t, f.Close()) }
}

// What is not this user's, or not what it seems, stays.
func TestSweepLeavesWhatIsNotOurs(t *testing.T) {
	base := inStore(t)
	makeDead(t, 6)
	dir := store.Where(layout.Local)
	path := func(i int) string { return filepath.Join(dir, fmt.Sprint("memory.dead", i)) }
	want := map[string]bool{}
	stays := func(p string) { want[p] = true }
	noErr(t, os.Remove(path(0)))
	noErr(t, os.Symlink(path(5), path(0)))
	stays(path(0))
	noErr(t, os.Remove(path(1)))
	noErr(t, unix.Mkfifo(path(1), 0o600))
	stays(path(1))
	noErr(t, os.Link(path(2), filepath.Join(dir, "second")))
	stays(path(2))
	stays(filepath.Join(dir, "second"))
	noErr(t, os.Chmod(path(3), 0o600|os.ModeSticky))
	stays(path(3))
	if os.Geteuid() == 0 {
		noErr(t, os.Chown(path(4), 65534, 65534))
		stays(path(4))
	}
	uid := os.Geteuid()
	for name, keep := range map[string]bool{
		fmt.Sprintf(".samepage-%d.17.abc", uid):   false,
		fmt.Sprintf(".samepage-%d.17.abcg", uid):  true,
		fmt.Sprintf(".samepage-%d.x.abc", uid):    true,
		fmt.Sprintf(".samepage-%d.17", uid):       true,
		fmt.Sprintf(".samepage-%d.17.abc", uid+1): true,
		fmt.Sprintf("samepage-%d.17.abc", uid):    true,
	} {
		p := filepath.Join(base, name)
		noErr(t, os.Mkdir(p, 0o700))
		if keep {
			stays(p)
		}
	}
	full := filepath.Join(base, fmt.Sprintf(".samepage-%d.18.abc", uid))
	noErr(t, os.Mkdir(full, 0o700))
	noErr(t, os.WriteFile(filepath.Join(full, "precious"), nil, 0o600))
	stays(filepath.Join(full, "precious"))
	stays(full)
	stays(dir)

	sweepScope(layout.Local, -1, -1)
	noErr(t, filepath.WalkDir(base, func(p string, _ os.DirEntry, err error) error {
		if p != base && !want[p] {
			t.Errorf("%s was not taken away", p)
		}
		delete(want, p)
		return err
	}))
	for p := range want {
		t.Errorf("%s was taken away", p)
	}
}

// The lock files that nobody has open go when there is no space, and no others do.
func TestSweepTakesLockFiles(t *testing.T) {
	inStore(t)
	folder := must(LockFolder("locks"))(t)
	held := must(OpenLockFile(filepath.Join(folder, "held"), false))(t)
	defer held.Close()
	noErr(t, must(OpenLockFile(filepath.Join(folder, "free"), true))(t).Close())
	sweepScope(layout.Local, sweepNames, sweepLooks)
	if n := len(must(os.ReadDir(folder))(t)); n != 2 {
		t.Errorf("a first create leaves %d lock files of 2", n)
	}
	sweepScope(layout.Local, -1, -1)
	if left := must(os.ReadDir(folder))(t); len(left) != 1 || left[0].Name() != "held" {
		t.Errorf("without space there stay %v", left)
	}
}
