package bridge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"

	"samepage/layout"
	"samepage/pubsub"
)

// sink publishes here the messages of one far topic, and of those that have its name later. The
// goroutine that NATS calls it in has mu, and so has the one that watches for silence.
type sink struct {
	b         *Bridge
	far, name string
	c         *counter
	ctx       context.Context

	mu         sync.Mutex
	meta       Meta // of the topic at its origin; Name is empty if it is not known
	places     []place
	part       assembly
	heard      time.Time // when the publishing bridge was last heard
	asked      time.Time // when it was last asked
	silent     bool
	untold     uint64    // messages that are lost, and not told yet
	toldLost   time.Time // when that was told
	complaint  string    // the last error that was told
	complained time.Time // when
	wants      bool      // the topic has publishers at its origin, and none could be made here
	left       bool      // the publishing bridge has said that it stops
	rival      uint32    // the session of another publishing bridge that was refused
	refused    string    // why the topic cannot be made here, as it was told
	noGaps     bool      // it was told that the topic here cannot have gaps
	retry      time.Time // when to try again to make it
	made       bool      // this bridge has made the topic
	dropped    bool      // another sink may have the name now
	shifts     shifts    // as the cell has them, see restore
	unkept     bool      // the cell does not have them, because it could not be written
	// kept keeps the topic here while the one at the origin exists, also between its publishers: as
	// there.
	kept   *pubsub.Subscriber
	bufs   [][]byte
	z      *zstd.Decoder // nil: nothing was compressed yet
	plain  []byte        // what was decompressed last
	jpeg   []byte        // the parts of a picture that have come
	unsaid int           // bytes that have come since the last acknowledgement

	once     sync.Once     // of stored
	isStored atomic.Bool   // stored was called
	position atomic.Uint64 // of the last envelope in the stream, if the topic is stored

	waits atomic.Bool // the policy is Wait: the publishing bridge waits for this one
	at    progress
}

// progress is how far a sink is. Session and number change together: a word that has the number of
// another session would acknowledge what has not come. The zero value knows no session.
type progress struct {
	mu      sync.Mutex
	session uint32 // of the publishing bridge
	number  uint64 // of the last envelope
}

func (p *progress) get() (session uint32, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session, p.number
}

func (p *progress) set(session uint32, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session, p.number = session, number
}

// session returns the session that the sink knows, or 0.
func (s *sink) session() uint32 {
	session, _ := s.at.get()
	return session
}

// place is the place of a publisher of the far topic.
type place struct {
	position        // next is the number of the message that comes next; 0: not known
	since    uint64 // the number of the first message; 0: not known
	p        *pubsub.Publisher
	// out is the number at the origin of the message that p publishes next. It is less than next if
	// messages in between could not be published. 0: not known.
	out   uint64
	known bool  // shift is known
	lane  int   // the place of p here; -1: not known
	shift int64 // what is added to a number of the origin for the topic here
}

// assembly is a message of which parts have come.
type assembly struct {
	place  int
	seq    uint64
	have   uint32
	total  uint32
	kind   kind        // kindPart or kindPicture
	loan   pubsub.Loan // of kindPart; of kindPicture when all parts have come
	active bool
}

func newSink(ctx context.Context, b *Bridge, far string) *sink {
	s := &sink{b: b, far: far, name: b.o.To(far), ctx: ctx, heard: time.Now()}
	s.c = b.counters.add(s.name, far)
	return s
}

// drop says whether nobody sends the topic any more, and then forgets the sink: if its name is a
// match of a pattern, a description makes another one.
func (b *Bridge) drop(s *sink) bool {
	if slices.Contains(b.o.Patterns, s.far) || !s.mu.TryLock() {
		return false
	}
	defer s.mu.Unlock()
	if s.meta.Name != "" || s.isStored.Load() || !b.o.Conn.IsConnected() || time.Since(s.heard) <= b.o.Silence {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sinks, s.far)
	b.counters.release(s.c)
	s.dropped = true
	return true
}

// pendingBytes is how much the connection keeps for one topic while its publisher here waits.
const pendingBytes = 256 << 20

