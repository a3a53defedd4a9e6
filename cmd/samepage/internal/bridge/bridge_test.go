package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/pubsub"
	"samepage/rpc"
)

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"bridge": bridgeProcess, "publisher": publisherProcess, "plain": plainProcess, "fast": fastProcess, "server": serverProcess, "reader": readerProcess, "listener": listenerProcess, "neighbour": neighbourProcess, "setter": setterProcess})
}

// bridgeProcess is a bridge. Its arguments are the way, the URL, the policy and the names. Each
// line of its output is an Event; with EVENTS in its environment they are appended to that file
// instead. A line of its input is answered with the counts.
func bridgeProcess(args []string) {
	var mu sync.Mutex
	print := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		b, _ := json.Marshal(v)
		fmt.Println(string(b))
	}
	ctx := context.Background()
	l := &Link{URL: args[1], Tell: func(e Event) { print(e) }}
	if l.URL == serve {
		l.URL, l.Serve = "", "127.0.0.1:0"
	}
	if name := os.Getenv("EVENTS"); name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			fmt.Println(err)
			return
		}
		l.Tell = func(e Event) {
			b, _ := json.Marshal(e)
			_, _ = f.Write(append(b, '\n')) // at once: both bridges write to it
		}
	}
	nc, stop, err := l.Dial(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	window := 1 << 20
	if os.Getenv("WINDOW") != "" {
		window, _ = strconv.Atoi(os.Getenv("WINDOW"))
	}
	silence, err := time.ParseDuration(cmp.Or(os.Getenv("SILENCE"), "1m"))
	if err != nil {
		fmt.Println(err)
		return
	}
	tick := 100 * time.Millisecond
	if os.Getenv("TICK") != "" {
		tick, _ = time.ParseDuration(os.Getenv("TICK"))
	}
	quality, _ := strconv.Atoi(os.Getenv("JPEG"))
	budget, _ := strconv.ParseFloat(os.Getenv("BUDGET"), 64)
	o := &Options{
		Zstd: os.Getenv("ZSTD") != "", JPEG: quality, Names: Names{Patterns: args[3:]}, Conn: nc, Space: cmp.Or(os.Getenv("SPACE"), "test"), Policy: Policy(args[2]), Window: window, Budget: budget, Tick: tick,
		Silence: silence, Limit: 1 << 30, Host: "test", Tell: l.Tell,
	}
	if from, to, ok := strings.Cut(os.Getenv("RENAME"), "="); ok {
		o.Renames = map[string]string{from: to}
	}
	if len(o.Patterns) == 0 {
		o.Cells, o.Services = []string{"c*"}, []string{"s"}
	}
	way := (*Bridge).Publish
	if args[0] == "subscribe" {
		o.Prefix, way = "far.", (*Bridge).Subscribe
	}
	b, err := New(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			var line string
			if _, err := fmt.Scanln(&line); err != nil {
				cancel()
				return
			}
			if line == "left" {
				b.mu.Lock()
				print(len(b.sources) + len(b.sinks))
				b.mu.Unlock()
				continue
			}
			if line == "names" {
				b.counters.mu.Lock()
				print(len(b.counters.all) - len(b.counters.gone))
				b.counters.mu.Unlock()
				continue
			}
			print(b.Counts())
		}
	}()
	if err := way(b, ctx); !errors.Is(err, context.Canceled) {
		fmt.Println(err)
	}
}

