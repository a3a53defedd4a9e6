package bridge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// sum is what a subscriber has got, and its last error.
type sum struct {
	got, missed, last uint64
	err               error
}

// takeAll takes all messages after number 1, until the end of the stream. They must be in order,
// and whole.
func takeAll(t testing.TB, sub *pubsub.Subscriber, size int) <-chan sum {
	taken := make(chan sum, 1)
	go func() {
		r := sum{last: 1}
		for {
			m, err := sub.Take(t.Context())
			if err != nil {
				r.err = err
				break
			}
			if m.Seq() != r.last+m.Missed()+1 || string(m.Bytes()) != string(content(m.Seq(), size)) {
				r.err = fmt.Errorf("message %d after %d, %d missed, %d bytes", m.Seq(), r.last, m.Missed(), len(m.Bytes()))
				break
			}
			r.got, r.missed, r.last = r.got+1, r.missed+m.Missed(), m.Seq()
		}
		taken <- r
	}()
	return taken
}

// gate is a proxy in front of a server. While it is shut, nothing comes from the server.
type gate struct {
	l    net.Listener
	shut sync.Mutex // locked while it is shut
}

func newGate(t testing.TB, s *testServer) *gate {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ipctest.NoErr(t, err)
	g := &gate{l: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			srv, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", s.o.Port))
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(srv, client)
				_ = srv.Close()
			}()
			go func() {
				b := make([]byte, 4096)
				for err == nil {
					var n int
					n, err = srv.Read(b)
					g.shut.Lock()
					_, _ = client.Write(b[:n])
					g.shut.Unlock()
				}
				_ = client.Close()
			}()
		}
	}()
	return g
}

// The server cuts a bridge that does not read what waits for it. The bridge tells that it was cut,
// and comes again; what was lost is counted to the message, and with the policy wait nothing is
// lost.
func TestCutOff(t *testing.T) {
	ipctest.NeedNames(t)
	const size, n = 64 << 10, 400
	for _, policy := range []Policy{Newest, Wait} {
		t.Run(string(policy), func(t *testing.T) {
			ipctest.Store(t)
			t.Setenv("WINDOW", fmt.Sprint(64<<20)) // more than the server and the system keep
			s := newServer(t, server.Options{MaxPending: 8 << 20})
			g := newGate(t, s)
			far := &side{ipctest.Start(t, "bridge", "subscribe", "nats://"+g.l.Addr().String(), string(policy), "t"), t}
			near := start(t, s, "publish", policy, "t")
			near.event("listens")
			p := ipctest.Start(t, "publisher", "t", fmt.Sprint(size), "0")
			p.Line()
			p.Want("done <nil>", "1")
			sub := await(t, "far.t")
			want(t, sub, 1, 1, size)
			taken := takeAll(t, sub, size)
			g.shut.Lock()
			p.Want("done <nil>", "%d", n)
			sent := uint64(n + 1)
			for s.s.NumSlowConsumers() == 0 {
				p.Want("done <nil>", "1")
				sent++
			}
			g.shut.Unlock()
			far.event("disconnected")
			far.event("reconnected")
			for c := far.counts(); c.Messages+c.Lost < sent; c = far.counts() {
				time.Sleep(5 * time.Millisecond)
			}
			p.Want("done <nil>", "end")
			r := <-taken
			if r.err != io.EOF || r.got+sub.Missed() != sent-1 {
				t.Fatalf("%+v, %d missed, %d were sent", r, sub.Missed(), sent)
			}
			if c := far.counts(); c.Messages != r.got+1 || c.Lost != sub.Missed() || (c.Lost > 0) != (policy == Newest) {
				t.Errorf("%+v, the bridge %+v", r, c)
			}
		})
	}
}

// A topic that is too fast for the budget is told, and sampled: what the bridge leaves out is missed
// on the other side.
func TestTooFast(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	t.Setenv("BUDGET", "0.1")
	s := newServer(t, server.Options{})
	const size = 64 << 10 // at 0.1 %, 800 messages a second are too many
	_, near := startBoth(t, s, Newest, "t")
	p, sub := publishes(t, &pubsub.Options{MaxSize: size, Depth: 4, Times: true})
	taken := takeAll(t, sub, size)
	told := make(chan Event)
	go func() { told <- near.event("fast") }()
	var e Event
	for e.What == "" {
		ipctest.NoErr(t, p.Send(t.Context(), content(p.Next(), size)))
		select {
		case e = <-told:
		default:
		}
	}
	if e.Topic != "t" || !strings.Contains(e.Text, "0.1 %") {
		t.Errorf("told %+v", e)
	}
	// It stops, although there is always something to read.
	near.EndInput()
	ended := make(chan bool)
	go func() { ended <- near.EndsWithin(ipctest.Patience) }()
	for waits := true; waits; {
		ipctest.NoErr(t, p.Send(t.Context(), content(p.Next(), size)))
		select {
		case ok := <-ended:
			if waits = false; !ok {
				t.Error("the bridge does not stop")
			}
		default:
		}
	}
	ipctest.NoErr(t, p.Close())
	r := <-taken
	if !errors.Is(r.err, samepage.ErrPeerDied) || r.got+1+sub.Missed() > p.Next()-1 || sub.Missed() == 0 {
		t.Errorf("got %d, missed %d of %d: %v", r.got+1, sub.Missed(), p.Next()-1, r.err)
	}
}
