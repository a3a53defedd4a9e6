package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	lib "samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// answers waits for a line of a program that matches, and returns its first group. The program ends
// with the test.
func answers(t *testing.T, pattern string, args ...string) string {
	t.Helper()
	c := exec.Command(args[0], args[1:]...)
	errs, err := c.StderrPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Start())
	t.Cleanup(func() { _, _ = c.Process.Kill(), c.Wait() })
	said, lines := "", bufio.NewScanner(errs)
	for lines.Scan() {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, errs) }()
			return m[1]
		}
		said += lines.Text() + "\n"
	}
	t.Fatalf("%s says no %s:\n%s", args[0], pattern, said)
	return ""
}

// Prometheus reads the metrics of samepage metrics --listen, in the format that it prefers. Each
// query of the dashboard finds values, and the alerts can be evaluated.
func TestMetricsPrometheus(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("prometheus is not installed")
	}
	keep := func(c io.Closer, err error) {
		t.Helper()
		ipctest.NoErr(t, err)
		t.Cleanup(func() { _ = c.Close() })
	}
	p, err := pubsub.CreatePublisher("lines", &pubsub.Options{NamedReaders: 1})
	keep(p, err)
	ipctest.NoErr(t, p.Send(t.Context(), []byte("message")))
	keep(pubsub.OpenSubscriber("lines", &pubsub.SubscriberOptions{Reader: "logger"}))
	w, err := cell.CreateWriter("exposure", 8, nil)
	keep(w, err)
	ipctest.NoErr(t, w.Set(t.Context(), []byte("12")))
	keep(rpc.CreateWorker("upper", nil))
	keep(stream.Listen("web", nil))
	keep(ipcsync.CreateMutex("\"hostile\"\n\x1b name", nil))
	keep(lib.Create("picture", 8, nil))

	target := answers(t, `metrics at http://(\S+)/metrics$`, "samepage", "metrics", "--listen", "127.0.0.1:0")
	dir := ipctest.Dir(t)
	alerts, err := filepath.Abs("../../docs/observe/alerts.yml")
	ipctest.NoErr(t, err)
	config := fmt.Sprintf("global: {scrape_interval: 100ms, evaluation_interval: 100ms}\nrule_files: [%q]\nscrape_configs:\n- job_name: samepage\n  static_configs: [{targets: [%q]}]\n", alerts, target)
	ipctest.NoErr(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	at := answers(t, `msg="Listening on" address=(\S+)`, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")

	// ask repeats a request until its answer is right.
	ask := func(path string, answer any, right func() bool) {
		t.Helper()
		for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			a, err := http.Get("http://" + at + path)
			ipctest.NoErr(t, err)
			b, err := io.ReadAll(a.Body)
			ipctest.NoErr(t, err)
			_ = a.Body.Close()
			if a.StatusCode == http.StatusOK {
				if err := json.Unmarshal(b, answer); err == nil && right() {
					return
				}
			} else if a.StatusCode != http.StatusServiceUnavailable { // until it is ready
				t.Fatalf("%s: %s: %s", path, a.Status, b)
			}
			if time.Since(begun) > ipctest.Patience {
				t.Fatalf("%s: at last %s", path, b)
			}
		}
	}
	var targets struct {
		Data struct {
			ActiveTargets []struct{ Health, LastError string }
		}
	}
	ask("/api/v1/targets", &targets, func() bool {
		all := targets.Data.ActiveTargets
		if len(all) == 1 && all[0].Health == "down" {
			t.Fatalf("prometheus cannot read the metrics: %s", all[0].LastError)
		}
		return len(all) == 1 && all[0].Health == "up"
	})
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	b, err := os.ReadFile("../../docs/observe/dashboard.json")
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, json.Unmarshal(b, &d))
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$name", ".*").Replace(q.Expr)
			var found struct {
				Data struct{ Result []json.RawMessage }
			}
			ask("/api/v1/query?query="+url.QueryEscape(expr), &found, func() bool {
				return len(found.Data.Result) > 0 || strings.HasSuffix(expr, "> 0") // which is true of nothing here
			})
		}
	}
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	ask("/api/v1/rules", &rules, func() bool {
		n := 0
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" {
					t.Fatalf("alert %s: %s", r.Name, r.LastError)
				}
				if r.Health == "ok" {
					n++
				}
			}
		}
		return n >= 5
	})
}
