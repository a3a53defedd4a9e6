package samepage_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/object"
)

func TestMission000_04_ReadOnlyFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, []byte("read me"), 0o600))
	ipctest.NoErr(t, os.Chmod(path, 0o444))
	t.Cleanup(func() { ipctest.NoErr(t, os.Chmod(path, 0o600)) }) // or it cannot be removed on Windows

	m := must(samepage.MapFile(path, 0, &samepage.Options{Access: samepage.ReadOnly}))(t)
	closeLater(t, m)
	if b := view(t, m, 0, 0, samepage.ReadOnly).Bytes(); string(b) != "read me" {
		t.Errorf("read-only file, read-only view: %q", b)
	}
	_, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-write", "read-only")

	if os.Geteuid() != 0 {
		_, err := samepage.MapFile(path, 0, nil)
		ipctest.WantErr(t, err, fs.ErrPermission, "read-write", path)
		return
	}
	// Root may write anything: ask another user.
	ipctest.NoErr(t, os.Chmod(filepath.Dir(path), 0o755))
	c := needOtherUser(t)
	c.Want("ok 7", "mapfile %q 0 ro", path)
	answer := c.Ask("mapfile %q 0", path)
	wantChildErr(t, answer, "ErrPermission")
	if !strings.Contains(answer, "read-write") || !strings.Contains(answer, "0444") {
		t.Errorf("%q does not tell both modes", answer)
	}
}

func TestMission000_05_ExclusiveFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, []byte("mine"), 0o600))
	m := must(samepage.MapFile(path, 0, &samepage.Options{Exclusive: true}))(t)
	c := startAgent(t)
	wantChildErr(t, c.Ask("mapfile %q 0", path), "ErrBusy")
	_, err := samepage.MapFile(path, 0, nil)
	ipctest.WantErr(t, err, samepage.ErrBusy, path)
	// A program that does not use this package is stopped on Windows only.
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	if refused := err != nil; refused == onLinux() {
		t.Errorf("foreign opener of an exclusive file: %v", err)
	}
	closeMem(t, m)

	m = must(samepage.MapFile(path, 0, nil))(t) // shareable by default
	closeLater(t, m)
	c.Want("ok 4", "mapfile %q 0", path)
	_, err = samepage.MapFile(path, 0, &samepage.Options{Exclusive: true})
	ipctest.WantErr(t, err, samepage.ErrBusy)
}

func TestMission000_06_GrowFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, []byte("head"), 0o600))
	m := must(samepage.MapFile(path, 100_001, nil))(t)
	closeLater(t, m)
	if st := must(os.Stat(path))(t); st.Size() != 100_001 {
		t.Errorf("file has %d bytes, want 100001", st.Size())
	}
	b := must(io.ReadAll(io.NewSectionReader(m, 0, m.Size())))(t)
	if want := append([]byte("head"), make([]byte, 99_997)...); !bytes.Equal(b, want) {
		t.Errorf("contents are not the old bytes and zeros")
	}
}

func TestMission000_07_SizeOfFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, make([]byte, 12_345), 0o600))
	m := must(samepage.MapFile(path, 0, nil))(t)
	closeLater(t, m)
	if m.Size() != 12_345 {
		t.Errorf("Size is %d, want 12345", m.Size())
	}
	if v := view(t, m, 0, 0, samepage.ReadOnly); v.Len() != 12_345 {
		t.Errorf("a view to the end has %d bytes, want 12345", v.Len())
	}
}

func TestMission000_12_BeyondFourGiB(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "big")
	m := must(samepage.MapFile(path, 5<<30, &samepage.Options{Sparse: true}))(t)
	closeLater(t, m)
	const at = 4<<30 + 1<<29
	v := view(t, m, at, 1<<20, samepage.ReadWrite)
	copy(v.Bytes(), "far out")
	var b [7]byte
	must(m.ReadAt(b[:], at))(t)
	if string(b[:]) != "far out" {
		t.Errorf("at 4.5 GiB stands %q", b)
	}
	f := must(os.Open(path))(t)
	defer f.Close()
	must(f.ReadAt(b[:], at))(t)
	if string(b[:]) != "far out" {
		t.Errorf("the file has %q at 4.5 GiB", b)
	}
}

