package pubsub_test

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// The tests of topics with Options.Pack.

// filled returns the messages from..from+len(sizes)-1.
func filled(from uint64, sizes ...int) (all [][]byte) {
	for i, n := range sizes {
		b := make([]byte, n)
		ipctest.Fill(b, from+uint64(i))
		all = append(all, b)
	}
	return all
}

func sendAll(t testing.TB, p *pubsub.Publisher, sizes ...int) {
	t.Helper()
	n, err := p.SendAll(bg, filled(p.Next(), sizes...))
	ipctest.NoErr(t, err)
	if n != len(sizes) {
		t.Fatalf("%d of %d are published", n, len(sizes))
	}
}

// wantPack takes a pack, which must have these messages.
func wantPack(t testing.TB, s *pubsub.Subscriber, first uint64, sizes ...int) pubsub.Pack {
	t.Helper()
	p, ok, err := s.TryTakeAll()
	ipctest.NoErr(t, err)
	if !ok || p.Seq() != first || p.Len() != len(sizes) {
		t.Fatalf("took %v: %d messages from %d on, want %v from %d on", ok, p.Len(), p.Seq(), sizes, first)
	}
	for _, i := range slices.Backward(slices.Collect(seq(p.Len()))) { // not in order
		if b := p.Bytes(i); b == nil || len(b) != sizes[i] || ipctest.Check(b, first+uint64(i)) != nil {
			t.Fatalf("message %d has %d bytes, %v, want %d", i, len(b), ipctest.Check(b, first+uint64(i)), sizes[i])
		}
	}
	if p.Bytes(-1) != nil || p.Bytes(p.Len()) != nil {
		t.Error("there are bytes outside of the pack")
	}
	n := 0
	for q, b := range p.All() {
		if q != first+uint64(n) || len(b) != sizes[n] || ipctest.Check(b, q) != nil {
			t.Fatalf("message %d is %d with %d bytes", n, q, len(b))
		}
		n++
	}
	if n != len(sizes) {
		t.Fatalf("All has %d messages, want %d", n, len(sizes))
	}
	return p
}

func seq(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// wantMessages takes messages, which must be first to last.
func wantMessages(t testing.TB, s *pubsub.Subscriber, first, last uint64) (m pubsub.Message) {
	t.Helper()
	for q := first; q <= last; q++ {
		var err error
		var ok bool
		m, ok, err = s.TryTake()
		ipctest.NoErr(t, err)
		if !ok || m.Seq() != q || m.Missed() != 0 {
			t.Fatalf("took %v: message %d, %d missed, want message %d", ok, m.Seq(), m.Missed(), q)
		}
		ipctest.NoErr(t, ipctest.Check(m.Bytes(), q))
	}
	return m
}

func wantNothing(t testing.TB, s *pubsub.Subscriber) {
	t.Helper()
	m, ok, err := s.TryTake()
	ipctest.NoErr(t, err)
	if ok {
		t.Fatalf("there is a message %d", m.Seq())
	}
}

// SendAll fills packs as far as the messages fit. Subscribers get all messages, one after the other
// or pack by pack.
func TestPackSendAll(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	// A pack has 128 bytes: 8 messages of 16 bytes, or 6 of 16 and 8 bytes with their lengths.
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 128, Depth: 16, Times: true, Checksums: true})
	if o := p.Options(); o.MaxSize != 64 || o.Pack != 128 || o.Depth != 16 {
		t.Errorf("the options are %+v", o)
	}
	var subs []*pubsub.Subscriber
	for i := range 4 {
		subs = append(subs, newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: i%2 == 1}))
	}
	first := uint64(1)
	for _, c := range []struct {
		sizes []int
		packs []int // number of messages in each
	}{
		{[]int{16}, []int{1}},
		{[]int{16, 16, 16, 16, 16, 16, 16, 16, 16}, []int{8, 1}},
		{[]int{13, 13, 13}, []int{3}},
		{[]int{16, 8, 16, 8, 16, 8, 16, 8}, []int{8}}, // 96 and 8 lengths
		{[]int{16, 16, 16, 16, 16, 16, 16, 8}, []int{7, 1}},
		{[]int{64, 64, 64}, []int{2, 1}},
		{[]int{64, 63, 1}, []int{1, 2}}, // 128 bytes and two lengths do not fit
		{[]int{0, 0, 0}, []int{3}},
		{[]int{0}, []int{1}},
		{nil, nil},
	} {
		sendAll(t, p, c.sizes...)
		rest := c.sizes
		for _, n := range c.packs {
			wantPack(t, subs[0], first, rest[:n]...)
			wantPack(t, subs[1], first, rest[:n]...)
			wantMessages(t, subs[2], first, first+uint64(n)-1)
			wantMessages(t, subs[3], first, first+uint64(n)-1)
			first += uint64(n)
			rest = rest[n:]
		}
		for _, s := range subs {
			wantNothing(t, s)
			if s.Taken() != first-1 || s.Missed() != 0 {
				t.Errorf("%d taken, %d missed, want %d", s.Taken(), s.Missed(), first-1)
			}
		}
		if p.Next() != first {
			t.Errorf("the next message is %d, want %d", p.Next(), first)
		}
	}
	n, err := p.SendAll(bg, [][]byte{{1}, {2}, make([]byte, 65), {3}})
	ipctest.WantErr(t, err, samepage.ErrTooLarge, "65")
	if n != 2 || p.Next() != first+2 {
		t.Errorf("%d messages before the one that is too large", n)
	}
	st := inspect(t, "t")
	if st.Lanes[0].Messages != first+1 || st.Options.Pack != 128 || st.Options.MaxSize != 64 {
		t.Errorf("Inspect: %+v", st)
	}
	ipctest.NoErr(t, p.Close())
	for _, s := range subs {
		for range 2 {
			_, err := s.Take(bg)
			ipctest.NoErr(t, err)
		}
		_, err := s.Take(bg)
		ipctest.WantErr(t, err, io.EOF)
	}
}

