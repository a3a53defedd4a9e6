package pubsub_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// A publisher that passes on messages keeps their numbers and times. Reliable and best-effort
// subscribers count the numbers that it leaves out.
func TestRelay(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := publisherWith(t, "t", &pubsub.Options{Pack: 4096, Times: true})
	defer p.Close()
	var subs []*pubsub.Subscriber
	for _, o := range []*pubsub.SubscriberOptions{{}, {BestEffort: true}} {
		s, err := pubsub.OpenSubscriber("t", o)
		ipctest.NoErr(t, err)
		defer s.Close()
		subs = append(subs, s)
	}
	at := time.Unix(1700000000, 123)
	ipctest.NoErr(t, p.Relay(10, at))
	ipctest.NoErr(t, p.Send(bg, []byte("10")))
	n, err := p.SendAll(bg, [][]byte{[]byte("11"), []byte("12")})
	if ipctest.NoErr(t, err); n != 2 {
		t.Fatal(n)
	}
	ipctest.NoErr(t, p.Relay(20, at.Add(time.Second)))
	l, err := p.Loan(2)
	ipctest.NoErr(t, err)
	copy(l.Bytes(), "20")
	ipctest.NoErr(t, l.Publish(bg))
	before := time.Now()
	ipctest.NoErr(t, p.Relay(21, time.Time{}))
	ipctest.NoErr(t, p.Send(bg, []byte("21")))
	ipctest.WantErr(t, p.Relay(21, at), fs.ErrInvalid, "seq is 21, want 22 to")
	ipctest.WantErr(t, p.Relay(1<<61+1, at), fs.ErrInvalid)
	for i, s := range subs {
		for _, want := range []struct {
			seq, missed uint64
			at          time.Time
		}{{10, 0, at}, {11, 0, at}, {12, 0, at}, {20, 7, at.Add(time.Second)}, {21, 0, time.Time{}}} {
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			good := m.Time().Equal(want.at) || want.at.IsZero() && !m.Time().Before(before.Truncate(time.Second))
			if m.Seq() != want.seq || m.Missed() != want.missed || string(m.Bytes()) != fmt.Sprint(want.seq) || !good {
				t.Errorf("subscriber %d: %d %q, %d missed, %v; want %+v", i, m.Seq(), m.Bytes(), m.Missed(), m.Time(), want)
			}
		}
		if s.Missed() != 7 || s.Taken() != 5 {
			t.Error(s.Missed(), s.Taken())
		}
	}
}

// Without packs, a publisher keeps times, and cannot leave out numbers.
func TestRelayWithoutPacks(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := publisherWith(t, "t", &pubsub.Options{Times: true})
	defer p.Close()
	at := time.Unix(1700000000, 123)
	if err := p.Relay(2, at); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	ipctest.NoErr(t, p.Relay(1, at))
	ipctest.NoErr(t, p.Send(bg, []byte("x")))
	s, err := pubsub.OpenSubscriber("t", nil)
	ipctest.NoErr(t, err)
	defer s.Close()
	m, err := s.Take(bg)
	if ipctest.NoErr(t, err); !m.Time().Equal(at) {
		t.Error(m.Time())
	}
}

// A program makes a topic of a type that it does not have, of the schema.
func TestSchemaOption(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	a, err := pubsub.CreatePublisherOf[pose]("a", nil)
	ipctest.NoErr(t, err)
	defer a.Close()
	b := publisherWith(t, "b", &pubsub.Options{Schema: a.Schema(), Pack: 4096})
	defer b.Close()
	if b.Schema() != a.Schema() || b.Options().MaxSize != a.Options().MaxSize {
		t.Error(b.Schema(), b.Options())
	}
	size, err := (&pubsub.Options{Schema: a.Schema(), Pack: 4096}).Size()
	ipctest.NoErr(t, err)
	if i, err := samepage.Stat("b", &samepage.Options{Kind: samepage.KindTopic}); err != nil || i.Size != size {
		t.Errorf("the topic has %d bytes, and Size is %d, %v", i.Size, size, err)
	}
	s, err := pubsub.OpenSubscriberOf[pose]("b", nil)
	ipctest.NoErr(t, err)
	defer s.Close()
	as, err := pubsub.OpenSubscriber("a", nil)
	ipctest.NoErr(t, err)
	defer as.Close()
	ipctest.NoErr(t, a.Send(bg, &pose{X: 7}))
	m, err := as.Take(bg)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, b.Send(bg, m.Bytes()))
	v, err := s.Take(bg)
	if ipctest.NoErr(t, err); v.Value().X != 7 {
		t.Error(v.Value())
	}
	_, err = pubsub.OpenPublisher("b", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	_, err = pubsub.OpenPublisher("b", &pubsub.Options{Schema: a.Schema()})
	ipctest.WantErr(t, err, samepage.ErrTooManyPublishers)
	_, err = pubsub.OpenPublisher("b", &pubsub.Options{Schema: "pose=int8"})
	ipctest.WantErr(t, err, samepage.ErrKindMismatch, "pose")
}

