package samepage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"samepage"
	"samepage/internal/ipctest"
)

// Tests by the rows of docs/mission.md; this file: seed 001.

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

func TestMission001_02_OneServer(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	m := create(t, "ZJ", 1<<20, &samepage.Options{File: path})
	must(m.WriteAt([]byte(hello), 0))(t)
	c := startAgent(t)
	wantChildErr(t, c.Ask("create ZJ 1048576 file=%s", path), "ErrExist")
	wantChildErr(t, c.Ask("create ZJ 4096"), "ErrExist")
	c.Want("ok 1048576", "open ZJ")
	c.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))
}

func TestMission001_03_04_Demo(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	server, client := startAgent(t), startAgent(t)
	server.Want("ok 1048576", "create ZJ 1048576 file=%s", path)
	server.Want("ok", "write 0 %q", hello+"\x00")
	client.Want("ok 1048576", "open ZJ")
	client.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))
	// The shorter text ends where it ends: no tail of the longer one shows,
	// and a % in it is a %.
	const second = "second data 100%n!\n"
	client.Want("ok", "write 0 %q", second+strings.Repeat("\x00", len(hello)+1-len(second)))
	want := second + strings.Repeat("\x00", 40-len(second))
	server.Want(fmt.Sprintf("ok %q", want), "read 0 40")
}

func TestMission001_05_BothDirections(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "ZJ", 4096, nil)
	c := startAgent(t)
	c.Want("ok 4096", "open ZJ")
	var b [4]byte
	for i := range 10 {
		text := fmt.Sprintf("%04d", i)
		must(m.WriteAt([]byte(text), 0))(t)
		c.Want(fmt.Sprintf("ok %q", text), "read 0 4")
		c.Want("ok", "write 100 %q", text)
		must(m.ReadAt(b[:], 100))(t)
		if string(b[:]) != text {
			t.Errorf("the client wrote %q, the server reads %q", text, b)
		}
	}
}

func TestMission001_06_Anonymous(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "anon", 4096, nil) // no file: INVALID_HANDLE_VALUE, never NULL
	if m.File() != "" {
		t.Errorf("a file %s is below an object without one", m.File())
	}
	c := startAgent(t)
	c.Want("ok 4096", "open anon")
}

func TestMission001_07_PartialView(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "ZJ", 1<<20, nil)
	all := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
	for i := range all {
		all[i] = byte(i >> 10)
	}
	c := startAgent(t)
	c.Want("ok 1048576", "open ZJ")
	c.Want("ok 65536", "view ro 65536 65536")
	sum := 0
	for i := 64 << 10; i < 128<<10; i += 4096 {
		sum += int(all[i])
	}
	c.Want(fmt.Sprint("ok ", sum), "touch")
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

func TestMission001_09_Lifetime(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, end := range []string{"close", "exit", "kill -9"} {
		server := startAgent(t)
		server.Want("ok 4096", "create ZJ 4096")
		wantNames(t, "memory:ZJ")
		switch end {
		case "close":
			server.Want("ok", "close")
		case "exit":
			server.Send("exit")
			server.Wait()
		default:
			server.Kill()
		}
		_, err := samepage.Open("ZJ", nil)
		ipctest.WantErr(t, err, fs.ErrNotExist, "ZJ")
		wantNames(t)
	}

	server := startAgent(t)
	server.Want("ok 4096", "create ZJ 4096 persist")
	server.Want("ok", "write 0 %q", hello)
	server.Kill()
	m := must(samepage.Open("ZJ", nil))(t)
	var b [len(hello)]byte
	must(m.ReadAt(b[:], 0))(t)
	if string(b[:]) != hello || m.Lifetime() != samepage.Persist {
		t.Errorf("what was to persist is %v with %q", m, b)
	}
	ipctest.WantErr(t, samepage.Remove("ZJ", nil), samepage.ErrBusy)
	closeMem(t, m)
	wantNames(t, "memory:ZJ")
	ipctest.NoErr(t, samepage.Remove("ZJ", nil))
	ipctest.WantErr(t, samepage.Remove("ZJ", nil), fs.ErrNotExist)
	wantNames(t)

	// A user that outlives the creator keeps the name.
	server = startAgent(t)
	server.Want("ok 4096", "create ZJ 4096")
	m = must(samepage.Open("ZJ", nil))(t)
	server.Kill()
	closeMem(t, must(samepage.Open("ZJ", nil))(t))
	closeMem(t, m)
	_, err := samepage.Open("ZJ", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
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

func TestMission001_11_LikeAFile(t *testing.T) {
	text := []byte(strings.Repeat("as easy as a stream. ", 1000))
	m := unnamed(t, int64(len(text)), nil)
	w := io.NewOffsetWriter(m, 0)
	must(fmt.Fprintf(w, "%s", text))(t)
	_, err := w.Write([]byte("more"))
	ipctest.WantErr(t, err, samepage.ErrRange)
	ipctest.NoErr(t, iotest.TestReader(io.NewSectionReader(m, 0, m.Size()), text))
	ipctest.NoErr(t, iotest.TestReader(io.NewSectionReader(view(t, m, 0, 0, samepage.ReadOnly), 0, m.Size()), text))
	_, err = m.ReadAt(make([]byte, 1), -1)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize)
	_, err = m.ReadAt(make([]byte, 1), m.Size())
	if !errors.Is(err, io.EOF) {
		t.Errorf("a read at the end is %v, want io.EOF", err)
	}
	b := make([]byte, 10)
	n, err := m.ReadAt(b, m.Size()-4)
	if n != 4 || err != io.EOF || !bytes.Equal(b[:4], text[len(text)-4:]) {
		t.Errorf("a read across the end is %d, %v", n, err)
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

func TestMission001_13_InheritableOpen(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	server := startAgent(t)
	server.Want("ok 1048576", "create ZJ 1048576 file=%s", path)
	server.Want("ok", "write 0 %q", hello)
	m := must(samepage.Open("ZJ", nil))(t)
	cmd := ipctest.Command(t, "agent")
	must(samepage.Inherit(cmd, "ZJ", m, samepage.ReadWrite))(t)
	c := ipctest.StartCmd(t, cmd)
	closeMem(t, m)
	c.Want("ok 1048576", "inherited ZJ")
	c.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))
	c.Want("ok", `write 0 "J"`)
	server.Want(`ok "Jello"`, "read 0 5")
	// The child is a user of the name as any other.
	server.Kill()
	closeMem(t, must(samepage.Open("ZJ", nil))(t))
	c.Want("ok", "close")
	_, err := samepage.Open("ZJ", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
}

// A file that is mapped without a name and by a name, or in part and whole, is
// not mixed up within a process.
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
