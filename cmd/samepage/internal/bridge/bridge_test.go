package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"bridge": bridgeProcess, "publisher": publisherProcess})
}

// bridgeProcess is a bridge. Its arguments are the way, the URL, the policy and the names. Each
// line of its output is an Event. A line of its input is answered with the counts.
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
	nc, stop, err := l.Dial(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	o := &Options{
		Names: Names{Patterns: args[3:]}, Conn: nc, Space: "test", Policy: Policy(args[2]), Window: 1 << 20, Tick: 100 * time.Millisecond,
		Silence: time.Minute, Limit: 1 << 30, Host: "test", Tell: l.Tell,
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
			print(b.Counts())
		}
	}()
	if err := way(b, ctx); !errors.Is(err, context.Canceled) {
		fmt.Println(err)
	}
}

// publisherProcess publishes to a topic what its input says: a number of messages, or "end". It answers each line.
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

// content is the content of message seq, of up to size bytes.
func content(seq uint64, size int) []byte {
	b := make([]byte, max(8, size-int(seq%7)))
	ipctest.Fill(b, seq)
	return b
}

// testServer is a server of NATS that can be stopped and started again.
type testServer struct {
	t    testing.TB
	o    server.Options
	s    *server.Server
	port int
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
	return &side{ipctest.Start(t, "bridge", append([]string{way, s.url(), string(policy)}, names...)...), t}
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

// counts returns the counts of the first topic.
func (s *side) counts() Counts {
	s.t.Helper()
	s.Send("counts")
	for {
		var all []Counts
		if json.Unmarshal([]byte(s.Line()), &all) == nil && len(all) > 0 {
			return all[0]
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

func await(t testing.TB, name string) *pubsub.Subscriber {
	t.Helper()
	sub, err := pubsub.AwaitSubscriber(t.Context(), name, nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, sub.Close()) })
	return sub
}

// Messages, their numbers and times, the end of the stream and the death of a publisher arrive. So do messages
// from before the bridges came, and topics that appear later.
func TestMessages(t *testing.T) {
	ipctest.NeedNames(t)
	for _, c := range []struct {
		policy     Policy
		size, pack int
	}{{Newest, 100, 0}, {Newest, 100, 4096}, {Wait, 5000, 0}, {Newest, 3 << 20, 0}, {Wait, 3 << 20, 0}, {Stored, 100, 0}, {Stored, 3 << 20, 0}} {
		t.Run(fmt.Sprint(c.policy, c.size, c.pack), func(t *testing.T) {
			ipctest.Store(t)
			s := newServer(t, server.Options{JetStream: c.policy == Stored, StoreDir: ipctest.Dir(t)})
			far := start(t, s, "subscribe", Newest, "t*")
			start(t, s, "publish", c.policy, "*")
			p := ipctest.Start(t, "publisher", "t", fmt.Sprint(c.size), fmt.Sprint(c.pack))
			if got := p.Line(); got != "ready" {
				t.Fatal(got)
			}
			p.Want("done <nil>", "3")
			sub := await(t, "far.t")
			want(t, sub, 1, 3, c.size)
			p.Want("done <nil>", "20")
			want(t, sub, 4, 23, c.size)
			p.Want("done <nil>", "end")
			if _, err := sub.Take(t.Context()); err != io.EOF {
				t.Error(err)
			}
			p = ipctest.Start(t, "publisher", "t", fmt.Sprint(c.size), fmt.Sprint(c.pack))
			p.Line()
			p.Want("done <nil>", "2")
			want(t, sub, 24, 25, c.size)
			p.Kill()
			if _, err := sub.Take(t.Context()); !errors.Is(err, samepage.ErrPeerDied) {
				t.Error(err)
			}
			if got := far.counts(); got.Messages != 25 || got.Lost != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}
