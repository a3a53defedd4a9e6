package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// These are the methods of a source that send envelopes, and answer subscribing bridges.

// flush sends the messages in the envelope.
func (s *source) flush() {
	if len(s.buf) > headerSize {
		s.buf = s.send(kindMessages, 0, s.buf)
	}
	s.buf, s.run_ = append(s.buf[:0], blank[:]...), run{}
}

// blank is a header that is not sealed yet.
var blank [headerSize]byte

// send sends an envelope with the body behind the header in b. With the policy newest it is lost if
// there is no connection. The others wait until it is accepted, or the bridge stops. It returns
// memory for another envelope: b may belong to the window.
func (s *source) send(k kind, flags uint8, b []byte) []byte {
	plain := b
	if s.z != nil && len(b) >= leastCompressed && k.carries() && k != kindPicture {
		var zipped uint8
		b, zipped = compress(s.z, s.zipped, b)
		if flags |= zipped; zipped != 0 {
			s.zipped = b
		}
	}
	if s.pace != nil && k.carries() {
		s.budget.send(time.Now())
	}
	s.mu.Lock()
	s.number++
	e := envelope{kind: k, flags: flags, session: s.session, number: s.number, id: s.meta.ID}
	for place, n := range s.queued {
		if p := &s.at[place]; n > p.next {
			if p.next == 0 {
				s.meta.Since[place] = s.first[place]
			}
			p.next = n
		}
	}
	s.ended = k == kindEnd || s.ended && !k.carries()
	e.seal(b)
	s.c.envelopes.Add(1)
	if s.st != nil {
		s.mu.Unlock()
		s.st.send(s.ctx, b)
		return plain
	}
	next := s.publish(e.number, b)
	s.mu.Unlock()
	if s.w != nil {
		s.w.await(s.ctx)
	} else {
		s.pace.await(s.ctx)
	}
	if flags&flagZstd != 0 {
		s.zipped = next
		return plain
	}
	return next
}

// publish sends an envelope that is sealed, over the window if there is one. It returns memory for
// another one.
//
// Preconditions:
//   - The caller has mu.
func (s *source) publish(number uint64, b []byte) (next []byte) {
	if s.w != nil {
		return s.w.send(number, b)
	}
	err := s.b.o.Conn.Publish(s.subject, b) // what is lost is counted by its number
	if s.fits(err, len(b)); err == nil {
		s.pace.add(number, len(b))
	}
	return b
}

// fits says whether the server allows an envelope of n bytes, and tells it if not, once for each
// limit. err is the error of Publish.
func (s *source) fits(err error, n int) bool {
	if !errors.Is(err, nats.ErrMaxPayload) {
		return true
	}
	if most := s.b.o.Conn.MaxPayload(); s.told.Swap(most) != most {
		s.b.tell("refused", s.name, 0, "an envelope has %d bytes, and the server allows %d now: its messages are lost", n, most)
	}
	return false
}

// sendOpen sends Meta among the messages. next has the number of the message that comes next of
// each place; nil means that all that were published are sent.
func (s *source) sendOpen(next []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meta.Name == "" {
		return
	}
	m := s.meta
	m.Next, m.Deaths, m.Number = next, nil, s.number+1
	for _, p := range s.at {
		m.Deaths = append(m.Deaths, p.deaths)
		if next == nil {
			m.Next = append(m.Next, p.next)
		}
	}
	m.For, s.who = s.who, nil
	s.asked.Store(false)
	b := s.openEnvelope(&m)
	if !s.describes(len(b)) {
		return
	}
	if s.w != nil {
		m.For = s.w.admit(m.For, s.number)
		b = s.openEnvelope(&m)
	}
	s.number++
	s.publish(s.number, b)
}

// describes says whether the server allows a description of n bytes. If not, it tells that once for
// each limit, and waits for no bridge that was to begin with it.
//
// Preconditions:
//   - The caller has mu.
func (s *source) describes(n int) bool {
	most := s.b.o.Conn.MaxPayload()
	if int64(n) <= most {
		return true
	}
	if s.told.Swap(most) != most {
		s.b.tell("refused", s.name, 0, "the description of the topic has %d bytes, and the server allows %d: no bridge can take the topic", n, most)
	}
	if s.w != nil {
		s.w.dismiss(s.number)
	}
	return false
}

