package bridge

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/pubsub"
	"samepage/rpc"
)

// next takes the next message. Streams may have ended before it.
func next(t *testing.T, sub *pubsub.Subscriber) pubsub.Message {
	t.Helper()
	for {
		m, err := sub.Take(t.Context())
		if err == io.EOF || errors.Is(err, samepage.ErrPeerDied) {
			continue
		}
		ipctest.NoErr(t, err)
		return m
	}
}

// wantNext takes messages from first to last. Streams may have ended between them.
func wantNext(t *testing.T, sub *pubsub.Subscriber, first, last uint64, size int) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		if m := next(t, sub); m.Seq() != seq || m.Missed() != 0 || string(m.Bytes()) != string(content(seq, size)) {
			t.Fatalf("message %d of %d bytes, %d missed; want %d", m.Seq(), len(m.Bytes()), m.Missed(), seq)
		}
	}
}

// A subscribing bridge stops, or is killed, and comes again: no message comes twice, and none is
// missed that the topic, or the server, still has.
func TestSubscriberComesAgain(t *testing.T) {
	ipctest.NeedNames(t)
	for _, policy := range []Policy{Newest, Wait, Stored} {
		for _, kill := range []bool{false, true} {
			if testing.Short() && !kill {
				continue
			}
			t.Run(fmt.Sprint(policy, kill), func(t *testing.T) {
				ipctest.Store(t)
				t.Setenv("TICK", "1ms") // no tick may come among the history
				s := newServer(t, server.Options{JetStream: policy == Stored, StoreDir: ipctest.Dir(t)})
				far, near := startBoth(t, s, policy, "t")
				p := ipctest.Start(t, "publisher", "t", "100", "0")
				p.Line()
				near.event("attached")
				p.Want("done <nil>", "5")
				sub := await(t, "far.t")
				want(t, sub, 1, 5, 100)
				if kill {
					far.Kill()
				} else {
					far.EndInput()
					far.Wait()
				}
				p.Want("done <nil>", "4")
				far = start(t, s, "subscribe", policy, "t")
				far.event("attached")
				p.Want("done <nil>", "2")
				wantNext(t, sub, 6, 11, 100)
				if c := far.counts(); c.Messages > 6 || c.Lost != 0 {
					t.Errorf("%+v", c)
				}
			})
		}
	}
}

