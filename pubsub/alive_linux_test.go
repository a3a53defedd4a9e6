package pubsub_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// looks is the time in which the death watch looks several times.
const looks = 300 * time.Millisecond

// A stopped subscriber is alive. A publisher waits for it without limit, and it misses nothing. If
// the topic has EvictAfter, the subscriber is evicted instead and gets an error.
func TestStoppedSubscriberIsAlive(t *testing.T) {
	for _, evict := range []time.Duration{0, 20 * time.Millisecond} {
		ipctest.Store(t)
		p := newPub(t, "t", topicOptions(evict))
		c := ipctest.Start(t, "listener", "t", evict.String(), "reliable", "0")
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		ipctest.NoErr(t, p.WaitSubscribers(bg, 1))
		c.Stop()
		sent := fillUp(t, p)
		time.Sleep(looks)
		if st, err := pubsub.Inspect("t", nil); err != nil || len(st.Members) != 2 || !st.Members[1].Alive {
			t.Errorf("the topic is %+v, %v", st, err)
		}
		if evict == 0 {
			ctx, cancel := context.WithTimeout(bg, looks)
			ipctest.WantErr(t, sendTalk(ctx, p), os.ErrDeadlineExceeded)
			cancel()
			if p.Subscribers() != 1 {
				t.Error("a stopped subscriber was taken for dead")
			}
			c.Continue()
		} else {
			ipctest.NoErr(t, sendTalk(bg, p))
			if p.Evicted() != 1 || p.Subscribers() != 0 {
				t.Errorf("%d evicted, %d left", p.Evicted(), p.Subscribers())
			}
			c.Continue()
			ipctest.NoErr(t, p.WaitSubscribers(bg, 1)) // it comes anew
		}
		for range 100 {
			ipctest.NoErr(t, sendTalk(bg, p))
		}
		ipctest.NoErr(t, p.Close())
		c.Send("end")
		if l := c.Line(); !strings.HasPrefix(l, "had ") {
			t.Errorf("after %d messages: %s", sent, l)
		}
	}
}

func sendTalk(ctx context.Context, p *pubsub.Publisher) error {
	l, err := p.Loan(talkSize)
	if err != nil {
		return err
	}
	defer l.Discard()
	if err := l.Truncate(talk(l.Bytes(), p.Next(), 7)); err != nil {
		return err
	}
	return l.Publish(ctx)
}

// fillUp publishes until a reliable subscriber blocks.
func fillUp(t *testing.T, p *pubsub.Publisher) (n int) {
	t.Helper()
	for {
		l, err := p.Loan(talkSize)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, l.Truncate(talk(l.Bytes(), p.Next(), 7)))
		ok, err := l.TryPublish()
		ipctest.NoErr(t, err)
		if !ok {
			l.Discard()
			return n
		}
		n++
	}
}

// A stopped publisher is alive: nobody takes its place, and nobody gets the error that it died.
func TestStoppedPublisherIsAlive(t *testing.T) {
	ipctest.Store(t)
	c := ipctest.Start(t, "pub", "t", "64")
	if l := c.Line(); l != "ready" {
		t.Fatal(l)
	}
	s := newSub(t, "t", nil)
	_, err := s.Take(bg)
	ipctest.NoErr(t, err)
	c.Stop()
	var last uint64
	for {
		ctx, cancel := context.WithTimeout(bg, looks)
		m, err := s.Take(ctx)
		cancel()
		if err != nil {
			ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
			break
		}
		last = m.Seq()
	}
	_, _, err = pubsub.OpenOrCreatePublisher("t", &pubsub.Options{MaxSize: 64})
	ipctest.WantErr(t, err, samepage.ErrBusy)
	c.Continue()
	for range 1000 {
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
		if last > 0 && m.Seq() != last+1 {
			t.Fatalf("message %d after %d", m.Seq(), last)
		}
		last = m.Seq()
	}
}
