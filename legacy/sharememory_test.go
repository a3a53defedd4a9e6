package legacy_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/legacy"
)

// The rows of docs/mission.md that are about ShareMemory's block.

// 002-01, 002-33: making and coming to a block are two things, or one that says which.
func TestMission002_01_33_CreateOrOpen(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		_, _, err := legacy.OpenOrCreateShareMemory(bg, "v", 0, o)
		ipctest.WantErr(t, err, samepage.ErrZeroSize)
		ipctest.WantErr(t, err, fs.ErrNotExist)
		w := newShareWriter(t, 100, o)
		if w.Cap() != 100 || w.Name() != "v" {
			t.Errorf("%q has room for %d", w.Name(), w.Cap())
		}
		shareWrite(t, w, "kept")
		_, err = legacy.CreateShareMemory(bg, "v", 100, o)
		ipctest.WantErr(t, err, fs.ErrExist, `"v"`)

		c := startShare(t, o)
		c.Want("ok 100 true", "create 0")
		c.Want("ok 100 true", "create 60")
		if l := c.Ask("create 101"); !strings.Contains(l, "room for 100: too large") {
			t.Errorf("more room than there is: %s", l)
		}
		_, _, err = legacy.OpenOrCreateShareMemory(bg, "v", 1000, o)
		ipctest.WantErr(t, err, samepage.ErrTooLarge, "1000", "100")
		wantValue(t, newShareReader(t, o), "kept")
		c.Want("ok 100", "write %s", strings.Repeat("x", 100))
		wantValue(t, newShareReader(t, o), strings.Repeat("x", 100))
	})
}

// 002-02: a reader that comes first is told so, or waits.
func TestMission002_02_ReaderFirst(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		_, err := legacy.OpenShareMemory("v", o)
		ipctest.WantErr(t, err, fs.ErrNotExist, `"v"`)
		short, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err = legacy.AwaitShareMemory(short, "v", o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)

		// A section whose header is not there yet is not there yet.
		m, err := samepage.Create(sectionName(o), 133, bareOptions())
		ipctest.NoErr(t, err)
		short, cancel = context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err = legacy.AwaitShareMemory(short, "v", o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		ipctest.NoErr(t, m.Close())

		waiting := make(chan *legacy.ShareMemoryReader, 1)
		go func() {
			r, err := legacy.AwaitShareMemory(bg, "v", o)
			if err != nil {
				t.Error(err)
			}
			waiting <- r
		}()
		c := startShare(t, o)
		c.Want("ok 100 false", "create 100")
		c.Want("ok 5", "write first")
		r := <-waiting
		wantValue(t, r, "first")
		ipctest.NoErr(t, r.Close())
	})
}

// block is what a C++ program has in its section, byte by byte.
func block(o *legacy.ShareMemoryOptions, room int, content string) []byte {
	tail := uint32(1)
	if o.Layout == legacy.ShareMemoryHead {
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

// 002-03: what is written is byte for byte what the C++ programs write, and what they
// write is read.
func TestMission002_03_Bytes(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 20, o)
		m := shareSection(t, o)
		for _, v := range []string{"", "123456789", "shorter", strings.Repeat("f", 20), ""} {
			shareWrite(t, w, v)
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
		if o.Layout == legacy.ShareMemoryHead {
			binary.LittleEndian.PutUint32(b[12:], 0xdeadbeef) // padding is whatever it is
		}
		opts := bareOptions()
		opts.Init = b
		m, err := samepage.Create(sectionName(o), int64(len(b)), opts)
		ipctest.NoErr(t, err)
		defer m.Close()
		r := newShareReader(t, o)
		wantValue(t, r, "from elsewhere")
		if c, err := r.Cap(); c != 20 || err != nil {
			t.Errorf("room for %d, %v", c, err)
		}
	})
}

