package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"samepage/cmd/samepage/internal/bridge"
	"samepage/internal/ipctest"
)

// bridgeCommand is a bridge that runs.
type bridgeCommand struct {
	*exec.Cmd
	t   testing.TB
	out *bufio.Scanner
}

// startBridge starts samepage bridge with the objects in dir, which is a machine of its own.
func startBridge(t testing.TB, dir string, args ...string) *bridgeCommand {
	t.Helper()
	c := exec.Command("samepage", append([]string{"bridge", "--json"}, args...)...)
	c.Env = append(os.Environ(), "SAMEPAGE_DIR="+dir)
	out, err := c.StdoutPipe()
	ipctest.NoErr(t, err)
	c.Stderr = os.Stderr
	ipctest.NoErr(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return &bridgeCommand{c, t, bufio.NewScanner(out)}
}

// event waits for an event.
func (b *bridgeCommand) event(what string) bridge.Event {
	b.t.Helper()
	for b.out.Scan() {
		var e bridge.Event
		if json.Unmarshal(b.out.Bytes(), &e) == nil && e.What == what {
			return e
		}
	}
	b.t.Fatalf("the bridge has ended without %q", what)
	return bridge.Event{}
}

// Two machines, which are two directories of objects: a topic crosses, with its end and its name.
// When the bridge that publishes is killed, far subscribers learn it. A topic of another type is
// refused.
func TestBridge(t *testing.T) {
	ipctest.NeedNames(t)
	near, far := ipctest.Store(t), ipctest.Store(t)
	on := func(dir string, input string, args ...string) (string, error) {
		c := exec.Command("samepage", args...)
		c.Env = append(os.Environ(), "SAMEPAGE_DIR="+dir)
		c.Stdin = strings.NewReader(input)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	a := startBridge(t, near, "publish", "t", "u*", "--serve", "127.0.0.1:0", "--rename", "t=log", "--policy", "wait")
	url := "nats://" + a.event("serving").Text
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ipctest.NoErr(t, err)
	metrics := l.Addr().String()
	ipctest.NoErr(t, l.Close())
	b := startBridge(t, far, "subscribe", "*", "--nats", url, "--prefix", "near.", "--silence", "1s", "--metrics", metrics)
	got := make(chan string)
	go func() {
		out, _ := on(far, "", "sub", "near.log", "-q")
		got <- out
	}()
	if out, err := on(near, "one\ntwo\nthree\n", "pub", "t", "-q"); err != nil {
		t.Fatal(out)
	}
	if out := <-got; out != "one\ntwo\nthree\n" {
		t.Errorf("%q", out)
	}
	if e := b.event("ended"); e.Topic != "near.log" {
		t.Errorf("%+v", e)
	}
	r, err := http.Get("http://" + metrics + "/metrics")
	ipctest.NoErr(t, err)
	text, err := io.ReadAll(r.Body)
	ipctest.NoErr(t, errors.Join(err, r.Body.Close()))
	if want := `samepage_bridge_messages_total{way="subscribe",name="near.log",far="log"} 3`; !strings.Contains(string(text), want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+metrics+"/metrics", nil)
	ipctest.NoErr(t, err)
	q.Host = "example.org"
	r, err = http.DefaultClient.Do(q)
	ipctest.NoErr(t, err)
	if r.StatusCode != http.StatusForbidden {
		t.Error(r.Status)
	}
	ipctest.NoErr(t, r.Body.Close())

	// The bridge dies.
	c := exec.Command("samepage", "pub", "u1", "-q")
	c.Env = append(os.Environ(), "SAMEPAGE_DIR="+near)
	in, err := c.StdinPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Start())
	defer func() { _ = c.Wait() }()
	defer func() { _ = in.Close() }()
	_, err = io.WriteString(in, "x\n")
	ipctest.NoErr(t, err)
	sub := exec.Command("samepage", "sub", "near.u1", "-q")
	sub.Env = append(os.Environ(), "SAMEPAGE_DIR="+far)
	var died strings.Builder
	sub.Stderr = &died
	out, err := sub.StdoutPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, sub.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "x\n" {
		t.Error(line, err)
	}
	ipctest.NoErr(t, a.Process.Kill())
	b.event("disconnected")
	a = startBridge(t, near, "publish", "other", "--serve", strings.TrimPrefix(url, "nats://"))
	a.event("serving")
	if err := sub.Wait(); err == nil || !strings.Contains(died.String(), "has died") {
		t.Errorf("%v: %q", err, died.String())
	}
}