// run publishes until ctx ends.
func (s *sink) run() {
	ctx := s.ctx
	sub, err := s.b.o.Conn.Subscribe(s.b.s.data(s.far), func(m *nats.Msg) { s.take(m.Data, nil) })
	if err == nil {
		err = sub.SetPendingLimits(-1, pendingBytes)
	}
	if err != nil {
		s.b.tell("failed", s.name, 0, "%v", err)
		return
	}
	s.mu.Lock()
	s.ask()
	s.mu.Unlock()
	t := time.NewTicker(time.Second / 4)
	defer t.Stop()
	dropped := 0
	for ctx.Err() == nil && !s.b.drop(s) {
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		if n, err := sub.Dropped(); err == nil && n > dropped {
			s.b.tell("slow", s.name, 0, "%d envelopes were dropped, because the subscribers of the topic here are too slow", n-dropped)
			dropped = n
		}
		if s.waits.Load() {
			s.say(sayDone) // the publishing bridge hears it, also while take waits for subscribers here
		}
		if s.mu.TryLock() {
			s.watch()
			s.mu.Unlock()
		}
	}
	_ = sub.Unsubscribe()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort()
	s.letGo()
}

// watch looks whether the publishing bridge is silent.
func (s *sink) watch() {
	if time.Since(s.toldLost) > time.Second {
		s.tellLost()
	}
	if s.wants {
		_ = s.publisher(0)
	}
	if s.unkept {
		s.keepShifts()
	}
	if !s.b.o.Conn.IsConnected() {
		s.heard = time.Now() // the silence has another reason
		return
	}
	if s.session() == 0 { // nobody answers if the topic is stored
		s.ask()
	}
	if quiet := time.Since(s.heard); quiet > s.b.o.Silence && !s.silent && s.meta.Name != "" && s.meta.Policy != Stored {
		s.silent = true
		s.b.tell("silent", s.name, 0, "the publishing bridge was not heard for %v: its publishers count as dead", s.b.o.Silence)
		s.abort()
	}
}

// ask asks the publishing bridge for Meta, at most every 200 ms.
func (s *sink) ask() {
	if time.Since(s.asked) > 200*time.Millisecond {
		s.asked = time.Now()
		s.say(sayAsk)
	}
}

// say tells the publishing bridge how far this one is.
func (s *sink) say(what say) {
	session, number := s.at.get()
	a := back{what, s.b.receiver, session, number}
	_ = s.b.o.Conn.Publish(s.b.s.back(s.far), a.bytes())
}

// take takes an envelope. meta is nil, or returns the Meta of a topic whose Meta is not in an
// envelope.
func (s *sink) take(data []byte, meta func() *Meta) {
	e, err := parse(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.complain("damaged", err)
		return
	}
	if s.ctx.Err() != nil || s.dropped {
		return
	}
	s.c.envelopes.Add(1)
	if s.another(&e) {
		return
	}
	s.heard = time.Now()
	if s.silent {
		s.silent = false
		s.b.tell("back", s.name, 0, "the publishing bridge is heard again")
	}
	if e.kind == kindOpen {
		if m, err := parseMeta(e.body); err == nil {
			m.Session, m.Number, m.ID = e.session, e.number, e.id
			s.described(&e, &m)
		}
		return
	}
	if s.follows(e.session) && !s.inOrder(&e, false) {
		if _, last := s.at.get(); e.kind == kindTick && e.number == last && e.id == s.meta.ID && s.meta.Name != "" {
			s.where(e.body) // what could not be sent, or published here, has no number of its own
		}
		return
	}
	if e.id != s.meta.ID || e.session != s.session() || s.meta.Name == "" {
		if e.kind == kindOver && (s.meta.Name != "" || e.id == s.meta.ID) { // of a topic that is over already
			return
		}
		if meta != nil {
			if m := meta(); m != nil && m.ID == e.id {
				m.Session, m.Number = e.session, e.number-1
				s.open(m)
			}
		}
		if e.id != s.meta.ID || e.session != s.session() || s.meta.Name == "" {
			if meta == nil {
				s.ask()
			} else if n := s.count(&e); n > 0 { // the server has no description of it any more
				s.lost(n)
			}
			return
		}
	}
	if s.meta.Policy != Wait {
		_, last := s.at.get()
		s.at.set(e.session, max(last, e.number))
	}
	if err := s.do(&e); err != nil {
		s.complain("damaged", err)
	}
}