// 002-04: the byte behind the content, in the older layout.
func TestMission002_04_Tail(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 20, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		shareWrite(t, w, "longer text")
		shareWrite(t, w, "short")
		var b [1]byte
		_, err := m.ReadAt(b[:], 32+5)
		ipctest.NoErr(t, err)
		if seed := o.Layout == legacy.ShareMemorySeed; seed != (b[0] == 0) {
			t.Errorf("byte %q behind the content", b)
		}
		_, err = m.WriteAt([]byte{7}, 32+5)
		ipctest.NoErr(t, err)
		if o.Layout == legacy.ShareMemoryHead { // it has none
			wantValue(t, r, "short")
			return
		}
		got, err := r.Append(bg, []byte("dst"))
		ipctest.WantErr(t, err, samepage.ErrCorrupt, "0x7", "5 bytes")
		if string(got) != "dst" {
			t.Errorf("beside an error there is %q", got)
		}
		// All of it used: the tail is the section's last byte.
		shareWrite(t, w, strings.Repeat("x", 20))
		wantValue(t, r, strings.Repeat("x", 20))
	})
}

// 002-05: another version is told, with both.
func TestMission002_05_Version(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 20, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		shareWrite(t, w, "value")
		check := func(words ...string) {
			t.Helper()
			_, err := r.Read(bg, make([]byte, 20))
			ipctest.WantErr(t, err, samepage.ErrVersion, words...)
			_, err = r.Len()
			ipctest.WantErr(t, err, samepage.ErrVersion)
			_, _, err = legacy.OpenOrCreateShareMemory(bg, "v", 0, o)
			ipctest.WantErr(t, err, samepage.ErrVersion, words...)
			st, err := r.Stat(bg)
			ipctest.NoErr(t, err)
			ipctest.WantErr(t, st.Problem, samepage.ErrVersion, words...)
		}
		spoil(t, m, 4, 40)
		check("40", "32", o.Layout.String())
		shareWrite(t, w, "value") // and is healed by the next value
		wantValue(t, r, "value")
		spoil(t, m, 12, 0) // as the newer one's header may be
		if o.Layout == legacy.ShareMemorySeed {
			check("tail size 0", "32 and 1")
		} else {
			wantValue(t, r, "value")
		}
	})
	_, err := legacy.OpenShareMemory("v", &legacy.ShareMemoryOptions{Layout: 7})
	ipctest.WantErr(t, err, fs.ErrInvalid, "ShareMemoryLayout(7)")
}

// 002-06, 002-07: a block has room for exactly what it was made for, and a value the
// length that it was written with.
func TestMission002_06_07_ShareMemoryLength(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		for _, size := range []int{1, 64, 4063, 4064, 1 << 20} {
			w := newShareWriter(t, size, o)
			r := newShareReader(t, o)
			rc, err := r.Cap()
			if w.Cap() != size || rc != size || err != nil {
				t.Errorf("room for %d and %d bytes, want %d; %v", w.Cap(), rc, size, err)
			}
			n, err := r.Len()
			if n != 0 || err != nil {
				t.Errorf("before the first value its length is %d, %v", n, err)
			}
			wantValue(t, r, "")
			_, err = w.Write(bg, make([]byte, size+1))
			ipctest.WantErr(t, err, samepage.ErrTooLarge)
			for _, n := range []int{size, 0, 1, size / 2} {
				shareWrite(t, w, strings.Repeat("x", n))
				wl, werr := w.Len()
				rl, rerr := r.Len()
				if wl != n || rl != n || werr != nil || rerr != nil {
					t.Errorf("a value of %d bytes has %d and %d; %v, %v", n, wl, rl, werr, rerr)
				}
				wantValue(t, r, strings.Repeat("x", n))
			}
			ipctest.NoErr(t, r.Close())
			ipctest.NoErr(t, w.Close())
		}
	})
}