// What a publisher leaves out before its first message and after its last one counts, too.
func TestRelayEnds(t *testing.T) {
	ipctest.NeedNames(t)
	for name, end := range map[string]func(*pubsub.Publisher) error{"close": (*pubsub.Publisher).Close, "abort": (*pubsub.Publisher).Abort} {
		t.Run(name, func(t *testing.T) {
			ipctest.Store(t)
			p := publisherWith(t, "t", &pubsub.Options{Pack: 4096, Times: true})
			early, err := pubsub.OpenSubscriber("t", nil)
			ipctest.NoErr(t, err)
			defer early.Close()
			ipctest.NoErr(t, p.Relay(5, time.Time{})) // the first number
			sub, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{BestEffort: true})
			ipctest.NoErr(t, err)
			defer sub.Close()
			take := func(s *pubsub.Subscriber, seq, missed, all uint64) {
				t.Helper()
				m, err := s.Take(bg)
				ipctest.NoErr(t, err)
				if m.Seq() != seq || m.Missed() != missed || s.Missed() != all {
					t.Errorf("message %d, %d missed, %d of all; want %d, %d, %d", m.Seq(), m.Missed(), s.Missed(), seq, missed, all)
				}
			}
			over := func(s *pubsub.Subscriber, all uint64) {
				t.Helper()
				_, err := s.Take(bg)
				if err != io.EOF && !errors.Is(err, samepage.ErrPeerDied) || s.Missed() != all {
					t.Error(err, s.Missed(), all)
				}
			}
			ipctest.NoErr(t, p.Relay(8, time.Time{}))
			ipctest.NoErr(t, p.Send(bg, []byte("8")))
			take(sub, 8, 3, 3)
			take(early, 8, 0, 0) // it did not know where the numbers begin
			ipctest.NoErr(t, p.Relay(12, time.Time{}))
			ipctest.NoErr(t, end(p))
			over(sub, 6)
			over(early, 3)
			p, err = pubsub.OpenPublisher("t", nil)
			ipctest.NoErr(t, err)
			if p.Next() != 12 {
				t.Error(p.Next())
			}
			ipctest.NoErr(t, p.Relay(13, time.Time{}))
			ipctest.NoErr(t, end(p))
			over(sub, 7)
			p, err = pubsub.OpenPublisher("t", nil)
			ipctest.NoErr(t, err)
			defer p.Close()
			ipctest.NoErr(t, p.Send(bg, []byte("13")))
			take(sub, 13, 4, 7)
			take(early, 13, 4, 4)
		})
	}
}

// A publisher that is closed does not change the numbers of the one that has its place now.
func TestRelayClosed(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := publisherWith(t, "t", &pubsub.Options{Pack: 4096})
	sub, err := pubsub.OpenSubscriber("t", nil)
	ipctest.NoErr(t, err)
	defer sub.Close()
	ipctest.NoErr(t, p.Close())
	q, err := pubsub.OpenPublisher("t", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, q.Send(bg, []byte("1")))
	ipctest.WantErr(t, p.Relay(100, time.Time{}), samepage.ErrClosed)
	ipctest.NoErr(t, q.Close())
	if _, err := sub.Take(bg); err != nil {
		t.Error(err)
	}
	if _, err := sub.Take(bg); err != io.EOF || sub.Missed() != 0 {
		t.Errorf("%v, %d missed, and nobody has left out any", err, sub.Missed())
	}
}
