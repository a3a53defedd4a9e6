package bridge

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// wire is a bridge whose envelopes the test makes itself: of the topic "t", at the names on the way
// that the bridges of the tests use.
type wire struct {
	t         *testing.T
	nc        *nats.Conn
	at        subjects
	back, got *nats.Subscription
}

// wired starts a server of NATS, and returns a wire to it. Objects have a place of their own.
func wired(t *testing.T, o server.Options) (*testServer, *wire) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, o)
	return s, newWire(t, s)
}

func newWire(t *testing.T, s *testServer) *wire {
	t.Helper()
	nc, err := nats.Connect(s.url())
	ipctest.NoErr(t, err)
	t.Cleanup(nc.Close)
	w := &wire{t: t, nc: nc, at: subjects{"test"}}
	w.back, err = nc.SubscribeSync(w.at.back("t"))
	ipctest.NoErr(t, err)
	w.got, err = nc.SubscribeSync(w.at.data("t"))
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, nc.Flush())
	return w
}

// describe sends the description of the topic, for these subscribing bridges.
func (w *wire) describe(number uint64, ids ...uint64) {
	w.t.Helper()
	text, err := json.Marshal(&Meta{
		Name: "t", Policy: Wait, MaxSize: 100, Depth: 64, Publishers: 1, Members: 4, Living: 1, Next: []uint64{1}, Since: []uint64{1}, Times: true,
		For: ids,
	})
	ipctest.NoErr(w.t, err)
	w.envelope(kindOpen, number, text)
}

// message sends message seq.
func (w *wire) message(number, seq uint64) {
	w.t.Helper()
	b := content(seq, 100)
	w.envelope(kindMessages, number, append(appendRun(nil, &run{count: 1, size: uint32(len(b)), seq: seq, time: 1}), b...))
}

// envelope sends an envelope of session 7 and topic 1.
func (w *wire) envelope(k kind, number uint64, body []byte) {
	w.t.Helper()
	b := append(make([]byte, headerSize), body...)
	e := envelope{kind: k, session: 7, number: number, id: samepage.ID{1}}
	e.seal(b)
	ipctest.NoErr(w.t, w.nc.Publish(w.at.data("t"), b))
}

// say waits for what the subscribing bridge says next.
func (w *wire) say() back {
	w.t.Helper()
	m, err := w.back.NextMsg(ipctest.Patience)
	ipctest.NoErr(w.t, err)
	a, ok := parseBack(m.Data)
	if !ok {
		w.t.Fatalf("a subscribing bridge says % x", m.Data)
	}
	return a
}

// tell says something, as a subscribing bridge.
func (w *wire) tell(a back) {
	w.t.Helper()
	ipctest.NoErr(w.t, w.nc.Publish(w.at.back("t"), a.bytes()))
}

// until says something again and again, as subscribing bridges do, until f returns.
func (w *wire) until(a back, f func()) {
	w.t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_ = w.nc.Publish(w.at.back("t"), a.bytes())
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	defer func() {
		close(done)
		<-ended
	}()
	f()
}

// next waits for the next envelope of this kind that a publishing bridge sends.
func (w *wire) next(k kind) envelope {
	w.t.Helper()
	for {
		m, err := w.got.NextMsg(ipctest.Patience)
		ipctest.NoErr(w.t, err)
		e, err := parse(m.Data)
		ipctest.NoErr(w.t, err)
		if e.kind == k {
			return e
		}
	}
}

// begins waits for a description that is for this subscribing bridge alone.
func (w *wire) begins(id uint64) envelope {
	w.t.Helper()
	for {
		e := w.next(kindOpen)
		meta, err := parseMeta(e.body)
		ipctest.NoErr(w.t, err)
		if len(meta.For) == 1 && meta.For[0] == id && meta.Number == e.number {
			return e
		}
		w.t.Logf("envelope %d is for %d", e.number, meta.For)
	}
}

// joins asks as a subscribing bridge until it can begin, and begins.
func (w *wire) joins(id uint64) (e envelope) {
	w.t.Helper()
	w.until(back{say: sayAsk, receiver: id}, func() { e = w.begins(id) })
	w.tell(back{receiver: id, session: e.session, number: e.number})
	return e
}