// Each way to publish gives the same numbers. PublishAll keeps the order of the loans, and
// LoanBatch copies nothing.
func TestPackPublish(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Loans: 5, Depth: 32})
	s := newSub(t, "t", nil)

	ipctest.NoErr(t, p.Send(bg, filled(1, 64)[0]))
	wantPack(t, s, 1, 64)
	send(t, p, 24)
	wantPack(t, s, 2, 24)
	l, err := p.Loan(64)
	ipctest.NoErr(t, err)
	copy(l.Bytes(), filled(3, 64)[0])
	ipctest.NoErr(t, l.Truncate(0))
	ok, err := l.TryPublish()
	ipctest.NoErr(t, err)
	if !ok {
		t.Fatal("there is no room")
	}
	wantPack(t, s, 3, 0)

	loans := func(sizes ...int) (all []pubsub.Loan) {
		t.Helper()
		for i, n := range sizes {
			l, err := p.Loan(n)
			ipctest.NoErr(t, err)
			ipctest.Fill(l.Bytes(), p.Next()+uint64(i))
			all = append(all, l)
		}
		return all
	}
	for _, c := range []struct{ sizes, packs []int }{
		{[]int{16, 16, 16}, []int{3}},
		{[]int{16, 64, 8}, []int{3}},
		{[]int{64, 64, 64, 64, 64}, []int{4, 1}},
		{[]int{64, 64, 64, 8, 64}, []int{4, 1}},
		{[]int{0, 5}, []int{2}},
		{[]int{7}, []int{1}},
	} {
		first := p.Next()
		all := loans(c.sizes...)
		n, err := p.PublishAll(bg, all)
		ipctest.NoErr(t, err)
		if n != len(all) || p.Next() != first+uint64(n) {
			t.Fatalf("%d of %d are published, the next is %d after %d", n, len(all), p.Next(), first)
		}
		rest := c.sizes
		for _, n := range c.packs {
			wantPack(t, s, first, rest[:n]...)
			first += uint64(n)
			rest = rest[n:]
		}
		for i := range all {
			ipctest.WantErr(t, all[i].Publish(bg), samepage.ErrClosed)
		}
	}

	// One that was published before stops it; the others are discarded.
	all := loans(8, 8, 8, 8)
	first := p.Next()
	all[2].Discard()
	n, err := p.PublishAll(bg, all)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	if n != 2 {
		t.Errorf("%d loans before the one that was discarded", n)
	}
	wantPack(t, s, first, 8, 8)
	all = loans(8)
	n, err = p.PublishAll(bg, []pubsub.Loan{all[0], all[0]})
	ipctest.WantErr(t, err, samepage.ErrClosed)
	if n != 1 {
		t.Errorf("a loan is published %d times", n)
	}
	wantPack(t, s, first+2, 8)

	b, err := p.LoanBatch(8, 30)
	ipctest.NoErr(t, err)
	if b.Len() != 8 || len(b.Bytes(7)) != 30 || cap(b.Bytes(7)) != 30 || b.Bytes(8) != nil || b.Bytes(-1) != nil {
		t.Fatalf("a batch of %d messages of %d bytes", b.Len(), len(b.Bytes(0)))
	}
	for i := range b.Len() {
		ipctest.Fill(b.Bytes(i), p.Next()+uint64(i))
	}
	ipctest.WantErr(t, b.Truncate(9), samepage.ErrTooLarge)
	ipctest.WantErr(t, b.Truncate(0), fs.ErrInvalid)
	ipctest.NoErr(t, b.Truncate(6))
	if b.Len() != 6 || b.Bytes(6) != nil {
		t.Errorf("truncated to %d messages", b.Len())
	}
	ipctest.WantErr(t, p.Close(), samepage.ErrUnreleased)
	copied := b
	ipctest.NoErr(t, b.Publish(bg))
	if b.Len() != 0 || b.Bytes(0) != nil {
		t.Error("a published batch has bytes")
	}
	ipctest.WantErr(t, b.Publish(bg), samepage.ErrClosed)
	ipctest.WantErr(t, copied.Publish(bg), samepage.ErrClosed)
	_, err = b.TryPublish()
	ipctest.WantErr(t, err, samepage.ErrClosed)
	wantPack(t, s, first+3, 30, 30, 30, 30, 30, 30)
	b, err = p.LoanBatch(3, 0)
	ipctest.NoErr(t, err)
	ok, err = b.TryPublish()
	ipctest.NoErr(t, err)
	if !ok {
		t.Error("there is no room")
	}
	wantPack(t, s, first+9, 0, 0, 0)
	b, err = p.LoanBatch(1, 8)
	ipctest.NoErr(t, err)
	b.Discard()
	b.Discard()

	for _, c := range []struct {
		n, size int
		want    error
	}{{33, 8, samepage.ErrTooLarge}, {33, 0, samepage.ErrTooLarge}, {5, 57, samepage.ErrTooLarge}, {1, 65, samepage.ErrTooLarge}, {0, 8, fs.ErrInvalid}, {-1, 8, fs.ErrInvalid}, {1, -1, samepage.ErrNegativeSize}} {
		_, err := p.LoanBatch(c.n, c.size)
		ipctest.WantErr(t, err, c.want, `"t"`)
	}
	ipctest.NoErr(t, p.Close())
	_, err = p.LoanBatch(1, 8)
	ipctest.WantErr(t, err, samepage.ErrClosed)

	plain := newPub(t, "plain", nil)
	_, err = plain.LoanBatch(1, 8)
	ipctest.WantErr(t, err, errors.ErrUnsupported, "Options.Pack")
}

