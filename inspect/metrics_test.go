package inspect_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
)

// The grammar of both formats, as far as it is used here.
var (
	commentLine = regexp.MustCompile(`^# (HELP|TYPE|UNIT) ([a-z_]+) (.+)$`)
	sampleLine  = regexp.MustCompile(`^([a-z_]+)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"(?:,|(?:\})))+)? (-?[0-9.e+-]+)$`)
)

// metricsOf are the lines of s in a format, and their values. It checks that a reader can read
// them: each line, the order, and that no two lines are about the same.
func metricsOf(t *testing.T, s *inspect.State, opts *inspect.MetricsOptions) (text string, values map[string]float64) {
	t.Helper()
	var b bytes.Buffer
	ipctest.NoErr(t, s.WriteMetrics(&b, opts))
	open := opts != nil && opts.Format == inspect.OpenMetrics
	text, values = b.String(), map[string]float64{}
	body := text
	if open {
		var ended bool
		if body, ended = strings.CutSuffix(text, "# EOF\n"); !ended {
			t.Errorf("no end: %q", text)
		}
	}
	family, typ, seen := "", "", map[string]bool{}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if c := commentLine.FindStringSubmatch(line); c != nil {
			switch c[1] {
			case "HELP":
				if seen[c[2]] {
					t.Errorf("%s stands twice", c[2])
				}
				family, seen[c[2]] = c[2], true
			case "TYPE":
				typ = c[3]
			case "UNIT":
				if !open || !strings.HasSuffix(family, "_"+c[3]) {
					t.Errorf("%q, of %s", line, family)
				}
			}
			if c[2] != family {
				t.Errorf("%q, among the lines of %s", line, family)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("a line that is none: %q", line)
		}
		want := family
		if open {
			want += map[string]string{"counter": "_total", "info": "_info"}[typ]
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if _, twice := values[m[1]+m[2]]; twice || m[1] != want || err != nil || v < 0 {
			t.Errorf("%q, among the lines of %s, a %s; twice %t, %v", line, family, typ, twice, err)
		}
		values[m[1]+m[2]] = v
	}
	return text, values
}

// The metrics of one object of each kind. promtool finds no fault in them.
func TestMetrics(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, c := range inspect.MakeEach(t) {
		defer c.Close()
	}
	s := must(inspect.Snapshot(nil))
	text, values := metricsOf(t, s, nil)
	for _, want := range []string{
		`samepage_objects{kind="topic",scope="local"} 1`,
		`samepage_objects{kind="topic",scope="global"} 0`,
		`samepage_unreadable_objects{reason="damaged"} 0`,
		`samepage_leftover_objects 0`,
		`samepage_object_size_bytes{kind="memory",scope="local",name="o"} 8`,
		`samepage_object_members{kind="mutex",scope="local",name="o",role="member"} 1`,
		`samepage_object_members{kind="topic",scope="local",name="o",role="publisher"} 1`,
		`samepage_object_members{kind="topic",scope="local",name="o",role="reliable"} 0`,
		`samepage_object_waiting_members{kind="cell",scope="local",name="o",reason="value"} 0`,
		`samepage_object_blocked_seconds{kind="mutex",scope="local",name="o"} 0`,
		`samepage_topic_messages_total{kind="topic",scope="local",name="o"} 0`,
		`samepage_semaphore_units{kind="semaphore",scope="local",name="o"} 1`,
		`samepage_service_calls{kind="service",scope="local",name="o",state="waiting"} 0`,
		"# TYPE samepage_topic_messages_total counter",
		"# TYPE samepage_object_info gauge",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	open, others := metricsOf(t, s, &inspect.MetricsOptions{Format: inspect.OpenMetrics, Labels: map[string]string{"user": `a"b`}})
	if len(others) != len(values) {
		t.Errorf("%d lines in OpenMetrics, %d in the other format", len(others), len(values))
	}
	for _, want := range []string{
		"# TYPE samepage_topic_messages counter\n", "# TYPE samepage_object info\n", "# UNIT samepage_object_size_bytes bytes\n",
		`samepage_leftover_objects{user="a\"b"} 0`, `samepage_object_size_bytes{user="a\"b",kind="memory",scope="local",name="o"} 8`,
	} {
		if !strings.Contains(open, want) {
			t.Errorf("OpenMetrics: no %s", want)
		}
	}
	if runtime.GOOS == "windows" {
		return // promtool is the system's own
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// Whatever an object is called, the others can be read.
func TestMetricsOfHostileNames(t *testing.T) {
	s := &inspect.State{At: time.Unix(1e9, 0)}
	for i, name := range []string{
		"a\"} 1\nsamepage_objects 2", `back\slash`, "\x1b[31mred", "\xff\xfe", "�", "", "héllo wörld", "\u202eright",
		"same", "same", "a,b=\"c\"", "#", strings.Repeat("x", 300), "nul\x00", "line\r\n\t",
	} {
		o := inspect.Object{Info: samepage.Info{Name: name, Kind: samepage.KindTopic, Size: int64(i), Owner: `HOST\user` + name}}
		o.Detail = &inspect.Detail{Of: &pubsub.State{Type: name, Lanes: []pubsub.LaneState{{Messages: 1 << 62}}}}
		o.Detail.Members = []inspect.Member{{Role: "role 77\n"}, {Role: name}}
		s.Objects = append(s.Objects, o)
	}
	s.Objects = append(s.Objects, inspect.Object{Info: samepage.Info{Name: "new", Kind: 77, Scope: 9, Err: fs.ErrInvalid}, Err: fs.ErrInvalid})
	for _, f := range []inspect.MetricsFormat{inspect.PrometheusText, inspect.OpenMetrics} {
		text, values := metricsOf(t, s, &inspect.MetricsOptions{Format: f})
		for _, want := range []string{
			`name="a\"} 1\\nsamepage_objects 2"`, `name="back\\slash"`, `name="\\x1b[31mred"`, `name="\\xff\\xfe"`, `name="�"`, `name=""`,
			`name="héllo wörld"`, `name="\\u202eright"`, `name="nul\\x00"`, `name="line\\r\\n\\t"`, `name="new"`, `owner="HOST\\userback\\slash"`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s", want)
			}
		}
		if v := values[`samepage_object_size_bytes{kind="topic",scope="local",name="same"}`]; v != 8 {
			t.Errorf("of two objects of one name the second is shown: %v", v)
		}
		if v := values[`samepage_unreadable_objects{reason="other"}`]; v != 1 {
			t.Errorf("unreadable: %v", v)
		}
	}
	for name := range map[string]string{"kind": "", "state": "", "a b": "", "": "", "1a": "", "__a": "", "ä": ""} {
		var b bytes.Buffer
		err := s.WriteMetrics(&b, &inspect.MetricsOptions{Labels: map[string]string{name: "v"}})
		ipctest.WantErr(t, err, fs.ErrInvalid)
		if b.Len() > 0 {
			t.Errorf("label %q: written %q", name, &b)
		}
	}
	ipctest.WantErr(t, s.WriteMetrics(&bytes.Buffer{}, &inspect.MetricsOptions{Format: 5}), fs.ErrInvalid)
	ipctest.WantErr(t, s.WriteMetrics(failing{}, nil), fs.ErrClosed)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fs.ErrClosed }

// The format is what the client accepts and prefers.
func TestAcceptedMetrics(t *testing.T) {
	for accept, want := range map[string]inspect.MetricsFormat{
		"":    inspect.PrometheusText,
		"*/*": inspect.PrometheusText,
		"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2": inspect.OpenMetrics,
		"application/openmetrics-text; version=1.0.0":               inspect.OpenMetrics,
		"application/openmetrics-text; version=2.0.0":               inspect.PrometheusText,
		"text/plain;version=0.0.4,application/openmetrics-text;q=0": inspect.PrometheusText,
		"text/plain;q=0.9,application/openmetrics-text;q=0.1":       inspect.PrometheusText,
		"text/html,,;;,application/openmetrics-text;q=x":            inspect.OpenMetrics,
	} {
		if got := inspect.AcceptedMetrics(accept); got != want || !strings.Contains(got.ContentType(), "charset=utf-8") {
			t.Errorf("%q: %v, want %v", accept, got, want)
		}
	}
}

// A named reader that does not run is behind, whatever others read.
func TestMetricsOfNamedReaders(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := must(pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 8, NamedReaders: 2}))
	defer p.Close()
	const line = `samepage_topic_unacknowledged_messages{kind="topic",scope="local",name="t"}`
	unacknowledged := func() (float64, bool) {
		_, values := metricsOf(t, must(inspect.Snapshot(nil)), nil)
		v, ok := values[line]
		return v, ok
	}
	if v, ok := unacknowledged(); ok {
		t.Errorf("without named readers: %v", v)
	}
	s := must(pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{Reader: "logger"}))
	for range 5 {
		ipctest.NoErr(t, p.Send(bg, []byte("message")))
	}
	must(s.Take(bg))
	ipctest.NoErr(t, s.Acknowledge())
	ipctest.NoErr(t, s.Close())
	if v, ok := unacknowledged(); v != 4 || !ok {
		t.Errorf("%v, %t, want 4", v, ok)
	}
}

