package main

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

// Requests are answered in the format that the client accepts. An answer is at most a second old.
func TestMetricsListen(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := exec.Command("samepage", "metrics", "--listen", "127.0.0.1:0")
	errs, err := c.StderrPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Start())
	t.Cleanup(func() { _, _ = c.Process.Kill(), c.Wait() })
	line, err := bufio.NewReader(errs).ReadString('\n')
	_, at, ok := strings.Cut(strings.TrimSpace(line), "metrics at ")
	if err != nil || !ok {
		t.Fatalf("it says %q, %v", line, err)
	}
	get := func(url, accept, host string) (status int, content, body string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, url, nil)
		ipctest.NoErr(t, err)
		r.Header.Set("Accept", accept)
		r.Host = host
		a, err := http.DefaultClient.Do(r)
		ipctest.NoErr(t, err)
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		ipctest.NoErr(t, err)
		return a.StatusCode, a.Header.Get("Content-Type"), string(b)
	}
	status, content, body := get(at, "", "")
	if status != http.StatusOK || !strings.HasPrefix(content, "text/plain; version=0.0.4") || !strings.Contains(body, "samepage_objects{kind=\"event\",scope=\"local\"} 0\n") {
		t.Errorf("%d, %s:\n%s", status, content, body)
	}
	if _, errs, code := command(t, "event", "set", "e"); code != 0 {
		t.Fatal(errs)
	}
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		status, content, body = get(at, "application/openmetrics-text", "[::1]:80")
		if strings.Contains(body, "samepage_objects{kind=\"event\",scope=\"local\"} 1\n") || time.Since(begun) > ipctest.Patience {
			break
		}
	}
	if status != http.StatusOK || !strings.HasPrefix(content, "application/openmetrics-text") || !strings.HasSuffix(body, "# EOF\n") ||
		!strings.Contains(body, "samepage_objects{kind=\"event\",scope=\"local\"} 1\n") {
		t.Errorf("%d, %s:\n%s", status, content, body)
	}
	if status, _, _ := get(strings.TrimSuffix(at, "/metrics"), "", "localhost"); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
	if status, _, body := get(at, "", "elsewhere.example:80"); status != http.StatusForbidden {
		t.Errorf("for another host: %d, %s", status, body)
	}
}