// described takes the description of a topic. With the policy Wait this bridge begins only with one
// that is for it: until then the publishing bridge keeps nothing for it, and what it takes may end
// with a hole that nobody fills.
func (s *sink) described(e *envelope, m *Meta) {
	mine := slices.Contains(m.For, s.b.receiver)
	switch {
	case s.follows(e.session):
		if s.inOrder(e, mine) {
			s.open(m)
		}
	case m.Policy == Wait && !mine:
		s.ask()
	default:
		s.open(m)
	}
}

// another says whether an envelope is of another topic of that name, on another machine: the first
// one keeps the name as long as it is heard.
func (s *sink) another(e *envelope) bool {
	if s.meta.Name == "" || s.meta.Policy == Stored || s.left || s.silent || e.id == s.meta.ID || e.session == s.session() ||
		time.Since(s.heard) > s.b.o.Silence {
		return false
	}
	if s.rival != e.session {
		s.rival = e.session
		s.b.tell("refused", s.name, 0, "another bridge sends a topic as %q, which comes from %s already: use --prefix or --rename there", s.far, s.meta.Host)
	}
	return true
}

// follows says whether the envelopes of a session must come in order, because its publishing bridge
// keeps them for this one.
func (s *sink) follows(session uint32) bool {
	return s.meta.Policy == Wait && session != 0 && session == s.session()
}

// inOrder says whether an envelope is the next one, and acknowledges it. If anew is set, it may be
// a later one: the publishing bridge has forgotten this one, and begins again with it.
func (s *sink) inOrder(e *envelope, anew bool) bool {
	session, last := s.at.get()
	switch {
	case e.kind != kindTick && (e.number == last+1 || anew && e.number > last):
		s.at.set(session, e.number)
		return true
	case e.number > last:
		s.say(sayHole)
	default: // a tick, or an envelope that has come already
		s.say(sayDone)
	}
	return false
}

// do does what an envelope says.
func (s *sink) do(e *envelope) error {
	if e.flags&flagZstd != 0 {
		b, err := s.decompress(e.body)
		if err != nil {
			return err
		}
		e.body = b
	}
	switch e.kind {
	case kindMessages:
		if err := s.messages(e.body); err != nil {
			return err
		}
	case kindPart, kindPicture:
		p, err := parsePart(e.body)
		if err == nil {
			err = s.addPart(e.kind, &p)
		}
		if err != nil {
			return err
		}
	case kindEnd, kindDeath, kindTick, kindOver:
		s.where(e.body)
		if e.kind != kindTick || e.flags&flagEnd != 0 {
			s.wants = false
			s.tellLost()
		}
		switch {
		case e.kind == kindEnd || e.flags&flagEnd != 0:
			if s.end(func(*place) bool { return true }, (*pubsub.Publisher).Close) {
				s.b.tell("ended", s.name, 0, "the last publisher has ended its stream")
			}
		case e.kind == kindOver && e.flags&flagBye != 0:
			s.left = true
			s.b.tell("bye", s.name, 0, "the publishing bridge has stopped")
			s.abort()
		case e.kind == kindOver:
			s.end(func(*place) bool { return true }, (*pubsub.Publisher).Close)
			s.letGo()
			s.forget()
			s.meta.Name = ""
		}
	default:
		return fmt.Errorf("kind %d: %w", e.kind, errEnvelope)
	}
	s.unsaid += len(e.body)
	if s.meta.Policy == Wait || s.meta.Policy == Newest && (s.unsaid >= ackBytes || e.kind == kindTick) {
		s.say(sayDone)
		s.unsaid = 0
	}
	return nil
}

// where takes over how far the places are at the origin.
func (s *sink) where(b []byte) {
	for i, at := range positions(b) {
		if i >= len(s.places) {
			return
		}
		pl := &s.places[i]
		if at.next > pl.next && pl.next > 0 {
			s.advance(i, at.next)
			_ = s.ready(i, 0) // subscribers here learn of it at the end of the stream
		}
		pl.next = max(pl.next, at.next)
		if at.deaths > pl.deaths {
			pl.deaths = at.deaths
			if s.end(func(p *place) bool { return p == pl }, (*pubsub.Publisher).Abort) {
				s.b.tell("died", s.name, 0, "a publisher has died, or has given up")
			}
		}
	}
}