// While a subscribing bridge is off, a stored topic goes on, and is followed by another one of its
// name. All messages arrive.
func TestStoredTopics(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	t.Setenv("SPACE", "robot-1")
	s := newServer(t, server.Options{JetStream: true, StoreDir: ipctest.Dir(t)})
	near := start(t, s, "publish", Stored, "t")
	p := ipctest.Start(t, "publisher", "t", "100", "0")
	p.Line()
	near.event("attached")
	p.Want("done <nil>", "10")
	far := start(t, s, "subscribe", Stored, "*")
	sub := await(t, "far.t")
	want(t, sub, 1, 10, 100)
	far.EndInput()
	far.Wait()
	p.Want("done <nil>", "10")
	for near.counts().Messages < 20 {
		time.Sleep(time.Millisecond)
	}
	p.EndInput()
	p.Wait()
	near.EndInput()
	near.Wait()
	near = start(t, s, "publish", Stored, "t")
	p = ipctest.Start(t, "publisher", "t", "90", "0")
	p.Line()
	near.event("attached")
	p.Want("done <nil>", "3")
	far = start(t, s, "subscribe", Stored, "*")
	wantNext(t, sub, 11, 20, 100)
	for seq := uint64(1); seq <= 3; seq++ {
		if m := next(t, sub); string(m.Bytes()) != string(content(seq, 90)) || m.Missed() != 0 {
			t.Errorf("message %d of %d bytes, %d missed", m.Seq(), len(m.Bytes()), m.Missed())
		}
	}
	if c := far.counts(); c.Messages > 13 || c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

// Two machines send topics of one name: the first one keeps it as long as it is there.
func TestTwoOrigins(t *testing.T) {
	ipctest.NeedNames(t)
	for _, policy := range []Policy{Newest, Wait} {
		t.Run(string(policy), func(t *testing.T) {
			s := newServer(t, server.Options{})
			ipctest.Store(t)
			far := start(t, s, "subscribe", policy, "t")
			p := ipctest.Start(t, "publisher", "t", "100", "0")
			p.Line()
			near := start(t, s, "publish", policy, "t")
			near.event("attached")
			p.Want("done <nil>", "5")
			sub := await(t, "far.t")
			want(t, sub, 1, 5, 100)
			ipctest.Store(t) // another machine
			q := ipctest.Start(t, "publisher", "t", "90", "0")
			q.Line()
			other := start(t, s, "publish", policy, "t")
			if e := far.event("refused"); e.Topic != "far.t" {
				t.Errorf("%+v", e)
			}
			for seq := uint64(6); seq < 20; seq++ {
				q.Want("done <nil>", "1")
				p.Want("done <nil>", "1")
				want(t, sub, seq, seq, 100)
			}
			near.EndInput()
			near.Wait()
			other.event("attached")
			q.Want("done <nil>", "1")
			for m := next(t, sub); string(m.Bytes()) != string(content(15, 90)); m = next(t, sub) {
				if len(m.Bytes()) > 90 {
					t.Errorf("message %d of %d bytes", m.Seq(), len(m.Bytes()))
				}
			}
		})
	}
}

// A value of a cell whose parts are of two values is not set.
func TestTornCell(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	start(t, s, "subscribe", Newest)
	nc, err := nats.Connect(s.url())
	ipctest.NoErr(t, err)
	defer nc.Close()
	part := func(name string, generation uint64, offset int, text string) {
		meta, _ := json.Marshal(CellMeta{Name: name, Cap: 16})
		le := binary.LittleEndian
		b := le.AppendUint64(make([]byte, headerSize), generation)
		b = le.AppendUint32(le.AppendUint32(b, 8), uint32(offset))
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(meta))), 0)
		b = append(append(b, meta...), text...)
		h := envelope{kind: kindValue, session: 1, number: generation, id: samepage.ID{1}}
		h.seal(b)
		ipctest.NoErr(t, nc.Publish("test.cell."+name, b))
	}
	for !existsCell(t, "far.c") {
		part("c", 4, 0, "0000")
		part("c", 4, 4, "0000")
	}
	part("c", 5, 0, "AAAA") // the second part of value 5 and the first one of value 6 are lost
	part("c", 6, 4, "BBBB")
	for !existsCell(t, "far.c2") { // it comes after them
		part("c2", 1, 0, "0000")
		part("c2", 1, 4, "0000")
	}
	r, err := cell.OpenReader("far.c", nil)
	ipctest.NoErr(t, err)
	defer r.Close()
	if b, _, err := r.Get(); err != nil || string(b) != "00000000" {
		t.Errorf("%q, %v", b, err)
	}
	part("c", 7, 0, "CCCC")
	part("c", 7, 4, "DDDD")
	for v, err := range r.Values(t.Context()) {
		if ipctest.NoErr(t, err); string(v.Bytes()) == "CCCCDDDD" {
			break
		}
	}
}

func existsCell(t *testing.T, name string) bool {
	t.Helper()
	_, err := samepage.Stat(name, &samepage.Options{Kind: samepage.KindCell})
	if err != nil {
		time.Sleep(20 * time.Millisecond)
	}
	return err == nil
}

// The server is started again, and allows only smaller messages: what was sent before is lost and
// counted, and what comes later arrives.
func TestSmallerLimit(t *testing.T) {
	ipctest.NeedNames(t)
	const size = 400 << 10
	for _, policy := range []Policy{Newest, Wait} {
		t.Run(string(policy), func(t *testing.T) {
			ipctest.Store(t)
			s := newServer(t, server.Options{})
			far := start(t, s, "subscribe", policy, "t")
			near := start(t, s, "publish", policy, "t")
			p := ipctest.Start(t, "publisher", "t", fmt.Sprint(size), "0")
			p.Line()
			p.Want("done <nil>", "1")
			sub := await(t, "far.t")
			want(t, sub, 1, 1, size)
			s.stop()
			p.Want("done <nil>", "2")
			for near.counts().Messages < 3 {
				time.Sleep(time.Millisecond)
			}
			s.o.MaxPayload = 64 << 10
			s.start()
			near.event("reconnected")
			far.event("reconnected")
			p.Want("done <nil>", "2")
			if m := next(t, sub); m.Seq() != 4 || m.Missed() != 2 || string(m.Bytes()) != string(content(4, size)) {
				t.Errorf("message %d, %d missed", m.Seq(), m.Missed())
			}
			want(t, sub, 5, 5, size)
			if c := far.counts(); c.Messages > 3 || c.Lost != 2 {
				t.Errorf("%+v", c)
			}
		})
	}
}

type long struct {
	AbcdefghijklmnopqrstuvwxyzA, AbcdefghijklmnopqrstuvwxyzB, AbcdefghijklmnopqrstuvwxyzC, AbcdefghijklmnopqrstuvwxyzD float64
	AbcdefghijklmnopqrstuvwxyzE, AbcdefghijklmnopqrstuvwxyzF, AbcdefghijklmnopqrstuvwxyzG, AbcdefghijklmnopqrstuvwxyzH float64
}

