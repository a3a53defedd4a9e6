package main

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// startWeb starts the command web, and returns the address of its page.
func startWeb(t *testing.T, args ...string) (c *exec.Cmd, address string) {
	t.Helper()
	c = exec.Command("samepage", append([]string{"web", "--listen", "127.0.0.1:0"}, args...)...)
	ownGroup(c)
	out, err := c.StdoutPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Start())
	t.Cleanup(func() { _, _ = c.Process.Kill(), c.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	ipctest.NoErr(t, err)
	return c, strings.TrimSpace(line)
}

// The command serves the page and the state, to those who have the token if there is one, and ends
// with Ctrl-C even while a client gets events.
func TestWeb(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m, err := samepage.Create("one", 8, nil)
	ipctest.NoErr(t, err)
	defer m.Close()
	c, address := startWeb(t, "--token", "correct horse")
	get := func(path, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, address+path, nil)
		ipctest.NoErr(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		ipctest.NoErr(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		ipctest.NoErr(t, err)
		return resp.StatusCode, string(b)
	}
	if code, body := get("api/state", "correct horse"); code != 200 || !strings.Contains(body, `"name":"one"`) {
		t.Errorf("the state: %d %s", code, body)
	}
	if code, body := get("", "correct horse"); code != 200 || !strings.Contains(body, "<title>samepage</title>") {
		t.Errorf("the page: %d %s", code, body)
	}
	if code, body := get("api/state", "wrong"); code != 401 || strings.Contains(body, "one") {
		t.Errorf("a wrong token: %d %s", code, body)
	}
	r, err := http.NewRequest(http.MethodGet, address+"api/events", nil)
	ipctest.NoErr(t, err)
	r.Header.Set("Authorization", "Bearer correct horse")
	events, err := http.DefaultClient.Do(r)
	ipctest.NoErr(t, err)
	defer events.Body.Close()
	if line, err := bufio.NewReader(events.Body).ReadString('\n'); line != "event: state\n" {
		t.Errorf("events begin with %q, %v", line, err)
	}
	if err := interrupt(c); err != nil {
		t.Skip("this system has no Ctrl-Break for the process group: ", err) // Wine without a console
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
}
