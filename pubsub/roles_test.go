package pubsub_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// The processes of the kill tests. A talker publishes and a listener subscribes. They open and
// close the topic again and again: each time is a life. They end at a line of input, or when they
// are killed. For each line "count" they print the number of their messages.

func init() { roles["talker"], roles["listener"] = talker, listener }

const talkSize = 256

// talk writes message q of the publisher with that tag. Its length and each of its words depend on
// both, so a part of another message is found out. If the tag is odd, all lengths are talkSize.
func talk(b []byte, q, tag uint64) int {
	n := 16 + int(q*7919%(talkSize/8-2)*8)
	if tag&1 == 1 {
		n = talkSize
	}
	binary.LittleEndian.PutUint64(b, tag)
	for i := 8; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], (q*0x9e3779b97f4a7c15+uint64(i))^tag)
	}
	return n
}

func heard(b []byte, q uint64) error {
	if len(b) < 16 {
		return fmt.Errorf("message %d has %d bytes", q, len(b))
	}
	var want [talkSize]byte
	tag := binary.LittleEndian.Uint64(b)
	if n := talk(want[:], q, tag); n != len(b) {
		return fmt.Errorf("message %d of %#x has %d bytes, want %d", q, tag, len(b), n)
	}
	for i := range b {
		if b[i] != want[i] {
			return fmt.Errorf("message %d of %#x is torn at byte %d of %d", q, tag, i, len(b))
		}
	}
	return nil
}

// packedOptions are topicOptions for a topic with packs.
func packedOptions(evict time.Duration) *pubsub.Options {
	o := topicOptions(evict)
	o.Pack = 5 * talkSize
	return o
}

// topicOptions returns the options of the topic of the kill tests.
func topicOptions(evict time.Duration) *pubsub.Options {
	return &pubsub.Options{Publishers: 3, MaxSize: talkSize, Depth: 8, Members: 24, Holds: 2, EvictAfter: evict}
}

// life is the common part of talkers and listeners.
type life struct {
	ctx  context.Context
	stop context.CancelFunc
	n    atomic.Uint64
}

func newLife() *life {
	l := &life{}
	l.ctx, l.stop = context.WithCancel(bg)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan() && strings.TrimSpace(in.Text()) == "count"; {
			fmt.Println(l.n.Load())
		}
		l.stop()
	}()
	return l
}

func fail(format string, args ...any) {
	fmt.Printf("failed: "+format+"\n", args...)
	os.Exit(1)
}

// talker publishes. Each life has args[2] messages; 0: there is one life without an end.
func talker(args []string) {
	evict, _ := time.ParseDuration(args[1])
	var span int
	_, _ = fmt.Sscan(args[2], &span)
	l := newLife()
	fmt.Println("ready")
	for l.ctx.Err() == nil {
		// The topic exists, so it keeps its own options.
		p, _, err := pubsub.OpenOrCreatePublisher(args[0], topicOptions(evict))
		if errors.Is(err, samepage.ErrBusy) { // the dead one before is being repaired
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			fail("%v", err)
		}
		l.talk(p, span)
		if err := p.Close(); err != nil {
			fail("%v", err)
		}
	}
	fmt.Println("had", l.n.Load())
}

func (l *life) talk(p *pubsub.Publisher, span int) {
	tag := rand.Uint64()
	for n := 0; l.ctx.Err() == nil && (n < span || span == 0); n++ {
		if p.Options().Pack > 0 && n%4 > 0 {
			m, err := l.talkMany(p, tag)
			l.n.Add(uint64(m))
			if err != nil {
				if l.ctx.Err() != nil {
					return
				}
				fail("%v", err)
			}
			continue
		}
		loan, err := p.Loan(talkSize)
		if err != nil {
			fail("%v", err)
		}
		if err := loan.Truncate(talk(loan.Bytes(), p.Next(), tag)); err != nil {
			fail("%v", err)
		}
		if err := loan.Publish(l.ctx); err != nil {
			loan.Discard()
			if l.ctx.Err() != nil {
				return
			}
			fail("%v", err)
		}
		l.n.Add(1)
		if n%16 == 15 { // leave the processor to others
			time.Sleep(50 * time.Microsecond)
		}
	}
}

