package pubsub_test

import (
	"errors"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// A topic has room for messages of exactly MaxSize bytes, also for a member that opens it.
func TestMission002_06_Capacity(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, size := range []int{1, 63, 64, 65, 4095, 4096, 4097, 1 << 20} {
		p := newPub(t, "t", &pubsub.Options{MaxSize: size})
		s := newSub(t, "t", nil)
		if got := p.Options().MaxSize; got != size || s.Options().MaxSize != size {
			t.Errorf("room for %d and %d bytes, want %d", got, s.Options().MaxSize, size)
		}
		b := make([]byte, size+1)
		for i := range b {
			b[i] = byte(i * 7)
		}
		ipctest.NoErr(t, p.Send(bg, b[:size]))
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		if string(m.Bytes()) != string(b[:size]) {
			t.Errorf("a message of %d bytes is not what was sent", size)
		}
		ipctest.WantErr(t, p.Send(bg, b), samepage.ErrTooLarge)
		_, _, err = pubsub.OpenOrCreatePublisher("t", &pubsub.Options{MaxSize: size + 1})
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		ipctest.NoErr(t, s.Close())
		ipctest.NoErr(t, p.Close())
	}
}

// Messages have the length with which they were sent, also 0, whatever was in the slot before.
func TestMission002_07_Length(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Checksums: true})
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		for i := range 300 {
			n := i * 37 % 65
			if i%3 == 0 {
				n = 0
			}
			ipctest.NoErr(t, p.Send(bg, make([]byte, n)))
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			if m.Bytes() == nil || len(m.Bytes()) != n || cap(m.Bytes()) != n {
				t.Fatalf("a message of %d bytes has %d, with a capacity of %d", n, len(m.Bytes()), cap(m.Bytes()))
			}
		}
		ipctest.NoErr(t, s.Close())
	}
}

// Messages that are too large are refused. Only Truncate shortens them.
func TestMission002_08_TooLarge(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 8})
	s := newSub(t, "t", nil)
	long := []byte("123456789")
	ipctest.WantErr(t, p.Send(bg, long), samepage.ErrTooLarge)
	n, err := p.SendAll(bg, [][]byte{long[:8], long, long[:1]})
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	if n != 1 {
		t.Errorf("%d were sent before the one that is too large", n)
	}
	l, err := p.Loan(8)
	ipctest.NoErr(t, err)
	copy(l.Bytes(), long)
	ipctest.NoErr(t, l.Truncate(3))
	ipctest.NoErr(t, l.Publish(bg))
	for _, want := range []string{"12345678", "123"} {
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		if string(m.Bytes()) != want {
			t.Errorf("message %q, want %q", m.Bytes(), want)
		}
	}
	if _, ok, err := s.TryTake(); ok || err != nil {
		t.Error("there is more", ok, err)
	}
}

// Each fault has its own error.
func TestMission002_09_Errors(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 8, Loans: 1})
	_, negative := p.Loan(-1)
	_, large := p.Loan(9)
	l, err := p.Loan(8)
	ipctest.NoErr(t, err)
	_, many := p.Loan(8)
	l.Discard()
	lost := l.Publish(bg)
	all := []error{samepage.ErrNegativeSize, samepage.ErrTooLarge, samepage.ErrTooManyHolds, samepage.ErrClosed}
	for i, err := range []error{negative, large, many, lost} {
		for k, want := range all {
			if errors.Is(err, want) != (i == k) {
				t.Errorf("is %v a %v: %v", err, want, i != k)
			}
		}
	}
	ipctest.NoErr(t, p.Send(bg, nil)) // no bytes are a message
}

