package text_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/ipctest/agent"
	"samepage/ipcsync"
	"samepage/legacy/text"
)

const (
	hello  = "hello my first mapping file!\n"
	second = "second data!\n"
)

// store gives a test its own objects.
func store(t testing.TB) {
	t.Helper()
	ipctest.Store(t)
	ipctest.Alone(t, text.DefaultName)
}

func init() { helpers["text"] = program }

// program is a server or a client of a text.
func program([]string) {
	var x *text.Text
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		cmd, arg, _ := strings.Cut(in.Text(), " ")
		var res string
		var err error
		switch cmd {
		case "serve": // FILE
			x, err = text.Create("", arg, 0)
		case "open":
			x, err = text.Open("")
		case "get":
			if res, err = x.Get(); err == nil {
				res = strconv.Quote(res)
			}
		case "set": // TEXT, quoted
			if arg, err = strconv.Unquote(arg); err == nil {
				err = x.Set(arg)
			}
		case "flood": // sets texts of two lengths until it is killed
			fmt.Println("ok")
			for i := 0; ; i++ {
				if err := x.Set(floods[i%len(floods)]); err != nil {
					fmt.Println(err)
					return
				}
			}
		case "close":
			err = x.Close()
		}
		if err != nil {
			fmt.Println("err", agent.Classify(err)+": "+err.Error())
		} else {
			fmt.Println(strings.TrimSpace("ok " + res))
		}
	}
}

var floods = []string{strings.Repeat("a", 50), strings.Repeat("b", 9000), ""}

