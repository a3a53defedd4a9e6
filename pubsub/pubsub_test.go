package pubsub_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

var bg = context.Background()

// roles are the helpers of this package's tests.
var roles = map[string]func([]string){"sub": subRole, "pub": pubRole}

func TestMain(m *testing.M) { ipctest.Main(m, roles) }

func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

func newPub(t testing.TB, name string, o *pubsub.Options) *pubsub.Publisher {
	t.Helper()
	p, err := pubsub.NewPublisher(name, o)
	noErr(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newSub(t testing.TB, name string, o *pubsub.SubscriberOptions) *pubsub.Subscriber {
	t.Helper()
	s, err := pubsub.NewSubscriber(name, o)
	noErr(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill writes message q, check says whether b is message q.
func fill(b []byte, q uint64) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], q*0x9e3779b97f4a7c15+uint64(i))
	}
}

func check(b []byte, q uint64) error {
	for i := 0; i+8 <= len(b); i += 8 {
		if binary.LittleEndian.Uint64(b[i:]) != q*0x9e3779b97f4a7c15+uint64(i) {
			return fmt.Errorf("message %d of %d bytes is torn at byte %d", q, len(b), i)
		}
	}
	return nil
}

func send(t testing.TB, p *pubsub.Publisher, n int) {
	t.Helper()
	l, err := p.Loan(n)
	noErr(t, err)
	fill(l.Bytes(), p.Next())
	noErr(t, l.Publish(bg))
}

func TestSendTake(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := pubsub.NewSubscriber("t", nil)
	wantErr(t, err, fs.ErrNotExist)
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
			fill(b, p.Next())
			before := time.Now()
			noErr(t, p.Send(bg, b))
			m, err := s.Take(bg)
			noErr(t, err)
			if m.Seq() != first+uint64(n) || len(m.Bytes()) != n || m.Missed() != 0 {
				t.Fatalf("message %d of %d bytes, %d missed", m.Seq(), len(m.Bytes()), m.Missed())
			}
			noErr(t, check(m.Bytes(), m.Seq()))
			if d := m.Time().Sub(before); d < -time.Second || d > time.Minute {
				t.Errorf("published %v after it was sent", d)
			}
			old := m
			if _, ok, _ := s.TryTake(); ok || old.Bytes() != nil {
				t.Error("a message that is let go still has bytes")
			}
		}
		noErr(t, s.Close())
		noErr(t, s.Close())
		_, err = s.Take(bg)
		wantErr(t, err, samepage.ErrClosed)
	}
	_, err = p.Loan(101)
	wantErr(t, err, samepage.ErrTooLarge)
	_, err = p.Loan(-1)
	wantErr(t, err, samepage.ErrNegativeSize)
	_, err = pubsub.NewPublisher("t", nil)
	wantErr(t, err, samepage.ErrBusy)
	_, err = pubsub.NewPublisher("u", &pubsub.Options{Depth: -1})
	wantErr(t, err, fs.ErrInvalid)
}

func TestLoans(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Loans: 3})
	s := newSub(t, "t", nil)
	var all []pubsub.Loan
	for i := range 3 {
		l, err := p.Loan(8)
		noErr(t, err)
		binary.LittleEndian.PutUint64(l.Bytes(), uint64(i))
		all = append(all, l)
	}
	_, err := p.Loan(8)
	wantErr(t, err, samepage.ErrTooManyHolds)
	wantErr(t, p.Close(), samepage.ErrBusy)
	noErr(t, all[2].Truncate(4))
	wantErr(t, all[2].Truncate(5), samepage.ErrTooLarge)
	for _, i := range []int{2, 0} { // in another order
		noErr(t, all[i].Publish(bg))
		m, err := s.Take(bg)
		noErr(t, err)
		if int(m.Bytes()[0]) != i || len(m.Bytes()) != 8-i*2 {
			t.Errorf("message %v, want %d", m.Bytes(), i)
		}
		wantErr(t, all[i].Publish(bg), samepage.ErrClosed)
	}
	all[1].Discard()
	all[1].Discard()
	l, err := p.Loan(8)
	noErr(t, err)
	l.Discard()
	noErr(t, p.Close())
	_, err = s.Take(bg)
	wantErr(t, err, io.EOF)
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
			noErr(t, err)
			h, err := m.Hold()
			noErr(t, err)
			held = append(held, h)
		}
		send(t, p, 64)
		m, err := s.Take(bg)
		noErr(t, err)
		_, err = m.Hold()
		wantErr(t, err, samepage.ErrTooManyHolds)
		for range 1000 {
			send(t, p, 64)
			_, err := s.Take(bg)
			noErr(t, err)
		}
		wantErr(t, s.Close(), samepage.ErrBusy)
		for _, h := range held {
			noErr(t, check(h.Bytes(), h.Seq()))
			h.Release()
			h.Release()
			if h.Bytes() != nil {
				t.Error("a message that is released still has bytes")
			}
		}
		noErr(t, s.Close())
		noErr(t, p.Close())
	}
}