// An object that cannot be read is counted by its reason. What is known about it is told.
func TestMetricsOfDamaged(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	a := must(ipcsync.CreateMutex("a", nil))
	defer a.Close()
	m := must(samepage.Open("a", &samepage.Options{Kind: samepage.KindMutex}))
	must(m.WriteAt([]byte("damaged"), 32))
	ipctest.NoErr(t, m.Close())
	text, values := metricsOf(t, must(inspect.Snapshot(nil)), nil)
	if values[`samepage_unreadable_objects{reason="damaged"}`] != 1 || values[`samepage_objects{kind="mutex",scope="local"}`] != 1 ||
		strings.Contains(text, `samepage_lock_dirty{`) {
		t.Errorf("%s", text)
	}
}

// A counter never goes back while its object lives, whoever joins, leaves, dies and is evicted.
func TestMetricsNeverGoBack(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	keeper := must(pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 8, Depth: 8, Publishers: 3, EvictAfter: time.Millisecond}))
	defer keeper.Close()
	w := must(cell.CreateWriter("c", 8, nil))
	defer w.Close()
	last := map[string]float64{}
	look := func(event string) {
		t.Helper()
		text, values := metricsOf(t, must(inspect.Snapshot(nil)), nil)
		for name, v := range last {
			if counts := strings.Contains(name, "_total{"); counts && values[name] < v {
				t.Errorf("%s: %s was %v, and is %v", event, name, v, values[name])
			}
		}
		if !strings.Contains(text, "samepage_cell_values_total{") || !strings.Contains(text, "samepage_topic_messages_total{") {
			t.Fatalf("%s: counters are missing:\n%s", event, text)
		}
		last = values
	}
	look("the begin")
	for range ipctest.Repeat(t, 20, 3, "") {
		p := ipctest.Start(t, "publishes")
		p.Line()
		s := ipctest.Start(t, "reads")
		s.Line()
		look("two have joined")
		p.Send("go on")
		must(fmt.Sscan(p.Line(), new(int)))
		ipctest.NoErr(t, keeper.Send(bg, []byte("message")))
		ipctest.NoErr(t, w.Set(bg, []byte("value")))
		look("messages")
		p.Kill()
		look("a publisher was killed")
		q := must(pubsub.OpenPublisher("t", nil))
		look("its place has been taken")
		for range 20 {
			ipctest.NoErr(t, q.Send(bg, []byte("message")))
		}
		look("a subscriber was evicted")
		s.Kill()
		ipctest.NoErr(t, q.Close())
		look("a publisher has left")
	}
	const topic = `{kind="topic",scope="local",name="t"}`
	for _, name := range []string{"messages_total", "ended_streams_total", "dead_publishers_total"} {
		if last["samepage_topic_"+name+topic] == 0 {
			t.Errorf("nothing was counted in %s", name)
		}
	}
}

// BenchmarkMetrics writes the metrics of 2000 topics with 16 members each.
func BenchmarkMetrics(b *testing.B) {
	s := &inspect.State{At: time.Now()}
	for i := range 2000 {
		o := inspect.Object{Info: samepage.Info{Name: fmt.Sprintf("topic-%d", i), Kind: samepage.KindTopic, Created: s.At}}
		o.Detail = &inspect.Detail{Of: &pubsub.State{Type: "pose", Lanes: make([]pubsub.LaneState, 4)}, Room: 16, Members: make([]inspect.Member, 16)}
		s.Objects = append(s.Objects, o)
	}
	var text bytes.Buffer
	for b.Loop() {
		text.Reset()
		ipctest.NoErr(b, s.WriteMetrics(&text, nil))
	}
	b.ReportMetric(float64(text.Len()), "bytes/text")
}
