package limits

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
)

// sparseKinds makes one of each kind of memory that has holes, in a store of 8 MiB.
var sparseKinds = []struct {
	name string
	make func(dir string) (*samepage.Memory, error)
}{
	{"named", func(string) (*samepage.Memory, error) {
		return samepage.Create("sparse", 1<<30, &samepage.Options{Sparse: true})
	}},
	{"opened", func(string) (*samepage.Memory, error) {
		m, err := samepage.Create("sparse", 1<<30, &samepage.Options{Sparse: true})
		if err != nil {
			return nil, err
		}
		o, err := samepage.Open("sparse", nil)
		return o, errors.Join(err, m.Close())
	}},
	{"exact", func(string) (*samepage.Memory, error) {
		return samepage.Create("sparse", 1<<30, &samepage.Options{Sparse: true, Exact: true})
	}},
	{"over a file", func(dir string) (*samepage.Memory, error) {
		return samepage.Create("sparse", 1<<30, &samepage.Options{Sparse: true, File: filepath.Join(dir, "file")})
	}},
	{"file", func(dir string) (*samepage.Memory, error) {
		return samepage.MapFile(filepath.Join(dir, "file"), 1<<30, &samepage.Options{Sparse: true})
	}},
}

// Where a sparse object finds no space, the copying calls say that, and not that somebody
// has cut it short; they read its holes all the same, and no page is taken for those.
func TestSparseWithoutSpace(t *testing.T) {
	for _, k := range sparseKinds {
		t.Run(k.name, func(t *testing.T) {
			if err := ipctest.SmallStore(t, "size=8m"); err != nil {
				t.Skip(err)
			}
			dir := os.Getenv("SAMEPAGE_DIR")
			free := func() int64 {
				var st unix.Statfs_t
				ipctest.NoErr(t, unix.Statfs(dir, &st))
				return int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // not 64 bits everywhere
			}
			m, err := k.make(dir)
			ipctest.NoErr(t, err)
			defer closeMem(t, m)
			v := must(m.View(0, 1<<20, samepage.ReadWrite))(t)
			defer v.Close()
			c := must(m.View(1<<20, 1<<20, samepage.CopyOnWrite))(t)
			defer c.Close()
			hello := []byte("hello")
			must(m.WriteAt(hello, 100))(t)

			had := free()
			zeros := make([]byte, 1<<20)
			b := bytes.Repeat([]byte{1}, len(zeros))
			must(m.ReadAt(b, 512<<20))(t)
			if !bytes.Equal(b, zeros) {
				t.Error("a hole is not read as zeros")
			}
			must(v.ReadAt(b[:4096], 8192))(t)
			must(v.ReadAt(b[:5], 100))(t)
			if string(b[:5]) != "hello" {
				t.Errorf("read %q", b[:5])
			}
			if now := free(); now != had {
				t.Errorf("reading took %d bytes", had-now)
			}

			full := must(samepage.Create("full", had, nil))(t)
			n, err := m.WriteAt(make([]byte, 1<<20), 900<<20)
			ipctest.WantErr(t, err, samepage.ErrNoSpace, "no space")
			ipctest.WantErr(t, err, unix.ENOSPC)
			if n != 0 || errors.Is(err, samepage.ErrCorrupt) {
				t.Errorf("wrote %d bytes, %v", n, err)
			}
			_, err = v.WriteAt(hello, 512<<10)
			ipctest.WantErr(t, err, samepage.ErrNoSpace)
			_, err = c.WriteAt(hello, 0)
			ipctest.WantErr(t, err, samepage.ErrNoSpace)
			_, err = c.ReadAt(b[:5], 0)
			ipctest.WantErr(t, err, samepage.ErrNoSpace)
			must(m.ReadAt(b, 900<<20))(t)
			must(v.ReadAt(b[:5], 900<<10))(t)

			// A part is written as far as there is space.
			closeMem(t, full)
			full = must(samepage.Create("full", had-64<<10, nil))(t)
			n, err = m.WriteAt(make([]byte, 1<<20), 900<<20)
			ipctest.WantErr(t, err, samepage.ErrNoSpace)
			if n < 60<<10 || n > 64<<10 {
				t.Errorf("wrote %d bytes where 64 KiB were free", n)
			}
			closeMem(t, full)

			// What a dead process has makes space.
			a := startAgent(t)
			a.Send("create dead %d", free())
			a.Line()
			a.Kill()
			must(m.WriteAt(hello, 990<<20))(t)

			// Cut short it is corrupt.
			path := filepath.Join(fmt.Sprintf("%s/samepage-%d", dir, os.Geteuid()), "memory.sparse")
			for _, p := range []string{filepath.Join(dir, "sparse"), filepath.Join(dir, "file")} {
				if _, err := os.Stat(p); err == nil {
					path = p
				}
			}
			ipctest.NoErr(t, os.Truncate(path, 0))
			_, err = m.WriteAt(hello, 500<<20)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
			_, err = m.ReadAt(b, 500<<20)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
			_, err = v.ReadAt(b[:5], 0)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
			_, err = c.ReadAt(b[:5], 0)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "shrunk")
			if errors.Is(err, samepage.ErrNoSpace) {
				t.Errorf("a file that was cut short is told as %v", err)
			}
			_ = samepage.Remove("sparse", &samepage.Options{Exact: true})
		})
	}
}
