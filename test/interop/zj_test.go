//go:build interop

package interop

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

const (
	hello  = "hello my first mapping file!"
	second = "second data!"
)

// The command reads what a C++ program put into its section, and the other way.
func TestCommandWithServer(t *testing.T) {
	for _, over := range []string{"file", "page file"} {
		t.Run(over, func(t *testing.T) {
			path := filepath.Join(ipctest.Dir(t), "zj.dat")
			server := start(t, "zj")
			if over == "file" {
				server.Want("ok", "serve %s", path)
			} else {
				server.Want("ok", "anonymous")
			}
			server.Want("ok", "write %s", hello)
			if got := samepageRun(t, "", "cat", "--exact", "ZJ"); strings.TrimRight(got, "\x00") != hello || len(got) != 1<<20 {
				t.Errorf("cat --exact ZJ prints %d bytes, %.40q", len(got), got)
			}
			samepageRun(t, second+"\x00", "put", "--exact", "ZJ")
			server.Want("ok "+second, "print")
			if got := samepageRun(t, "", "cat", "--exact", "ZJ", "--offset", "7", "--length", "4"); got != "data" {
				t.Errorf("a part of ZJ is %q", got)
			}
			server.Wait()
			if over == "file" {
				b, err := os.ReadFile(path)
				if err != nil || len(b) != 1<<20 || !strings.HasPrefix(string(b), second) {
					t.Errorf("the file has %d bytes, %v", len(b), err)
				}
			}
		})
	}
}

// The library as the server of a C++ client.
func TestLibraryServesClient(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	m, err := samepage.Create("ZJ", 1<<20, &samepage.Options{Exact: true, File: path, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.WriteAt([]byte(hello+"\x00"), 0); err != nil {
		t.Fatal(err)
	}
	client := start(t, "zj")
	client.Want("ok", "client")
	client.Want("ok "+hello, "print")
	client.Want("ok", "write %s", second)
	b := make([]byte, len(second)+1)
	if _, err := m.ReadAt(b, 0); err != nil || string(b) != second+"\x00" {
		t.Errorf("the client wrote %q, %v", b, err)
	}
	other := start(t, "zj")
	other.Want("err CreateFile 32", "serve %s", path) // exclusive is exclusive
	other.Want("err CreateFileMapping 183", "anonymous")
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// A Win32 event between the two.
func TestEventWithCpp(t *testing.T) {
	e, err := ipcsync.CreateEvent("BaseImageMutex", &ipcsync.EventOptions{Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c := start(t, "zj")
	c.Want("ok", "event BaseImageMutex")
	if err := e.Set(); err != nil {
		t.Fatal(err)
	}
	c.Want("ok signalled", "wait")
	c.Want("ok", "set")
	ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
	defer cancel()
	if err := e.Wait(ctx); err != nil {
		t.Error(err)
	}
	if ok, err := e.TryWait(); ok || err != nil {
		t.Errorf("an auto-reset event stays set: %v, %v", ok, err)
	}
}