// talkMany publishes several messages in packs.
func (l *life) talkMany(p *pubsub.Publisher, tag uint64) (int, error) {
	n := 1 + rand.IntN(7)
	switch {
	case tag&1 == 1 && rand.IntN(2) == 0:
		n = min(n, 5)
		b, err := p.LoanBatch(n, talkSize)
		if err != nil {
			return 0, err
		}
		for i := range n {
			talk(b.Bytes(i), p.Next()+uint64(i), tag)
		}
		if err := b.Publish(l.ctx); err != nil {
			b.Discard()
			return 0, err
		}
		return n, nil
	case rand.IntN(2) == 0:
		var loans []pubsub.Loan
		for i := range min(n, p.Options().Loans) {
			loan, err := p.Loan(talkSize)
			if err != nil {
				return 0, err
			}
			if err := loan.Truncate(talk(loan.Bytes(), p.Next()+uint64(i), tag)); err != nil {
				return 0, err
			}
			loans = append(loans, loan)
		}
		return p.PublishAll(l.ctx, loans)
	default:
		all := make([][]byte, n)
		for i := range all {
			var b [talkSize]byte
			all[i] = b[:talk(b[:], p.Next()+uint64(i), tag)]
		}
		return p.SendAll(l.ctx, all)
	}
}

// listener subscribes. Each life has args[3] messages; 0: there is one life without an end. args[2]
// has words: best-effort, sleepy.
func listener(args []string) {
	l := newLife()
	var span int
	_, _ = fmt.Sscan(args[3], &span)
	fmt.Println("ready")
	for l.ctx.Err() == nil {
		s, err := pubsub.AwaitSubscriber(l.ctx, args[0], &pubsub.SubscriberOptions{
			BestEffort: strings.Contains(args[2], "best-effort"), From: pubsub.From(rand.IntN(3)),
		})
		if err != nil {
			if l.ctx.Err() != nil {
				break
			}
			fail("%v", err)
		}
		l.listen(s, span, strings.Contains(args[2], "best-effort"), strings.Contains(args[2], "sleepy"))
		if err := s.Close(); err != nil {
			fail("%v", err)
		}
	}
	fmt.Println("had", l.n.Load())
}

func (l *life) listen(s *pubsub.Subscriber, span int, bestEffort, sleepy bool) {
	last := make([]uint64, s.Options().Publishers)
	var held []*pubsub.Held
	letGo := func() {
		if err := heard(held[0].Bytes(), held[0].Seq()); err != nil {
			fail("held: %v", err)
		}
		held[0].Release()
		held = held[1:]
	}
	defer func() {
		for len(held) > 0 {
			letGo()
		}
	}()
	for n := 0; n < span || span == 0; {
		m, err := s.Take(l.ctx)
		if err == nil && s.Options().Pack > 0 && n%3 == 0 {
			n += l.listenRest(s, m, last, bestEffort)
			continue
		}
		switch {
		case l.ctx.Err() != nil, errors.Is(err, samepage.ErrEvicted):
			return
		case errors.Is(err, samepage.ErrPeerDied), err == io.EOF:
			continue
		case err != nil:
			fail("%v", err)
		}
		n++
		if err := heard(m.Bytes(), m.Seq()); err != nil {
			fail("%v", err)
		}
		if was := last[m.Publisher()]; was > 0 && m.Seq() != was+1+m.Missed() || m.Missed() > 0 && !bestEffort {
			fail("lane %d: message %d after %d, %d missed", m.Publisher(), m.Seq(), was, m.Missed())
		}
		last[m.Publisher()] = m.Seq()
		if sleepy && n%32 == 0 {
			time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
			if err := heard(m.Bytes(), m.Seq()); err != nil {
				fail("looked at for long: %v", err)
			}
		}
		if rand.IntN(8) == 0 {
			if len(held) == 2 {
				letGo()
			}
			h, err := m.Hold()
			if err != nil {
				fail("%v", err)
			}
			held = append(held, h)
		}
		l.n.Add(1)
	}
}

// listenRest takes the rest of the pack of m, which was taken just now.
func (l *life) listenRest(s *pubsub.Subscriber, m pubsub.Message, last []uint64, bestEffort bool) (n int) {
	lane := m.Publisher()
	check := func(q, missed uint64, b []byte) {
		if err := heard(b, q); err != nil {
			fail("in a pack: %v", err)
		}
		if was := last[lane]; was > 0 && q != was+1+missed || missed > 0 && !bestEffort {
			fail("lane %d: message %d after %d, %d missed, in a pack", lane, q, was, missed)
		}
		last[lane] = q
		n++
		l.n.Add(1)
	}
	check(m.Seq(), m.Missed(), m.Bytes())
	p, ok, err := s.TryTakeAll()
	if err != nil || !ok {
		return n // the next Take has the error again, or was told it
	}
	lane = p.Publisher()
	missed := p.Missed()
	for q, b := range p.All() {
		check(q, missed, b)
		missed = 0
	}
	return n
}