func TestPackOptions(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, o := range []pubsub.Options{{Pack: -1}, {Pack: 100}, {MaxSize: 64, Pack: 63}, {MaxSize: 57, Pack: 63}, {MaxSize: math.MaxInt32, Pack: 8}} {
		_, err := pubsub.CreatePublisher("t", &o)
		ipctest.WantErr(t, err, fs.ErrInvalid, "Pack")
	}
	one, err := (&pubsub.Options{MaxSize: 64, Depth: 16}).Size()
	ipctest.NoErr(t, err)
	packed, err := (&pubsub.Options{MaxSize: 64, Depth: 16, Pack: 64 << 10}).Size()
	ipctest.NoErr(t, err)
	if packed < one || packed < 16*64<<10 {
		t.Errorf("a topic takes %d bytes, with packs %d", one, packed)
	}
	newPub(t, "t", &pubsub.Options{MaxSize: 57, Pack: 64, Publishers: 2})
	_, _, err = pubsub.OpenOrCreatePublisher("t", &pubsub.Options{MaxSize: 58})
	ipctest.WantErr(t, err, samepage.ErrTooLarge, "57")
}

// TakeAll takes what is left of a pack. Hold keeps messages and packs. Release within a pack lets
// go of the message, and the pack stays.
func TestPackParts(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 1, Holds: 2})
	for _, sizes := range [][]int{{16, 16, 16, 16, 16}, {16, 8, 0, 64, 1}} {
		for _, bestEffort := range []bool{false, true} {
			s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
			first := p.Next()
			sendAll(t, p, sizes...)
			m := wantMessages(t, s, first, first+1)
			one, err := m.Hold()
			ipctest.NoErr(t, err)
			s.Release()
			if m.Bytes() != nil {
				t.Error("a released message has bytes")
			}
			s.Release()
			if i, err := pubsub.WaitAny(bg, s); i != 0 || err != nil {
				t.Errorf("WaitAny: %d, %v", i, err)
			}
			if i, err := pubsub.WaitAny(bg, s); i != 0 || err != nil {
				t.Errorf("WaitAny: %d, %v", i, err)
			}
			rest := wantPack(t, s, first+2, sizes[2:]...)
			all, err := rest.Hold()
			ipctest.NoErr(t, err)
			_, err = rest.Hold()
			ipctest.WantErr(t, err, samepage.ErrTooManyHolds)
			wantNothing(t, s)
			if rest.Bytes(0) != nil || one.Seq() != first+1 {
				t.Error("a pack that is let go has bytes")
			}
			for range rest.All() {
				t.Error("a pack that is let go has messages")
			}
			for range 20 { // as many as would use all slots
				sendAll(t, p, 64, 64)
				if _, ok, err := s.TryTakeAll(); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
			ipctest.WantErr(t, s.Close(), samepage.ErrUnreleased)
			ipctest.NoErr(t, ipctest.Check(one.Bytes(), first+1))
			if all.Len() != 3 || all.Bytes(3) != nil || len(all.Bytes(2)) != sizes[4] {
				t.Errorf("%d messages are held", all.Len())
			}
			n := 0
			for q, b := range all.All() {
				ipctest.NoErr(t, ipctest.Check(b, q))
				if q != first+2+uint64(n) || len(b) != sizes[2+n] {
					t.Errorf("held: %d bytes of message %d", len(b), q)
				}
				n++
			}
			one.Release()
			all.Release()
			if n != 3 || all.Bytes(0) != nil || one.Bytes() != nil {
				t.Errorf("%d messages were held", n)
			}
			// The rest is taken one by one, then the next pack.
			first = p.Next()
			sendAll(t, p, 16, 16, 16)
			wantMessages(t, s, first, first)
			ipctest.NoErr(t, s.Close())
			_, err = s.TakeAll(bg)
			ipctest.WantErr(t, err, samepage.ErrClosed)
			if m.Bytes() != nil {
				t.Error("after Close")
			}
		}
	}
}

