// Package web shows in a browser what package inspect tells: a page for people, JSON for programs,
// and server-sent events. It joins no object and changes nothing.
//
// A program mounts it in its own server, as it does with net/http/pprof:
//
//	http.Handle("/debug/samepage/", http.StripPrefix("/debug/samepage", web.Handler(nil)))
//
// Whoever can send requests to the server sees the messages of the objects that this process may
// read. So listen on a loopback address only, or set Options.Token. Other users of this machine
// can reach a loopback address, too.
package web

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/inspect"
)

// Options say who may see the page, and what it shows. nil means: whoever can reach the server sees
// all objects.
type Options struct {
	// Token is what a request must have if it is not empty: "Authorization: Bearer TOKEN", or
	// the cookie that the page gives who enters the token there, or who opens it with ?token=TOKEN.
	Token string
	// Hosts are host names that requests may be sent to. IP addresses, localhost and names below
	// localhost are always allowed. Other names are refused, because a page on the internet can
	// give its own name the address of this machine. AnyHost allows all names.
	Hosts []string
	// Match says whether an object is shown, as inspect.Options.Match. nil means all objects.
	Match func(*samepage.Info) bool
	// Labels are added to each line of the metrics, as inspect.MetricsOptions.Labels.
	Labels map[string]string
}

// AnyHost in Options.Hosts allows all host names.
const AnyHost = "*"

// interval is the time from one snapshot to the next while somebody looks.
const interval = time.Second

//go:embed page
var files embed.FS

// Handler returns a handler for these paths and everything below them. All of them only read.
//
//	/                      the page
//	/metrics               metrics for Prometheus, see docs/observe.md
//	/api/state             inspect.State as JSON
//	/api/events            the same again once a second, as server-sent events
//	/api/message/{topic}   the newest message: its number, time and size, and its beginning
//	/api/value/{cell}      the same of a cell
//	/api/shares/{id}       the processes that have mapped an object (Linux), see inspect.SharesOf
//	/api/frame/{topic}.jpg the newest frame (package frame), scaled; also .png
//
// Objects of scope Global need ?scope=global. A frame is at most 640 pixels wide and high, or as
// ?width= says; with ?kind=cell it is the value of a cell. There is no content (204) if there is no
// message.
//
// All clients share one snapshot a second. Nobody takes snapshots while there are no clients. A
// message is copied without joining the topic, so no publisher waits for it.
func Handler(opts *Options) http.Handler {
	return newServer(opts, newWatch(opts))
}

// Metrics returns a handler for the path /metrics alone, which answers as Handler does. All clients
// share one snapshot a second.
func Metrics(opts *Options) http.Handler {
	s, g := &server{watch: newWatch(opts), labels: labels(opts)}, newGuard(opts)
	m := http.NewServeMux()
	m.Handle("GET /metrics", g.api(s.metrics))
	return g.check(m)
}

func newWatch(opts *Options) *watch {
	var o inspect.Options
	if opts != nil {
		o.Match = opts.Match
	}
	return &watch{snapshot: func() (*inspect.State, error) { return inspect.Snapshot(&o) }, interval: interval}
}

func labels(opts *Options) map[string]string {
	if opts == nil {
		return nil
	}
	return opts.Labels
}

type server struct {
	watch    *watch
	match    func(*samepage.Info) bool // as in Options
	labels   map[string]string         // of metrics
	streams  atomic.Int64              // clients that get events
	pictures pictures
	shares   sharesOf
}

func newServer(opts *Options, w *watch) http.Handler {
	s := &server{watch: w, labels: labels(opts)}
	if opts != nil {
		s.match = opts.Match
	}
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the folder is in this program
	}
	g := newGuard(opts)
	m := http.NewServeMux()
	m.Handle("GET /{$}", g.page(http.FileServerFS(page)))
	m.HandleFunc("POST /{$}", g.login)
	m.Handle("GET /page/", http.StripPrefix("/page", http.FileServerFS(onlyFiles{page})))
	m.Handle("GET /api/state", g.api(s.state))
	m.Handle("GET /api/events", g.api(s.events))
	m.Handle("GET /api/message/{name...}", g.api(s.message(samepage.KindTopic)))
	m.Handle("GET /api/value/{name...}", g.api(s.message(samepage.KindCell)))
	m.Handle("GET /api/frame/{name...}", g.api(s.picture))
	m.Handle("GET /api/shares/{id}", g.api(s.mapped))
	m.Handle("GET /metrics", g.api(s.metrics))
	return g.check(m)
}

// onlyFiles shows no lists of folders.
type onlyFiles struct{ fs.FS }

func (f onlyFiles) Open(name string) (fs.File, error) {
	i, err := fs.Stat(f.FS, name)
	if err == nil && i.IsDir() {
		return nil, fs.ErrNotExist
	}
	return f.FS.Open(name)
}

// reply sends a body.
func reply(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	hurry(w)
	_, _ = w.Write(body) // if it fails, nobody is there to tell it to
}

func (s *server) state(w http.ResponseWriter, r *http.Request) {
	l, err := s.watch.next(r.Context(), nil)
	if err != nil {
		return // the client has gone
	}
	b, err := l.json()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, "application/json", b)
}

func (s *server) metrics(w http.ResponseWriter, r *http.Request) {
	l, err := s.watch.next(r.Context(), nil)
	if err != nil {
		return // the client has gone
	}
	if l.err != nil {
		http.Error(w, l.err.Error(), http.StatusInternalServerError)
		return
	}
	o := inspect.MetricsOptions{Format: inspect.AcceptedMetrics(strings.Join(r.Header["Accept"], ",")), Labels: s.labels}
	var b bytes.Buffer
	if err := l.state.WriteMetrics(&b, &o); err != nil { // wrong labels
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	reply(w, o.Format.ContentType(), b.Bytes())
}
