package web

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

func TestMain(m *testing.M) { ipctest.Main(m, nil) }

// get sends a request to a handler. header is a name and a value, for each header.
func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const here = "http://127.0.0.1:7070"

// The state is what inspect tells, as JSON. The second one has rates.
func TestState(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, err := pubsub.CreatePublisher("<script>\u202e", &pubsub.Options{MaxSize: 8})
	ipctest.NoErr(t, err)
	defer p.Close()
	h := newServer(nil, &watch{snapshot: func() (*inspect.State, error) { return inspect.Snapshot(nil) }, interval: 1})
	for i := range 2 {
		var s struct {
			Objects []struct {
				Info struct{ Name string }
				Rate *struct{ Count uint64 }
			}
		}
		w := get(h, here+"/api/state")
		ipctest.NoErr(t, json.Unmarshal(w.Body.Bytes(), &s))
		for i > 0 && len(s.Objects) == 1 && s.Objects[0].Rate == nil { // until the clock goes on
			w = get(h, here+"/api/state")
			ipctest.NoErr(t, json.Unmarshal(w.Body.Bytes(), &s))
		}
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || len(s.Objects) != 1 ||
			s.Objects[0].Info.Name != "<script>\u202e" || (s.Objects[0].Rate != nil) != (i > 0) {
			t.Errorf("look %d: %d, %s", i, w.Code, w.Body)
		}
	}
}

// event is one server-sent event.
type event struct{ kind, data string }

func next(t *testing.T, r *bufio.Reader) (e event) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		ipctest.NoErr(t, err)
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			return e
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "event":
			e.kind = value
		case "data":
			e.data = value
		}
	}
}

