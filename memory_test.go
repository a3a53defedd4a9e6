package samepage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

func TestMission000_01_TwoProcessesSeeOneByte(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "x", 3_000_001, nil)
	b := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
	if i := bytes.IndexFunc(b, func(r rune) bool { return r != 0 }); i >= 0 || len(b) != 3_000_001 {
		t.Fatalf("new memory of %d bytes is not zero at %d", len(b), i)
	}
	c := startAgent(t)
	c.Want("ok 3000001", "open x")
	c.Want("ok", `write 3000000 "Z"`)
	if b[3_000_000] != 'Z' {
		t.Errorf("the last byte is %q after another process wrote Z", b[3_000_000])
	}
	b[0] = 'A'
	c.Want(`ok "A\x00"`, "read 0 2")
}

func TestMission000_08_ZeroSize(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "empty")
	ipctest.NoErr(t, os.WriteFile(path, nil, 0o600))
	_, err := samepage.CreateUnnamed(0, nil)
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	_, err = samepage.Create("x", 0, nil)
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	_, err = samepage.MapFile(path, 0, nil)
	ipctest.WantErr(t, err, samepage.ErrZeroSize, path)
	_, err = samepage.Create("x", 0, &samepage.Options{File: path})
	ipctest.WantErr(t, err, samepage.ErrZeroSize, path)
	_, err = samepage.Create("x", -1, nil)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize, "-1")
	_, err = samepage.Create("x", samepage.MaxSize+1, nil)
	ipctest.WantErr(t, err, samepage.ErrTooLarge, fmt.Sprint(int64(samepage.MaxSize)))
	wantNames(t)
}

func TestMission000_13_SelfDescribing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	create(t, "x", 1001, nil)
	m := must(samepage.Open("x", nil))(t)
	closeLater(t, m)
	if m.Size() != 1001 || m.Name() != "x" {
		t.Errorf("the opener sees %d bytes named %q, want 1001 named x", m.Size(), m.Name())
	}
	v := view(t, m, 0, 0, samepage.ReadWrite)
	if v.Len() != 1001 {
		t.Errorf("%d bytes are usable, want 1001", v.Len())
	}
	copy(v.Bytes(), bytes.Repeat([]byte{0xff}, 1001)) // no header of ours is in them
	c := startAgent(t)
	c.Want("ok 1001", "open x")
	info := must(samepage.Stat("x", nil))(t)
	if info.Size != 1001 || info.Name != "x" {
		t.Errorf("Stat tells %d bytes named %q", info.Size, info.Name)
	}
}

func TestMission000_22_Notification(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "job", 4096, nil)
	status := must(view(t, m, 0, 0, samepage.ReadWrite).Uint32(16))(t)
	e := must(ipcsync.CreateEvent("job", nil))(t)
	defer e.Close()
	c := startAgent(t)
	c.Want("ok 4096", "open job")
	c.Want("ok 4096", "view rw 0 0")
	c.Want("ok", "event open job")
	c.Want("ok", `write 100 "the result"`)
	c.Want("ok", "store 16 1")
	c.Want("ok", "set job")
	ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
	defer cancel()
	ipctest.NoErr(t, e.Wait(ctx))
	var b [10]byte
	must(m.ReadAt(b[:], 100))(t)
	if status.Load() != 1 || string(b[:]) != "the result" {
		t.Errorf("after the event the status is %d and the data %q", status.Load(), b)
	}
}

// A process that waits does not poll, and uses less than 1 % of CPU.
func TestMission000_22_IdleWaitUsesNoCPU(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 11 s")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	e := must(ipcsync.CreateEvent("never", nil))(t)
	defer e.Close()
	c := startAgent(t)
	c.Want("ok", "event open never")
	c.Send("rest never")
	ipctest.WantIdle(t, c)
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

func TestMission004_01_Unnamed(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	m := unnamed(t, 1<<20, nil)
	b := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
	b[1<<20-1] = 1
	wantNames(t)
	if entries := must(os.ReadDir(dir))(t); len(entries) != 0 {
		t.Errorf("unnamed memory left %v in the directory of names", entries)
	}
	_, err := samepage.CreateUnnamed(-5, nil)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize, "-5")
}

func TestMission003_02_FrameMemory(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const size = 2048 * 4096 * 4
	m := create(t, "BaseImage", size, nil)
	info := must(samepage.Stat("BaseImage", nil))(t)
	if m.Size() != 33_554_432 || info.Size != 33_554_432 || !info.InUse {
		t.Errorf("created %v, Stat tells %+v", m, info)
	}
	if onLinux() && info.Allocated < size {
		t.Errorf("only %d bytes are set aside", info.Allocated)
	}
	view(t, m, 0, 0, samepage.ReadWrite).Bytes()[size-1] = 1
}
