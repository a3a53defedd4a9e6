package bridge

import (
	"context"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"samepage"
	"samepage/internal/sys/waker"
	"samepage/pubsub"
)

// askAgain is after how many ticks a source answers a bridge again.
const askAgain = 2

// leastCompressed is the size of the smallest envelope that is worth compressing.
const leastCompressed = 256

// batchBytes is how many bytes of small messages travel in one envelope.
const batchBytes = 64 << 10

// mostData is the size of the largest envelope with messages, if the server allows it: a message of
// 1 MiB fits in. Larger ones would only delay what comes after them.
const mostData = 1<<20 + 64<<10

// source sends one topic of this machine, and those that have its name later. One goroutine reads
// the topic.
type source struct {
	b         *Bridge
	name, far string
	c         *counter
	session   uint32 // a random number
	ends      bool   // it ends when there is no topic of that name any more
	subject   string
	w         *window // nil: the policy is not Wait
	pace      *pace   // nil: the policy is not Newest
	st        *store  // nil: the policy is not Stored

	// These belong to the goroutine that reads.
	sub      *pubsub.Subscriber
	ctx      context.Context
	buf      []byte        // an envelope that is not full yet: its header, and runs
	last     int           // offset of the last run in buf
	run_     run           // the last run in buf
	queued   []uint64      // of each place: the number after the last message in buf
	first    []uint64      // of each place: the number of the first message
	local    []int         // of each place: its publisher is a local one, a bridge, or not known yet
	deaths   []uint32      // as pubsub.Inspect has told them
	died     []uint32      // of each place: deaths that are not told yet
	alone    time.Time     // since when nobody else uses the topic; zero: others do
	budget   budget        // of what it costs the publishers
	taken    int           // how many packs were taken since it has rested or waited
	toldFast bool          // that the topic is too fast
	z        *zstd.Encoder // nil: nothing is compressed
	zipped   []byte        // memory for the envelope that is compressed
	jpeg     *jpegSource   // nil: frames cross as they are
	told     atomic.Int64  // the limit of the server that was told
	stale    atomic.Bool   // time has passed since the last look at the publishers
	asked    atomic.Bool   // a bridge has come, and wants the history

	mu     sync.Mutex
	meta   Meta // Name is empty while there is no topic
	number uint64
	at     []position           // of each place
	again  bool                 // history is on its way again: positions would say that it is lost
	ended  bool                 // the last publisher has ended its stream
	over   []byte               // the last envelope of the topic before, while there is no topic; only with the policy Newest
	seen   map[uint64]bool      // the bridges that were heard
	saw    chan struct{}        // has an element if seen or who has changed
	wake   context.CancelFunc   // ends the wait for a message
	asks   map[uint64]time.Time // when a bridge has asked last
	who    []uint64             // the bridges that have asked, and got no answer yet
}

// newSource returns the source of a name. forget is nil, or else the source ends when the name is
// gone.
func newSource(b *Bridge, name string, forget func()) *source {
	s := &source{b: b, name: name, ends: forget != nil, session: max(mathrand.Uint32(), 1), far: b.o.To(name), asks: map[uint64]time.Time{}, seen: map[uint64]bool{}, saw: make(chan struct{}, 1)}
	s.c, s.subject = b.counters.add(name, s.far), b.s.data(s.far)
	if b.o.Zstd {
		s.z = newEncoder()
	}
	if b.o.JPEG > 0 {
		s.jpeg = &jpegSource{}
	}
	switch b.o.Policy {
	case Wait:
		s.w = newWindow(s)
	case Stored:
		s.st = &store{s: s}
	default:
		s.pace, s.budget = newPace(s), newBudget(b.o.budget())
	}
	return s
}

