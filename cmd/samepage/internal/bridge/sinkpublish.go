package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"samepage"
	"samepage/pubsub"
)

// These are the methods of a sink that make the topic here, and publish to it.

// publisher returns the publisher here of a place, or nil if it cannot be made. It makes those of
// the places before it, too: so each place here is the same as at the origin if all are free.
func (s *sink) publisher(i int) *pubsub.Publisher {
	for k := range i + 1 {
		p := &s.places[k]
		if p.p != nil {
			continue
		}
		if time.Since(s.retry) < time.Second {
			return nil
		}
		var err error
		for {
			if p.p, err = s.join(); err == nil {
				break
			}
			p.p = nil
			if s.refused != err.Error() {
				s.refused = err.Error()
				s.b.tell("refused", s.name, 0, "%v", err)
			}
			if s.meta.Policy == Newest || lasting(err) || s.ctx.Err() != nil {
				s.retry = time.Now()
				return nil
			}
			pause(s.ctx, time.Second/5) // nothing is lost with these policies, so the origin waits
		}
		s.wants = false
		s.refused, p.known = "", false
		p.lane = -1 // not one of those that are looked for
		p.lane = s.lane()
		s.keep()
	}
	return s.places[i].p
}

// lasting says whether an error of join stays as it is.
func lasting(err error) bool {
	return errors.Is(err, samepage.ErrKindMismatch) || errors.Is(err, samepage.ErrTooLarge) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, fs.ErrInvalid) || errors.Is(err, samepage.ErrVersion) || errors.Is(err, samepage.ErrCorrupt) || errors.Is(err, errAnotherBridge)
}

// keep keeps the topic here, and its history.
func (s *sink) keep() {
	if s.kept != nil {
		return
	}
	var err error
	o := &pubsub.SubscriberOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner, From: pubsub.FromNow, BestEffort: true}
	if s.kept, err = pubsub.OpenSubscriber(s.name, o); err != nil {
		s.kept = nil
		s.b.tell("failed", s.name, 0, "keep the topic: %v", err)
	}
}

// letGo lets the topic here go when nobody else uses it.
func (s *sink) letGo() {
	if s.kept != nil {
		_ = s.kept.Close()
		s.kept = nil
	}
}

// join becomes a publisher of the topic here, and makes the topic if there is none.
func (s *sink) join() (*pubsub.Publisher, error) {
	m := &s.meta
	o := &pubsub.Options{
		Scope: s.b.o.Scope, Owner: s.b.o.Owner, MaxSize: m.MaxSize, Pack: packRoom(m.MaxSize), Depth: m.Depth, Publishers: m.Publishers,
		Members: min(m.Members+1, 1024), Holds: m.Holds, Times: m.Times, Checksums: m.Checksums, EvictAfter: time.Duration(m.EvictAfter),
		Schema: m.Schema,
	}
	n, err := o.InUse(1, 1)
	if err == nil && n > s.b.o.Limit {
		err = fmt.Errorf("the topic needs %d bytes, the limit is %d: %w", n, s.b.o.Limit, samepage.ErrTooLarge)
	}
	if err != nil {
		return nil, err
	}
	if err := s.alone(); err != nil {
		return nil, err
	}
	if s.made && s.kept == nil { // its options can be others now
		ctx, cancel := context.WithTimeout(s.ctx, 200*time.Millisecond)
		defer cancel()
		return pubsub.ReplacePublisher(ctx, s.name, o)
	}
	o.AsItIs = true
	p, existed, err := pubsub.OpenOrCreatePublisher(s.name, o)
	s.made = s.made || err == nil && !existed
	return p, err
}

var errAnotherBridge = errors.New("another bridge publishes this topic here, so its messages would come twice")

// alone returns an error if another bridge publishes the topic here.
func (s *sink) alone() error {
	st, err := pubsub.Inspect(s.name, &samepage.InspectOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner})
	if err != nil {
		return nil // there is no topic, or join says what is wrong
	}
	for _, l := range st.Lanes {
		if p := l.Publisher; p != nil && p.Alive && p.PID != os.Getpid() && s.b.isBridgeProcess(&p.Member) {
			return fmt.Errorf("process %d: %w", p.PID, errAnotherBridge)
		}
	}
	return nil
}

// packRoom returns the size of packs for messages of up to size bytes. Topics of bridges have
// packs, because only these can leave out numbers.
func packRoom(size int) int { return (max(size, 4<<10) + 7) &^ 7 }

// advance counts the messages that are lost before message seq of a place, which comes next.
func (s *sink) advance(i int, seq uint64) {
	pl := &s.places[i]
	if pl.since == 0 {
		pl.since = cmp.Or(pl.next, seq)
	}
	if pl.out == 0 {
		pl.out = cmp.Or(pl.next, seq)
	}
	if pl.next > 0 && seq > pl.next {
		s.lost(seq - pl.next)
	}
	pl.next = max(pl.next, seq)
}