// text makes the text of a server. It is closed at the end of the test.
func serve(t *testing.T, name, file string, size int64) *text.Text {
	t.Helper()
	x, err := text.Create(name, file, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func wantText(t *testing.T, x *text.Text, want string) {
	t.Helper()
	if got, err := x.Get(); err != nil || got != want {
		t.Fatalf("the text is %.100q, %v; want %.100q", got, err, want)
	}
}

// behind returns the bytes of the section, as another program would map it.
func behind(t *testing.T, name string) *samepage.Memory {
	t.Helper()
	m, err := samepage.Open(name, &samepage.Options{Exact: runtime.GOOS == "windows"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func bytesOf(t *testing.T, m *samepage.Memory) []byte {
	t.Helper()
	b := make([]byte, m.Size())
	if _, err := m.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantOnly fails the test if the section has other bytes than the text and zeros.
func wantOnly(t *testing.T, m *samepage.Memory, s string) {
	t.Helper()
	b := bytesOf(t, m)
	if !bytes.HasPrefix(b, []byte(s)) || len(bytes.Trim(b[len(s):], "\x00")) > 0 {
		t.Errorf("the section begins with %.60q and has %.60q behind", b, bytes.Trim(b[len(s):], "\x00"))
	}
}

func TestMission001_03_04_Text(t *testing.T) {
	ipctest.NeedNames(t)
	store(t)
	for _, over := range []string{"file", "page file"} {
		t.Run(over, func(t *testing.T) {
			path := ""
			if over == "file" {
				path = filepath.Join(ipctest.Dir(t), "zj.dat")
				if err := os.WriteFile(path, bytes.Repeat([]byte("old"), 1<<20), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			server, client := ipctest.Start(t, "text"), ipctest.Start(t, "text")
			if got := client.Ask("open"); !strings.HasPrefix(got, "err ErrNotExist: text: open section: ") {
				t.Errorf("without a server: %s", got)
			}
			server.Want("ok", "serve %s", path)
			server.Want(`ok ""`, "get") // of the old file nothing is left
			server.Want("ok", "set %q", hello)
			client.Want("ok", "open")
			client.Want(fmt.Sprintf("ok %q", hello), "get")
			client.Want("ok", "set %q", second)
			server.Want(fmt.Sprintf("ok %q", second), "get")
			m := behind(t, text.DefaultName)
			wantOnly(t, m, second)
			// A format is a text.
			client.Want("ok", "set %q", "100%n %s%s%s\n")
			server.Want(`ok "100%n %s%s%s\n"`, "get")
			wrong := 0
			for i := range 1000 {
				a, b := server, client
				if i%2 == 1 {
					a, b = client, server
				}
				s := fmt.Sprintf("%d %s", i, strings.Repeat("x", i*7%1000))
				a.Want("ok", "set %q", s)
				if b.Ask("get") != fmt.Sprintf("ok %q", s) {
					wrong++
				}
			}
			if wrong > 0 {
				t.Errorf("%d of 1000 texts arrived wrong", wrong)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			client.Want("ok", "set %q", hello)
			client.Want("ok", "close")
			server.Want("ok", "close")
			if got := client.Ask("open"); !strings.HasPrefix(got, "err ErrNotExist") {
				t.Errorf("after both have closed: %s", got)
			}
			if path != "" {
				b, err := os.ReadFile(path)
				if err != nil || len(b) != text.DefaultSize || strings.TrimRight(string(b), "\x00") != hello {
					t.Errorf("the file has %d bytes, %.40q, %v", len(b), b, err)
				}
			}
		})
	}
}

func TestMission001_02_OneTextServer(t *testing.T) {
	ipctest.NeedNames(t)
	store(t)
	dir := ipctest.Dir(t)
	path, other := filepath.Join(dir, "zj.dat"), filepath.Join(dir, "other.dat")
	if err := os.WriteFile(other, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := serve(t, "", path, 0)
	if err := first.Set(hello); err != nil {
		t.Fatal(err)
	}
	c := ipctest.Start(t, "text")
	for _, file := range []string{path, other, ""} {
		if got := c.Ask("serve %s", file); !strings.HasPrefix(got, "err ErrExist: text: create section: ") {
			t.Errorf("a second server over %q: %s", file, got)
		}
	}
	if _, err := text.Create("", path, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second server in this process: %v", err)
	}
	// Another name over the same file.
	if _, err := text.Create("ZK", path, 0); !errors.Is(err, samepage.ErrBusy) {
		t.Errorf("a second server over the file: %v", err)
	}
	wantText(t, first, hello)
	if b, err := os.ReadFile(other); err != nil || string(b) != "precious" {
		t.Errorf("the second server's file has %q, %v", b, err)
	}
	// A server that was killed is none.
	c.Want("ok", "open")
	second := ipctest.Start(t, "text")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := second.Ask("serve %s", path); !strings.HasPrefix(got, "err ErrExist") {
		t.Errorf("while a client of the former server lives: %s", got)
	}
	c.Kill()
	second.Want("ok", "serve %s", path)
	second.Kill()
	third := serve(t, "", path, 0)
	wantText(t, third, "")
}

func TestTextOfAnyLength(t *testing.T) {
	ipctest.NeedNames(t)
	store(t)
	x := serve(t, "t", "", 100_000)
	m := behind(t, "t")
	size := int(x.Size())
	for _, n := range []int{0, 1, 4095, 4096, 4097, size - 1, 65_535 + 4096, 1, size - 1, 0} {
		s := strings.Repeat("x", n)
		if err := x.Set(s); err != nil {
			t.Fatal(err)
		}
		wantText(t, x, s)
		wantOnly(t, m, s)
	}
	if err := x.Set(strings.Repeat("y", size)); !errors.Is(err, samepage.ErrTooLarge) || !strings.Contains(err.Error(), `text: write section "t": `) {
		t.Errorf("a text without room for its NUL: %v", err)
	}
	if err := x.Set("a\x00b"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a NUL in the text: %v", err)
	}
	wantText(t, x, "")

	// What another program leaves, behind a shorter text of its own, too.
	long := bytes.Repeat([]byte("l"), size)
	for _, left := range []string{string(long), "short\x00" + string(long[:5000]) + "\x00\x00" + string(long[:50000])} {
		if _, err := m.WriteAt([]byte(left), 0); err != nil {
			t.Fatal(err)
		}
		if err := x.Set("my text"); err != nil {
			t.Fatal(err)
		}
		wantOnly(t, m, "my text")
	}
}

func TestTextWithoutNUL(t *testing.T) {
	ipctest.NeedNames(t)
	store(t)
	for _, size := range []int64{1, 4096, 65536 + 4096, 100_001} {
		x := serve(t, "n", "", size)
		m := behind(t, "n")
		if _, err := m.WriteAt(bytes.Repeat([]byte("%"), int(m.Size())), 0); err != nil {
			t.Fatal(err)
		}
		// Over the page file the section of Windows is larger than the server's.
		c, err := text.Open("n")
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.Get(); !errors.Is(err, samepage.ErrCorrupt) {
			t.Errorf("%d bytes without a NUL: %q, %v", size, s, err)
		}
		if err := c.Set(""); err != nil {
			t.Error(err)
		}
		wantText(t, x, "")
		for _, closer := range []interface{ Close() error }{c, m, x} {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := x.Get(); !errors.Is(err, samepage.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// A reader at the same time as a writer sees parts of the writer's texts, and no other bytes.
func TestTextReadWhileWritten(t *testing.T) {
	ipctest.NeedNames(t)
	store(t)
	x := serve(t, "", "", 10_000)
	w := ipctest.Start(t, "text")
	w.Want("ok", "open")
	w.Want("ok", "flood")
	mixed, lengths := 0, map[int]int{}
	for range 20_000 {
		s, err := x.Get()
		if err != nil {
			t.Fatal(err)
		}
		a, b := strings.Count(s, "a"), strings.Count(s, "b")
		if a+b != len(s) || len(s) > 9000 {
			t.Fatalf("read %d bytes, %.60q", len(s), s)
		}
		if a > 0 && b > 0 {
			mixed++
		}
		lengths[len(s)]++
	}
	w.Kill()
	t.Logf("of 20000 reads %d saw a mixture; %d lengths", mixed, len(lengths))
}

// If a text cannot be written up to its end, no part of it is written: the NUL is written first,
// and this fails.
func TestTextOverShrunkFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a file shrink that somebody maps")
	}
	store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	x := serve(t, "", path, 0)
	if err := x.Set(hello); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if err := x.Set(strings.Repeat("x", 9000)); !errors.Is(err, samepage.ErrCorrupt) {
		t.Errorf("a text past the end of the file: %v", err)
	}
	wantText(t, x, hello)
	if b, err := os.ReadFile(path); err != nil || strings.TrimRight(string(b), "\x00") != hello {
		t.Errorf("of the text that failed there is %.60q, %v", b, err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if s, err := x.Get(); !errors.Is(err, samepage.ErrCorrupt) {
		t.Errorf("of an empty file: %q, %v", s, err)
	}
}

func TestTextNames(t *testing.T) {
	ipctest.NeedNames(t)
	store(t)
	for _, name := range []string{"a/b", "x\x00"} {
		if _, err := text.Create(name, "", 0); !errors.Is(err, samepage.ErrName) {
			t.Errorf("Create(%q): %v", name, err)
		}
		if _, err := text.Open(name); !errors.Is(err, samepage.ErrName) {
			t.Errorf("Open(%q): %v", name, err)
		}
	}
	if _, err := text.Create("", "", -1); !errors.Is(err, samepage.ErrNegativeSize) {
		t.Errorf("-1 bytes: %v", err)
	}
	path := filepath.Join(ipctest.Dir(t), "a file")
	x := serve(t, "", path, 5000)
	if x.Name() != "ZJ" || x.Size() != 5000 {
		t.Errorf("%q has %d bytes", x.Name(), x.Size())
	}
	if runtime.GOOS == "windows" {
		e, err := ipcsync.CreateEvent("an event", &ipcsync.EventOptions{Exact: true})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if _, err := text.Create("an event", "", 0); !errors.Is(err, samepage.ErrKindMismatch) {
			t.Errorf("the name of an event: %v", err)
		}
	}
}

// Whatever other programs leave in the section, Get reads up to the first NUL, and after the next
// Set the section has only the new text.
func FuzzText(f *testing.F) {
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		f.Skip("named objects are not supported here")
	}
	f.Add([]byte("hello\x00"), "text")
	f.Add([]byte{}, "")
	f.Add(bytes.Repeat([]byte("x"), 20_000), "%s%n")
	f.Add([]byte("a\x00b\x00c"), "longer than that")
	f.Add([]byte("a"), "with \x00 inside")
	ipctest.Store(f)
	x, err := text.Create("fuzz", "", 12_288)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = x.Close() })
	m, err := samepage.Open("fuzz", &samepage.Options{Exact: runtime.GOOS == "windows"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = m.Close() })
	f.Fuzz(func(t *testing.T, there []byte, s string) {
		all := make([]byte, m.Size())
		copy(all, there)
		if _, err := m.WriteAt(all, 0); err != nil {
			t.Fatal(err)
		}
		want, _, ok := bytes.Cut(all, []byte{0})
		if got, err := x.Get(); ok && (err != nil || got != string(want)) || !ok && !errors.Is(err, samepage.ErrCorrupt) {
			t.Fatalf("read %.60q, %v, of %.60q", got, err, all)
		}
		if err := x.Set(s); err != nil {
			if !strings.Contains(s, "\x00") && len(s) < len(all) {
				t.Fatal(err)
			}
			if !bytes.Equal(bytesOf(t, m), all) {
				t.Fatal("a text that was refused has changed the section")
			}
			return
		}
		wantText(t, x, s)
		wantOnly(t, m, s)
	})
}

// A waiting client gets the text of a server that starts later, or the error of its context if no
// server starts.
func TestTextAwait(t *testing.T) {
	store(t)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := text.Await(short, "")
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded, `"ZJ"`)
	got := make(chan string, 1)
	go func() {
		x, err := text.Await(t.Context(), "")
		if err != nil {
			got <- err.Error()
			return
		}
		s, err := x.Get()
		got <- fmt.Sprint(s, err, x.Close())
	}()
	c := ipctest.Start(t, "text")
	c.Want("ok", "serve")
	if s := <-got; s != "<nil> <nil>" {
		t.Errorf("the client says %q", s)
	}
	_, err = text.Await(t.Context(), "no/name")
	ipctest.WantErr(t, err, samepage.ErrName)
}
