package samepage_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
)

// FuzzSizes makes unnamed memory of any size and takes a view of any part.
func FuzzSizes(f *testing.F) {
	f.Add(int64(1), int64(0), int64(0), uint32(0))
	f.Add(int64(100), int64(99), int64(1), uint32(1))
	f.Add(int64(1<<20), int64(4097), int64(70_000), uint32(2))
	f.Add(int64(-1), int64(1<<62), int64(1<<62), uint32(3))
	f.Add(int64(1<<46+1), int64(-1), int64(-1), uint32(0))
	f.Fuzz(func(t *testing.T, size, off, n int64, access uint32) {
		m, err := samepage.CreateUnnamed(size, &samepage.Options{Sparse: true})
		if err != nil {
			ok := size == 0 && errors.Is(err, samepage.ErrZeroSize) || size < 0 && errors.Is(err, samepage.ErrNegativeSize) ||
				size > samepage.MaxSize && errors.Is(err, samepage.ErrTooLarge) ||
				size > 1<<30 && (errors.Is(err, samepage.ErrNoSpace) || errors.Is(err, samepage.ErrTooLarge))
			if !ok {
				t.Errorf("size %d: %v", size, err)
			}
			return
		}
		defer func() { ipctest.NoErr(t, m.Close()) }()
		if m.Size() != size {
			t.Errorf("asked for %d bytes, has %d", size, m.Size())
		}
		v, err := m.View(off, n, samepage.Access(access))
		fits := off >= 0 && n >= 0 && off <= size && n <= size-off && (n > 0 || off < size) && access <= uint32(samepage.CopyOnWrite)
		switch {
		case err == nil && !fits:
			t.Errorf("a view of %d bytes at %d of %d, access %d", n, off, size, access)
		case err != nil && fits && size < 1<<28:
			t.Errorf("no view of %d bytes at %d of %d: %v", n, off, size, err)
		}
		if err != nil {
			return
		}
		if n == 0 {
			n = size - off
		}
		if int64(v.Len()) != n || v.Offset() != off {
			t.Errorf("a view of %d bytes at %d has %d at %d", n, off, v.Len(), v.Offset())
		}
		b := v.Bytes()
		sum := b[0] + b[len(b)-1]
		if v.Access() != samepage.ReadOnly {
			b[0], b[len(b)-1] = 1, 1
		}
		if sum != 0 {
			t.Error("new memory is not zero")
		}
		ipctest.NoErr(t, v.Close())
	})
}

// FuzzReadWriteAt compares a memory with a slice.
func FuzzReadWriteAt(f *testing.F) {
	const size = 9<<20 + 123 // three windows
	m, err := samepage.CreateUnnamed(size, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = m.Close() })
	model := make([]byte, size)
	f.Add(int64(0), 10, byte(1))
	f.Add(int64(4<<20-1), 3, byte(2))
	f.Add(int64(size-1), 2, byte(3))
	f.Add(int64(1<<22), 5<<20, byte(4))
	f.Fuzz(func(t *testing.T, off int64, n int, x byte) {
		if n < 0 || n > size+10 {
			return
		}
		data := bytes.Repeat([]byte{x}, n)
		w, err := m.WriteAt(data, off)
		switch fits := off >= 0 && off <= size && int64(n) <= size-off; {
		case fits && (err != nil || w != n):
			t.Fatalf("write of %d bytes at %d: %d, %v", n, off, w, err)
		case !fits && (!errors.Is(err, samepage.ErrRange) && !errors.Is(err, samepage.ErrNegativeSize) || w != 0):
			t.Fatalf("write of %d bytes at %d: %d, %v", n, off, w, err)
		case fits:
			copy(model[off:], data)
		}
		got := make([]byte, n)
		r, err := m.ReadAt(got, off)
		if off < 0 {
			if !errors.Is(err, samepage.ErrNegativeSize) {
				t.Fatalf("read at %d: %v", off, err)
			}
			return
		}
		want := model[min(off, size):min(off+int64(n), size)]
		if r != len(want) || !bytes.Equal(got[:r], want) || r < n && !errors.Is(err, io.EOF) || r == n && n > 0 && err != nil {
			t.Fatalf("read of %d bytes at %d: %d, %v", n, off, r, err)
		}
	})
}

// FuzzNames makes, lists and opens objects of any name.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"x", "", ".", "..", "a/b", `a\b`, `Local\x`, `Global\`, "a\x00", "图像", "\xff", strings.Repeat("x", 201), "event.x", "-", "a\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ipctest.NeedNames(t)
		ipctest.Store(t)
		bare := strings.TrimPrefix(name, `Local\`)
		if strings.HasPrefix(name, `Global\`) {
			return // needs root
		}
		m, err := samepage.Create(name, 10, nil)
		if bad := layout.CheckName(bare) != nil; bad {
			ipctest.WantErr(t, err, samepage.ErrName)
			return
		}
		ipctest.NoErr(t, err)
		wantNames(t, "memory:"+bare)
		_, err = samepage.Create(name, 10, nil)
		ipctest.WantErr(t, err, fs.ErrExist)
		o := must(samepage.Open(name, nil))(t)
		if o.ID() != m.ID() {
			t.Errorf("%q opens another object", name)
		}
		closeMem(t, o)
		closeMem(t, m)
		wantNames(t)
	})
}