// run sends until ctx ends.
func (s *source) run(ctx context.Context) {
	s.ctx = ctx
	asks, err := s.b.o.Conn.Subscribe(s.b.s.back(s.far), s.back)
	if err != nil {
		s.b.tell("failed", s.name, 0, "%v", err)
		return
	}
	defer func() { _ = asks.Unsubscribe() }()
	done := make(chan struct{})
	ticks, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(done)
		s.tick(ticks)
	}()
	var id samepage.ID
	var at []uint64
	for ctx.Err() == nil {
		opts := &pubsub.SubscriberOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner, BestEffort: s.b.o.Policy == Newest}
		sub, err := s.awaitTopic(ctx, opts)
		if s.ends && errors.Is(err, os.ErrDeadlineExceeded) {
			if s.owing() {
				continue
			}
			break
		}
		if err == nil && sub.ID() == id { // evicted: go on where it was
			err = sub.Close()
			opts.At = at
			if err == nil {
				sub, err = pubsub.OpenSubscriber(s.name, opts)
			}
			if err == nil && sub.ID() != id { // another topic has the name now, with other numbers
				err = errors.Join(samepage.ErrRetired, sub.Close())
			}
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, samepage.ErrRetired) {
				s.b.tell("refused", s.name, 0, "%v", err)
			}
			pause(ctx, time.Second/2)
			continue
		}
		s.sub, id, s.alone = sub, sub.ID(), time.Time{}
		s.open()
		err = s.read()
		at = at[:0]
		for place := range sub.Options().Publishers {
			at = append(at, sub.Next(place))
		}
		s.close(err)
	}
	cancel()
	<-done
	if s.w != nil {
		s.w.close()
	}
}

// owing says whether subscribing bridges have not got all: they have not acknowledged it, or the
// connection is lost.
func (s *source) owing() bool { return !s.b.o.Conn.IsConnected() || s.w != nil && s.w.keeps() }

// awaitTopic waits for a topic. A source that ends when the name is gone waits no longer than
// subscribing bridges may need to learn of the end of the topic before.
func (s *source) awaitTopic(ctx context.Context, opts *pubsub.SubscriberOptions) (*pubsub.Subscriber, error) {
	if s.ends {
		within, cancel := context.WithTimeout(ctx, s.b.o.Silence)
		defer cancel()
		ctx = within
	}
	return pubsub.AwaitSubscriber(ctx, s.name, opts)
}

// pause waits, or returns earlier if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// open begins to send the topic of s.sub.
func (s *source) open() {
	o := s.sub.Options()
	n := o.Publishers
	s.queued, s.first, s.local = make([]uint64, n), make([]uint64, n), make([]int, n)
	s.mu.Lock()
	at, since, earlier := s.at, s.meta.Since, s.meta.Earlier
	evicted := s.sub.ID() == s.meta.ID && n == len(at)
	if !evicted {
		at, since, earlier = make([]position, n), make([]uint64, n), earlier+s.sent()
		s.deaths, s.died, s.toldFast = make([]uint32, n), make([]uint32, n), false
	}
	for place := range at {
		if at[place].next == 0 {
			at[place].next = s.sub.Next(place)
			since[place] = at[place].next
		}
	}
	s.at, s.ended, s.over = at, false, nil
	s.meta = Meta{
		Name: s.far, ID: s.sub.ID(), Session: s.session, Policy: s.b.o.Policy, Host: s.b.o.Host, Schema: s.sub.Schema(),
		MaxSize: o.MaxSize, Depth: o.Depth, Publishers: o.Publishers, Members: o.Members, Holds: o.Holds, Times: o.Times,
		Checksums: o.Checksums, EvictAfter: int64(o.EvictAfter), Living: s.sub.Publishers(),
		Since: since, Known: s.b.known(s.far), Earlier: earlier,
	}
	s.mu.Unlock()
	if s.look(); !evicted {
		s.dead() // the description has them
	}
	s.buf = make([]byte, headerSize, headerSize+batchBytes)
	s.announce()
	if s.st != nil {
		s.st.open(s.ctx)
	} else {
		s.await()
		s.sendOpen(nil)
	}
	s.b.tell("attached", s.name, 0, "it is sent as %q, policy %s", s.far, s.b.o.Policy)
}

// sent returns how many messages of the topic were sent, or are lost.
func (s *source) sent() (n uint64) {
	for i, since := range s.meta.Since {
		if since > 0 && s.at[i].next > since {
			n += s.at[i].next - since
		}
	}
	return n
}

// await waits until all bridges that are known and want the topic can take its messages: until then
// the topic keeps them. It does not wait long with the policy Newest, because then a topic that is
// full loses messages.
func (s *source) await() {
	most := time.Second
	if s.w != nil {
		most = s.b.o.Silence
	}
	ctx, cancel := context.WithTimeout(s.ctx, most)
	defer cancel()
	for {
		s.mu.Lock()
		missing := slices.ContainsFunc(s.meta.Known, func(id uint64) bool {
			return !slices.Contains(s.who, id) && (s.w == nil && !s.seen[id] || s.w != nil && !s.w.has(id))
		})
		s.mu.Unlock()
		if !missing {
			return
		}
		select {
		case <-s.saw:
		case <-ctx.Done():
			return
		}
	}
}