// publisherProcess publishes to a topic what its input says: a number of messages, or "end". It
// answers each line.
func publisherProcess(args []string) {
	size, _ := strconv.Atoi(args[1])
	pack, _ := strconv.Atoi(args[2])
	p, _, err := pubsub.OpenOrCreatePublisher(args[0], &pubsub.Options{MaxSize: size, Pack: pack, Depth: 64, Publishers: 2, Times: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for {
		var line string
		if _, err := fmt.Scanln(&line); err != nil {
			return
		}
		n, err := strconv.Atoi(line)
		for range n {
			if err == nil {
				err = p.Send(context.Background(), content(p.Next(), size))
			}
		}
		if line == "end" {
			err = p.Close()
		}
		fmt.Println("done", err)
	}
}

// setterProcess sets a cell to each line of its input, and answers it.
func setterProcess(args []string) {
	lifetime := samepage.WhileUsed
	if args[1] == "persist" {
		lifetime = samepage.Persist
	}
	w, _, err := cell.OpenOrCreateWriter(args[0], 16, &cell.Options{Lifetime: lifetime})
	for err == nil {
		var line string
		if _, err := fmt.Scanln(&line); err != nil {
			_ = w.Close()
			return
		}
		err = w.Set(context.Background(), []byte(line))
		fmt.Println("set", err)
	}
	fmt.Println(err)
}

// serverProcess is the server of --serve at an address, with JetStream in a directory. The last
// argument is the size of its largest message.
func serverProcess(args []string) {
	o, err := (&Link{Serve: args[0], StoreDir: args[1]}).options()
	if err != nil {
		fmt.Println(err)
		return
	}
	largest, _ := strconv.Atoi(args[2])
	o.MaxPayload = int32(largest)
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Println(err)
		return
	}
	go s.Start()
	fmt.Println(s.ReadyForConnections(ipctest.Patience))
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// length is the length of message seq, up to size bytes.
func length(seq uint64, size int) int { return max(8, size-int(seq%7)) }

// content is the content of message seq.
func content(seq uint64, size int) []byte {
	b := make([]byte, length(seq, size))
	ipctest.Fill(b, seq)
	return b
}

// publishes creates the topic t, which bridges send, and publishes message 1, of the largest size.
// sub has taken it on the far side.
func publishes(t testing.TB, o *pubsub.Options) (p *pubsub.Publisher, sub *pubsub.Subscriber) {
	t.Helper()
	p, err := pubsub.CreatePublisher("t", o)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.WaitSubscribers(t.Context(), 1))
	ipctest.NoErr(t, p.Send(t.Context(), content(1, o.MaxSize)))
	sub = await(t, "far.t")
	want(t, sub, 1, 1, o.MaxSize)
	return p, sub
}

// testServer is a server of NATS that can be stopped and started again.
type testServer struct {
	t testing.TB
	o server.Options
	s *server.Server
}

func newServer(t testing.TB, o server.Options) *testServer {
	o.Host, o.Port, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s := &testServer{t: t, o: o}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *testServer) start() {
	s.t.Helper()
	o := s.o
	var err error
	s.s, err = server.NewServer(&o)
	ipctest.NoErr(s.t, err)
	go s.s.Start()
	if !s.s.ReadyForConnections(ipctest.Patience) {
		s.t.Fatal("the server does not start")
	}
	s.o.Port = o.Port
}

func (s *testServer) stop() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}

func (s *testServer) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.o.Port) }

// side is a bridge in a process of its own.
type side struct {
	*ipctest.Child
	t testing.TB
}

func start(t testing.TB, s *testServer, way string, policy Policy, names ...string) *side {
	t.Helper()
	return startAt(t, s.url(), way, policy, names...)
}

// startAt starts a bridge at a URL. serve is the URL of a bridge that runs the server itself.
func startAt(t testing.TB, url, way string, policy Policy, names ...string) *side {
	t.Helper()
	return &side{ipctest.Start(t, "bridge", append([]string{way, url, string(policy)}, names...)...), t}
}

const serve = "serve"

// startBoth starts a bridge of each way for a topic, and waits until the publishing one has heard
// of the other.
func startBoth(t testing.TB, s *testServer, policy Policy, topic string) (far, near *side) {
	t.Helper()
	far = start(t, s, "subscribe", policy, topic)
	near = start(t, s, "publish", policy, topic)
	near.event("listens")
	return far, near
}

// event reads lines until an event of this sort.
func (s *side) event(what string) (e Event) {
	s.t.Helper()
	for {
		line := s.Line()
		if json.Unmarshal([]byte(line), &e) == nil && e.What == what {
			return e
		}
		if !strings.HasPrefix(line, "{") && !strings.HasPrefix(line, "[") {
			s.t.Fatal(line)
		}
	}
}

// counts returns the counts of the first topic. It waits until the bridge knows one.
func (s *side) counts() Counts { return s.countsOf("") }

// countsOf returns the counts of a topic of this name on the way, or of the first one. It waits
// until the bridge knows it.
func (s *side) countsOf(far string) Counts {
	s.t.Helper()
	for {
		s.Send("counts")
		for line := s.Line(); ; line = s.Line() {
			var all []Counts
			if json.Unmarshal([]byte(line), &all) != nil {
				continue
			}
			for _, c := range all {
				if far == "" || c.Far == far {
					return c
				}
			}
			time.Sleep(time.Millisecond)
			break
		}
	}
}

// want takes messages of the origin from first to last, in order.
func want(t testing.TB, sub *pubsub.Subscriber, first, last uint64, size int) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		m, err := sub.Take(t.Context())
		ipctest.NoErr(t, err)
		if m.Seq() != seq || m.Missed() != 0 || m.Time().IsZero() {
			t.Fatalf("message %d, %d missed, %v; want %d", m.Seq(), m.Missed(), m.Time(), seq)
		}
		if got, want := m.Bytes(), content(seq, size); string(got) != string(want) {
			t.Fatalf("message %d of %d bytes, want %d, or others", seq, len(got), len(want))
		}
	}
}

