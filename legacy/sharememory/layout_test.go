package sharememory_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/sharememory"
)

// block returns the bytes of the section of a C++ program.
func block(o *sharememory.Options, room int, content string) []byte {
	tail := uint32(1)
	if o.Layout == sharememory.Head {
		tail = 0
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(32+room)+tail)
	b = binary.LittleEndian.AppendUint32(b, 32)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, tail)
	b = binary.LittleEndian.AppendUint64(b, crc64.Checksum([]byte(content), crc64.MakeTable(crc64.ECMA)))
	b = append(b, make([]byte, 8)...)
	b = append(b, content...)
	return append(b, make([]byte, room+int(tail)-len(content))...)
}

// 002-03: a writer writes byte for byte the same as the C++ programs, and a reader reads what they
// write.
func TestMission002_03_Bytes(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 20, o)
		m := sectionOf(t, o)
		for _, v := range []string{"", "123456789", "shorter", strings.Repeat("f", 20), ""} {
			write(t, w, v)
			want := block(o, 20, v)
			got := make([]byte, 32+len(v))
			_, err := m.ReadAt(got, 0)
			ipctest.NoErr(t, err)
			if !bytes.Equal(got, want[:len(got)]) {
				t.Errorf("%q is written as % x, want % x", v, got, want[:len(got)])
			}
		}
		ipctest.NoErr(t, w.Close())
		ipctest.NoErr(t, m.Close())

		b := block(o, 20, "from elsewhere")
		if o.Layout == sharememory.Head {
			binary.LittleEndian.PutUint32(b[12:], 0xdeadbeef) // padding is whatever it is
		}
		opts := bareOptions()
		opts.Init = b
		m, err := samepage.Create(sectionName(o), int64(len(b)), opts)
		ipctest.NoErr(t, err)
		defer m.Close()
		r := newReader(t, o)
		wantValue(t, r, "from elsewhere")
		if c, err := r.Cap(); c != 20 || err != nil {
			t.Errorf("room for %d, %v", c, err)
		}
	})
}

// 002-04: the byte after the content, in the older layout.
func TestMission002_04_Tail(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 20, o)
		r, m := newReader(t, o), sectionOf(t, o)
		write(t, w, "longer text")
		write(t, w, "short")
		var b [1]byte
		_, err := m.ReadAt(b[:], 32+5)
		ipctest.NoErr(t, err)
		if seed := o.Layout == sharememory.Seed; seed != (b[0] == 0) {
			t.Errorf("byte %q behind the content", b)
		}
		_, err = m.WriteAt([]byte{7}, 32+5)
		ipctest.NoErr(t, err)
		if o.Layout == sharememory.Head { // it has none
			wantValue(t, r, "short")
			return
		}
		got, err := r.Append(bg, []byte("dst"))
		ipctest.WantErr(t, err, samepage.ErrCorrupt, "0x7", "5 bytes")
		if string(got) != "dst" {
			t.Errorf("beside an error there is %q", got)
		}
		// All of it used: the tail is the section's last byte.
		write(t, w, strings.Repeat("x", 20))
		wantValue(t, r, strings.Repeat("x", 20))
	})
}

// 002-05: the error for another version names both versions.
func TestMission002_05_Version(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 20, o)
		r, m := newReader(t, o), sectionOf(t, o)
		write(t, w, "value")
		check := func(words ...string) {
			t.Helper()
			_, err := r.Read(bg, make([]byte, 20))
			ipctest.WantErr(t, err, samepage.ErrVersion, words...)
			_, err = r.Len()
			ipctest.WantErr(t, err, samepage.ErrVersion)
			_, err = sharememory.OpenWriter(bg, "v", o)
			ipctest.WantErr(t, err, samepage.ErrVersion, words...)
			st, err := r.Stat(bg)
			ipctest.NoErr(t, err)
			ipctest.WantErr(t, st.Problem, samepage.ErrVersion, words...)
		}
		spoil(t, m, 4, 40)
		check("40", "32", o.Layout.String())
		write(t, w, "value") // and is healed by the next value
		wantValue(t, r, "value")
		spoil(t, m, 12, 0) // as the newer one's header may be
		if o.Layout == sharememory.Seed {
			check("tail size 0", "32 and 1")
		} else {
			wantValue(t, r, "value")
		}
	})
	_, err := sharememory.OpenReader("v", &sharememory.Options{Layout: 7})
	ipctest.WantErr(t, err, fs.ErrInvalid, "Layout(7)")
}