// With the policy wait a subscribing bridge begins with the description that is for it. What it took
// earlier would be lost with the connection, because the publishing bridge does not keep it.
func TestWaitBegins(t *testing.T) {
	s, w := wired(t, server.Options{})
	far := start(t, s, "subscribe", Wait, "t")
	first := w.say()
	w.describe(1)
	w.message(2, 1)
	w.describe(3, first.receiver+1)
	w.message(4, 2)
	w.envelope(0, 5, nil)
	ipctest.NoErr(t, w.nc.Publish(w.at.data("t"), []byte("not an envelope")))
	far.event("damaged") // so it has taken what came before
	if c := far.counts(); c.Messages != 0 || c.Lost != 0 {
		t.Errorf("it has begun: %+v", c)
	}
	for a := first; a.session != 7; a = w.say() {
		if a != (back{say: sayAsk, receiver: first.receiver}) {
			t.Fatalf("it says %+v", a)
		}
		if pending, _, _ := w.back.Pending(); pending == 0 {
			w.describe(6, first.receiver)
			w.message(7, 1)
			w.message(8, 2)
			break
		}
	}
	far.event("attached")
	want(t, await(t, "far.t"), 1, 2, 100)
	for a := w.say(); a.number < 8; a = w.say() {
		if a.session == 7 && a.say != sayDone {
			t.Errorf("after it has begun it says %+v", a)
		}
	}
}

// With the policy wait a publishing bridge tells each subscribing one where it begins: one that asks
// while there is a topic, one that asked when there was none, one that has forgotten what it knew,
// and one that is at an envelope that it had done already.
func TestWaitTellsBegin(t *testing.T) {
	s, w := wired(t, server.Options{})
	near := start(t, s, "publish", Wait, "t")
	w.until(back{say: sayAsk, receiver: 1}, func() { near.event("receiver") }) // there is no topic yet
	p, err := pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 100, Times: true})
	ipctest.NoErr(t, err)
	var e envelope
	next := func(a back) {
		t.Helper()
		w.until(a, func() { e = w.begins(a.receiver) })
		w.tell(back{say: sayDone, receiver: a.receiver, session: e.session, number: e.number})
	}
	next(back{say: sayDone, receiver: 1, session: 1})
	next(back{say: sayAsk, receiver: 2})
	next(back{say: sayAsk, receiver: 1})
	next(back{say: sayHole, receiver: 2, session: e.session}) // at number 0
	ipctest.NoErr(t, p.Close())
}

// With the policy wait a publishing bridge tells where it is also when the topic is over, as long
// as a subscribing one has not acknowledged all: what came last may be lost. A topic that was found
// by a pattern is not forgotten before.
func TestWaitOver(t *testing.T) {
	t.Setenv("SILENCE", "6s")
	ticks := 5
	if !testing.Short() {
		ticks = 65 // in 6.4 s or more, which is longer than the silence
	}
	s, w := wired(t, server.Options{})
	near := start(t, s, "publish", Wait, "t*")
	p, err := pubsub.CreatePublisher("t", nil)
	ipctest.NoErr(t, err)
	var e envelope
	w.until(back{say: sayAsk, receiver: 1}, func() { e = w.begins(1) })
	at := back{receiver: 1, session: e.session, number: e.number}
	w.until(at, func() {
		ipctest.NoErr(t, p.Send(t.Context(), content(1, 100)))
		ipctest.NoErr(t, p.Close())
		over := w.next(kindOver)
		for range ticks {
			if e := w.next(kindTick); e.number != over.number || e.id != over.id {
				t.Fatalf("it is at envelope %d, want %d", e.number, over.number)
			}
		}
		w.tell(back{say: sayHole, receiver: 1, session: e.session, number: e.number})
		w.next(kindMessages)
		w.next(kindOver)
		at.number = over.number
	})
	w.tell(at)
	for !testing.Short() && near.Ask("left") != "0" {
		time.Sleep(10 * time.Millisecond)
	}
}