// crowd is a topic with processes that stay while others die.
type crowd struct {
	t  *testing.T
	o  *pubsub.Options
	cs []*ipctest.Child
}

func newCrowd(t *testing.T, o *pubsub.Options) *crowd {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := &crowd{t: t, o: o}
	p, _, err := pubsub.OpenOrCreatePublisher("t", o)
	ipctest.NoErr(t, err)
	for _, spec := range []string{"listener reliable", "listener best-effort", "talker", "talker"} {
		child := c.start(spec, 0, "")
		c.cs = append(c.cs, child)
	}
	ipctest.NoErr(t, p.WaitSubscribers(bg, 1))
	ipctest.NoErr(t, p.Close())
	return c
}

// start starts "talker" or "listener words", with lives of span messages.
func (c *crowd) start(spec string, span int, crash string) *ipctest.Child {
	c.t.Helper()
	role, words, _ := strings.Cut(spec, " ")
	args := []string{"t", c.o.EvictAfter.String()}
	if role == "listener" {
		args = append(args, words)
	}
	cmd := ipctest.Command(c.t, role, append(args, fmt.Sprint(span))...)
	cmd.Env = append(cmd.Env, "SAMEPAGE_FAULT="+crash)
	child := ipctest.StartCmd(c.t, cmd)
	if l := child.Line(); l != "ready" {
		c.t.Fatal(l)
	}
	return child
}

// goOn checks that each process that stays goes on, and returns how long this took. The dead ones
// have ended before, so the kernel has released their locks.
func (c *crowd) goOn() time.Duration {
	c.t.Helper()
	begun := time.Now()
	first := make([]string, len(c.cs))
	for i, child := range c.cs {
		first[i] = child.Ask("count")
		if strings.HasPrefix(first[i], "failed") {
			c.t.Fatal(first[i])
		}
	}
	for i, child := range c.cs {
		for {
			now := child.Ask("count")
			if strings.HasPrefix(now, "failed") {
				c.t.Fatal(now)
			}
			if now != first[i] {
				break
			}
			if time.Since(begun) > ipctest.Patience/2 {
				c.t.Fatalf("survivor %d stands still at message %s", i, now)
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	return time.Since(begun)
}

// finish ends the crowd. It checks that no place of a member or publisher is lost, and that nothing
// is left after the last process.
func (c *crowd) finish() {
	t := c.t
	t.Helper()
	var keep []interface{ Close() error }
	s, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{BestEffort: true})
	ipctest.NoErr(t, err)
	keep = append(keep, s)
	for _, child := range c.cs {
		child.Send("end")
		var n uint64
		if l := child.Line(); !strings.HasPrefix(l, "had ") {
			t.Error(l)
		} else if _, _ = fmt.Sscanf(l, "had %d", &n); n == 0 {
			t.Error("a survivor has had no message")
		}
		child.Wait()
	}
	o := c.o
	for range o.Publishers {
		p, _, err := pubsub.OpenOrCreatePublisher("t", o)
		ipctest.NoErr(t, err)
		keep = append(keep, p)
	}
	for len(keep) < o.Members {
		s, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{From: pubsub.FromNow})
		if err != nil {
			t.Fatalf("after %d members: %v", len(keep), err)
		}
		keep = append(keep, s)
	}
	for q := range 1000 { // more than there are slots
		p, s := keep[1].(*pubsub.Publisher), keep[len(keep)-1].(*pubsub.Subscriber)
		loan, err := p.Loan(talkSize)
		if err != nil {
			t.Fatalf("message %d: %v", q, err)
		}
		ipctest.NoErr(t, loan.Truncate(talk(loan.Bytes(), p.Next(), 1)))
		if ok, err := loan.TryPublish(); !ok || err != nil {
			if q == 0 {
				t.Fatal("there is no room", err)
			}
			loan.Discard()
			for k := 4; k < len(keep); k++ {
				drain(t, keep[k].(*pubsub.Subscriber))
			}
		}
		_ = s
	}
	for _, k := range keep {
		ipctest.NoErr(t, k.Close())
	}
	all, err := samepage.List()
	ipctest.NoErr(t, err)
	if len(all) != 0 {
		t.Errorf("left behind: %v", all)
	}
}

func drain(t *testing.T, s *pubsub.Subscriber) {
	t.Helper()
	for {
		m, ok, err := s.TryTake()
		if errors.Is(err, samepage.ErrEvicted) {
			return
		}
		ipctest.NoErr(t, err)
		if !ok {
			return
		}
		ipctest.NoErr(t, heard(m.Bytes(), m.Seq()))
	}
}