// close ends the topic of s.sub, after the error that has ended read.
func (s *source) close(err error) {
	s.flush()
	var flags uint8
	if s.ctx.Err() != nil {
		flags = flagBye
	}
	switch {
	case flags != 0:
	case errors.Is(err, samepage.ErrEvicted):
		s.b.tell("evicted", s.name, 0, "the bridge was too slow: %v", err)
		_ = s.sub.Close()
		return
	case errors.Is(err, samepage.ErrRetired), errors.Is(err, samepage.ErrNameGone), errors.Is(err, errDeserted):
		s.b.tell("over", s.name, 0, "%v", err)
	default:
		s.b.tell("failed", s.name, 0, "%v", err)
		pause(s.ctx, time.Second/2)
	}
	s.dead()
	over := s.positions()
	s.send(kindOver, flags, over)
	s.mu.Lock()
	s.meta.Name = ""
	if s.w == nil && s.st == nil {
		s.over = over
	}
	s.mu.Unlock()
	_ = s.sub.Close()
}

// positions returns a buffer with room for a header, and the positions.
func (s *source) positions() []byte { return appendPositions(s.header(), s.at) }

// header returns a buffer with room for a header, for short envelopes.
func (s *source) header() []byte { return make([]byte, headerSize, headerSize+64) }

// read sends messages until an error.
func (s *source) read() error {
	for {
		if err := s.ctx.Err(); err != nil { // a fast publisher leaves no time to wait, where ctx ends it, too
			return err
		}
		p, ok, err := s.sub.TryTakeAll()
		if !ok && err == nil {
			s.flush()
			taken := s.taken
			s.taken = 0
			if s.pace != nil && (s.budget.many(taken, s.meta.Depth) || s.owes(0)) {
				waker.Doze(s.restFor())
			} else {
				p, err = s.wait()
				ok = err == nil
				s.budget.wake(time.Now())
			}
		}
		if s.asked.Swap(false) {
			s.flush()
			s.history()
		}
		switch {
		case ok:
			s.add(&p)
			s.rest()
		case errors.Is(err, context.Canceled) && s.ctx.Err() == nil:
			err = nil // a bridge has asked, or time has passed
			if s.mayEnd() && s.deserted() {
				err = errDeserted
			}
		case err == io.EOF:
			s.flush()
			s.look()
			s.dead()
			s.send(kindEnd, 0, s.positions())
			err = nil
		case errors.Is(err, samepage.ErrPeerDied):
			s.flush()
			if s.look(); s.dead() {
				s.send(kindDeath, 0, s.positions())
			}
			err = nil
		case errors.Is(err, samepage.ErrChecksum):
			err = nil // the numbers tell that they are lost
		}
		if err != nil {
			return err
		}
	}
}

// owes says whether the policy is Newest, and what the source has cost the publishers takes more
// than most to earn.
func (s *source) owes(most time.Duration) bool {
	return s.pace != nil && s.budget.debt(time.Now()) > most
}

func (s *source) restFor() time.Duration { return s.budget.restFor(s.meta.Depth) }

// rest sleeps if the source has read too much, until it has earned that, a bridge has asked, or ctx
// ends. A wake is no reason to: it is earned while the source looks without being woken.
func (s *source) rest() {
	rest := s.restFor()
	most := rest + wakeCost*s.budget.one
	if s.owes(most) {
		s.flush()
	}
	for s.owes(most) && !s.asked.Load() && s.ctx.Err() == nil {
		waker.Doze(max(rest, min(s.budget.debt(time.Now())-most, time.Millisecond)))
	}
}

// wait waits for a message, or until a bridge asks.
func (s *source) wait() (pubsub.Pack, error) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.mu.Lock()
	s.wake = cancel
	s.mu.Unlock()
	if s.asked.Load() {
		cancel()
	}
	return s.sub.TakeAll(ctx)
}

