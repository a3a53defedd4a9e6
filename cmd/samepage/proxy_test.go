package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// startProxy starts a proxy, and returns the address at which it listens.
func startProxy(t *testing.T, args ...string) (c *exec.Cmd, out *bytes.Buffer, at string) {
	t.Helper()
	c, out = exec.Command("samepage", append([]string{"proxy", "--json"}, args...)...), new(bytes.Buffer)
	c.Stdout = out
	errs, err := c.StderrPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Start())
	t.Cleanup(func() { _, _ = c.Process.Kill(), c.Wait() })
	line, err := bufio.NewReader(errs).ReadString('\n')
	_, at, ok := strings.Cut(strings.TrimSpace(line), "listens at ")
	if err != nil || !ok {
		t.Fatalf("the proxy says %q, %v", line, err)
	}
	return c, out, at
}

// A TCP client reaches a TCP server through two proxies and a listener in shared memory. Both
// directions end apart, also with megabytes.
func TestProxy(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	server, err := net.Listen("tcp", "127.0.0.1:0")
	ipctest.NoErr(t, err)
	defer server.Close()
	go func() { // answers when the stream of its client has ended
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b, err := io.ReadAll(c)
				if err == nil {
					_, _ = c.Write(bytes.ToUpper(b))
				}
			}()
		}
	}()
	startProxy(t, "--listen", "stream:p", "--to", "tcp:"+server.Addr().String())
	outer, out, at := startProxy(t, "--listen", "tcp:127.0.0.1:0", "--to", "stream:p")
	_, address, _ := strings.Cut(at, ":")
	texts := []string{"", "hello", strings.Repeat("large ", 1<<20)}
	for _, text := range texts {
		c, err := net.Dial("tcp", address)
		ipctest.NoErr(t, err)
		go func() {
			_, _ = io.WriteString(c, text)
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || string(got) != strings.ToUpper(text) {
			t.Errorf("%d bytes came back for %d, %v", len(got), len(text), err)
		}
		ipctest.NoErr(t, c.Close())
	}
	if runtime.GOOS == "windows" {
		return // os.Interrupt cannot be sent there
	}
	ipctest.NoErr(t, outer.Process.Signal(os.Interrupt))
	var exit *exec.ExitError
	if err := outer.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("after Ctrl-C: %v", err)
	}
	var r proxied
	ipctest.NoErr(t, json.Unmarshal(out.Bytes(), &r))
	if n := int64(5 + 6<<20); r.Connections != uint64(len(texts)) || r.Failed != 0 || r.There != n || r.Back != n {
		t.Errorf("%+v", r)
	}
}

// A proxy without a server behind it goes on. Addresses that make no sense are refused.
func TestProxyUsage(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, _, at := startProxy(t, "--listen", "tcp:127.0.0.1:0", "--to", "stream:nobody")
	_, address, _ := strings.Cut(at, ":")
	for range 3 {
		c, err := net.Dial("tcp", address)
		ipctest.NoErr(t, err)
		if b, _ := io.ReadAll(c); len(b) != 0 {
			t.Errorf("%q came from nobody", b)
		}
		_ = c.Close()
	}
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"--listen", "stream:", "--to", "stream:b"}, `--listen "stream:": want stream:NAME, unix:PATH or tcp:HOST:PORT`},
		{[]string{"--listen", "stream:a", "--to", "http://b"}, `--to "http://b": want stream:NAME`},
		{[]string{"--listen", "stream:a"}, `--to "": want stream:NAME`},
		{[]string{"--listen", "stream:a", "--to", "stream:b", "more"}, `no arguments are expected`},
	} {
		_, stderr, code := command(t, append([]string{"proxy"}, x.args...)...)
		if code != exitUsage || !strings.Contains(stderr, x.want) {
			t.Errorf("%q: code %d, %s", x.args, code, stderr)
		}
	}
}