// Messages are written and read in place, or copied to bytes of the user, without allocations.
func TestMission002_12_NoAllocations(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 256, Checksums: true, Times: true})
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		in, out := make([]byte, 256), make([]byte, 256)
		batch := [][]byte{in, in[:8], nil}
		if n := testing.AllocsPerRun(200, func() {
			_ = p.Send(bg, in)
			m, _ := s.Take(bg)
			copy(out, m.Bytes())
			l, _ := p.Loan(256)
			l.Bytes()[0]++
			_ = l.Publish(bg)
			m, _, _ = s.TryTake()
			_ = m.Time()
			_, _ = p.SendAll(bg, batch)
			for range batch {
				_, _ = s.Take(bg)
			}
			s.Release()
		}); n != 0 {
			t.Errorf("best effort %v: %v allocations", bestEffort, n)
		}
		ipctest.NoErr(t, s.Close())
	}
}

// If a publisher opens an existing topic, the history stays for late subscribers.
func TestMission002_27_AttachKeepsContent(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &pubsub.Options{MaxSize: 64, Depth: 4}
	p := newPub(t, "t", o)
	s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true}) // keeps the topic
	for range 10 {
		send(t, p, 64)
	}
	ipctest.NoErr(t, p.Close())
	p = newPub(t, "t", o)
	if p.Next() != 11 {
		t.Errorf("the next message is %d, want 11", p.Next())
	}
	late := newSub(t, "t", nil)
	send(t, p, 64)
	var got []uint64
	for {
		m, ok, err := late.TryTake()
		ipctest.NoErr(t, err)
		if !ok {
			break
		}
		ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
		got = append(got, m.Seq())
	}
	if len(got) < 4 || got[len(got)-1] != 11 {
		t.Errorf("a late subscriber has %v", got)
	}
	ipctest.NoErr(t, s.Close())
}

// Without a publisher the messages stay while somebody has the topic open.
func TestMission002_26_Lifetime(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := ipctest.Start(t, "pub", "t", "64")
	if l := c.Line(); l != "ready" {
		t.Fatal(l)
	}
	s := newSub(t, "t", nil)
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	h, err := m.Hold()
	ipctest.NoErr(t, err)
	c.Kill()
	n := 0
	for {
		m, err := s.Take(bg)
		if errors.Is(err, samepage.ErrPeerDied) {
			break
		}
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
		n++
	}
	ipctest.NoErr(t, ipctest.Check(h.Bytes(), h.Seq()))
	h.Release()
	ipctest.NoErr(t, s.Close())
	all, err := samepage.List()
	ipctest.NoErr(t, err)
	if len(all) != 0 {
		t.Errorf("%d messages were taken after the death of the publisher; left behind: %v", n, all)
	}
}

// A subscriber gets the size of the topic, of the largest message and of the message. It reads in
// place: if the shared memory changes, the message changes.
func TestMission002_35_Accessors(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &pubsub.Options{MaxSize: 1000, Depth: 3}
	p := newPub(t, "t", o)
	s := newSub(t, "t", nil)
	h := mapTopic(t, "t")
	if all, err := o.Size(); err != nil || all < h.m.Size() || all-h.m.Size() > layout.PayloadAlign {
		t.Errorf("the topic is said to have %d bytes, has %d, %v", all, h.m.Size(), err)
	}
	if s.Options().MaxSize != 1000 || p.Options().Depth != 3 {
		t.Errorf("options are %+v", s.Options())
	}
	l, err := p.Loan(10)
	ipctest.NoErr(t, err)
	copy(l.Bytes(), "0123456789")
	ipctest.NoErr(t, l.Publish(bg))
	if l.Bytes() != nil {
		t.Error("a message that is published can still be written")
	}
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	if string(m.Bytes()) != "0123456789" || cap(m.Bytes()) != 10 {
		t.Errorf("%q, with a capacity of %d", m.Bytes(), cap(m.Bytes()))
	}
	for slot := range int(h.c.Slots) {
		if b := h.v.Bytes()[h.slot(0, slot)+layout.SlotHeaderSize:][:10]; string(b) == "0123456789" {
			b[5] = 'x'
		}
	}
	if string(m.Bytes()) != "01234x6789" {
		t.Errorf("the message %q is a copy", m.Bytes())
	}
	s.Release()
	if m.Bytes() != nil {
		t.Error("a message that was let go still has bytes")
	}
	ipctest.NoErr(t, h.close())
}