// A reliable subscriber keeps the publisher waiting, a best-effort one does not.
func TestSlowSubscriber(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{Depth: 4, MaxSize: 8})
	b := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	for range 100 {
		send(t, p, 8)
	}
	m, err := b.Take(bg)
	noErr(t, err)
	if m.Missed() == 0 || m.Seq() != m.Missed()+1 {
		t.Errorf("a slow subscriber takes %d with %d missed", m.Seq(), m.Missed())
	}
	s := newSub(t, "t", &pubsub.SubscriberOptions{From: pubsub.FromNow})
	sent := 0
	for {
		l, err := p.Loan(8)
		noErr(t, err)
		ok, err := l.TryPublish()
		noErr(t, err)
		if !ok {
			ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
			wantErr(t, l.Publish(ctx), os.ErrDeadlineExceeded)
			cancel()
			fill(l.Bytes(), p.Next())
			done := make(chan error, 1)
			go func() { done <- l.Publish(bg) }()
			_, err := s.Take(bg)
			noErr(t, err)
			s.Release()
			noErr(t, <-done)
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
	noErr(t, err)
	for range 50 {
		if p.Next() > 1 {
			_, err := quick.Take(bg)
			noErr(t, err)
		}
		send(t, p, 64)
	}
	if p.Evicted() != 1 || p.Subscribers() != 1 {
		t.Errorf("%d passed over, %d left", p.Evicted(), p.Subscribers())
	}
	noErr(t, check(m.Bytes(), m.Seq()))
	for range 2 {
		_, err = slow.Take(bg)
		wantErr(t, err, samepage.ErrEvicted)
	}
	noErr(t, slow.Close())
	s := newSub(t, "t", nil)
	_, err = s.Take(bg)
	noErr(t, err)
}

func subRole(args []string) {
	s, err := pubsub.Await(bg, args[0], &pubsub.SubscriberOptions{BestEffort: args[1] == "best-effort"})
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
		if err := check(m.Bytes(), m.Seq()); err != nil {
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
	p, err := pubsub.NewPublisher(args[0], &pubsub.Options{MaxSize: size})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for {
		l, err := p.Loan(size)
		if err == nil {
			fill(l.Bytes(), p.Next())
			err = l.Publish(bg)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
}

// Processes that come before the topic and after, reliable and not.
func TestProcesses(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const messages = 5000
	first := ipctest.Start(t, "sub", "t", "reliable") // before there is a topic
	p := newPub(t, "t", &pubsub.Options{MaxSize: 4096})
	noErr(t, p.WaitSubscribers(bg, 1))
	subs := []*ipctest.Child{first, ipctest.Start(t, "sub", "t", "best-effort"), ipctest.Start(t, "sub", "t", "reliable")}
	for _, c := range subs {
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
	}
	for range messages {
		send(t, p, 4096)
	}
	noErr(t, p.Close())
	for i, c := range subs {
		if l := c.Line(); l != fmt.Sprint("last ", messages) {
			t.Errorf("subscriber %d: %s", i, l)
		}
	}
}

// A publisher that is killed is told of, and the next one goes on behind it.
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
			noErr(t, err)
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
			noErr(t, err)
			noErr(t, check(m.Bytes(), m.Seq()))
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