// 002-08: what is too large is refused and changes nothing, or is cut and told.
func TestMission002_08_ShareMemoryTruncation(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 8, o)
		r := newShareReader(t, o)
		shareWrite(t, w, "12345678")
		n, err := w.Write(bg, []byte("abcdefghi"))
		ipctest.WantErr(t, err, samepage.ErrTooLarge, "9 bytes", "room for 8")
		if n != 0 {
			t.Errorf("%d bytes of it are written", n)
		}
		wantValue(t, r, "12345678")

		cut := *o
		cut.Truncate = true
		tw, existed, err := legacy.OpenOrCreateShareMemory(bg, "v", 8, &cut)
		ipctest.NoErr(t, err)
		defer tw.Close()
		if !existed {
			t.Error("it did not exist")
		}
		n, err = tw.Write(bg, []byte("abcdefghi"))
		ipctest.WantErr(t, err, samepage.ErrTruncated, "9 bytes", "room for 8")
		if n != 8 {
			t.Errorf("wrote %d bytes, want 8", n)
		}
		wantValue(t, r, "abcdefgh")
		if n, err := tw.Write(bg, []byte("abc")); n != 3 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}

		b := []byte("....")
		n, err = r.Read(bg, b[:2])
		ipctest.WantErr(t, err, samepage.ErrTruncated, "3 bytes", "room for 2")
		if n != 2 || string(b) != "ab.." {
			t.Errorf("read %d, %q", n, b)
		}
		if n, err := r.Read(bg, b); n != 3 || err != nil || string(b) != "abc." {
			t.Errorf("read %d, %q, %v", n, b, err)
		}
	})
}

// 002-09: what the C++ programs call -1 has four errors: no block, no data, a negative
// size, a bad header.
func TestMission002_09_ShareMemoryErrors(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 8, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		_, none := legacy.OpenShareMemory("other", o)
		_, data := w.Write(bg, nil)
		view := r.View(bg, nil)
		_, negative := legacy.CreateShareMemory(bg, "other", -1, o)
		spoil(t, m, 0, 5)
		_, bad := r.Append(bg, nil)
		all := []error{fs.ErrNotExist, fs.ErrInvalid, samepage.ErrNegativeSize, samepage.ErrCorrupt}
		for i, errs := range [][]error{{none}, {data, view}, {negative}, {bad}} {
			for _, err := range errs {
				for k, want := range all {
					if errors.Is(err, want) != (i == k) {
						t.Errorf("is %v a %v: %v", err, want, i != k)
					}
				}
			}
		}
		_, err := legacy.CreateShareMemory(bg, "other", 0, o)
		ipctest.WantErr(t, err, samepage.ErrZeroSize)
		if math.MaxInt > math.MaxInt32 {
			large := math.MaxInt32
			_, err = legacy.CreateShareMemory(bg, "other", large, o)
			ipctest.WantErr(t, err, samepage.ErrTooLarge)
		}
		shareWrite(t, w, "")
		ipctest.NoErr(t, r.Close())
		ipctest.NoErr(t, r.Close())
		_, err = r.Append(bg, nil)
		ipctest.WantErr(t, err, samepage.ErrClosed)
		_, err = r.Len()
		ipctest.WantErr(t, err, samepage.ErrClosed)
		ipctest.WantErr(t, r.View(bg, func([]byte) error { return nil }), samepage.ErrClosed)
	})
}

// 002-10: the checksum is CRC-64/XZ, of the content only, and many compute it at a time.
func TestMission002_10_ShareMemoryCRC(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 100, o)
		r := newShareReader(t, o)
		st, err := r.Stat(bg)
		if st.CRC != 0 || st.Computed != 0 || err != nil {
			t.Errorf("before the first value: %x, %x, %v", st.CRC, st.Computed, err)
		}
		shareWrite(t, w, "123456789")
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

// 002-11: a byte that has changed is an error and no data.
func TestMission002_11_ShareMemoryFlippedByte(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 300000, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		value := strings.Repeat("0123456789", 30000)
		for _, at := range []int64{0, 100, 150000, 299999, -16} { // the last: of the checksum itself
			shareWrite(t, w, value)
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

// 002-12: to and from the caller's bytes.
func TestMission002_12_ShareMemoryBuffers(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 1<<20, o)
		r := newShareReader(t, o)
		shareWrite(t, w, strings.Repeat("x", 1<<20))
		buf := make([]byte, 0, 1<<20)
		before := &buf[:1][0]
		got, err := r.Append(bg, buf)
		ipctest.NoErr(t, err)
		if &got[0] != before {
			t.Error("there was room, and it is elsewhere")
		}
		count := testing.AllocsPerRun(20, func() {
			if _, err := r.Read(bg, got); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%.0f allocations a read, for the lock files", count)
		bytesPerRead := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = r.Read(bg, got)
			}
		}).AllocedBytesPerOp()
		if bytesPerRead > 1<<17 { // of a value of 1 MiB
			t.Errorf("%d bytes are allocated a read", bytesPerRead)
		}
	})
}

