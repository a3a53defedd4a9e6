package soak

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// followed publishes to a topic, as the lines of its standard input say:
//
//	open SIZE DEPTH EVICT PACK  opens or replaces the topic: "ok ID", or an error
//	send N                      publishes N messages: "ok NUMBER" of the last one
//	flood                       publishes until the process is killed
//	close, abort                ends the stream: "ok"
//
// A message begins with the ID of its topic and its number, and its size depends on the number.
func followed([]string) {
	var p *pubsub.Publisher
	say := func(err error, what any) {
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("ok", what)
	}
	send := func() error {
		b := fmt.Appendf(nil, "%v %d ", p.ID(), p.Next())
		n := len(b) + int(p.Next()*7919%100)
		b = append(b, bytes.Repeat([]byte{'.'}, n-len(b))...)
		return p.Send(context.Background(), b)
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var o pubsub.Options
		var n int
		switch what := in.Text(); {
		case what == "close":
			say(p.Close(), "")
		case what == "abort":
			say(p.Abort(), "")
		case what == "flood":
			fmt.Println("ok")
			for send() == nil {
			}
		case scans(what, "send %d", &n):
			var err error
			for ; n > 0 && err == nil; n-- {
				err = send()
			}
			say(err, p.Next()-1)
		case scans(what, "open %d %d %d %d", &o.MaxSize, &o.Depth, &n, &o.Pack):
			o.EvictAfter = time.Duration(n)
			var err error
			if p, err = pubsub.ReplacePublisher(context.Background(), "followed", &o); err != nil {
				say(err, "")
				break
			}
			say(nil, p.ID())
		}
	}
}

func scans(line, format string, to ...any) bool {
	n, err := fmt.Sscanf(line, format, to...)
	return err == nil && n == len(to)
}

// seen is what a follower has got so far.
type seen struct {
	mu     sync.Mutex
	cond   *sync.Cond
	id     string // of the topic of the last message
	next   uint64 // the number that comes next there
	topics map[string]bool
	total  uint64
	since  samepage.Since
	err    error

	still bool   // the follower stands still after the next message
	stood string // the topic in which it was evicted, after which nobody published there
	sent  map[string]uint64
	order []string // the topics of sent, as they were made
}

// unknown is the number in seen.sent of a topic to which somebody publishes until the kill.
const unknown = 1 << 40

// take checks that a message is the next one.
func (s *seen) take(m *pubsub.Followed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cond.Broadcast()
	var id string
	var number uint64
	if _, err := fmt.Sscanf(string(m.Bytes()), "%s %d ", &id, &number); err != nil {
		return fmt.Errorf("message %d is %q: %w", m.Seq(), m.Bytes(), err)
	}
	before := fmt.Sprintf("after message %d of %s", s.next-1, s.id)
	missed := m.Since.Missed // in this topic
	if id != s.id {
		if s.id != "" && !m.Since.New || s.topics[id] {
			return fmt.Errorf("%s: message %d of %s, which is new: %v, seen before: %v", before, number, id, m.Since, s.topics[id])
		}
		missed = m.Missed()
		if err := s.left(id, m.Since, missed); err != nil {
			return fmt.Errorf("%s: message %d of %s: %w", before, number, id, err)
		}
		s.topics[id] = true
		s.id, s.next = id, 1
	} else if m.Since.New && m.Since.Missed == 0 && s.next > 1 {
		return fmt.Errorf("%s: %v, but the topic is the same", before, m.Since)
	} else if missed > 0 && m.Since.Evicted == 0 {
		return fmt.Errorf("%s: message %d, and nobody evicted the follower: %v", before, number, m.Since)
	}
	s.since = s.since.And(m.Since)
	if s.total == 0 {
		missed = number - 1 // the first topic begins with its history
	}
	if number != m.Seq() || number != s.next+missed {
		return fmt.Errorf("%s: message %d says that it is %d, missed %d", before, m.Seq(), number, missed)
	}
	if n := len(fmt.Sprintf("%s %d ", id, number)) + int(number*7919%100); n != len(m.Bytes()) {
		return fmt.Errorf("%s: message %d has %d bytes, want %d", before, number, len(m.Bytes()), n)
	}
	s.next = number + 1
	s.total++
	return nil
}

// left checks what since says about messages that were left in the topics before topic id. Of those
// that were missed, here are in topic id.
func (s *seen) left(id string, since samepage.Since, here uint64) error {
	if s.id == "" {
		return nil
	}
	before, now := slices.Index(s.order, s.id), slices.Index(s.order, id)
	left := s.sent[s.id] - (s.next - 1)
	for _, between := range s.order[before+1 : now] {
		left += s.sent[between]
	}
	// A follower that was evicted from a topic does not know what was published there later.
	exact := s.sent[s.id] != unknown && now == before+1 && (since.Evicted == 0 || s.stood == s.id)
	if counted := since.Missed - here; since.Missed < here || counted > left || exact && counted != left {
		return fmt.Errorf("%v, and %d of them here, but %d were left in the topics before", since, here, left)
	}
	return nil
}

// opened notes that there is a topic, and publish that all its messages up to a number were
// published.
func (s *seen) opened(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = append(s.order, id)
}

