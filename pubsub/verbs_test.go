package pubsub_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// The four verbs, for a topic that exists and for one that does not, and the result existed.
func TestVerbs(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	two := &pubsub.Options{Publishers: 4, MaxSize: 100}
	_, err := pubsub.OpenPublisher("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	_, err = pubsub.OpenSubscriber("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	short, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, err = pubsub.AwaitPublisher(short, "t", nil)
	ipctest.WantErr(t, err, context.DeadlineExceeded)

	created, err := pubsub.CreatePublisher("t", two)
	ipctest.NoErr(t, err)
	_, err = pubsub.CreatePublisher("t", two)
	ipctest.WantErr(t, err, fs.ErrExist)
	opened, err := pubsub.OpenPublisher("t", nil)
	ipctest.NoErr(t, err)
	awaited, err := pubsub.AwaitPublisher(bg, "t", nil)
	ipctest.NoErr(t, err)
	_, existed, err := pubsub.OpenOrCreatePublisher("t", &pubsub.Options{MaxSize: 50, Depth: 7})
	ipctest.WantErr(t, err, samepage.ErrDiffers, "Depth is 64, want 7")
	if existed {
		t.Error("existed, with an error")
	}
	again, existed, err := pubsub.OpenOrCreatePublisher("t", &pubsub.Options{MaxSize: 50, Depth: 7, AsItIs: true})
	ipctest.NoErr(t, err)
	if o := again.Options(); !existed || o.MaxSize != 100 || o.Depth == 7 {
		t.Errorf("existed %v, %+v", existed, o)
	}
	_, existed, err = pubsub.OpenOrCreatePublisher("t", &pubsub.Options{MaxSize: 101, AsItIs: true})
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	if existed {
		t.Error("existed, with an error")
	}
	for _, p := range []*pubsub.Publisher{created, opened, awaited, again} {
		ipctest.NoErr(t, p.Close())
	}
	p, existed, err := pubsub.OpenOrCreatePublisher("t", nil)
	ipctest.NoErr(t, err)
	if existed {
		t.Error("a new topic existed")
	}
	ipctest.NoErr(t, p.Close())
}

// The four verbs for topics of a Go type.
func TestVerbsOf(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := pubsub.OpenPublisherOf[pose]("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	p, err := pubsub.CreatePublisherOf[pose]("t", &pubsub.Options{Publishers: 3})
	ipctest.NoErr(t, err)
	_, err = pubsub.CreatePublisherOf[pose]("t", nil)
	ipctest.WantErr(t, err, fs.ErrExist)
	q, err := pubsub.AwaitPublisherOf[pose](bg, "t", nil)
	ipctest.NoErr(t, err)
	_, err = pubsub.OpenPublisherOf[int64]("t", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	s, err := pubsub.AwaitSubscriberOf[pose](bg, "t", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, q.Send(bg, &pose{ID: 3}))
	i, err := pubsub.WaitAny(bg, s)
	ipctest.NoErr(t, err)
	m, ok, err := s.TryTake()
	if i != 0 || !ok || err != nil || m.Value().ID != 3 || m.Publisher() != 1 {
		t.Error(i, ok, err, m.Value(), m.Publisher())
	}
	ipctest.NoErr(t, p.Close())
	ipctest.NoErr(t, q.Close())
	ipctest.NoErr(t, s.Close())
}

// Open and Await refuse options that are for a new topic only.
func TestOpenRefusesOptionsOfNewTopics(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	newPub(t, "t", &pubsub.Options{Publishers: 2})
	for _, o := range []pubsub.Options{
		{Lifetime: samepage.Persist},
		{MaxSize: 1},
		{Depth: 1},
		{Publishers: 1},
		{Members: 1},
		{Holds: 1},
		{Loans: 1},
		{EvictAfter: 1},
		{Checksums: true},
		{Times: true},
		{Perm: 0o600},
		{SecurityDescriptor: "D:"},
	} {
		_, err := pubsub.OpenPublisher("t", &o)
		ipctest.WantErr(t, err, fs.ErrInvalid)
		_, err = pubsub.AwaitPublisher(bg, "t", &o)
		ipctest.WantErr(t, err, fs.ErrInvalid)
		_, err = pubsub.OpenPublisherOf[int64]("t", &o)
		ipctest.WantErr(t, err, fs.ErrInvalid)
	}
	p, err := pubsub.OpenPublisher("t", &pubsub.Options{Scope: samepage.Local, Owner: "*"})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.Close())
}

// Reliable and best-effort subscribers count, and dead ones do not.
func TestSubscribersOfAnySort(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", nil)
	if n := p.Subscribers(); n != 0 {
		t.Errorf("%d subscribers", n)
	}
	begun := make(chan error, 1)
	go func() { begun <- p.WaitSubscribers(bg, 2) }()
	a := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true, From: pubsub.FromNow})
	newSub(t, "t", nil)
	ipctest.NoErr(t, <-begun)
	if n, r := p.Subscribers(), p.ReliableSubscribers(); n != 2 || r != 1 {
		t.Errorf("%d subscribers, want 2, %d of them reliable, want 1", n, r)
	}
	ipctest.NoErr(t, p.WaitReliableSubscribers(bg, 1))
	ipctest.NoErr(t, p.Send(bg, []byte("x")))
	if m, ok, err := a.TryTake(); !ok || err != nil || string(m.Bytes()) != "x" {
		t.Errorf("a best-effort subscriber that counts has missed a message: %v %v", ok, err)
	}
	ipctest.NoErr(t, a.Close())
	if n := p.Subscribers(); n != 1 {
		t.Errorf("%d subscribers, want 1", n)
	}
	c := ipctest.Start(t, "sub", "t", "best-effort")
	c.Line()
	ipctest.NoErr(t, p.WaitSubscribers(bg, 2))
	c.Kill()
	short, cancel := context.WithTimeout(bg, 200*time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, p.WaitSubscribers(short, 2), context.DeadlineExceeded)
	ipctest.WantErr(t, p.WaitReliableSubscribers(short, 2), context.DeadlineExceeded)
}