// A subscriber in a topic without packs takes packs of one.
func TestPackOfOne(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Holds: 1, Times: true})
	s := newSub(t, "t", nil)
	sendAll(t, p, 24, 0, 64)
	for i, n := range []int{24, 0, 64} {
		pack := wantPack(t, s, uint64(i)+1, n)
		if pack.Time().IsZero() || pack.Publisher() != 0 {
			t.Errorf("published %v by %d", pack.Time(), pack.Publisher())
		}
	}
}

// fillPacks publishes packs of 4 messages of 16 bytes until there is no room, and returns how many.
func fillPacks(t *testing.T, p *pubsub.Publisher) (packs int) {
	t.Helper()
	for {
		b, err := p.LoanBatch(4, 16)
		ipctest.NoErr(t, err)
		for i := range b.Len() {
			ipctest.Fill(b.Bytes(i), p.Next()+uint64(i))
		}
		ok, err := b.TryPublish()
		ipctest.NoErr(t, err)
		if !ok {
			b.Discard()
			return packs
		}
		packs++
	}
}

// A reliable subscriber that is within a pack keeps it, and the publisher waits for it.
func TestPackSlow(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 16, Pack: 64, Depth: 2})
	s := newSub(t, "t", nil)
	sent := uint64(0)
	fill := func() {
		t.Helper()
		sent += 4 * uint64(fillPacks(t, p))
	}
	fill()
	room := sent
	if room < 8 || p.Lag() != room {
		t.Errorf("there was room for %d messages, the lag is %d", room, p.Lag())
	}
	for range 20 {
		m := wantMessages(t, s, s.Taken()+1, s.Taken()+2)
		fill()
		s.Release()
		fill()
		if _, err := pubsub.WaitAny(bg, s); err != nil {
			t.Fatal(err)
		}
		fill()
		if m.Bytes() != nil {
			t.Error("a released message has bytes")
		}
		wantMessages(t, s, s.Taken(), s.Taken()) // WaitAny has taken it
		wantMessages(t, s, s.Taken()+1, s.Taken()+1)
		before := sent
		fill()
		if sent != before {
			t.Errorf("%d messages more, but the subscriber reads the last one of its pack", sent-before)
		}
		s.Release()
		fill()
		if sent != before+4 {
			t.Errorf("%d messages more, want 4", sent-before)
		}
		if sent != s.Taken()+room || p.Lag() != room {
			t.Errorf("%d messages sent, %d taken, %d fit, the lag is %d", sent, s.Taken(), room, p.Lag())
		}
	}
}

// Release within a pack that was taken directly after another one keeps the pack.
func TestPackReleaseWithin(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 16, Pack: 64, Depth: 2})
	s := newSub(t, "t", nil)
	fillPacks(t, p)
	for q := uint64(1); q < 200; q += 4 {
		wantMessages(t, s, q, q+4) // the last one is of the next pack
		s.Release()
		if n := fillPacks(t, p); n != 1 {
			t.Fatalf("room for %d packs, but the subscriber has let go of one", n)
		}
		if q += 4; q%8 == 1 {
			s.Release()
		}
		wantMessages(t, s, q+1, q+3)
		s.Release()
		if n := fillPacks(t, p); n != 1 {
			t.Fatalf("room for %d packs, but the subscriber has let go of another one", n)
		}
	}
}
