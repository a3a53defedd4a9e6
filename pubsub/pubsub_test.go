package pubsub_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/store"
	"samepage/pubsub"
)

var bg = context.Background()

// roles are the helper processes of the tests of this package.
var roles = map[string]func([]string){"sub": subRole, "pub": pubRole, "logger": logger, "idle follower": idleFollower, "replacer": replacer}

func TestMain(m *testing.M) {
	store.RemovalWait = ipctest.Patience // however long somebody takes who is at a name
	ipctest.Main(m, roles)
}

func newPub(t testing.TB, name string, o *pubsub.Options) *pubsub.Publisher {
	t.Helper()
	p, _, err := pubsub.OpenOrCreatePublisher(name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newSub(t testing.TB, name string, o *pubsub.SubscriberOptions) *pubsub.Subscriber {
	t.Helper()
	s, err := pubsub.OpenSubscriber(name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func send(t testing.TB, p *pubsub.Publisher, n int) {
	t.Helper()
	l, err := p.Loan(n)
	ipctest.NoErr(t, err)
	ipctest.Fill(l.Bytes(), p.Next())
	ipctest.NoErr(t, l.Publish(bg))
}

func TestSendTake(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := pubsub.OpenSubscriber("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 100, Times: true, Checksums: true})
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		_, ok, err := s.TryTake()
		if ok || err != nil {
			t.Fatal(ok, err)
		}
		first := p.Next()
		for n := range 101 {
			b := make([]byte, n)
			ipctest.Fill(b, p.Next())
			before := time.Now()
			ipctest.NoErr(t, p.Send(bg, b))
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			if m.Seq() != first+uint64(n) || len(m.Bytes()) != n || m.Missed() != 0 {
				t.Fatalf("message %d of %d bytes, %d missed", m.Seq(), len(m.Bytes()), m.Missed())
			}
			ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
			if d := m.Time().Sub(before); d < -time.Second || d > time.Minute {
				t.Errorf("published %v after it was sent", d)
			}
			old := m
			if _, ok, _ := s.TryTake(); ok || old.Bytes() != nil {
				t.Error("a message that is let go still has bytes")
			}
		}
		ipctest.NoErr(t, s.Close())
		ipctest.NoErr(t, s.Close())
		_, err = s.Take(bg)
		ipctest.WantErr(t, err, samepage.ErrClosed)
	}
	_, err = p.Loan(101)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	_, err = p.Loan(-1)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize)
	_, _, err = pubsub.OpenOrCreatePublisher("t", nil)
	ipctest.WantErr(t, err, samepage.ErrTooManyPublishers)
	_, _, err = pubsub.OpenOrCreatePublisher("u", &pubsub.Options{Depth: -1})
	ipctest.WantErr(t, err, fs.ErrInvalid)
}

func TestLoans(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Loans: 3})
	s := newSub(t, "t", nil)
	var all []pubsub.Loan
	for i := range 3 {
		l, err := p.Loan(8)
		ipctest.NoErr(t, err)
		binary.LittleEndian.PutUint64(l.Bytes(), uint64(i))
		all = append(all, l)
	}
	_, err := p.Loan(8)
	ipctest.WantErr(t, err, samepage.ErrTooManyHolds)
	ipctest.WantErr(t, p.Close(), samepage.ErrUnreleased)
	ipctest.NoErr(t, all[2].Truncate(4))
	ipctest.WantErr(t, all[2].Truncate(5), samepage.ErrTooLarge)
	if n := math.MaxInt &^ math.MaxUint32; n > 0 { // 0 as an uint32
		ipctest.WantErr(t, all[2].Truncate(n), samepage.ErrTooLarge)
	}
	for _, i := range []int{2, 0} { // in another order
		ipctest.NoErr(t, all[i].Publish(bg))
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		if int(m.Bytes()[0]) != i || len(m.Bytes()) != 8-i*2 {
			t.Errorf("message %v, want %d", m.Bytes(), i)
		}
		ipctest.WantErr(t, all[i].Publish(bg), samepage.ErrClosed)
	}
	all[1].Discard()
	all[1].Discard()
	l, err := p.Loan(8)
	ipctest.NoErr(t, err)
	l.Discard()
	ipctest.NoErr(t, p.Close())
	_, err = s.Take(bg)
	ipctest.WantErr(t, err, io.EOF)
}

func TestHold(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, bestEffort := range []bool{false, true} {
		p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Holds: 2, Depth: 1})
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort})
		var held []*pubsub.Held
		for range 2 {
			send(t, p, 64)
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			h, err := m.Hold()
			ipctest.NoErr(t, err)
			held = append(held, h)
		}
		send(t, p, 64)
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		_, err = m.Hold()
		ipctest.WantErr(t, err, samepage.ErrTooManyHolds)
		for range 1000 {
			send(t, p, 64)
			_, err := s.Take(bg)
			ipctest.NoErr(t, err)
		}
		ipctest.WantErr(t, s.Close(), samepage.ErrUnreleased)
		for _, h := range held {
			ipctest.NoErr(t, ipctest.Check(h.Bytes(), h.Seq()))
			h.Release()
			h.Release()
			if h.Bytes() != nil {
				t.Error("a message that is released still has bytes")
			}
		}
		ipctest.NoErr(t, s.Close())
		ipctest.NoErr(t, p.Close())
	}
}