// lost counts messages. They are told at most once a second.
func (s *sink) lost(n uint64) {
	s.c.lost.Add(n)
	s.untold += n
	if time.Since(s.toldLost) > time.Second {
		s.tellLost()
	}
}

// tellLost tells what was lost since the last time.
func (s *sink) tellLost() {
	if s.untold > 0 {
		s.b.tell("lost", s.name, s.untold, "messages were lost on the way")
		s.untold, s.toldLost = 0, time.Now()
	}
}

// complain tells an error, unless it was told less than a second ago.
func (s *sink) complain(what string, err error) {
	if text := err.Error(); text != s.complaint || time.Since(s.complained) > time.Second {
		s.complaint, s.complained = text, time.Now()
		s.b.tell(what, s.name, 0, "%s", text)
	}
}

// seen returns how many messages of the topic have come, or are known to be lost.
func (s *sink) seen() (n uint64) {
	for i := range s.places {
		if p := &s.places[i]; p.since > 0 && p.next > p.since {
			n += p.next - p.since
		}
	}
	return n
}

// open begins with a topic, or goes on with it.
func (s *sink) open(m *Meta) {
	again := m.Session == s.session()
	if m.ID == s.meta.ID && again && s.meta.Name != "" {
		return
	}
	// The publishing bridge has started again, or this is another topic.
	same := m.ID == s.meta.ID && len(s.places) == m.Publishers
	if !same {
		if was := s.meta.Earlier + s.seen(); again && m.Earlier > was {
			s.lost(m.Earlier - was)
		}
		s.abort()
		s.letGo()
		s.places = make([]place, min(m.Publishers, layout.MaxLanes))
		for i := range s.places {
			p := &s.places[i]
			if i < len(m.Since) && numbered(m.Since[i], 1) {
				p.since = m.Since[i]
			}
			if i < len(m.Next) && numbered(m.Next[i], 1) {
				p.next = m.Next[i]
			}
			if p.since > 0 && slices.Contains(m.Known, s.b.receiver) {
				p.next = p.since
			}
		}
	}
	for i := range s.places {
		s.places[i].deaths = 0
		if i < len(m.Deaths) {
			s.places[i].deaths = m.Deaths[i]
		}
	}
	s.discard()
	s.meta, s.retry, s.left = *m, time.Time{}, false
	s.waits.Store(m.Policy == Wait)
	s.at.set(m.Session, m.Number)
	if m.Policy == Wait {
		s.say(sayDone)
	}
	if !same && !again {
		s.restore()
	}
	s.wants = m.Living > 0 && s.publisher(0) == nil
	s.b.tell("attached", s.name, 0, "it comes from %q of %s, policy %s", s.far, m.Host, m.Policy)
}

// end ends the streams of the publishers of some places. It says whether there were any.
func (s *sink) end(which func(*place) bool, how func(*pubsub.Publisher) error) (any bool) {
	for i := range s.places {
		p := &s.places[i]
		if p.p != nil && which(p) {
			if s.part.active && s.part.place == i {
				s.discard()
			}
			if err := how(p.p); err != nil {
				s.b.tell("failed", s.name, 0, "%v", err)
			}
			p.p, any = nil, true
		}
	}
	return any
}

// abort ends all streams as if the publishers had died.
func (s *sink) abort() { s.end(func(*place) bool { return true }, (*pubsub.Publisher).Abort) }

// count returns the number of messages in an envelope.
func (s *sink) count(e *envelope) (n uint64) {
	body := e.body
	if e.flags&flagZstd != 0 {
		body, _ = s.decompress(body)
	}
	switch e.kind {
	case kindMessages:
		for len(body) > 0 {
			r, rest, err := nextRun(body)
			if err != nil {
				return n
			}
			n, body = n+uint64(r.count), rest
		}
	case kindPart, kindPicture:
		if p, err := parsePart(body); err == nil && int64(p.offset)+int64(len(p.bytes)) == int64(p.total) {
			return 1
		}
	}
	return n
}