// 002-13: any sizes in a header are an error, never a fault.
func TestMission002_13_ShareMemoryHostileHeader(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 10, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		words := []string{"10", "room of"}
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
			shareWrite(t, w, "0123456789")
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
				_, _, err := legacy.OpenOrCreateShareMemory(bg, "v", 0, o)
				ipctest.WantErr(t, err, samepage.ErrCorrupt)
			}
		}
		shareWrite(t, w, "healed") // from what the writer knows
		wantValue(t, r, "healed")
		ipctest.NoErr(t, w.Close())
		ipctest.NoErr(t, r.Close())
		ipctest.NoErr(t, m.Close())

		// A section that is no ShareMemory's, and too small for a header.
		if runtime.GOOS != "windows" { // where all are a page at least
			m, err := samepage.Create(sectionName(o), 20, bareOptions())
			ipctest.NoErr(t, err)
			defer m.Close()
			_, err = newShareReader(t, o).Append(bg, nil)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "20 bytes")
			_, _, err = legacy.OpenOrCreateShareMemory(bg, "v", 1, o)
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
		}
	})
}

// 002-14: health, of good and bad blocks, which looking does not change.
func TestMission002_14_ShareMemoryHealth(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 10, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		shareWrite(t, w, "value")
		for _, s := range []interface {
			Stat(context.Context) (legacy.ShareMemoryStat, error)
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
		c := startShare(t, o)
		c.Want("ok", "lock")
		c.Want("ok", "hold write")
		short, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, err = r.Stat(short)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
	})
}

// 002-15: the names that the C++ programs know.
func TestMission002_15_Names(t *testing.T) {
	for _, c := range []struct {
		o              legacy.ShareMemoryOptions
		section, files string
	}{
		{legacy.ShareMemoryOptions{}, "ShareMemoryMap-v", "ShareMemoryLockedFile-v.mdb"},
		{legacy.ShareMemoryOptions{Layout: legacy.ShareMemoryHead, Lock: legacy.FileLockOptions{Boot: 1748850600}}, "SMM-v", "1748850600_SMLF-v.mdb"},
		{legacy.ShareMemoryOptions{Layout: legacy.ShareMemoryHead, Lock: legacy.FileLockOptions{Boot: legacy.BootUnknown}}, "SMM-v", "0_SMLF-v.mdb"},
	} {
		sharePlace(t)
		c.o.Lock.Dir = ipctest.Dir(t)
		w := newShareWriter(t, 10, &c.o)
		shareWrite(t, w, "x")
		m, err := samepage.Open(c.section, bareOptions())
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, m.Close())
		if got, want := strings.Join(files(t, c.o.Lock.Dir), " "), c.files+".rlc "+c.files+".wlc"; got != want {
			t.Errorf("lock files %s, want %s", got, want)
		}
		st, err := w.Stat(bg)
		ipctest.NoErr(t, err)
		if st.LockFile != filepath.Join(c.o.Lock.Dir, c.files) || st.Section != c.section {
			t.Errorf("%+v", st)
		}
		ipctest.NoErr(t, w.Close())
	}
	// The two layouts' blocks of one name are two.
	sharePlace(t)
	seed := newShareWriter(t, 10, &legacy.ShareMemoryOptions{})
	head := newShareWriter(t, 20, &legacy.ShareMemoryOptions{Layout: legacy.ShareMemoryHead})
	shareWrite(t, seed, "seed")
	shareWrite(t, head, "head")
	wantValue(t, newShareReader(t, &legacy.ShareMemoryOptions{}), "seed")
}