// 002-10: the checksum is CRC-64/XZ of the content only, and many goroutines compute it at the same
// time.
func TestMission002_10_ShareMemoryCRC(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 100, o)
		r := newReader(t, o)
		st, err := r.Stat(bg)
		if st.CRC != 0 || st.Computed != 0 || err != nil {
			t.Errorf("before the first value: %x, %x, %v", st.CRC, st.Computed, err)
		}
		write(t, w, "123456789")
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for range 20 {
					if st, err := r.Stat(bg); st.CRC != 0x995dc9bbdf1939fa || st.Computed != st.CRC || st.Problem != nil || err != nil {
						t.Errorf("CRC %x, computed %x, %v, %v", st.CRC, st.Computed, st.Problem, err)
					}
				}
			})
		}
		wait.Wait()
	})
}

// 002-11: if a byte has changed, there is an error and no data.
func TestMission002_11_ShareMemoryFlippedByte(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 300000, o)
		r, m := newReader(t, o), sectionOf(t, o)
		value := strings.Repeat("0123456789", 30000)
		for _, at := range []int64{0, 100, 150000, 299999, -16} { // the last: of the checksum itself
			write(t, w, value)
			wantValue(t, r, value)
			_, err := m.WriteAt([]byte{'x'}, 32+at)
			ipctest.NoErr(t, err)
			b := bytes.Repeat([]byte{'.'}, len(value))
			n, err := r.Read(bg, b)
			ipctest.WantErr(t, err, samepage.ErrChecksum, "300000 bytes")
			if n != 0 || bytes.ContainsAny(b, "0123456789x") {
				t.Errorf("byte %d is flipped: %d bytes of data", at, n)
			}
			short := bytes.Repeat([]byte{'.'}, 10) // also where there is no room for that byte
			n, err = r.Read(bg, short)
			ipctest.WantErr(t, err, samepage.ErrChecksum)
			if n != 0 || bytes.ContainsAny(short, "0123456789x") {
				t.Errorf("byte %d is flipped: %q", at, short)
			}
			all, err := r.Append(bg, []byte("dst"))
			ipctest.WantErr(t, err, samepage.ErrChecksum)
			if string(all) != "dst" {
				t.Errorf("appended %d bytes", len(all)-3)
			}
			ipctest.WantErr(t, r.View(bg, func([]byte) error { t.Error("a view of it"); return nil }), samepage.ErrChecksum)
		}
	})
}

// 002-13: wrong sizes in a header give an error, never a fault.
func TestMission002_13_ShareMemoryHostileHeader(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 10, o)
		r, m := newReader(t, o), sectionOf(t, o)
		words := []string{"10", "at most 10"}
		for _, c := range []struct {
			off   int64
			word  uint32
			words []string
		}{
			{8, 11, append(words, "content size 11")},
			{8, 99, words},
			{8, 0x7fffffff, words},
			{8, 0xffffffff, []string{"content size -1"}},
			{8, 0x80000000, []string{"-2147483648"}},
			{0, 0, []string{"memory size 0"}},
			{0, 31, []string{"memory size 31"}},
			{0, 1 << 20, []string{"1048576"}},
			{0, 0x7fffffff, nil},
			{0, 0xffffffff, []string{"memory size -1"}},
		} {
			write(t, w, "0123456789")
			spoil(t, m, c.off, c.word)
			b := make([]byte, 100)
			n, err := r.Read(bg, b)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, c.words...)
			if n != 0 || b[0] != 0 {
				t.Errorf("%d bytes of %x at %d", n, c.word, c.off)
			}
			ipctest.WantErr(t, r.View(bg, func([]byte) error { t.Error("a view of it"); return nil }), samepage.ErrCorrupt)
			_, err = r.Len()
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
			st, err := r.Stat(bg)
			ipctest.NoErr(t, err)
			ipctest.WantErr(t, st.Problem, samepage.ErrCorrupt)
			if c.off == 0 { // how large it is nobody knows
				_, err := sharememory.OpenWriter(bg, "v", o)
				ipctest.WantErr(t, err, samepage.ErrCorrupt)
			}
		}
		write(t, w, "healed") // from what the writer knows
		wantValue(t, r, "healed")
		ipctest.NoErr(t, w.Close())
		ipctest.NoErr(t, r.Close())
		ipctest.NoErr(t, m.Close())

		// A section that is no ShareMemory's, and too small for a header.
		if runtime.GOOS != "windows" { // where all are a page at least
			m, err := samepage.Create(sectionName(o), 20, bareOptions())
			ipctest.NoErr(t, err)
			defer m.Close()
			_, err = newReader(t, o).Append(bg, nil)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "20 bytes")
			_, _, err = sharememory.OpenOrCreateWriter(bg, "v", 1, o)
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
		}
	})
}

