package pubsub_test

import (
	"io"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// A closed publisher or subscriber does not change the words of its successor in the same place.
func TestClosedSubscriberWritesNothing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 8, Depth: 8})
	h := mapTopic(t, "t")
	for _, bestEffort := range []bool{false, true} {
		o := &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow}
		for _, use := range []func(a *pubsub.Subscriber, m pubsub.Message){
			func(a *pubsub.Subscriber, _ pubsub.Message) {
				_, err := a.Take(bg)
				ipctest.WantErr(t, err, samepage.ErrClosed)
			},
			func(a *pubsub.Subscriber, _ pubsub.Message) {
				_, _, err := a.TryTake()
				ipctest.WantErr(t, err, samepage.ErrClosed)
			},
			func(a *pubsub.Subscriber, _ pubsub.Message) { a.Release() },
			func(a *pubsub.Subscriber, m pubsub.Message) {
				_, err := m.Hold()
				ipctest.WantErr(t, err, samepage.ErrClosed)
			},
			func(a *pubsub.Subscriber, _ pubsub.Message) {
				_, err := pubsub.WaitAny(bg, a)
				ipctest.WantErr(t, err, samepage.ErrClosed)
			},
			func(a *pubsub.Subscriber, m pubsub.Message) {
				if m.Bytes() != nil {
					t.Error("a message of a closed subscriber has bytes")
				}
			},
			func(a *pubsub.Subscriber, _ pubsub.Message) { ipctest.NoErr(t, a.Close()) },
		} {
			a := newSub(t, "t", o)
			var m pubsub.Message
			for range 3 {
				send(t, p, 8)
				var err error
				m, err = a.Take(bg)
				ipctest.NoErr(t, err)
			}
			ipctest.NoErr(t, a.Close())
			b := newSub(t, "t", o)
			before := append([]byte(nil), h.v.Bytes()[h.hd.Live+h.o.Words:h.hd.Live+h.o.Live]...)
			use(a, m)
			after := h.v.Bytes()[h.hd.Live+h.o.Words : h.hd.Live+h.o.Live]
			for i := range before {
				if before[i] != after[i] {
					t.Fatalf("byte %d of the lanes' words has changed", i)
				}
			}
			ipctest.NoErr(t, b.Close())
		}
	}
	ipctest.NoErr(t, h.close())
}

// The next publisher gets the slots of a closed one.
func TestClosedPublisherWritesNothing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &pubsub.Options{MaxSize: 8, Depth: 4, Members: 3}
	a := newPub(t, "t", o)
	s := newSub(t, "t", nil) // keeps the topic
	ipctest.NoErr(t, a.Close())
	b := newPub(t, "t", o)
	send(t, b, 8)
	h := mapTopic(t, "t")
	before := append([]byte(nil), h.v.Bytes()...)
	for range 100 {
		_, err := a.Loan(8)
		ipctest.WantErr(t, err, samepage.ErrClosed)
		ipctest.WantErr(t, a.Send(bg, nil), samepage.ErrClosed)
	}
	if string(before) != string(h.v.Bytes()) {
		t.Error("a closed publisher has written to the topic")
	}
	_, err := s.Take(bg)
	if err == io.EOF { // of the first one
		_, err = s.Take(bg)
	}
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, h.close())
}

// A subscriber also gets the end of the stream if it looks in the middle of Close, when the stream
// has ended and the publisher is still there.
func TestEndIsTold(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 8, Publishers: 2})
	s := newSub(t, "t", nil)
	h := mapTopic(t, "t")
	h.laneWord(t, 0, layout.LaneEndsOffset).Add(1)
	for range 3 {
		if _, ok, err := s.TryTake(); ok || err != nil {
			t.Error(ok, err)
		}
	}
	h.laneWord(t, 0, 0).Store(0)
	_, _, err := s.TryTake()
	if err != io.EOF {
		t.Errorf("error is %v, want EOF", err)
	}
	if _, ok, err := s.TryTake(); ok || err != nil {
		t.Error("once only:", ok, err)
	}
	_ = p
	ipctest.NoErr(t, h.close())
}
