package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// short is a topic whose publishers end soon after their begin. Each one has another topic of the
// same name: the one before is retired.
type short struct {
	t     *testing.T
	name  string
	n     uint64 // messages of all topics of this name
	begun int
}

// publish waits until the bridge subscribes, publishes n messages, and ends at once.
func (s *short) publish(policy Policy, n int, how func(*pubsub.Publisher) error) {
	s.t.Helper()
	s.begun++
	p, err := pubsub.ReplacePublisher(s.t.Context(), s.name, &pubsub.Options{MaxSize: 100 + s.begun, Depth: 16, Times: true})
	ipctest.NoErr(s.t, err)
	if policy == Newest {
		err = p.WaitSubscribers(s.t.Context(), 1)
	} else {
		err = p.WaitReliableSubscribers(s.t.Context(), 1)
	}
	ipctest.NoErr(s.t, err)
	for range n {
		ipctest.NoErr(s.t, p.Send(s.t.Context(), content(p.Next(), 100)))
	}
	s.n += uint64(n)
	ipctest.NoErr(s.t, how(p))
}

// arrived waits until the far bridge has all messages, or knows that they are lost.
func (s *short) arrived(far *side, policy Policy) {
	s.t.Helper()
	limit := time.Now().Add(ipctest.Patience)
	c := far.countsOf(s.name)
	for ; c.Messages+c.Lost < s.n && time.Now().Before(limit); c = far.countsOf(s.name) {
		time.Sleep(5 * time.Millisecond)
	}
	if c.Messages+c.Lost != s.n || policy != Newest && c.Lost > 0 {
		s.t.Fatalf("%s: %d messages were published; %+v", s.name, s.n, c)
	}
}

// Each message of a publisher that ends soon arrives, or is lost and counted, also if it comes
// before the far bridge knows its name, if its topic goes at once, or if the server is away while a
// topic comes and goes. With the policies wait and stored none is lost. SAMEPAGE_MESSAGES is the
// number of publishers.
func TestShortPublishers(t *testing.T) {
	ipctest.NeedNames(t)
	rounds := ipctest.Repeat(t, 4, 2, "SAMEPAGE_MESSAGES")
	if testing.Short() {
		rounds = min(rounds, 2)
	}
	for _, policy := range []Policy{Newest, Wait, Stored} {
		t.Run(string(policy), func(t *testing.T) {
			ipctest.Store(t)
			s := newServer(t, server.Options{JetStream: policy == Stored, StoreDir: ipctest.Dir(t)})
			far, _ := startBoth(t, s, policy, "t*")
			ends := []func(*pubsub.Publisher) error{(*pubsub.Publisher).Close, (*pubsub.Publisher).Abort}
			var all []*short
			for i := range rounds {
				x := &short{t: t, name: fmt.Sprintf("t%d", i)}
				all = append(all, x)
				for k := range 1 + i%3 {
					x.publish(policy, 1+(i*37+k)%100, ends[(i+k)%2])
				}
			}
			for _, x := range all {
				x.arrived(far, policy)
			}
			x := all[0]
			s.stop()
			if policy == Stored { // else the topic before would not go
				s.start()
			}
			for k := range 3 {
				x.publish(policy, 5+k, ends[k%2])
			}
			if policy != Stored {
				s.start()
			}
			x.publish(policy, 7, ends[0])
			x.arrived(far, policy)
		})
	}
}

// What is lost at the end of a stream reaches far subscribers.
func TestLostAtTheEnd(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	far, near := startBoth(t, s, Newest, "t")
	p, sub := publishes(t, &pubsub.Options{MaxSize: 100, Times: true})
	s.stop()
	for range 20 {
		ipctest.NoErr(t, p.Send(t.Context(), content(p.Next(), 100)))
	}
	for near.counts().Messages < 21 {
		time.Sleep(time.Millisecond)
	}
	ipctest.NoErr(t, p.Close())
	near.counts()
	s.start()
	m, err := sub.Take(t.Context())
	if err != io.EOF || sub.Missed() != 20 {
		t.Errorf("message %d, %v, %d missed; want 20 at the end", m.Seq(), err, sub.Missed())
	}
	if c := far.counts(); c.Messages != 1 || c.Lost != 20 {
		t.Errorf("%+v", c)
	}
}

// The policy wait holds a publisher while the far side is away, or is not read, and lets it go on
// when it is back. The policy newest never does.
func TestHoldsPublisher(t *testing.T) {
	ipctest.NeedNames(t)
	const size = 64 << 10 // the window of the bridge has 1 MiB
	for _, c := range []struct {
		policy Policy
		server bool // the server is away, or else nobody takes the messages
	}{{Wait, true}, {Wait, false}, {Newest, true}, {Newest, false}} {
		if testing.Short() && !c.server {
			continue
		}
		t.Run(fmt.Sprint(c.policy, c.server), func(t *testing.T) {
			ipctest.Store(t)
			s := newServer(t, server.Options{})
			far, _ := startBoth(t, s, c.policy, "t")
			p, sub := publishes(t, &pubsub.Options{MaxSize: size, Depth: 4, Times: true})
			if c.server {
				s.stop()
			}
			// The topic, the window and the far topic have room for some messages.
			const most = 100
			held := false
			for p.Next() <= most && !held {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				if c.policy == Newest {
					ctx = t.Context()
				}
				err := p.Send(ctx, content(p.Next(), size))
				cancel()
				if held = err != nil; held && !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
			}
			if held != (c.policy == Wait) {
				t.Errorf("held: %v, after %d messages", held, p.Next()-1)
			}
			if c.server {
				s.start()
			}
			sent := make(chan error)
			go func() {
				var err error
				for p.Next() <= most && err == nil {
					err = p.Send(t.Context(), content(p.Next(), size))
				}
				sent <- errors.Join(err, p.Close())
			}()
			got, err := uint64(1), error(nil)
			for err == nil {
				var m pubsub.Message
				if m, err = sub.Take(t.Context()); err == nil {
					if got++; m.Seq() != got+sub.Missed() {
						t.Fatalf("message %d after %d, %d missed", m.Seq(), got-1, sub.Missed())
					}
				}
			}
			ipctest.NoErr(t, <-sent)
			if err != io.EOF || got+sub.Missed() != most || c.policy == Wait && sub.Missed() > 0 {
				t.Errorf("%v after %d messages, %d missed", err, got, sub.Missed())
			}
			if c := far.counts(); c.Messages != got || c.Lost != sub.Missed() {
				t.Errorf("%+v, the subscriber has got %d and missed %d", c, got, sub.Missed())
			}
		})
	}
}