// history sends Meta, and the messages that are still in the topic, for a bridge that has just
// come. Others drop them, because they have them.
func (s *source) history() {
	if s.st != nil {
		return // the server has it
	}
	again := func(yes bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.again = yes
	}
	again(true)
	defer again(false)
	opts := &pubsub.SubscriberOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner, BestEffort: true}
	sub, err := pubsub.OpenSubscriber(s.name, opts)
	if err == nil && sub.ID() != s.sub.ID() { // it has the name of the one that is read
		err = errors.Join(samepage.ErrNameGone, sub.Close())
	}
	if err != nil {
		s.sendOpen(nil)
		return
	}
	defer func() { _ = sub.Close() }()
	sent := slices.Clone(s.at) // only this goroutine changes it
	first := make([]uint64, len(sent))
	for i := range first {
		first[i] = sent[i].next
	}
	ended, opened := s.ended, false
	left := len(sent) // places of which not all was sent again
	done := make([]bool, left)
	for left > 0 {
		p, ok, err := sub.TryTakeAll()
		if err == nil && !ok || err != nil && !errors.Is(err, samepage.ErrChecksum) {
			break
		}
		if err != nil {
			continue
		}
		place := p.Publisher()
		if !opened {
			// All places begin with what they have now. Where it is not known, the first message
			// tells.
			for i := range first {
				first[i] = sub.Next(i)
			}
			first[place] = p.Seq()
			s.sendOpen(first)
			opened = true
		}
		if p.Seq() < sent[place].next {
			s.add(&p)
		} else if !done[place] {
			done[place] = true
			left--
		}
	}
	if !opened {
		s.sendOpen(nil)
	}
	s.flush()
	if ended {
		s.send(kindEnd, 0, s.positions())
	}
}

// pay notes what it costs to read messages, before they are sent: meanwhile it is earned.
func (s *source) pay(p *pubsub.Pack) {
	if s.pace == nil {
		return
	}
	size := 0
	for _, b := range p.All() {
		size += len(b)
	}
	s.budget.read(time.Now(), size, 1+float64(p.Missed())/float64(p.Len()))
	s.taken++
	if s.budget.fast && !s.toldFast {
		s.toldFast = true
		s.b.tell("fast", s.name, 0, "more is published than a bridge can read that may cost %v %% of the publisher's time: it takes samples (packs of messages, another --budget, or another --policy change that)",
			s.b.o.budget())
	}
}

// add puts messages into the envelope, and sends it if it is full.
func (s *source) add(p *pubsub.Pack) {
	place := p.Publisher()
	if s.local[place] == unknown || s.stale.Swap(false) {
		if s.look(); s.local[place] == unknown {
			s.local[place] = isLocal // its publisher has gone
		}
	}
	if s.local[place] == isBridge {
		return
	}
	s.pay(p)
	var at int64
	if t := p.Time(); !t.IsZero() {
		at = t.UnixNano()
	}
	if s.first[place] == 0 {
		s.first[place] = p.Seq()
	}
	// If the server allows less, it is told, see fits.
	largest := max(min(s.b.largest(), mostData), headerSize+partSize+leastRoom)
	for seq, b := range p.All() {
		switch picture := s.picture(b); {
		case picture != nil:
			s.parts(kindPicture, &part{place: place, seq: seq, time: at}, picture, largest)
		case len(b) > largest-headerSize-runSize:
			s.parts(kindPart, &part{place: place, seq: seq, time: at}, b, largest)
		default:
			s.gather(place, seq, at, b, largest)
		}
		s.c.messages.Add(1)
		s.c.bytes.Add(uint64(len(b)))
	}
}

// gather puts one message into the envelope.
func (s *source) gather(place int, seq uint64, at int64, b []byte, largest int) {
	if len(s.buf)+runSize+len(b) > min(largest, headerSize+max(batchBytes, runSize+len(b))) {
		s.flush()
	}
	r := &s.run_
	if r.count > 0 && len(b) > 0 && r.place == place && r.size == uint32(len(b)) && r.time == at && r.seq+uint64(r.count) == seq && r.count < 1<<16 {
		r.count++
		setCount(s.buf[s.last:], r.count)
	} else {
		*r = run{place: place, count: 1, size: uint32(len(b)), seq: seq, time: at}
		s.last = len(s.buf)
		s.buf = appendRun(s.buf, r)
	}
	s.buf = append(s.buf, b...)
	s.queued[place] = seq + 1
}

// parts sends b in parts of a kind, after what is in the envelope.
func (s *source) parts(k kind, p *part, b []byte, largest int) {
	s.flush()
	p.total = uint32(len(b))
	room := largest - headerSize - partSize
	n := (len(b) + room - 1) / room
	size := (len(b) + n - 1) / n
	for from := 0; from < len(b); from += size {
		p.offset, p.bytes = uint32(from), b[from:min(from+size, len(b))]
		if from+size >= len(b) {
			s.queued[p.place] = p.seq + 1
		}
		s.buf = s.send(k, 0, appendPart(append(s.buf[:0], blank[:]...), p))
	}
	s.buf = append(s.buf[:0], blank[:]...)
}