// exists says whether there is a topic of that name. If not, it waits for a moment.
func exists(t testing.TB, name string) bool {
	t.Helper()
	_, err := samepage.Stat(name, &samepage.Options{Kind: samepage.KindTopic})
	if errors.Is(err, fs.ErrNotExist) {
		time.Sleep(20 * time.Millisecond)
		return false
	}
	ipctest.NoErr(t, err)
	return true
}

func await(t testing.TB, name string) *pubsub.Subscriber {
	t.Helper()
	sub, err := pubsub.AwaitSubscriber(t.Context(), name, nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, sub.Close()) })
	return sub
}

// Messages, their numbers and times, the end of the stream and the death of a publisher arrive.
// So do messages from before the bridges came, and topics that appear later. With newest, large
// messages may be lost on a busy machine: see TestServerStops.
func TestMessages(t *testing.T) {
	ipctest.NeedNames(t)
	for _, c := range []struct {
		policy     Policy
		size, pack int
	}{{Newest, 100, 0}, {Newest, 100, 4096}, {Wait, 5000, 0}, {Wait, 3 << 20, 0}, {Stored, 100, 0}, {Stored, 3 << 20, 0}} {
		t.Run(fmt.Sprint(c.policy, c.size, c.pack), func(t *testing.T) {
			ipctest.Store(t)
			s := newServer(t, server.Options{JetStream: c.policy == Stored, StoreDir: ipctest.Dir(t)})
			far := start(t, s, "subscribe", Newest, "t*")
			start(t, s, "publish", c.policy, "*")
			p := ipctest.Start(t, "publisher", "t", fmt.Sprint(c.size), fmt.Sprint(c.pack))
			if got := p.Line(); got != "ready" {
				t.Fatal(got)
			}
			// With newest, messages do not arrive before both bridges know the topic. So it is the
			// messages from first on that arrive.
			first, last := uint64(1), uint64(3)
			p.Want("done <nil>", "3")
			for c.policy == Newest && !exists(t, "far.t") {
				p.Want("done <nil>", "1")
				last++
			}
			sub := await(t, "far.t")
			if c.policy == Newest {
				m, err := sub.Take(t.Context())
				ipctest.NoErr(t, err)
				first = m.Seq() + 1
			}
			want(t, sub, first, last, c.size)
			p.Want("done <nil>", "20")
			want(t, sub, last+1, last+20, c.size)
			p.Want("done <nil>", "end")
			if _, err := sub.Take(t.Context()); err != io.EOF {
				t.Error(err)
			}
			p = ipctest.Start(t, "publisher", "t", fmt.Sprint(c.size), fmt.Sprint(c.pack))
			p.Line()
			p.Want("done <nil>", "2")
			want(t, sub, last+21, last+22, c.size)
			p.Kill()
			if _, err := sub.Take(t.Context()); !errors.Is(err, samepage.ErrPeerDied) {
				t.Error(err)
			}
			arrived := last + 22
			if c.policy == Newest {
				arrived -= first - 2
			}
			if got := far.counts(); got.Messages != arrived || got.Lost != 0 {
				t.Errorf("%+v, want %d messages", got, arrived)
			}
		})
	}
}