// A publisher waits for a reliable subscriber, but not for a best-effort one.
func TestSlowSubscriber(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{Depth: 4, MaxSize: 8})
	b := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	for range 100 {
		send(t, p, 8)
	}
	m, err := b.Take(bg)
	ipctest.NoErr(t, err)
	if m.Missed() == 0 || m.Seq() != m.Missed()+1 {
		t.Errorf("a slow subscriber takes %d with %d missed", m.Seq(), m.Missed())
	}
	s := newSub(t, "t", &pubsub.SubscriberOptions{From: pubsub.FromNow})
	sent := 0
	for {
		l, err := p.Loan(8)
		ipctest.NoErr(t, err)
		ok, err := l.TryPublish()
		ipctest.NoErr(t, err)
		if !ok {
			ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
			ipctest.WantErr(t, l.Publish(ctx), os.ErrDeadlineExceeded)
			cancel()
			ipctest.Fill(l.Bytes(), p.Next())
			done := make(chan error, 1)
			go func() { done <- l.Publish(bg) }()
			_, err := s.Take(bg)
			ipctest.NoErr(t, err)
			s.Release()
			ipctest.NoErr(t, <-done)
			break
		}
		sent++
	}
	if sent < 4 {
		t.Errorf("%d messages fit, want 4 or more", sent)
	}
}

func TestEvict(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{Depth: 2, MaxSize: 64, EvictAfter: 20 * time.Millisecond})
	slow, quick := newSub(t, "t", nil), newSub(t, "t", nil)
	send(t, p, 64)
	m, err := slow.Take(bg)
	ipctest.NoErr(t, err)
	for range 50 {
		if p.Next() > 1 {
			_, err := quick.Take(bg)
			ipctest.NoErr(t, err)
		}
		send(t, p, 64)
	}
	if p.Evicted() != 1 || p.Subscribers() != 1 {
		t.Errorf("%d evicted, %d left", p.Evicted(), p.Subscribers())
	}
	ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
	for range 2 {
		_, err = slow.Take(bg)
		ipctest.WantErr(t, err, samepage.ErrEvicted)
	}
	ipctest.NoErr(t, slow.Close())
	s := newSub(t, "t", nil)
	_, err = s.Take(bg)
	ipctest.NoErr(t, err)
}

func subRole(args []string) {
	s, err := pubsub.AwaitSubscriber(bg, args[0], &pubsub.SubscriberOptions{BestEffort: args[1] == "best-effort"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	last := uint64(0)
	for m, err := range s.Messages(bg) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := ipctest.Check(m.Bytes(), m.Seq()); err != nil {
			fmt.Println(err)
			return
		}
		if m.Seq() != last+1+m.Missed() || m.Missed() > 0 && args[1] == "reliable" {
			fmt.Printf("message %d after %d, %d missed\n", m.Seq(), last, m.Missed())
			return
		}
		last = m.Seq()
	}
	fmt.Println("last", last)
}

func pubRole(args []string) {
	size, _ := strconv.Atoi(args[1])
	p, _, err := pubsub.OpenOrCreatePublisher(args[0], &pubsub.Options{MaxSize: size, Holds: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for {
		l, err := p.Loan(size)
		if err == nil {
			ipctest.Fill(l.Bytes(), p.Next())
			err = l.Publish(bg)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
}

// Reliable and best-effort subscribers come before and after the topic is created.
func TestProcesses(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const messages = 5000
	first := ipctest.Start(t, "sub", "t", "reliable") // before there is a topic
	p := newPub(t, "t", &pubsub.Options{MaxSize: 4096})
	ipctest.NoErr(t, p.WaitSubscribers(bg, 1))
	subs := []*ipctest.Child{first, ipctest.Start(t, "sub", "t", "best-effort"), ipctest.Start(t, "sub", "t", "reliable")}
	for _, c := range subs {
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
	}
	for range messages {
		send(t, p, 4096)
	}
	ipctest.NoErr(t, p.Close())
	for i, c := range subs {
		if l := c.Line(); l != fmt.Sprint("last ", messages) {
			t.Errorf("subscriber %d: %s", i, l)
		}
	}
}

// Subscribers get an error if a publisher is killed, and the next publisher goes on with the next
// number.
func TestPublisherKilled(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := ipctest.Start(t, "pub", "t", "4096")
	if l := c.Line(); l != "ready" {
		t.Fatal(l)
	}
	s := newSub(t, "t", nil)
	last := uint64(0)
	for round := range 10 {
		for range 100 {
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			if last > 0 && m.Seq() != last+1 {
				t.Fatalf("message %d after %d", m.Seq(), last)
			}
			last = m.Seq()
		}
		c.Kill()
		for {
			m, err := s.Take(bg)
			if errors.Is(err, samepage.ErrPeerDied) {
				break
			}
			ipctest.NoErr(t, err)
			ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
			if m.Seq() != last+1 {
				t.Fatalf("round %d: message %d after %d", round, m.Seq(), last)
			}
			last = m.Seq()
		}
		c = ipctest.Start(t, "pub", "t", "4096")
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", nil)
	s := newSub(t, "t", nil)
	buf := make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() {
		_ = p.Send(bg, buf)
		m, _ := s.Take(bg)
		_ = m.Bytes()
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}
