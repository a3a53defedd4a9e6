package pubsub_test

import (
	"errors"
	"hash/crc32"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// The rows of docs/mission.md that topics show besides cells.

// What a topic has room for is what was asked for, to the byte, also for whoever opens
// it.
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
		_, err = pubsub.NewPublisher("t", &pubsub.Options{MaxSize: size + 1})
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		ipctest.NoErr(t, s.Close())
		ipctest.NoErr(t, p.Close())
	}
}

// Messages have the length that they were sent with, 0 too, whatever was there before.
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

// What is too large is refused; only Truncate shortens.
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

// Each thing that can be wrong has its own error.
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

// Checksums are CRC-32C, and computed by several at a time.
func TestMission002_10_Checksum(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), crc32.MakeTable(crc32.Castagnoli)); got != 0xe3069283 {
		t.Errorf("the check value of CRC-32C is %#x", got)
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const several, messages = 4, 500
	o := &pubsub.Options{MaxSize: 64, Publishers: several, Checksums: true}
	var ps []*pubsub.Publisher
	var ss []*pubsub.Subscriber
	for range several {
		ps = append(ps, newPub(t, "t", o))
		ss = append(ss, newSub(t, "t", nil))
	}
	errs := make(chan error)
	for i := range several {
		go func() {
			var err error
			b := make([]byte, 64)
			for n := 0; n < messages && err == nil; n++ {
				ipctest.Fill(b, ps[i].Next())
				err = ps[i].Send(bg, b)
			}
			errs <- err
		}()
		go func() {
			var err error
			for n := 0; n < several*messages && err == nil; n++ {
				var m pubsub.Message
				if m, err = ss[i].Take(bg); err == nil {
					err = ipctest.Check(m.Bytes(), m.Seq())
				}
			}
			errs <- err
		}()
	}
	for range 2 * several {
		ipctest.NoErr(t, <-errs)
	}
}

// A byte that has changed on the way: no data, and the next message is good.
func TestMission002_11_FlippedByte(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Depth: 2, Checksums: true})
	h := mapTopic(t, "t")
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		for i := range 64 {
			send(t, p, 64)
			// The slots that hold this message; others have other generations.
			flip := func() {
				for slot := range int(h.c.Slots) {
					if off := h.slot(0, slot); h.word(t, off).Load() == p.Next()-1 {
						h.v.Bytes()[off+layout.SlotHeaderSize+uint64(i)] ^= 0x10
					}
				}
			}
			flip()
			m, ok, err := s.TryTake()
			ipctest.WantErr(t, err, samepage.ErrChecksum)
			if ok || m.Bytes() != nil {
				t.Error("there is data in spite of the checksum")
			}
			send(t, p, 64)
			m, err = s.Take(bg)
			ipctest.NoErr(t, err)
			ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
		}
		ipctest.NoErr(t, s.Close())
	}
	ipctest.NoErr(t, h.close())
}

// Messages are written and read where they lie, or copied to the user's bytes, with no
// allocation.
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

// A length beyond what a slot has, in shared memory: an error, and nothing is read.
func TestMission002_13_CorruptLength(t *testing.T) {
	ipctest.NeedNames(t)
	for _, bestEffort := range []bool{false, true} {
		for _, n := range []uint64{65, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			ipctest.Store(t)
			p := newPub(t, "t", &pubsub.Options{MaxSize: 64})
			s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort})
			send(t, p, 64)
			h := mapTopic(t, "t")
			// Message 1 has entry 1, whose second word is slot and length.
			place := h.word(t, h.hd.Payload+layout.EntrySize+layout.EntrySlotOffset)
			slot := int(uint32(place.Load()))
			place.Store(n<<32 | uint64(slot))
			h.word(t, h.slot(0, slot)+layout.SlotLengthOffset).Store(n)
			m, ok, err := s.TryTake()
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
			if ok || m.Bytes() != nil {
				t.Errorf("a message of %d bytes is taken", n)
			}
			place.Store(64<<32 | n<<20 | 1<<30) // and a slot that is not there
			_, _, err = s.TryTake()
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
			ipctest.NoErr(t, h.close())
			ipctest.NoErr(t, s.Close())
			ipctest.NoErr(t, p.Close())
		}
	}
}

// A publisher that attaches keeps what is there: late subscribers still have it.
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

// Without a publisher the messages stay, for as long as anybody has the topic open.
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