// A topic of another type is refused, with both names, and nothing is written to it.
func TestOtherType(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	type Pose struct{ X, Y float64 }
	type Speed struct{ X, Y float64 }
	a, err := pubsub.CreatePublisherOf[Pose]("t", nil)
	ipctest.NoErr(t, err)
	defer a.Close()
	b, err := pubsub.CreatePublisherOf[Speed]("far.t", &pubsub.Options{Publishers: 2})
	ipctest.NoErr(t, err)
	defer b.Close()
	c, err := pubsub.CreatePublisherOf[Pose]("u", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	s := newServer(t, server.Options{})
	far := start(t, s, "subscribe", Newest, "*")
	start(t, s, "publish", Newest, "t", "u")
	ipctest.NoErr(t, a.Send(t.Context(), &Pose{1, 2}))
	if e := far.event("refused"); e.Topic != "far.t" || !strings.Contains(e.Text, "Pose") || !strings.Contains(e.Text, "Speed") {
		t.Errorf("%+v", e)
	}
	ipctest.NoErr(t, c.Send(t.Context(), &Pose{3, 4}))
	sub, err := pubsub.AwaitSubscriberOf[Pose](t.Context(), "far.u", nil)
	ipctest.NoErr(t, err)
	defer sub.Close()
	m, err := sub.Take(t.Context())
	if ipctest.NoErr(t, err); m.Value().Y != 4 || m.Seq() != 1 {
		t.Error(m.Seq(), *m.Value())
	}
	if b.Next() != 1 {
		t.Error(b.Next())
	}
}

// What a bridge has published here is not sent on, also if its topic has other publishers.
func TestLoops(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	start(t, s, "subscribe", Newest, "bus")
	p := ipctest.Start(t, "publisher", "bus", "100", "0")
	p.Line()
	start(t, s, "publish", Newest, "bus", "far.bus")
	p.Want("done <nil>", "3")
	sub := await(t, "far.bus")
	want(t, sub, 1, 3, 100)
	// A local publisher writes to the far topic, too. Only its messages cross: to far.far.bus.
	start(t, s, "subscribe", Newest, "far.bus")
	q := ipctest.Start(t, "publisher", "far.bus", "100", "4096")
	if got := q.Line(); got != "ready" {
		t.Fatal(got)
	}
	q.Want("done <nil>", "2")
	p.Want("done <nil>", "2")
	q.Want("done <nil>", "1")
	both := await(t, "far.far.bus")
	want(t, both, 1, 3, 100)
	for range 5 { // of both publishers
		m, err := sub.Take(t.Context())
		ipctest.NoErr(t, err)
		_ = m
	}
	if m, ok, err := both.TryTake(); ok || err != nil {
		t.Errorf("message %d of place %d: %v", m.Seq(), m.Publisher(), err)
	}
}

// The server is stopped and started again while messages are sent. With the policy newest each
// message arrives or is counted, and with the others all arrive. SAMEPAGE_MESSAGES says how many
// there are.
func TestServerStops(t *testing.T) {
	ipctest.NeedNames(t)
	n := uint64(ipctest.Repeat(t, 3000, 600, "SAMEPAGE_MESSAGES"))
	for _, policy := range []Policy{Newest, Wait, Stored} {
		for _, size := range []int{100, 3 << 20} {
			if testing.Short() && (size > 100) != (policy == Wait) {
				continue
			}
			t.Run(fmt.Sprint(policy, size), func(t *testing.T) {
				ipctest.Store(t)
				n := n
				if size > 1<<20 {
					n /= 300
				}
				s := newServer(t, server.Options{JetStream: policy == Stored, StoreDir: ipctest.Dir(t)})
				// A bridge that the other one has not heard of when the topic begins may miss what comes
				// before it has.
				far, _ := startBoth(t, s, policy, "t")
				p := ipctest.Start(t, "publisher", "t", fmt.Sprint(size), "0")
				p.Line()
				p.Want("done <nil>", "1")
				sub := await(t, "far.t")
				want(t, sub, 1, 1, size)
				taken := takeAll(t, sub, size)
				for range 3 {
					p.Send("%d", n/3)
					s.stop()
					s.start()
					if got := p.Line(); got != "done <nil>" {
						t.Fatal(got)
					}
				}
				far.event("reconnected")
				for sub := uint64(0); ; sub++ { // until messages get through again
					p.Want("done <nil>", "1")
					if far.counts().Messages+far.counts().Lost >= n+2 {
						break
					}
				}
				p.Want("done <nil>", "end")
				r := <-taken
				all := far.counts()
				if r.err != io.EOF {
					t.Fatal(r.err)
				}
				// What is lost after the last message that arrives, only the bridge knows.
				if r.got+1 != all.Messages || r.got+r.missed != r.last-1 || r.missed > all.Lost || policy != Newest && all.Lost > 0 {
					t.Errorf("%+v, the bridge %+v", r, all)
				}
			})
		}
	}
}

// A bridge that comes after the publishing machine is off gets what is stored. If it comes again,
// it goes on.
func TestStoredForLater(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{JetStream: true, StoreDir: ipctest.Dir(t)})
	near := start(t, s, "publish", Stored, "t")
	p := ipctest.Start(t, "publisher", "t", "100", "0")
	p.Line()
	near.event("attached")
	p.Want("done <nil>", "50")
	p.Want("done <nil>", "end")
	for near.counts().Messages < 50 {
		time.Sleep(time.Millisecond)
	}
	near.EndInput()
	near.Wait()
	far := start(t, s, "subscribe", Stored, "*")
	sub := await(t, "far.t")
	want(t, sub, 1, 50, 100)
	// The bridge may have stopped before it saw the end.
	if _, err := sub.Take(t.Context()); err != io.EOF && !errors.Is(err, samepage.ErrPeerDied) {
		t.Error(err)
	}
	far.EndInput()
	far.Wait()
	start(t, s, "publish", Stored, "t")
	p = ipctest.Start(t, "publisher", "t", "100", "0")
	p.Line()
	p.Want("done <nil>", "2")
	far = start(t, s, "subscribe", Stored, "*")
	m, err := sub.Take(t.Context())
	if ipctest.NoErr(t, err); m.Seq() != 51 || string(m.Bytes()) != string(content(1, 100)) {
		t.Errorf("message %d of %d bytes", m.Seq(), len(m.Bytes()))
	}
	if got := far.counts(); got.Messages > 2 || got.Duplicates > 0 {
		t.Errorf("%+v", got)
	}
}