// 002-14: Stat shows whether a block is damaged, and changes nothing.
func TestMission002_14_ShareMemoryHealth(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *sharememory.Options) {
		w := newWriter(t, 10, o)
		r, m := newReader(t, o), sectionOf(t, o)
		write(t, w, "value")
		for _, s := range []interface {
			Stat(context.Context) (sharememory.Stat, error)
		}{w, r} {
			st, err := s.Stat(bg)
			ipctest.NoErr(t, err)
			if st.Problem != nil || st.Name != "v" || st.Layout != o.Layout || st.Section != sectionName(o) || st.HeadSize != 32 ||
				st.ContentSize != 5 || st.Cap != 10 || st.CRC != st.Computed || st.Size < int64(st.MemorySize) || !strings.Contains(st.LockFile, "rwfilelock") {
				t.Errorf("%+v", st)
			}
		}
		_, err := m.WriteAt([]byte("V"), 32)
		ipctest.NoErr(t, err)
		before := make([]byte, 42)
		_, _ = m.ReadAt(before, 0)
		st, err := r.Stat(bg)
		ipctest.NoErr(t, err)
		ipctest.WantErr(t, st.Problem, samepage.ErrChecksum, fmt.Sprintf("%016x", st.CRC), fmt.Sprintf("%016x", st.Computed))
		after := make([]byte, 42)
		_, _ = m.ReadAt(after, 0)
		if !bytes.Equal(before, after) {
			t.Error("it has changed")
		}
		// Somebody has the lock and does not give it back.
		c := startPeer(t, o)
		c.Want("ok", "lock")
		c.Want("ok", "hold write")
		short, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err = r.Stat(short)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
	})
}

// Reading any block gives a value with its checksum, or an error.
func FuzzShareMemory(f *testing.F) {
	ipctest.NeedNames(f)
	for _, l := range layouts {
		o := &sharememory.Options{Layout: l}
		b := block(o, 20, "a value")
		f.Add(l == sharememory.Head, b)
		for _, off := range []int{0, 4, 8, 12, 16, 24, 32, 39} {
			for _, word := range []uint32{0, 1, 31, 33, 53, 54, 0x7fffffff, 0x80000000, 0xffffffff} {
				c := bytes.Clone(b)
				binary.LittleEndian.PutUint32(c[off:], word)
				f.Add(l == sharememory.Head, c)
			}
		}
		f.Add(l == sharememory.Head, make([]byte, 40))
		f.Add(l == sharememory.Head, b[:33])
		f.Add(l == sharememory.Head, b[:7])
	}
	place(f)
	dir := ipctest.Dir(f)
	f.Fuzz(func(t *testing.T, head bool, b []byte) {
		if len(b) == 0 || len(b) > 1<<16 {
			t.Skip()
		}
		o := &sharememory.Options{Lock: sharememory.FileLockOptions{Dir: dir, Boot: 1}}
		if head {
			o.Layout = sharememory.Head
		}
		opts := bareOptions()
		opts.Init = b
		m, err := samepage.Create(sectionName(o), int64(len(b)), opts)
		ipctest.NoErr(t, err)
		defer m.Close()
		r, err := sharememory.OpenReader("v", o)
		ipctest.NoErr(t, err)
		defer r.Close()
		got, err := r.Append(bg, nil)
		st, serr := r.Stat(bg)
		ipctest.NoErr(t, serr)
		n, _ := r.Len()
		if (err == nil) != (st.Problem == nil) || err == nil && (crc64.Checksum(got, crc64.MakeTable(crc64.ECMA)) != st.CRC || n != len(got)) || err != nil && len(got) > 0 {
			t.Errorf("%d bytes of %d, %v; %+v", len(got), n, err, st)
		}
		viewed := false
		verr := r.View(bg, func(c []byte) error {
			viewed = bytes.Equal(c, got)
			return nil
		})
		if viewed != (err == nil) || (verr == nil) != viewed {
			t.Errorf("viewed: %v, %v; read: %v", viewed, verr, err)
		}
		w, err := sharememory.OpenWriter(bg, "v", o)
		if err != nil {
			return
		}
		defer w.Close()
		v := bytes.Repeat([]byte{'x'}, w.Cap())
		if _, err := w.Write(bg, v); err != nil {
			t.Errorf("room for %d: %v", w.Cap(), err)
		}
		if got, err := r.Append(bg, nil); !bytes.Equal(got, v) || err != nil {
			t.Errorf("after a write: %d bytes of %d, %v", len(got), len(v), err)
		}
	})
}