// The metrics are there in the format that the client accepts.
func TestMetrics(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	h := Handler(nil)
	if w := get(h, here+"/metrics"); w.Code != 200 || !strings.HasPrefix(w.Body.String(), "# HELP samepage_") || strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(h, here+"/metrics", "Accept", "application/openmetrics-text"); !strings.HasPrefix(w.Header().Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// All clients get the same snapshots, and nobody takes any when there are no clients. A snapshot
// that fails is told, and the next one comes.
func TestEvents(t *testing.T) {
	var looks atomic.Int64
	h := newServer(nil, &watch{interval: time.Millisecond, snapshot: func() (*inspect.State, error) {
		if looks.Add(1) == 3 {
			return nil, errors.New("no\nluck")
		}
		return &inspect.State{At: time.Now()}, nil
	}})
	s := httptest.NewServer(h)
	defer s.Close()
	seen := map[string]int{}
	for range 2 {
		r, err := http.Get(s.URL + "/api/events")
		ipctest.NoErr(t, err)
		if r.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("the type is %q", r.Header.Get("Content-Type"))
		}
		b := bufio.NewReader(r.Body)
		for range 5 {
			e := next(t, b)
			seen[e.kind]++
			if e.kind == "failed" && e.data != `"no\nluck"` {
				t.Errorf("%+v", e)
			}
		}
		ipctest.NoErr(t, r.Body.Close())
	}
	if seen["failed"] != 1 || seen["state"] != 9 {
		t.Errorf("events: %v", seen)
	}
	// The server notices that a client has gone when it sends. Then the looks end.
	for begun := time.Now(); ; {
		n := looks.Load()
		time.Sleep(50 * time.Millisecond)
		if looks.Load() == n {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("snapshots are taken, and nobody looks")
		}
	}
}

// No more clients than mostStreams get events.
func TestTooManyStreams(t *testing.T) {
	s := httptest.NewServer(newServer(nil, &watch{interval: time.Hour, snapshot: func() (*inspect.State, error) { return &inspect.State{}, nil }}))
	defer s.Close()
	for i := range mostStreams + 1 {
		r, err := http.Get(s.URL + "/api/events")
		ipctest.NoErr(t, err)
		defer r.Body.Close()
		if want := i < mostStreams; (r.StatusCode == 200) != want {
			t.Errorf("client %d: %s", i, r.Status)
		}
	}
}

// One snapshot serves all who ask in one interval.
func TestSharedSnapshot(t *testing.T) {
	looks := 0
	w := &watch{interval: time.Hour, snapshot: func() (*inspect.State, error) { looks++; return &inspect.State{}, nil }}
	h := newServer(nil, w)
	for range 10 {
		if r := get(h, here+"/api/state"); r.Code != 200 {
			t.Errorf("%d %s", r.Code, r.Body)
		}
	}
	if looks != 1 {
		t.Errorf("%d snapshots", looks)
	}
}

// The page and all its files are served, and ask only for files that are there. Nothing else is.
func TestFiles(t *testing.T) {
	h := Handler(nil)
	root := get(h, here+"/")
	if root.Code != 200 || !strings.HasPrefix(root.Header().Get("Content-Type"), "text/html") {
		t.Errorf("the page: %d, %s", root.Code, root.Header())
	}
	asked := regexp.MustCompile(`(?:href|src)="(page/[^"]+)"`).FindAllStringSubmatch(root.Body.String(), -1)
	if len(asked) < 4 {
		t.Errorf("the page asks for %q", asked)
	}
	for _, a := range asked {
		if w := get(h, here+"/"+a[1]); w.Code != 200 {
			t.Errorf("%s: %d", a[1], w.Code)
		}
	}
	imports := regexp.MustCompile(`from "\./([^"]+)"`)
	ipctest.NoErr(t, fs.WalkDir(files, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(name)
		ipctest.NoErr(t, err)
		w := get(h, here+"/"+name)
		if w.Code != 200 || !strings.HasSuffix(name, "/index.html") && w.Body.String() != string(b) {
			if path.Base(name) != "index.html" {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		for _, m := range imports.FindAllStringSubmatch(string(b), -1) {
			if _, err := files.ReadFile(path.Join(path.Dir(name), m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if path.Base(path.Dir(name)) != "uplot" && regexp.MustCompile(`https?://`).MatchString(strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "")) {
			t.Errorf("%s names an address elsewhere", name)
		}
		return nil
	}))
	for _, p := range []string{"/page/", "/page/uplot/", "/page/none", "/page/../handler.go", "/page/%2e%2e/handler.go", "/none", "/api", "/api/", "/api/none", "/page/uplot%00"} {
		if w := get(h, here+p); w.Code == 200 {
			t.Errorf("%s: %d, %s", p, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest(http.MethodPost, here+"/api/state", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// The handler works below a prefix.
func TestPrefix(t *testing.T) {
	m := http.NewServeMux()
	m.Handle("/debug/samepage/", http.StripPrefix("/debug/samepage", Handler(&Options{Token: "correct horse"})))
	s := httptest.NewServer(m)
	defer s.Close()
	c := s.Client()
	c.Jar = jar{}
	for _, step := range []struct {
		path string
		code int
	}{{"/", 401}, {"/page/style.css", 200}, {"/api/state", 401}, {"/?token=wrong", 401}, {"/?token=correct+horse", 200}, {"/api/state", 200}} {
		r, err := c.Get(s.URL + "/debug/samepage" + step.path)
		ipctest.NoErr(t, err)
		_, err = io.Copy(io.Discard, r.Body)
		ipctest.NoErr(t, errors.Join(err, r.Body.Close()))
		if r.StatusCode != step.code || r.Request.URL.Path != "/debug/samepage"+strings.SplitN(step.path, "?", 2)[0] {
			t.Errorf("%s: %s from %s", step.path, r.Status, r.Request.URL)
		}
	}
}

// The processes that have mapped an object are there by its ID, on Linux.
func TestShares(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m, err := samepage.Create("m", 1<<20, nil)
	ipctest.NoErr(t, err)
	defer m.Close()
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer v.Close()
	clear(v.Bytes())
	h := Handler(nil)
	w := get(h, here+"/api/shares/"+m.ID().String())
	var all []inspect.Share
	switch {
	case runtime.GOOS != "linux":
		if w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	case w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &all) != nil || len(all) != 1 || all[0].PID != os.Getpid() || all[0].Resident != 1<<20:
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, id := range []string{"none", samepage.ID{}.String(), "a/b"} {
		if w := get(h, here+"/api/shares/"+id); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", id, w.Code, w.Body)
		}
	}
}

// The metrics alone are there with the labels of the user, of the objects that the user wants, for
// the hosts that are allowed.
func TestMetricsAlone(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, name := range []string{"a", "b"} {
		m, err := samepage.Create(name, 8, nil)
		ipctest.NoErr(t, err)
		defer m.Close()
	}
	h := Metrics(&Options{Match: func(i *samepage.Info) bool { return i.Name == "b" }, Labels: map[string]string{"user": "u"}, Hosts: []string{AnyHost}})
	w := get(h, "http://elsewhere.example/metrics")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `user="u"`) || strings.Contains(w.Body.String(), `name="a"`) || !strings.Contains(w.Body.String(), `name="b"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/", "/api/state", "/page/main.js"} {
		if w := get(h, here+path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := get(Metrics(nil), "http://elsewhere.example/metrics"); w.Code != http.StatusForbidden {
		t.Errorf("another host: %d", w.Code)
	}
	if w := get(Metrics(&Options{Labels: map[string]string{"no name": ""}}), here+"/metrics"); w.Code != http.StatusInternalServerError {
		t.Errorf("a wrong label: %d", w.Code)
	}
}

// A client that does not read its answer, or does not send its token, does not keep memory for ever.
func TestStalledClients(t *testing.T) {
	defer func(d time.Duration) { sendTime = d }(sendTime)
	sendTime = 50 * time.Millisecond
	large := &inspect.State{Objects: make([]inspect.Object, 40_000)} // more than the system keeps for a connection
	for i := range large.Objects {
		large.Objects[i].Name = fmt.Sprintf("%0190d", i)
	}
	h := newServer(&Options{Token: "correct horse"}, &watch{interval: time.Hour, snapshot: func() (*inspect.State, error) { return large, nil }})
	ended := make(chan string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		ended <- r.URL.Path
	}))
	defer s.Close()
	for _, request := range []string{"GET /api/state", "GET /metrics", "GET /api/events", "POST /"} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		ipctest.NoErr(t, err)
		_, err = fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer correct horse\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n",
			request, strings.Count(request, "POST")*100)
		ipctest.NoErr(t, err)
		select {
		case <-ended:
		case <-time.After(ipctest.Patience):
			t.Errorf("%s does not end", request)
		}
		ipctest.NoErr(t, c.Close())
	}
}