func (s *seen) publish(id string, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[id] = number
}

// stand makes the follower stand still, or go on.
func (s *seen) stand(still bool) {
	s.mu.Lock()
	s.still = still
	s.mu.Unlock()
	s.cond.Broadcast()
}

// rest waits while the follower is to stand still.
func (s *seen) rest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.still {
		s.cond.Wait()
	}
}

// leaves notes that nobody will publish to topic id, in which the follower stands still, any more.
func (s *seen) leaves(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stood = id
}

// want waits until message number of topic id has come, or was missed.
func (s *seen) want(t *testing.T, id string, number uint64) {
	t.Helper()
	late := time.AfterFunc(ipctest.Patience, func() {
		s.mu.Lock()
		s.err = errors.Join(s.err, fmt.Errorf("at %s %d, message %d of %s does not come", s.id, s.next, number, id))
		s.mu.Unlock()
		s.cond.Broadcast()
	})
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && (s.id != id || s.next <= number) {
		s.cond.Wait()
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
}

// One process follows a name. Publishers are killed, end their streams, come with other sizes, and
// somebody removes all names, at random, $SAMEPAGE_ROUNDS times. The follower gets every message
// of a topic that lives once and in order, and knows how many it has missed. Sometimes it stands
// still until it is evicted; then it goes on in the same topic, or that one has no name any more.
func TestFollowRandom(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	rounds := ipctest.Repeat(t, 60, 10, "SAMEPAGE_ROUNDS")
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	ctx, cancel := context.WithCancel(context.Background())
	s := &seen{topics: map[string]bool{}, sent: map[string]uint64{}}
	s.cond = sync.NewCond(&s.mu)
	ended := make(chan error, 1)
	go func() {
		for m, err := range pubsub.Follow(ctx, "followed", nil) {
			if err == nil {
				err = s.take(&m)
			}
			if err != nil {
				s.mu.Lock()
				s.err = err
				s.mu.Unlock()
				s.cond.Broadcast()
				ended <- err
				return
			}
			s.rest()
			if m.Seq()%97 == 0 {
				time.Sleep(time.Millisecond) // longer than EvictAfter of some topics
			}
		}
		ended <- nil
	}()
	var p *ipctest.Child
	var id string
	var depth, evict, pack, round, stands int
	open := func() {
		p = ipctest.Start(t, "followed")
		depth, evict, pack = 1+r.IntN(100), r.IntN(2)*100_000, r.IntN(4)/3*4096
		if stands < 2 { // soon it stands still
			evict, pack = 100_000, 0
		}
		if answer := p.Ask("open %d %d %d %d", 200<<r.IntN(4), depth, evict, pack); !scans(answer, "ok %s", &id) {
			t.Fatalf("seed %d, round %d: %s", seed, round, answer)
		}
		s.opened(id)
	}
	send := func(n int) (last uint64) {
		if answer := p.Ask("send %d", n); !scans(answer, "ok %d", &last) {
			t.Fatalf("seed %d, round %d: %s", seed, round, answer)
		}
		s.publish(id, last)
		return last
	}
	kill := func() {
		p.Kill()
		p = nil
	}
	for round = range rounds {
		if p == nil {
			open()
		}
		last := send(1 + r.IntN(300))
		if evict > 0 && pack == 0 && (stands < 2 || r.IntN(8) == 0) {
			s.want(t, id, last)
			s.stand(true)
			last = send(2*depth + 50)
			if stands++; stands%2 == 0 {
				s.leaves(id)
				ipctest.Wipe(t, dir)
				kill()
				open()
				last = send(10)
			}
			s.stand(false)
			s.want(t, id, last)
		}
		wiped := false
		switch r.IntN(8) {
		case 0: // the topic lives on without a name
			if r.IntN(3) > 0 {
				s.want(t, id, last)
			}
			ipctest.Wipe(t, dir)
			wiped = true
		case 1, 2, 3: // the follower need not be there
		default:
			s.want(t, id, last)
		}
		if wiped && evict == 0 && s.at(id) { // it stays in this topic
			s.want(t, id, send(50))
		}
		switch r.IntN(5) {
		case 0:
			p.Want("ok ", "close")
			kill()
		case 1:
			p.Want("ok ", "abort")
			kill()
		case 2:
			kill()
		case 3:
			s.publish(id, unknown)
			p.Want("ok", "flood")
			time.Sleep(time.Duration(r.IntN(5000)) * time.Microsecond)
			kill()
		}
		if wiped && p != nil { // nobody can come to its topic any more
			kill()
		}
	}
	if p == nil {
		open()
	}
	s.want(t, id, send(5))
	cancel()
	p.Kill()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	t.Logf("seed %d, %d rounds: %d messages of %d topics; %v", seed, rounds, s.total, len(s.topics), s.since)
	if s.since.Evicted < 2 {
		t.Errorf("it stood still %d times, and was evicted %d times", stands, s.since.Evicted)
	}
	// Wine needs a moment to close what a killed process had open.
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		all, err := samepage.List()
		ipctest.NoErr(t, err)
		if len(all) == 0 {
			return
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("left behind: %v", all)
		}
	}
}

// at says whether the last message was of topic id.
func (s *seen) at(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id == id
}