func TestMission000_21_PagedFile(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 400 MB")
	}
	path := filepath.Join(ipctest.Dir(t), "big")
	f := must(os.Create(path))(t)
	want := sha256.New()
	block := make([]byte, 1<<20)
	for i := range 400 {
		for j := 0; j < len(block); j += 64 {
			copy(block[j:], fmt.Sprintf("%d.%d", i, j))
		}
		must(f.Write(block))(t)
		want.Write(block)
	}
	must(f.WriteString("and an odd end"))(t)
	want.Write([]byte("and an odd end"))
	ipctest.NoErr(t, f.Close())

	object.ResetPeak()
	m := must(samepage.MapFile(path, 0, &samepage.Options{Access: samepage.ReadOnly}))(t)
	got := sha256.New()
	must(io.Copy(got, io.NewSectionReader(m, 0, m.Size())))(t)
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("the hash through windows is not that of the file")
	}
	if _, peak := object.Mapped(); peak > 16<<20 || peak == 0 {
		t.Errorf("%d bytes were mapped at a time, want at most 16 MiB", peak)
	}
	closeMem(t, m)
	if now := mappedNow(); now != 0 {
		t.Errorf("%d bytes stay mapped after Close", now)
	}
}

const hello = "hello my first mapping file!\n"

func TestMission001_01_FileAndName(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	// A path with what C++ would take for escapes, were it not for the
	// system's own rules on file names.
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	m := create(t, "ZJ", 1<<20, &samepage.Options{File: path})
	if st := must(os.Stat(path))(t); st.Size() != 1<<20 {
		t.Errorf("file has %d bytes, want 1 MiB", st.Size())
	}
	must(m.WriteAt([]byte(hello), 0))(t)
	c := startAgent(t)
	c.Want("ok 1048576", "open ZJ") // by the name only
	c.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))

	// A file that cannot be made is an error, not an object.
	_, err := samepage.Create("bad", 1<<20, &samepage.Options{File: filepath.Join(path, "below", "a file")})
	if err == nil {
		t.Error("an object over a file that cannot be made")
	}
	wantNames(t, "memory:ZJ")
}

func TestMission001_08_Persistence(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	m := must(samepage.MapFile(path, 100_000, nil))(t)
	v := must(m.View(0, 0, samepage.ReadWrite))(t)
	copy(v.Bytes()[70_000:], hello)
	ipctest.NoErr(t, v.Flush())
	check := func(when string) {
		t.Helper()
		b := must(os.ReadFile(path))(t)
		if len(b) != 100_000 || string(b[70_000:70_000+len(hello)]) != hello {
			t.Errorf("%s the file has not what was written", when)
		}
	}
	check("after View.Flush")
	must(m.WriteAt([]byte("by WriteAt"), 10))(t)
	ipctest.NoErr(t, m.Flush())
	if b := must(os.ReadFile(path))(t); string(b[10:20]) != "by WriteAt" {
		t.Errorf("after Memory.Flush the file has %q", b[10:20])
	}
	ipctest.NoErr(t, v.Close())
	closeMem(t, m)
	check("after Close")
	m = must(samepage.MapFile(path, 0, nil))(t)
	defer m.Close()
	var b [len(hello)]byte
	must(m.ReadAt(b[:], 70_000))(t)
	if string(b[:]) != hello {
		t.Errorf("reopened, it has %q", b)
	}
}

