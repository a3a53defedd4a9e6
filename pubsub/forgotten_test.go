package pubsub_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// Subscribers see a dropped publisher as dead, after they have taken its messages. Its place and
// its loans are free again.
func TestForgottenPublisher(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := func() *pubsub.Subscriber {
		p, _, err := pubsub.OpenOrCreatePublisher("t", &pubsub.Options{MaxSize: 100})
		ipctest.NoErr(t, err)
		s := newSub(t, "t", nil)
		send(t, p, 8)
		_, err = p.Loan(8)
		ipctest.NoErr(t, err)
		return s
	}()
	if _, err := s.Take(bg); err != nil {
		t.Fatal(err)
	}
	var err error
	ipctest.Collect(t, "the publisher", func() error {
		var ok bool
		if _, ok, err = s.TryTake(); ok || err == nil {
			return errors.New("the stream goes on")
		}
		return nil
	})
	ipctest.WantErr(t, err, samepage.ErrPeerDied)
	if errors.Is(err, io.EOF) {
		t.Errorf("told as complete: %v", err)
	}
	p := newPub(t, "t", nil)
	send(t, p, 8)
	if _, err := s.Take(bg); err != nil {
		t.Error(err)
	}
}

// A publisher does not wait for a dropped reliable subscriber, also if that one held messages.
func TestForgottenSubscriber(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 100, Depth: 4, Holds: 1})
	func() {
		s := newSubUnclosed(t, "t")
		send(t, p, 8)
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		_, err = m.Hold()
		ipctest.NoErr(t, err)
	}()
	ipctest.Collect(t, "the subscriber", func() error {
		if n := p.Subscribers(); n > 0 {
			return fmt.Errorf("%d subscribers", n)
		}
		return nil
	})
	for range 100 {
		send(t, p, 8)
	}
}

func newSubUnclosed(t *testing.T, name string) *pubsub.Subscriber {
	t.Helper()
	s, err := pubsub.OpenSubscriber(name, nil)
	ipctest.NoErr(t, err)
	return s
}

// A publisher or subscriber is not collected while one of its loans or messages is reachable.
func TestForgottenNotWhileInHand(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	l := func() pubsub.Loan {
		p, _, err := pubsub.OpenOrCreatePublisher("t", &pubsub.Options{Holds: 1, MaxSize: 100})
		ipctest.NoErr(t, err)
		l, err := p.Loan(8)
		ipctest.NoErr(t, err)
		return l
	}()
	h := func() *pubsub.Held {
		s := newSubUnclosed(t, "t")
		collected(t)
		ipctest.Fill(l.Bytes(), 1)
		ipctest.NoErr(t, l.Publish(bg))
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		h, err := m.Hold()
		ipctest.NoErr(t, err)
		return h
	}()
	l = pubsub.Loan{}
	collected(t)
	ipctest.NoErr(t, ipctest.Check(h.Bytes(), 1))
	h = nil
	ipctest.Collect(t, "the topic", func() error {
		if _, err := samepage.Stat("t", &samepage.Options{Kind: samepage.KindTopic}); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
}

// collected drops a memory and returns after it was collected. Then everything else that can be
// collected was collected, too.
func collected(t *testing.T) {
	t.Helper()
	func() {
		_, err := samepage.Create("a witness", 100, nil)
		ipctest.NoErr(t, err)
	}()
	ipctest.Collect(t, "a witness", func() error {
		if _, err := samepage.Stat("a witness", nil); err != nil {
			return nil
		}
		return errors.New("it is there")
	})
	runtime.GC()
}