// openEnvelope returns Meta in an envelope.
func (s *source) openEnvelope(m *Meta) []byte {
	text, _ := json.Marshal(m) // a Meta has no value that JSON has not
	b := append(s.header(), text...)
	e := envelope{kind: kindOpen, session: s.session, number: m.Number, id: m.ID}
	e.seal(b)
	return b
}

// announce tells that there is the topic.
func (s *source) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meta.Name != "" {
		m := s.meta
		m.Since, m.Known = nil, nil
		text, _ := json.Marshal(m)
		_ = s.b.o.Conn.Publish(s.b.s.meta(), text)
	}
}

// tick tells from time to time where the topic is.
func (s *source) tick(ctx context.Context) {
	t := time.NewTicker(s.b.o.Tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		s.stale.Store(true)
		s.announce()
		s.mu.Lock()
		switch {
		case s.again && s.w == nil:
		case s.meta.Name != "" && s.st == nil:
			s.tellTick()
			if s.mayEnd() && s.wake != nil {
				s.wake() // to see whether it is deserted
			}
		case s.w != nil && s.w.keeps():
			s.tellTick() // the last ones may be lost
		case s.over != nil: // it may be lost
			_ = s.b.o.Conn.Publish(s.subject, s.over)
		}
		s.mu.Unlock()
	}
}

// tellTick tells where the topic is, or where it was when it ended.
//
// Preconditions:
//   - The caller has mu.
func (s *source) tellTick() {
	b := s.header()
	e := envelope{kind: kindTick, session: s.session, number: s.number, id: s.meta.ID}
	if !s.again {
		b = appendPositions(b, s.at)
		if s.ended {
			e.flags = flagEnd
		}
	}
	e.seal(b)
	_ = s.b.o.Conn.Publish(s.subject, b)
}

// back is called for each message of a subscribing bridge.
func (s *source) back(m *nats.Msg) {
	a, ok := parseBack(m.Data)
	if !ok || s.st != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.session == s.session && a.number > s.number {
		return // it acknowledges what was never sent
	}
	defer s.notice()
	if len(s.seen) >= maxReceivers {
		clear(s.seen)
	}
	s.seen[a.receiver] = true
	asks := a.say == sayAsk
	if s.w != nil {
		asks = !s.w.heard(&a)
	} else {
		s.pace.hear(&a, a.session == s.session)
	}
	switch {
	case !asks:
		return
	case s.w != nil && s.w.full():
		if s.answers(a.receiver) {
			s.b.tell("refused", s.name, 0, "there are %d bridges already, and the publisher can wait for no more", maxReceivers)
		}
		return
	case s.meta.Name != "":
	case s.w != nil: // it gets the next topic from the beginning
		s.w.admit([]uint64{a.receiver}, s.number)
		return
	default:
		s.tellOver(a.receiver)
		return
	}
	if !s.answers(a.receiver) {
		return
	}
	if !slices.Contains(s.who, a.receiver) && len(s.who) < maxReceivers {
		s.who = append(s.who, a.receiver)
	}
	s.asked.Store(true)
	if s.wake != nil {
		s.wake()
	}
	if s.pace != nil {
		s.pace.interrupt()
	}
}

// answers notes that a bridge gets an answer. It returns false if one is on its way.
//
// Preconditions:
//   - The caller has mu.
func (s *source) answers(receiver uint64) bool {
	if time.Since(s.asks[receiver]) < askAgain*s.b.o.Tick {
		return false
	}
	if len(s.asks) >= maxReceivers {
		clear(s.asks)
	}
	s.asks[receiver] = time.Now()
	return true
}

// notice wakes await.
func (s *source) notice() {
	select {
	case s.saw <- struct{}{}:
	default:
	}
}

// tellOver tells a bridge that asks of a topic that was over before it could take it: so it counts
// what it has not got.
func (s *source) tellOver(receiver uint64) {
	if s.over == nil || !slices.Contains(s.meta.Known, receiver) {
		return
	}
	m := s.meta
	m.Name, m.Living, m.Next, m.Number = s.far, 0, m.Since, s.number
	_ = s.b.o.Conn.Publish(s.subject, s.openEnvelope(&m))
	_ = s.b.o.Conn.Publish(s.subject, s.over)
}

func parseMeta(text []byte) (m Meta, err error) {
	if err = json.Unmarshal(text, &m); err == nil && (m.Name == "" || m.Publishers < 1) {
		err = errEnvelope
	}
	return m, err
}