// With the policy wait, too, messages at the end that no envelope has are counted: the server did
// not allow them, for example.
func TestWaitCountsTheLast(t *testing.T) {
	s, w := wired(t, server.Options{})
	far := start(t, s, "subscribe", Wait, "t")
	w.describe(1, w.say().receiver)
	w.message(2, 1)
	w.envelope(kindDeath, 3, nil)
	w.envelope(kindTick, 3, appendPositions(nil, []position{{next: 4}}))
	want(t, await(t, "far.t"), 1, 1, 100)
	if e := far.event("lost"); e.Lost != 2 {
		t.Errorf("%+v", e)
	}
}

// With the policy wait a publishing bridge tells that it is there also while it sends again what
// the topic still has, and waits for a subscribing bridge. Then it does not tell how far it is.
func TestWaitTicksInHistory(t *testing.T) {
	t.Setenv("WINDOW", "1")
	s, w := wired(t, server.Options{})
	start(t, s, "publish", Wait, "t")
	p, err := pubsub.CreatePublisher("t", nil)
	ipctest.NoErr(t, err)
	defer p.Close()
	e := w.joins(1)
	ipctest.NoErr(t, p.Send(t.Context(), content(1, 100)))
	e = w.next(kindMessages)
	w.tell(back{receiver: 1, session: e.session, number: e.number})
	w.until(back{say: sayAsk, receiver: 2}, func() {
		w.begins(2)
		e = w.next(kindMessages)
	})
	for range 5 {
		if tick := w.next(kindTick); tick.number != e.number || len(tick.body) > 0 || tick.flags != 0 {
			t.Fatalf("envelope %d with %d bytes, want %d", tick.number, len(tick.body), e.number)
		}
	}
	for id := range uint64(2) {
		w.tell(back{receiver: id + 1, session: e.session, number: e.number})
	}
	for tick := w.next(kindTick); len(positions(tick.body)) == 0; tick = w.next(kindTick) {
	}
}

// With the policy wait the death of a publisher arrives also if the publishing bridge has seen it
// before it has read the last messages.
func TestWaitDeath(t *testing.T) {
	t.Setenv("WINDOW", "1") // so it reads on when a message is acknowledged
	s, w := wired(t, server.Options{})
	start(t, s, "publish", Wait, "t")
	p := ipctest.Start(t, "publisher", "t", "100", "0")
	p.Line()
	e := w.joins(1)
	sub, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{BestEffort: true})
	ipctest.NoErr(t, err)
	defer sub.Close()
	p.Want("done <nil>", "1")
	e = w.next(kindMessages)
	p.Want("done <nil>", "3")
	p.Kill()
	for ; err == nil; _, err = sub.Take(t.Context()) {
	}
	ipctest.WantErr(t, err, samepage.ErrPeerDied)
	w.next(kindTick)
	for k := kindMessages; k != kindDeath; k = e.kind {
		w.tell(back{receiver: 1, session: e.session, number: e.number})
		m, err := w.got.NextMsg(ipctest.Patience)
		ipctest.NoErr(t, err)
		e, err = parse(m.Data)
		ipctest.NoErr(t, err)
	}
	if at := positions(e.body); at[0] != (position{next: 5, deaths: 1}) {
		t.Errorf("%+v", at)
	}
}

// A publishing bridge believes no word that acknowledges what was never sent.
func TestWaitLies(t *testing.T) {
	s, w := wired(t, server.Options{})
	start(t, s, "publish", Wait, "t")
	p, err := pubsub.CreatePublisher("t", nil)
	ipctest.NoErr(t, err)
	defer p.Close()
	var e envelope
	w.until(back{say: sayAsk, receiver: 1}, func() { e = w.begins(1) })
	at := back{receiver: 1, session: e.session, number: e.number}
	w.tell(at)
	lie := at
	lie.number = 1 << 63
	w.tell(lie)
	ipctest.NoErr(t, p.Send(t.Context(), content(1, 100)))
	first := w.next(kindMessages)
	at.say = sayHole
	w.until(at, func() {
		if again := w.next(kindMessages); again.number != first.number {
			t.Errorf("envelope %d, want %d again", again.number, first.number)
		}
	})
}

