package sys

import (
	"encoding/binary"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
	"samepage/layout"
)

// present returns the number of pages of b that this process has mapped.
func present(t *testing.T, b []byte) (n int) {
	t.Helper()
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Skip("this system does not say which pages are mapped: ", err)
	}
	defer f.Close()
	page := os.Getpagesize()
	entries := make([]byte, 8*((len(b)+page-1)/page))
	first := int64(uintptr(unsafe.Pointer(&b[0]))) / int64(page)
	if _, err := f.ReadAt(entries, 8*first); err != nil {
		t.Fatal(err)
	}
	for ; len(entries) > 0; entries = entries[8:] {
		if binary.NativeEndian.Uint64(entries)>>63 != 0 {
			n++
		}
	}
	return n
}

// Afterwards all pages around the memory are mapped.
func TestPopulatePages(t *testing.T) {
	inStore(t)
	page := os.Getpagesize()
	for name, populate := range populating {
		o := must(Create(&Spec{Name: "x", Size: int64(40 * page)}))(t)
		b := mapAll(t, o, layout.ReadWrite)
		before := present(t, b)
		populate(b[128 : 20*page+4])
		if now := present(t, b); before != 0 || now != 21 {
			t.Errorf("%s: %d pages are mapped, %d before; want 21 and 0", name, now, before)
		}
		noErr(t, o.Close())
	}
}

// If there are no more pages, because the file was truncated or the file system is full, that is
// no error, and kills nobody.
func TestPopulateNoPages(t *testing.T) {
	page := int64(os.Getpagesize())
	t.Run("truncated", func(t *testing.T) {
		inStore(t)
		for _, populate := range populating {
			o := must(Create(&Spec{Name: "x", Size: 40 * page}))(t)
			b := mapAll(t, o, layout.ReadWrite)
			noErr(t, unix.Ftruncate(int(o.file.Fd()), 10*page))
			populate(b)
			noErr(t, o.Close())
		}
	})
	t.Run("full", func(t *testing.T) {
		if err := ipctest.SmallStore(t, "size=1m"); err != nil {
			t.Skip(err)
		}
		for _, populate := range populating {
			o := must(Create(&Spec{Name: "x", Size: 4 << 20, Sparse: true}))(t)
			b := must(o.Map(0, int(o.Size), layout.ReadWrite))(t)
			populate(b)
			if n := present(t, b); n == 0 {
				t.Error("no page is mapped, but there is room for some")
			}
			noErr(t, o.Unmap(b)) // the mapping takes the room, too
			noErr(t, o.Close())
		}
	})
}
