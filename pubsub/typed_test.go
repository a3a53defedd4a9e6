package pubsub_test

import (
	"io"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

type pose struct {
	X, Y, Z float64
	Turn    [4]float32
	ID      uint32
	_       [4]byte
}

func TestTyped(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, _, err := pubsub.OpenOrCreatePublisherOf[pose]("t", &pubsub.Options{Holds: 1})
	ipctest.NoErr(t, err)
	s, err := pubsub.OpenSubscriberOf[pose]("t", nil)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, s.Close()) }()
	l, err := p.Loan()
	ipctest.NoErr(t, err)
	*l.Value() = pose{X: 1, ID: 7}
	ipctest.NoErr(t, l.Publish(bg))
	if l.Value() != nil {
		t.Error("a loan that is published still has a value")
	}
	ipctest.NoErr(t, p.Send(bg, &pose{X: 2}))
	n, err := p.SendAll(bg, []pose{{X: 3}, {X: 4}})
	if n != 2 || err != nil {
		t.Error(n, err)
	}
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	if v := m.Value(); v.X != 1 || v.ID != 7 {
		t.Errorf("value %+v", v)
	}
	h, err := m.Hold()
	ipctest.NoErr(t, err)
	m, ok, err := s.TryTake()
	if !ok || err != nil || m.Value().X != 2 {
		t.Error(ok, err, m.Value())
	}
	ipctest.NoErr(t, p.Close())
	x := 3.0
	for m, err := range s.Messages(bg) {
		ipctest.NoErr(t, err)
		if m.Value().X != x {
			t.Errorf("value %+v, want X %v", m.Value(), x)
		}
		x++
	}
	if x != 5 || h.Value().X != 1 {
		t.Errorf("ended at %v, held %v", x, h.Value())
	}
	h.Release()
	if h.Value() != nil {
		t.Error("a value that is released is still there")
	}

	// Others: bytes may be read of any topic, and published to none but their own.
	raw := newSub(t, "t", nil)
	if m, err := raw.Take(bg); err != nil || len(m.Bytes()) != 48 {
		t.Error(err)
	}
	_, err = pubsub.OpenSubscriberOf[[2]float64]("t", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	if !strings.Contains(err.Error(), "pubsub_test.pose") || !strings.Contains(err.Error(), "[2]float64") {
		t.Errorf("%v does not name both types", err)
	}
	_, _, err = pubsub.OpenOrCreatePublisher("t", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	_, _, err = pubsub.OpenOrCreatePublisherOf[struct{ A, B []byte }]("t", nil)
	ipctest.WantErr(t, err, samepage.ErrType)
	_, err = raw.Take(bg)
	if err != nil && err != io.EOF {
		t.Error(err)
	}
}
