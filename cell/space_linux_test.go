package cell_test

import (
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
)

// A cell takes the memory that InUse says for the members that are there, and Size is the most:
// when all readers hold all values that they may.
func TestInUse(t *testing.T) {
	const readers = 3
	for _, c := range []struct {
		what string
		size int
		o    cell.Options
	}{
		{"small", 8, cell.Options{}},
		{"64 KiB", 64 << 10, cell.Options{Members: 8, Holds: 2}},
		{"1080p", 1920 * 1080 * 3, cell.Options{Members: readers + 2, Holds: 1, Checksums: true}},
	} {
		t.Run(c.what, func(t *testing.T) {
			ipctest.Store(t)
			check := func(keeps int) {
				t.Helper()
				i, err := samepage.Stat("c", &samepage.Options{Kind: samepage.KindCell})
				ipctest.NoErr(t, err)
				want, err := c.o.InUse(c.size, keeps)
				ipctest.NoErr(t, err)
				size, err := c.o.Size(c.size)
				ipctest.NoErr(t, err)
				t.Logf("%d values kept: %d bytes in use, %d told, %d at most", keeps, i.Allocated, want, size)
				// The ends of a part have whole pages.
				if i.Allocated > want+4*4096 || i.Allocated < want-128<<10 || i.Size != size || want > size {
					t.Errorf("%d values kept: %d bytes are in use, told are %d; the size is %d, told is %d", keeps, i.Allocated, want, i.Size, size)
				}
			}
			w := newWriter(t, "c", c.size, &c.o)
			ipctest.NoErr(t, w.Set(bg, make([]byte, c.size)))
			check(0)
			other, err := cell.OpenWriter("c", nil)
			ipctest.NoErr(t, err)
			ipctest.NoErr(t, other.Set(bg, make([]byte, c.size)))
			check(0)
			var all []*cell.Reader
			for range readers {
				all = append(all, newReader(t, "c"))
			}
			check(readers)
			for range c.o.Holds {
				for _, r := range all {
					v, ok, err := r.Load()
					if ipctest.NoErr(t, err); !ok {
						t.Fatal("no value")
					}
					h, err := v.Hold()
					ipctest.NoErr(t, err)
					t.Cleanup(h.Release)
				}
				ipctest.NoErr(t, w.Set(bg, make([]byte, c.size)))
			}
			check(readers + c.o.Holds*readers)
			ipctest.NoErr(t, other.Close())
		})
	}
}