// 002-20: a writer that is killed in the middle of a value: the lock is free, the
// checksum tells, and the next value is good.
func TestMission002_20_ShareMemoryKilledInMidWrite(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 100, o)
		r := newShareReader(t, o)
		shareWrite(t, w, "before")
		c := startShare(t, o)
		c.Want("ok", "lock")
		c.Want("ok", "half BEFORE")
		c.Kill()
		_, err := r.Append(bg, nil)
		ipctest.WantErr(t, err, samepage.ErrChecksum)
		shareWrite(t, w, "after")
		wantValue(t, r, "after")

		ipctest.NoErr(t, errors.Join(w.Close(), r.Close()))

		// At any moment of a real Write, of which a value of 4 MiB takes some.
		w = newShareWriter(t, 4<<20, o)
		r = newShareReader(t, o)
		shareWrite(t, w, "after")
		goods, bads := 0, 0
		for i := range 10 {
			c := startShare(t, o)
			c.Want("ok 4194304 true", "create 0")
			c.Want("ok", "fill")
			time.Sleep(time.Duration(10+i) * time.Millisecond)
			c.Kill()
			b, err := r.Append(bg, nil)
			if err == nil && (string(b) == "after" || len(b) == 4<<20 && bytes.Count(b, b[:1]) == len(b)) {
				goods++
			} else if errors.Is(err, samepage.ErrChecksum) && len(b) == 0 {
				bads++
			} else {
				t.Errorf("after a kill: %d bytes, %v", len(b), err)
			}
			shareWrite(t, w, "after")
			wantValue(t, r, "after")
		}
		t.Logf("10 kills: %d left a good value, %d one that the checksum told", goods, bads)
	})
}

// 002-21: goroutines with one handle each side.
func TestMission002_21_ShareMemoryGoroutines(t *testing.T) {
	sharePlace(t)
	o := &legacy.ShareMemoryOptions{}
	w := newShareWriter(t, 300, o)
	r := newShareReader(t, o)
	if _, err := w.Write(bg, ipctest.Numbered(0)); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 12 {
		wait.Go(func() {
			for k := range 40 {
				switch i % 4 {
				case 0:
					if _, err := w.Write(bg, ipctest.Numbered(uint32(i*1000+k))); err != nil {
						t.Error(err)
					}
				case 1:
					b, err := r.Append(bg, nil)
					if _, whole := numberOf(b); !whole || err != nil {
						t.Errorf("%d bytes, %v", len(b), err)
					}
				case 2:
					if err := r.View(bg, func(b []byte) error {
						if _, whole := numberOf(b); !whole {
							t.Errorf("a view of %d bytes", len(b))
						}
						return nil
					}); err != nil {
						t.Error(err)
					}
				default:
					if st, err := r.Stat(bg); err != nil || st.Problem != nil {
						t.Error(st.Problem, err)
					}
				}
			}
		})
	}
	wait.Wait()
}

// 002-26: readers keep the value after the writer's end, up to the last one's; then the
// name is free.
func TestMission002_26_ShareMemoryLifetime(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		for _, end := range []string{"exit", "kill -9"} {
			c := startShare(t, o)
			c.Want("ok 100 false", "create 100")
			c.Want("ok 5", "write value")
			r := newShareReader(t, o)
			if end == "exit" {
				c.Wait()
			} else {
				c.Kill()
			}
			wantValue(t, r, "value")
			late := newShareReader(t, o) // as long as anybody has it
			ipctest.NoErr(t, r.Close())
			wantValue(t, late, "value")
			ipctest.NoErr(t, late.Close())
			_, err := legacy.OpenShareMemory("v", o)
			ipctest.WantErr(t, err, fs.ErrNotExist)
		}
	})
}