// ready makes the publisher of a place ready for the message that comes next, with its number and
// time. If the message cannot be published, it returns nil.
func (s *sink) ready(i int, at int64) *pubsub.Publisher {
	pl := &s.places[i]
	p := s.publisher(i)
	if p == nil {
		return nil
	}
	var t time.Time
	if at != 0 {
		t = time.Unix(0, at)
	}
	next := p.Next()
	if !pl.known {
		pl.known, pl.shift = true, 0
		if next > 1 { // the topic here goes on, perhaps with other numbers
			pl.shift = int64(next - pl.out)
		} else if p.Relay(pl.out, t) == nil { // subscribers here miss nothing before this number
			next = pl.out
		}
		s.remember(i)
	}
	err := p.Relay(max(pl.next+uint64(pl.shift), next), t)
	if errors.Is(err, errors.ErrUnsupported) {
		if err = p.Relay(next, t); !s.noGaps {
			s.noGaps = true
			s.b.tell("gaps", s.name, 0, "subscribers here do not learn of lost messages, because the topic existed without packs")
		}
		pl.shift = int64(next - pl.next)
		s.remember(i)
	}
	if err != nil {
		s.complain("failed", err)
		return nil
	}
	pl.out = pl.next
	return p
}

// messages publishes runs of messages.
func (s *sink) messages(b []byte) error {
	for len(b) > 0 {
		r, rest, err := nextRun(b)
		if err != nil {
			return err
		}
		if r.place >= len(s.places) {
			return fmt.Errorf("place %d of %d: %w", r.place, len(s.places), errEnvelope)
		}
		b = rest
		s.discard()
		s.publish(&r)
	}
	return nil
}

func (s *sink) publish(r *run) {
	pl := &s.places[r.place]
	if pl.next > r.seq {
		old := min(pl.next-r.seq, uint64(r.count))
		s.c.duplicates.Add(old)
		r.seq, r.count, r.bytes = r.seq+old, r.count-uint32(old), r.bytes[old*uint64(r.size):]
	}
	if r.count == 0 {
		return
	}
	s.advance(r.place, r.seq)
	p := s.ready(r.place, r.time)
	if p == nil {
		return
	}
	all := s.bufs[:0]
	for i := range int(r.count) {
		all = append(all, r.bytes[i*int(r.size):(i+1)*int(r.size)])
	}
	s.bufs = all
	n, err := p.SendAll(s.ctx, all)
	s.c.messages.Add(uint64(n))
	s.c.bytes.Add(uint64(n) * uint64(r.size))
	pl.next = r.seq + uint64(n)
	pl.out = pl.next
	if err != nil && s.ctx.Err() == nil {
		s.complain("failed", err)
	}
}

// addPart puts a part of a message into its place in the topic here, or adds it to the picture that
// becomes the message.
func (s *sink) addPart(k kind, p *part) error {
	if p.place >= len(s.places) {
		return nil
	}
	if s.places[p.place].next > p.seq {
		if p.offset == 0 {
			s.c.duplicates.Add(1)
		}
		return nil
	}
	a := &s.part
	if p.offset == 0 {
		s.discard()
		pub := s.publisher(p.place)
		if pub == nil {
			return nil
		}
		*a = assembly{place: p.place, seq: p.seq, total: p.total, kind: k}
		if k == kindPart {
			var err error
			if a.loan, err = pub.Loan(int(p.total)); err != nil {
				s.complain("failed", err)
				return nil
			}
		}
		a.active, s.jpeg = true, s.jpeg[:0]
	}
	if !a.active || a.kind != k || a.place != p.place || a.seq != p.seq || a.have != p.offset || a.total != p.total {
		s.discard() // a part is lost, and so is this message
		return nil
	}
	if k == kindPart {
		copy(a.loan.Bytes()[a.have:], p.bytes)
	} else if err := s.addPicture(p); err != nil {
		return err
	}
	if a.have += uint32(len(p.bytes)); a.have < p.total {
		return nil
	}
	if k == kindPicture {
		if err := s.draw(p); err != nil || !a.active {
			return err
		}
	}
	size := len(a.loan.Bytes())
	s.advance(p.place, p.seq)
	pub := s.ready(p.place, p.time)
	if pub == nil {
		return nil
	}
	if err := a.loan.Publish(s.ctx); err != nil {
		s.discard()
		return nil
	}
	a.active = false
	pl := &s.places[p.place]
	pl.next = p.seq + 1
	pl.out = pl.next
	s.c.messages.Add(1)
	s.c.bytes.Add(uint64(size))
	return nil
}

// discard gives up a message of which not all parts have come.
func (s *sink) discard() {
	if s.part.active {
		if s.part.kind == kindPart {
			s.part.loan.Discard()
		}
		s.part.active = false
	}
}

// metaOf is parseMeta for a text that may be missing.
func metaOf(text string) *Meta {
	var m Meta
	if json.Unmarshal([]byte(text), &m) != nil || m.Name == "" {
		return nil
	}
	return &m
}