// The latest value of a cell crosses, with its type, also to a bridge that comes later, and to
// cells that are larger than an envelope.
func TestCells(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	type Pose struct{ X, Y float64 }
	s := newServer(t, server.Options{MaxPayload: 16 << 10})
	start(t, s, "publish", Newest)
	w, err := cell.CreateWriterOf[Pose]("c1", nil)
	ipctest.NoErr(t, err)
	defer w.Close()
	large, err := cell.CreateWriter("c2", 1<<20, nil)
	ipctest.NoErr(t, err)
	defer large.Close()
	ipctest.NoErr(t, w.Set(t.Context(), &Pose{1, 2}))
	value := make([]byte, 1<<20)
	ipctest.Fill(value, 7)
	ipctest.NoErr(t, large.Set(t.Context(), value))
	start(t, s, "subscribe", Newest)
	r, err := cell.AwaitReaderOf[Pose](t.Context(), "far.c1", nil)
	ipctest.NoErr(t, err)
	defer r.Close()
	for want := 2.0; want < 5; want++ {
		for v, err := range r.Values(t.Context()) {
			if ipctest.NoErr(t, err); v.Value().Y == want {
				break
			}
		}
		ipctest.NoErr(t, w.Set(t.Context(), &Pose{1, want + 1}))
	}
	l, err := cell.AwaitReader(t.Context(), "far.c2", nil)
	ipctest.NoErr(t, err)
	defer l.Close()
	for v, err := range l.Values(t.Context()) {
		ipctest.NoErr(t, err)
		if string(v.Bytes()) != string(value) {
			t.Error(len(v.Bytes()))
		}
		break
	}
}

// Compressed messages, small and large, are the same on the other side.
func TestZstd(t *testing.T) {
	ipctest.NeedNames(t)
	t.Setenv("ZSTD", "1")
	for _, size := range []int{100, 3 << 20} {
		ipctest.Store(t)
		s := newServer(t, server.Options{})
		start(t, s, "publish", Wait, "t")
		start(t, s, "subscribe", Wait, "t")
		p, err := pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: size})
		ipctest.NoErr(t, err)
		sub := await(t, "far.t")
		for i := range 3 {
			b := make([]byte, size-i) // zeros, which become short
			b[size/2] = byte(i)
			ipctest.NoErr(t, p.Send(t.Context(), b))
			m, err := sub.Take(t.Context())
			if ipctest.NoErr(t, err); string(m.Bytes()) != string(b) {
				t.Fatalf("message %d of %d bytes", m.Seq(), len(m.Bytes()))
			}
		}
		ipctest.NoErr(t, p.Close())
	}
	b := make([]byte, headerSize+5000)
	if out, flags := compress(newEncoder(), nil, b); flags != flagZstd || len(out) > 200 {
		t.Error(len(out), flags)
	}
}

// A service of another machine is called as one of this machine. Its errors arrive.
func TestServices(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	start(t, s, "publish", Newest)
	start(t, s, "subscribe", Newest)
	w, err := rpc.CreateWorker("s", nil)
	ipctest.NoErr(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() {
		served <- w.Serve(ctx, rpc.Func(func(_ context.Context, req []byte) ([]byte, error) {
			if len(req) == 0 {
				return nil, errors.New("it is empty")
			}
			return append(req[:len(req):len(req)], req...), nil
		}))
	}()
	c, err := rpc.AwaitClient(t.Context(), "far.s", nil)
	ipctest.NoErr(t, err)
	defer c.Close()
	for range 3 {
		got, err := c.Call(t.Context(), []byte("ab"))
		ipctest.NoErr(t, err)
		if string(got) != "abab" {
			t.Errorf("%q", got)
		}
	}
	if _, err := c.Call(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "it is empty") {
		t.Error(err)
	}
	cancel()
	<-served
	ipctest.NoErr(t, w.Close())
}
