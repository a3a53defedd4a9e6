//go:build interop

package interop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/text"
)

// exchange sends a thousand texts, each of which the other side must find, and which go
// alternately from C++ to Go and from Go to C++.
func exchange(t *testing.T, x *text.Text, c *ipctest.Child) {
	t.Helper()
	wrong := 0
	n := ipctest.Exchanges(t)
	for i := range n {
		s := fmt.Sprintf("%d%% %%n%%s %s", i, strings.Repeat("x", i*7%1000))
		if i%2 == 0 {
			c.Want("ok", "write %s", s)
			if got, err := x.Get(); err != nil || got != s {
				wrong++
			}
			continue
		}
		if err := x.Set(s); err != nil {
			t.Fatal(err)
		}
		if c.Ask("print") != "ok "+s {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d texts arrived wrong", wrong, n)
	}
	// What the longer texts of C++ have left behind the shorter is gone.
	c.Want("ok 0", "behind")
}

func TestMission001_03_04_TextWithCpp(t *testing.T) {
	for _, over := range []string{"file", "page file"} {
		t.Run("Go serves, "+over, func(t *testing.T) {
			path := ""
			if over == "file" {
				path = filepath.Join(ipctest.Dir(t), "zj.dat")
				if err := os.WriteFile(path, []byte(strings.Repeat("old", 1<<20)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			x, err := text.Create("", path, 0)
			if err != nil {
				t.Fatal(err)
			}
			client := start(t, "zj")
			client.Want("ok", "client")
			client.Want("ok", "print") // nothing of the old file
			client.Want("ok 0", "behind")
			if err := x.Set(hello); err != nil {
				t.Fatal(err)
			}
			client.Want("ok "+hello, "print")
			client.Want("ok", "write %s", second)
			if got, err := x.Get(); err != nil || got != second {
				t.Errorf("the client wrote %q, %v", got, err)
			}
			exchange(t, x, client)

			other := start(t, "zj")
			if path != "" {
				other.Want("err CreateFile 32", "serve %s", path)
			}
			other.Want("err CreateFileMapping 183", "anonymous")
			client.Want("ok", "write %s", hello)
			client.Kill() // as it likes
			if got, err := x.Get(); err != nil || got != hello {
				t.Errorf("after the client's death the text is %q, %v", got, err)
			}
			other.Kill()
			if err := x.Close(); err != nil {
				t.Error(err)
			}
			if path != "" {
				b, err := os.ReadFile(path)
				if err != nil || len(b) != text.DefaultSize || !strings.HasPrefix(string(b), hello+"\x00") {
					t.Errorf("the file has %d bytes, %.40q, %v", len(b), b, err)
				}
			}
			if _, err := text.Open(""); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after all have ended: %v", err)
			}
		})

		t.Run("C++ serves, "+over, func(t *testing.T) {
			dir := ipctest.Dir(t)
			path, own := filepath.Join(dir, "zj.dat"), filepath.Join(dir, "own.dat")
			if err := os.WriteFile(own, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			server := start(t, "zj")
			if over == "file" {
				server.Want("ok", "serve %s", path)
			} else {
				server.Want("ok", "anonymous")
			}
			server.Want("ok", "write %s", hello)
			for _, file := range []string{path, own, ""} {
				if _, err := text.Create("", file, 0); !errors.Is(err, fs.ErrExist) {
					t.Errorf("a second server over %q: %v", file, err)
				}
			}
			if b, err := os.ReadFile(own); err != nil || string(b) != "precious" {
				t.Errorf("the second server's file has %q, %v", b, err)
			}
			x, err := text.Open("")
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if got, err := x.Get(); err != nil || got != hello || x.Size() != text.DefaultSize {
				t.Errorf("the server wrote %q, %v, into %d bytes", got, err, x.Size())
			}
			if err := x.Set(second); err != nil {
				t.Fatal(err)
			}
			server.Want("ok "+second, "print")
			server.Want("ok 0", "behind")
			exchange(t, x, server)

			server.Want("ok", "fill")
			if got, err := x.Get(); !errors.Is(err, samepage.ErrCorrupt) {
				t.Errorf("without a NUL: %.40q, %v", got, err)
			}
			if err := x.Set(hello); err != nil {
				t.Fatal(err)
			}
			server.Want("ok "+hello, "print")
			server.Want("ok 0", "behind")
			server.Kill()
			if got, err := x.Get(); err != nil || got != hello {
				t.Errorf("after the server's death the text is %q, %v", got, err)
			}
			client := start(t, "zj")
			client.Want("ok", "client") // the name goes with the last handle
			client.Want("ok "+hello, "print")
		})
	}
}

// The command in both roles.
func TestMission001_03_04_TextCommandWithCpp(t *testing.T) {
	server := start(t, "zj")
	server.Want("ok", "anonymous")
	server.Want("ok", "write %s", hello)
	if got := samepageRun(t, "", "legacy", "text", "get"); got != hello {
		t.Errorf("the command reads %q", got)
	}
	samepageRun(t, "", "legacy", "text", "set", "ZJ", second)
	server.Want("ok "+second, "print")
	samepageRun(t, hello, "legacy", "text", "set", "ZJ", "-")
	server.Want("ok "+hello, "print")
	server.Want("ok 0", "behind")
	server.Kill()

	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	cmd := exec.Command(program(t, "samepage"), "legacy", "text", "serve", "--file", path, "--every", "100ms")
	serving := ipctest.StartCmd(t, cmd)
	serving.Send("%s", hello)
	serving.EndInput()
	got := serving.Line()
	for got == "" { // it may print before it has read
		got = serving.Line()
	}
	if got != hello {
		t.Errorf("the command prints %q first", got)
	}
	client := start(t, "zj")
	client.Want("ok", "client")
	client.Want("ok "+hello, "print")
	if got := client.Line(); got != "" { // the line end that it was sent with
		t.Errorf("behind the text there is %q", got)
	}
	client.Want("ok", "write %s", second)
	for got := serving.Line(); got != second; got = serving.Line() {
		if got != hello {
			t.Fatalf("the command prints %q", got)
		}
	}
}