// longer is a type whose description has more than 1000 bytes.
type longer struct {
	Abcdefghijklmnopqrstuvwxyz0, Abcdefghijklmnopqrstuvwxyz1, Abcdefghijklmnopqrstuvwxyz2, Abcdefghijklmnopqrstuvwxyz3 long
}

// A cell whose description does not fit into a message of the server is refused.
func TestLongSchema(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{MaxPayload: 2200})
	w, err := cell.CreateWriterOf[longer]("c", nil)
	ipctest.NoErr(t, err)
	defer w.Close()
	ipctest.NoErr(t, w.Set(t.Context(), &longer{}))
	near := start(t, s, "publish", Newest)
	if e := near.event("refused"); e.Topic != "c" {
		t.Errorf("%+v", e)
	}
}

func TestStreamNames(t *testing.T) {
	all := map[string]bool{}
	for _, x := range [][2]string{{"a_b", "c"}, {"a", "b_c"}, {"a-b", "c"}, {"a", fmt.Sprintf("%0250d", 1)}, {"a", fmt.Sprintf("%0250d", 2)}} {
		n := subjects{x[0]}.streamName(x[1])
		if all[n] || len(n) > 250 {
			t.Errorf("%q", n)
		}
		all[n] = true
	}
	if got := (subjects{"a-b"}).positions(); got != "samepage-a-2Db" {
		t.Error(got)
	}
}

// Names that come and go leave nothing behind.
func TestManyNames(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	t.Setenv("SILENCE", "500ms")
	s := newServer(t, server.Options{})
	far, near := startBoth(t, s, Wait, "run*")
	const n = 4
	for i := range n {
		p, err := pubsub.CreatePublisher(fmt.Sprint("run", i), nil)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, p.WaitReliableSubscribers(t.Context(), 1))
		ipctest.NoErr(t, p.Send(t.Context(), content(1, 100)))
		ipctest.NoErr(t, p.Close())
	}
	for _, b := range []*side{near, far} {
		for b.Ask("left") != "0" {
			time.Sleep(10 * time.Millisecond)
		}
	}
	// A name that comes again is carried again.
	for _, i := range []int{1, 3} {
		name := fmt.Sprint("run", i)
		p, err := pubsub.CreatePublisher(name, nil)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, p.WaitReliableSubscribers(t.Context(), 1))
		ipctest.NoErr(t, p.Send(t.Context(), content(1, 100)))
		sub := await(t, "far."+name)
		if m := next(t, sub); string(m.Bytes()) != string(content(1, 100)) {
			t.Error(m.Seq(), len(m.Bytes()))
		}
		ipctest.NoErr(t, p.Close())
	}
}

