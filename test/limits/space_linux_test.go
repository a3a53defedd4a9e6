package limits

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
)

func TestNoSpace(t *testing.T) {
	ipctest.Store(t)
	_, err := samepage.Create("x", 1<<45, nil)
	ipctest.WantErr(t, err, samepage.ErrNoSpace, fmt.Sprint(int64(1)<<45))
	_, err = samepage.CreateUnnamed(1<<45, nil)
	ipctest.WantErr(t, err, samepage.ErrNoSpace)
	wantNames(t)
	path := filepath.Join(ipctest.Dir(t), "f")
	_, err = samepage.MapFile(path, 1<<45, nil)
	if err == nil {
		t.Error("32 TiB of a file were reserved")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file that could not be made is left over")
	}
	ipctest.NoErr(t, os.WriteFile(path, []byte("abc"), 0o600))
	_, err = samepage.MapFile(path, 1<<45, nil)
	if err == nil {
		t.Error("a file was extended to 32 TiB")
	}
	if b := must(os.ReadFile(path))(t); string(b) != "abc" {
		t.Errorf("a file that could not be extended has %d bytes", len(b))
	}
}

// A full /dev/shm is an error at creation, and never a fault later.
func TestFullStore(t *testing.T) {
	dir := ipctest.Dir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=755"); err != nil {
		t.Skipf("no small tmpfs is available: %v", err)
	}
	t.Cleanup(func() { ipctest.NoErr(t, unix.Unmount(dir, 0)) })
	t.Setenv("SAMEPAGE_DIR", dir)
	for i := range 3 {
		m, err := samepage.Create(fmt.Sprint(i), 1<<20-8192, nil)
		if i < 2 {
			ipctest.NoErr(t, err)
			closeLater(t, m)
			b := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
			for j := range b {
				b[j] = 1
			}
			continue
		}
		ipctest.WantErr(t, err, samepage.ErrNoSpace, "1040384")
	}
	wantNames(t, "memory:0", "memory:1")
	m := must(samepage.Create("sparse", 1<<30, &samepage.Options{Sparse: true}))(t)
	_, err := m.WriteAt(make([]byte, 1<<20), 0)
	ipctest.WantErr(t, err, samepage.ErrNoSpace)
	closeMem(t, m)
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
				if err := ipctest.SmallStore(t, "size=8m,nr_inodes=40"); err != nil {
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