// 002-27: who comes to a block keeps its content, and waits for the lock before it looks.
func TestMission002_27_ShareMemoryAttachKeepsContent(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 100, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		shareWrite(t, w, "kept")
		for _, size := range []int{0, 1, 100} {
			c := startShare(t, o)
			c.Want("ok 100 true", "create %d", size)
			wantValue(t, r, "kept")
			c.Kill()
			wantValue(t, r, "kept")
		}
		l, err := legacy.NewShareMemoryLock("v", o)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, l.Lock(bg))
		short, cancel := context.WithTimeout(bg, 20*time.Millisecond)
		defer cancel()
		_, _, err = legacy.OpenOrCreateShareMemory(short, "v", 0, o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		_, err = legacy.CreateShareMemory(short, "v", 10, o)
		ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
		ipctest.NoErr(t, l.Unlock())

		// A content size that is out of bounds hinders nobody from writing the next value.
		spoil(t, m, 8, 1000)
		w2, _, err := legacy.OpenOrCreateShareMemory(bg, "v", 0, o)
		ipctest.NoErr(t, err)
		shareWrite(t, w2, "again")
		wantValue(t, r, "again")
		ipctest.NoErr(t, w2.Close())
		ipctest.NoErr(t, errors.Join(w.Close(), r.Close(), m.Close()))

		// Somebody made the section and died before the header.
		for _, size := range []int{0, 50} {
			m, err := samepage.Create(sectionName(o), 133, bareOptions())
			ipctest.NoErr(t, err)
			r := newShareReader(t, o)
			_, err = r.Append(bg, nil)
			ipctest.WantErr(t, err, samepage.ErrCorrupt, "no header yet")
			w, existed, err := legacy.OpenOrCreateShareMemory(bg, "v", size, o)
			ipctest.NoErr(t, err)
			if !existed || size > 0 && w.Cap() != size || size == 0 && w.Cap() < 100 {
				t.Errorf("asked for %d: existed %v, room for %d", size, existed, w.Cap())
			}
			wantValue(t, r, "")
			_, _, err = legacy.OpenOrCreateShareMemory(bg, "v", 1<<20, o)
			ipctest.WantErr(t, err, samepage.ErrTooLarge, fmt.Sprint(w.Cap()))
			ipctest.NoErr(t, errors.Join(w.Close(), r.Close(), m.Close()))
		}
	})
}

// 002-29, 002-30: values of two writers in two processes, through three readers that look
// at them all the time: none is torn. SAMEPAGE_VALUES / 10 of them.
func TestMission002_29_30_SoakShareMemory(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		n := 20000
		if testing.Short() || runtime.GOOS == "windows" { // under Wine each takes a millisecond
			n = 2000
		}
		n = values(n)
		w := newShareWriter(t, 300, o)
		var readers []*ipctest.Child
		for range 3 {
			c := startShare(t, o)
			c.Want("ok", "open")
			c.Send("until 2000000000")
			readers = append(readers, c)
		}
		begun := time.Now()
		var writers []*ipctest.Child
		for range 2 {
			c := startShare(t, o)
			c.Want("ok 300 true", "create 0")
			writers = append(writers, c)
		}
		for left := n; left > 0; left -= min(left, 2000) { // each answers in time
			part := min(left, 2000) / 2
			for _, c := range writers {
				c.Send("loop %d", part)
			}
			for _, c := range writers {
				if l := c.Line(); l != fmt.Sprint("ok ", part) {
					t.Fatal(l)
				}
			}
		}
		took := time.Since(begun)
		if _, err := w.Write(bg, ipctest.Numbered(2000000000)); err != nil { // the last one
			t.Fatal(err)
		}
		for _, c := range readers {
			l := c.Line()
			if !strings.HasPrefix(l, "ok 0 ") {
				t.Errorf("torn and different values: %s", l)
			}
			t.Logf("a reader saw %s", strings.TrimPrefix(l, "ok 0 "))
		}
		t.Logf("%d values in %v", n, took)
	})
}

// 002-35: the sizes, and the content in place.
func TestMission002_35_ShareMemoryAccessors(t *testing.T) {
	eachLayout(t, func(t *testing.T, o *legacy.ShareMemoryOptions) {
		w := newShareWriter(t, 100, o)
		r, m := newShareReader(t, o), shareSection(t, o)
		shareWrite(t, w, "in place")
		around := map[legacy.ShareMemoryLayout]int32{legacy.ShareMemorySeed: 33, legacy.ShareMemoryHead: 32}[o.Layout]
		if st, err := r.Stat(bg); st.MemorySize != 100+around || st.ContentSize != 8 || err != nil {
			t.Errorf("%+v, %v", st, err)
		}
		l, err := legacy.NewShareMemoryLock("v", o)
		ipctest.NoErr(t, err)
		wrong := errors.New("wrong")
		err = r.View(bg, func(b []byte) error {
			if string(b) != "in place" || cap(b) != len(b) {
				t.Errorf("%q, of %d bytes", b, cap(b))
			}
			// It is the memory itself, which no writer touches meanwhile.
			_, err := m.WriteAt([]byte("IN"), 32)
			ipctest.NoErr(t, err)
			if string(b) != "IN place" {
				t.Errorf("not in place: %q", b)
			}
			wantFree(t, l, false, true)
			ipctest.WantErr(t, r.Close(), samepage.ErrBusy)
			return wrong
		})
		ipctest.WantErr(t, err, wrong)
		wantFree(t, l, true, true)
		shareWrite(t, w, "")
		ipctest.NoErr(t, r.View(bg, func(b []byte) error {
			if len(b) != 0 || b == nil {
				t.Errorf("%v", b)
			}
			return nil
		}))
	})
}