// A topic whose publisher was killed is let go when nobody uses it any more, and carried again when
// it comes again. One that somebody still reads stays, and one that stays by itself.
func TestKilledPublishers(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	t.Setenv("SILENCE", "500ms")
	s := newServer(t, server.Options{})
	far, near := startBoth(t, s, Newest, "run*")
	persists, err := pubsub.CreatePublisher("run3", &pubsub.Options{Lifetime: samepage.Persist})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, persists.WaitSubscribers(t.Context(), 1))
	ipctest.NoErr(t, persists.Close())
	over := func(names ...string) {
		t.Helper()
		if e := near.event("over"); !slices.Contains(names, e.Topic) {
			t.Fatalf("%+v, want %q", e, names)
		}
	}
	var readers []*pubsub.Subscriber
	for round := range uint64(2) {
		for _, name := range []string{"run1", "run2"} {
			p := ipctest.Start(t, "publisher", name, "100", "0")
			p.Line()
			p.Want("done <nil>", "2")
			sub, err := pubsub.AwaitSubscriber(t.Context(), "far."+name, nil)
			ipctest.NoErr(t, err)
			if next(t, sub); name == "run1" && round == 0 {
				reader, err := pubsub.OpenSubscriber(name, nil)
				ipctest.NoErr(t, err)
				readers = append(readers, reader)
			}
			ipctest.NoErr(t, sub.Close())
			p.Kill()
		}
		if round == 0 {
			over("run2")
		}
	}
	for _, r := range readers {
		ipctest.NoErr(t, r.Close())
	}
	for range 2 {
		over("run1", "run2")
	}
	for _, b := range []*side{near, far} {
		for b.Ask("left") != "1" {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// A topic here that cannot be made for a while does not lose messages with the policies wait and
// stored: here a subscriber does not close the topic before.
func TestTopicHeldHere(t *testing.T) {
	ipctest.NeedNames(t)
	for _, policy := range []Policy{Wait, Stored} {
		if testing.Short() && policy == Stored {
			continue
		}
		t.Run(string(policy), func(t *testing.T) {
			ipctest.Store(t)
			s := newServer(t, server.Options{JetStream: policy == Stored, StoreDir: ipctest.Dir(t)})
			far, _ := startBoth(t, s, policy, "t")
			x := &short{t: t, name: "t"}
			x.publish(policy, 3, (*pubsub.Publisher).Close)
			old := await(t, "far.t")
			for range 3 {
				next(t, old)
			}
			x.publish(policy, 5, (*pubsub.Publisher).Close) // of another size
			if e := far.event("refused"); e.Topic != "far.t" {
				t.Errorf("%+v", e)
			}
			ipctest.NoErr(t, old.Close())
			x.arrived(far, policy)
		})
	}
}

// Two bridges that make the same topic here would publish each message twice: the second one is
// refused.
func TestTwoSubscribers(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	startBoth(t, s, Newest, "t")
	p := ipctest.Start(t, "publisher", "t", "100", "0")
	p.Line()
	p.Want("done <nil>", "2")
	sub := await(t, "far.t")
	wantNext(t, sub, 1, 2, 100)
	second := start(t, s, "subscribe", Newest, "t")
	if e := second.event("refused"); !strings.Contains(e.Text, "another bridge") {
		t.Errorf("%+v", e)
	}
	p.Want("done <nil>", "3")
	wantNext(t, sub, 3, 5, 100)
}

// A service that comes again with other types does not get calls with the old ones.
func TestServiceOfOtherType(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	type Length struct{ Metres float64 }
	type Angle struct{ Degrees float64 }
	s := newServer(t, server.Options{})
	near := start(t, s, "publish", Newest)
	start(t, s, "subscribe", Newest)
	serve := func(w interface {
		Close() error
	}, run func(context.Context) error,
	) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- run(ctx) }()
		return func() {
			cancel()
			<-done
			ipctest.NoErr(t, w.Close())
		}
	}
	lengths, err := rpc.CreateWorkerOf[Length, Length]("s", nil)
	ipctest.NoErr(t, err)
	stop := serve(lengths, func(ctx context.Context) error {
		return lengths.Serve(ctx, func(_ *rpc.Job, in, out *Length) error { out.Metres = 2 * in.Metres; return nil })
	})
	c, err := rpc.AwaitClientOf[Length, Length](t.Context(), "far.s", nil)
	ipctest.NoErr(t, err)
	var out Length
	ipctest.NoErr(t, c.Call(t.Context(), &Length{3}, &out))
	if out.Metres != 6 {
		t.Error(out)
	}
	stop()
	near.EndInput() // it has the service open
	near.Wait()
	angles, err := rpc.CreateWorkerOf[Angle, Angle]("s", nil)
	ipctest.NoErr(t, err)
	start(t, s, "publish", Newest).event("attached")
	defer serve(angles, func(ctx context.Context) error {
		return angles.Serve(ctx, func(_ *rpc.Job, in, out *Angle) error { out.Degrees = 100 + in.Degrees; return nil })
	})()
	// It is found by the call, or by the bridge before.
	if err := c.Call(t.Context(), &Length{3}, &out); err == nil || !strings.Contains(err.Error(), "types have changed") && !errors.Is(err, samepage.ErrPeerNotStarted) {
		t.Errorf("%v, %v", out, err)
	}
	ipctest.NoErr(t, c.Close())
	other, err := rpc.AwaitClientOf[Angle, Angle](t.Context(), "far.s", nil)
	for errors.Is(err, samepage.ErrKindMismatch) { // the old one is there still
		time.Sleep(20 * time.Millisecond)
		other, err = rpc.AwaitClientOf[Angle, Angle](t.Context(), "far.s", nil)
	}
	ipctest.NoErr(t, err)
	defer other.Close()
	var turned Angle
	ipctest.NoErr(t, other.Call(t.Context(), &Angle{3}, &turned))
	if turned.Degrees != 103 {
		t.Error(turned)
	}
}

// The counts of a bridge are in a cell, which the inspector shows.
func TestShown(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	far, near := startBoth(t, s, Wait, "t")
	p := ipctest.Start(t, "publisher", "t", "100", "0")
	p.Line()
	p.Want("done <nil>", "5")
	for way, b := range map[string]*side{"publish": near, "subscribe": far} {
		r, err := cell.AwaitReader(t.Context(), shownName(b.PID()), nil)
		ipctest.NoErr(t, err)
		for v, err := range r.Values(t.Context()) {
			ipctest.NoErr(t, err)
			var x shown
			ipctest.NoErr(t, json.Unmarshal(v.Bytes(), &x))
			if x.Way != way {
				t.Errorf("%+v", x)
			}
			if len(x.Topics) == 1 && x.Topics[0].Far == "t" && x.Topics[0].Messages == 5 {
				break
			}
		}
		ipctest.NoErr(t, r.Close())
	}
}