// A publishing bridge sends nothing again for a subscribing one that hears another bridge which has
// the name: it would drop it.
func TestWaitRival(t *testing.T) {
	s, w := wired(t, server.Options{})
	start(t, s, "publish", Wait, "t")
	p, err := pubsub.CreatePublisher("t", nil)
	ipctest.NoErr(t, err)
	defer p.Close()
	rival := back{receiver: 1, session: 1, number: 5}
	var e envelope
	w.until(rival, func() { e = w.begins(1) })
	w.tell(rival)
	w.tell(back{say: sayAsk, receiver: 2})
	for last := e.number; ; last = e.number {
		m, err := w.got.NextMsg(ipctest.Patience)
		ipctest.NoErr(t, err)
		e, err = parse(m.Data)
		ipctest.NoErr(t, err)
		if e.kind != kindTick && e.number != last+1 {
			t.Fatalf("envelope %d comes after %d", e.number, last)
		}
		if m, err := parseMeta(e.body); e.kind == kindOpen && err == nil && len(m.For) == 1 && m.For[0] == 2 {
			return
		}
	}
}

// A bridge for which the publisher cannot wait, because there are too many, is told, and gets no
// answer: it would ask for the history again and again.
func TestWaitTooMany(t *testing.T) {
	s, w := wired(t, server.Options{})
	near := start(t, s, "publish", Wait, "t")
	w.until(back{say: sayAsk, receiver: 1}, func() { near.event("receiver") })
	for id := range uint64(maxReceivers) {
		w.tell(back{say: sayAsk, receiver: id + 1})
	}
	for n := 2; n <= maxReceivers; n++ {
		near.event("receiver")
	}
	p, err := pubsub.CreatePublisher("t", nil)
	ipctest.NoErr(t, err)
	defer p.Close()
	first := w.next(kindOpen)
	w.until(back{say: sayAsk, receiver: maxReceivers + 1}, func() { near.event("refused") })
	ipctest.NoErr(t, p.Send(t.Context(), content(1, 100)))
	if e := w.next(kindMessages); e.number != first.number+1 {
		t.Errorf("envelope %d, want %d", e.number, first.number+1)
	}
}

// A topic whose description does not fit into a message of the server cannot cross. Its publisher
// does not wait for bridges that ask for it.
func TestWaitLongSchema(t *testing.T) {
	t.Setenv("WINDOW", "1")
	s, w := wired(t, server.Options{MaxPayload: 2200})
	near := start(t, s, "publish", Wait, "t")
	w.until(back{say: sayAsk, receiver: 1}, func() {
		near.event("receiver")
		type longest struct {
			long
			AbcdefghijklmnopqrstuvwxyzI, AbcdefghijklmnopqrstuvwxyzJ, AbcdefghijklmnopqrstuvwxyzK, AbcdefghijklmnopqrstuvwxyzL longer
		}
		p, err := pubsub.CreatePublisherOf[longest]("t", &pubsub.Options{Depth: 2})
		ipctest.NoErr(t, err)
		defer p.Close()
		if e := near.event("refused"); !strings.Contains(e.Text, "description") {
			t.Errorf("%+v", e)
		}
		for range 10 {
			ipctest.NoErr(t, p.Send(t.Context(), &longest{}))
		}
	})
}

// A word has the number and the session of one moment.
func TestProgress(t *testing.T) {
	var p progress
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range uint32(100_000) {
			p.set(i, uint64(i))
		}
	}()
	for {
		if session, number := p.get(); uint64(session) != number {
			t.Fatalf("number %d of session %d", number, session)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// A sink that was dropped takes nothing any more: another one may have its name.
func TestDropped(t *testing.T) {
	s := newServer(t, server.Options{})
	w := newWire(t, s)
	b, err := New(&Options{Conn: w.nc, Space: w.at.space, Names: Names{Patterns: []string{"t*"}}, Tell: func(e Event) { t.Error(e) }})
	ipctest.NoErr(t, err)
	k := newSink(t.Context(), b, "t")
	b.sinks[k.far], k.heard = k, time.Time{}
	if !b.drop(k) {
		t.Fatal("it is not dropped")
	}
	w.describe(1, b.receiver)
	m, err := w.got.NextMsg(ipctest.Patience)
	ipctest.NoErr(t, err)
	if k.take(m.Data, nil); k.session() != 0 {
		t.Error("it has taken a description")
	}
}
