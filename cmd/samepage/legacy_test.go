package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/text"
)

// A server has its first text from standard input, prints it again and again, and what
// a client makes of it.
func TestLegacyTextServe(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Alone(t, text.DefaultName)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	for _, asJSON := range []string{"--json=false", "--json"} {
		c := ipctest.StartCmd(t, exec.Command("samepage", "legacy", "text", "serve", "--file", path, "--every", "20ms", asJSON))
		next := func() string {
			l := c.Line()
			if asJSON == "--json" {
				var v struct{ Name, Text string }
				if err := json.Unmarshal([]byte(l), &v); err != nil || v.Name != "ZJ" {
					t.Fatalf("%q: %v", l, err)
				}
				return v.Text
			}
			return l
		}
		if got := next(); got != "" {
			t.Errorf("before there is a text it prints %q", got)
		}
		c.Send("hello %%n")
		c.EndInput()
		got := next()
		for ; got == ""; got = next() {
		}
		if strings.TrimSuffix(got, "\n") != "hello %n" {
			t.Errorf("prints %q first", got)
		}
		x, err := text.Open("")
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Set("second data!"); err != nil {
			t.Fatal(err)
		}
		for got != "second data!" {
			if got = strings.TrimSuffix(next(), "\n"); got != "second data!" && got != "hello %n" {
				t.Fatalf("prints %q", got)
			}
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if runtime.GOOS == "linux" {
			if err := c.Cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if st := c.Wait(); st.ExitCode() != 0 {
				t.Errorf("after Ctrl-C: %v", st)
			}
		}
		c.Kill()
		b, err := os.ReadFile(path)
		if err != nil || len(b) != text.DefaultSize || strings.TrimRight(string(b), "\x00") != "second data!" {
			t.Errorf("the file has %d bytes, %.40q, %v", len(b), b, err)
		}
	}
}

func TestLegacyHandleRead(t *testing.T) {
	ipctest.NeedNames(t)
	m, err := samepage.CreateUnnamed(5000, &samepage.Options{Init: []byte("some bytes")})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v, err := samepage.OfferHandle(m, samepage.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	read := func(args ...string) (string, string, int) {
		return command(t, append([]string{"legacy", "handle", "read", fmt.Sprint(os.Getpid()), fmt.Sprintf("%#x", v)}, args...)...)
	}
	if out, errs, code := read("--size", "5000"); code != 0 || len(out) != 5000 || !strings.HasPrefix(out, "some bytes") {
		t.Errorf("reads %d bytes, %.20q, exit code %d, %s", len(out), out, code, errs)
	}
	if out, errs, code := read("--offset", "5", "--length", "5"); code != 0 || out != "bytes" {
		t.Errorf("reads %.20q, exit code %d, %s", out, code, errs)
	}
	if out, errs, code := read("--length", "4", "--json"); code != 0 || !strings.Contains(out, `"data":"c29tZQ=="`) {
		t.Errorf("prints %s, exit code %d, %s", out, code, errs)
	}
	for args, want := range map[[2]string]int{{"--size", "1M"}: 1, {"--offset", "1M"}: 11, {"--length", "1M"}: 11} {
		if out, errs, code := read(args[:]...); code != want || out != "" || !strings.HasPrefix(errs, "samepage: ") {
			t.Errorf("%q: prints %q, exit code %d, %s", args, out, code, errs)
		}
	}
}