// Whatever stands in a block, reading it is a value with its checksum or an error.
func FuzzShareMemory(f *testing.F) {
	ipctest.NeedNames(f)
	for _, l := range shareLayouts {
		o := &legacy.ShareMemoryOptions{Layout: l}
		b := block(o, 20, "a value")
		f.Add(l == legacy.ShareMemoryHead, b)
		for _, off := range []int{0, 4, 8, 12, 16, 24, 32, 39} {
			for _, word := range []uint32{0, 1, 31, 33, 53, 54, 0x7fffffff, 0x80000000, 0xffffffff} {
				c := bytes.Clone(b)
				binary.LittleEndian.PutUint32(c[off:], word)
				f.Add(l == legacy.ShareMemoryHead, c)
			}
		}
		f.Add(l == legacy.ShareMemoryHead, make([]byte, 40))
		f.Add(l == legacy.ShareMemoryHead, b[:33])
		f.Add(l == legacy.ShareMemoryHead, b[:7])
	}
	sharePlace(f)
	dir := ipctest.Dir(f)
	f.Fuzz(func(t *testing.T, head bool, b []byte) {
		if len(b) == 0 || len(b) > 1<<16 {
			t.Skip()
		}
		o := &legacy.ShareMemoryOptions{Lock: legacy.FileLockOptions{Dir: dir, Boot: 1}}
		if head {
			o.Layout = legacy.ShareMemoryHead
		}
		opts := bareOptions()
		opts.Init = b
		m, err := samepage.Create(sectionName(o), int64(len(b)), opts)
		ipctest.NoErr(t, err)
		defer m.Close()
		r, err := legacy.OpenShareMemory("v", o)
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
		w, _, err := legacy.OpenOrCreateShareMemory(bg, "v", 0, o)
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

// Opening, writing, reading and closing leave no descriptor and no mapping behind.
func TestShareMemoryLeavesNothing(t *testing.T) {
	sharePlace(t)
	o := &legacy.ShareMemoryOptions{Layout: legacy.ShareMemoryHead}
	round := func() {
		w, err := legacy.CreateShareMemory(bg, "v", 1000, o)
		ipctest.NoErr(t, err)
		shareWrite(t, w, "value")
		r, err := legacy.OpenShareMemory("v", o)
		ipctest.NoErr(t, err)
		wantValue(t, r, "value")
		ipctest.NoErr(t, r.View(bg, func([]byte) error { return nil }))
		_, _, err = legacy.OpenOrCreateShareMemory(bg, "v", 1<<20, o)
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		_, err = legacy.CreateShareMemory(bg, "v", 10, o)
		ipctest.WantErr(t, err, fs.ErrExist)
		_, err = legacy.OpenShareMemory("other", o)
		ipctest.WantErr(t, err, fs.ErrNotExist)
		ipctest.NoErr(t, errors.Join(w.Close(), r.Close()))
	}
	for range 10 {
		round()
	}
	handles, mappings, err := process.Usage()
	ipctest.NoErr(t, err)
	for range 200 {
		round()
	}
	h, m, err := process.Usage()
	ipctest.NoErr(t, err)
	if h > handles+50 || m > mappings+20 { // the runtime has some of its own
		t.Errorf("%d descriptors and %d mappings, before %d and %d", h, m, handles, mappings)
	}
}