func TestMission001_10_RecoverFromFile(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	server := startAgent(t)
	server.Want("ok 1048576", "create ZJ 1048576 exclusive file=%s", path)
	server.Want("ok", "write 0 %q", hello)
	// While it lives nobody else has the file.
	client := startAgent(t)
	wantChildErr(t, client.Ask("mapfile %q 0", path), "ErrBusy")
	client.Want("ok 1048576", "open ZJ") // but by the name one may
	client.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))
	client.Want("ok", "close")
	server.Kill()
	client.Want("ok 1048576", "mapfile %q 0", path)
	client.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))
	_, err := samepage.Open("ZJ", nil) // the name has gone with the server
	ipctest.WantErr(t, err, fs.ErrNotExist)
	client.Want("ok", "close")
	m := create(t, "ZJ", 0, &samepage.Options{File: path}) // and is free again
	if m.Size() != 1<<20 {
		t.Errorf("the file's size is %d, want 1 MiB", m.Size())
	}
}

func TestMission001_12_AnyOrderOfClosing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	for i := range 6 {
		m := must(samepage.Create("ZJ", 4096, &samepage.Options{File: path}))(t)
		o := must(samepage.Open("ZJ", nil))(t)
		v := must(m.View(0, 0, samepage.ReadWrite))(t)
		close := []func() error{v.Close, m.Close, o.Close}
		order := [][3]int{{0, 1, 2}, {0, 2, 1}, {2, 0, 1}, {1, 0, 2}, {1, 2, 0}, {2, 1, 0}}[i]
		for _, k := range order {
			if err := close[k](); err != nil {
				ipctest.WantErr(t, err, samepage.ErrBusy) // the memory before its view
			}
		}
		closeMem(t, m)
		ipctest.NoErr(t, os.Remove(path))
	}
}

// One process maps a file without a name and by a name, and maps a part of it and the whole. These
// objects are not mixed up.
func TestOneFileInSeveralWays(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "f")
	small := must(samepage.MapFile(path, 1000, nil))(t)
	closeLater(t, small)
	named := must(samepage.Create("f", 5000, &samepage.Options{File: path}))(t)
	large := must(samepage.MapFile(path, 0, nil))(t)
	closeLater(t, large)
	if small.Size() != 1000 || named.Size() != 5000 || large.Size() != 5000 {
		t.Errorf("sizes are %d, %d and %d, want 1000, 5000 and 5000", small.Size(), named.Size(), large.Size())
	}
	closeMem(t, must(samepage.Open("f", nil))(t))
	must(named.WriteAt([]byte("same"), 0))(t)
	for _, m := range []*samepage.Memory{small, large} {
		var b [4]byte
		must(m.ReadAt(b[:], 0))(t)
		if string(b[:]) != "same" {
			t.Errorf("%v has %q", m, b)
		}
	}
	closeMem(t, named)
	_, err := samepage.Open("f", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	wantNames(t)
}

// Many processes create objects over one missing file. One of them makes the file, and all
// objects lie over it.
func TestManyOverOneMissingFile(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	var errs ipctest.ErrCount
	for i := range 60 {
		path := filepath.Join(dir, fmt.Sprint("f", i))
		var wg sync.WaitGroup
		ms := make([]*samepage.Memory, 4)
		for k := range ms {
			wg.Go(func() {
				var err error
				if k%2 == 0 {
					ms[k], _, err = samepage.OpenOrCreate("x", 4096, &samepage.Options{File: path})
				} else {
					ms[k], err = samepage.MapFile(path, 4096, nil)
				}
				if err != nil {
					errs.Add(err, path)
				}
			})
		}
		wg.Wait()
		if _, err := os.Stat(path); err != nil {
			errs.Add(err, path)
		}
		for _, m := range ms {
			if m != nil {
				closeMem(t, m)
			}
		}
	}
	errs.Report(t)
}

// A name stays after the file below it was removed.
func TestFileBelowIsGone(t *testing.T) {
	ipctest.NeedNames(t)
	if !onLinux() {
		t.Skip("a file that is mapped cannot be removed here")
	}
	ipctest.Store(t)
	file := filepath.Join(ipctest.Dir(t), "file")
	o := &samepage.Options{File: file}
	create(t, "x", 1000, o)
	ipctest.NoErr(t, os.Remove(file))
	_, _, err := samepage.OpenOrCreate("x", 1000, o)
	ipctest.WantErr(t, err, samepage.ErrCorrupt, "is missing")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was made anew: %v", err)
	}
}
