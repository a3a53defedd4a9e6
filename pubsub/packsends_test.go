package pubsub_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// More tests of topics with Options.Pack: subscribers that miss messages or come late, values,
// checksums, and several publishers.

// A best-effort subscriber that is overrun learns how many messages it has missed.
func TestPackOverrun(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 2})
	s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	sendAll(t, p, 16, 16, 16)
	wantMessages(t, s, 1, 1)
	last, missed := uint64(1), uint64(0)
	for round := range 50 {
		for i := range 1 + round%9 {
			sendAll(t, p, 16, 16, 8*(i%3), 16)
			send(t, p, 8)
		}
		for {
			m, ok, err := s.TryTake()
			ipctest.NoErr(t, err)
			if !ok {
				break
			}
			ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
			if m.Seq() != last+1+m.Missed() {
				t.Fatalf("message %d after %d, %d missed", m.Seq(), last, m.Missed())
			}
			last = m.Seq()
			missed += m.Missed()
		}
		if last != p.Next()-1 || s.Missed() != missed || s.Taken() != last-missed {
			t.Fatalf("the last message is %d of %d, %d missed, %d taken", last, p.Next()-1, s.Missed(), s.Taken())
		}
	}
	if missed == 0 {
		t.Error("nothing was missed")
	}
}

// From says with which message of which pack a subscriber begins.
func TestPackFrom(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 32})
	empty := newSub(t, "t", &pubsub.SubscriberOptions{From: pubsub.FromNewest})
	sendAll(t, p, 16, 16, 16)
	wantMessages(t, empty, 1, 3)
	sendAll(t, p, 16, 8, 64)
	for _, bestEffort := range []bool{false, true} {
		for _, from := range []pubsub.From{pubsub.FromOldest, pubsub.FromNewest, pubsub.FromNow} {
			first := map[pubsub.From]uint64{pubsub.FromOldest: 1, pubsub.FromNewest: p.Next() - 1, pubsub.FromNow: p.Next()}[from]
			s := newSub(t, "t", &pubsub.SubscriberOptions{From: from, BestEffort: bestEffort})
			sendAll(t, p, 24, 24)
			wantMessages(t, s, first, p.Next()-1)
			sendAll(t, p, 24, 8, 8)
			wantMessages(t, s, p.Next()-3, p.Next()-1)
			ipctest.NoErr(t, s.Close())
			drainAll(t, empty)
		}
	}
}

func drainAll(t testing.TB, s *pubsub.Subscriber) {
	t.Helper()
	for {
		if _, ok, err := s.TryTake(); !ok {
			ipctest.NoErr(t, err)
			return
		}
	}
}

type reading struct{ A, B, C uint32 } // 12 bytes: there is padding between two

func TestPackTyped(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, err := pubsub.CreatePublisherOf[reading]("t", &pubsub.Options{Pack: 64, Holds: 1, Depth: 16})
	ipctest.NoErr(t, err)
	defer p.Close()
	s, err := pubsub.OpenSubscriberOf[reading]("t", nil)
	ipctest.NoErr(t, err)
	defer s.Close()
	value := func(q uint64) reading { return reading{uint32(q), uint32(q) * 3, ^uint32(q)} }
	var all []reading
	for i := range 10 {
		all = append(all, value(p.Next()+uint64(i)))
	}
	n, err := p.SendAll(bg, all)
	ipctest.NoErr(t, err)
	if n != 10 {
		t.Errorf("%d values", n)
	}
	b, err := p.LoanBatch(3)
	ipctest.NoErr(t, err)
	for i := range b.Len() {
		*b.Value(i) = value(p.Next() + uint64(i))
	}
	if b.Value(3) != nil || b.Value(-1) != nil {
		t.Error("a value outside of the batch")
	}
	ipctest.NoErr(t, b.Publish(bg))
	if b.Value(0) != nil {
		t.Error("a published batch has values")
	}
	v := value(p.Next())
	ipctest.NoErr(t, p.Send(bg, &v))
	_, err = p.LoanBatch(5)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)

	last := uint64(0)
	for range 2 {
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		if last++; m.Seq() != last || *m.Value() != value(last) {
			t.Errorf("value %d is %v", m.Seq(), *m.Value())
		}
	}
	for _, n := range []int{2, 4, 2, 3} { // the rest of the first pack, and then packs
		pack, err := s.TakeAll(bg)
		ipctest.NoErr(t, err)
		if pack.Len() != n || pack.Seq() != last+1 || *pack.Value(n - 1) != value(last+uint64(n)) || pack.Value(n) != nil {
			t.Errorf("a pack of %d values from %d on", pack.Len(), pack.Seq())
		}
		held, err := pack.Hold()
		ipctest.NoErr(t, err)
		for q, v := range pack.All() {
			if last++; q != last || *v != value(q) || *held.Value(int(q - pack.Seq())) != *v {
				t.Errorf("value %d is %v", q, *v)
			}
		}
		for q, v := range held.All() {
			if *v != value(q) {
				t.Errorf("value %d is %v", q, *v)
			}
		}
		held.Release()
		if held.Value(0) != nil {
			t.Error("a value after Release")
		}
	}
	pack, ok, err := s.TryTakeAll()
	ipctest.NoErr(t, err)
	if !ok || pack.Len() != 1 || *pack.Value(0) != value(14) {
		t.Errorf("the last pack has %d values", pack.Len())
	}
	if _, ok, err := s.TryTakeAll(); ok || err != nil {
		t.Error(ok, err)
	}
	if pack.Value(0) != nil {
		t.Error("a value that is let go")
	}
}

func TestPackAllocatesNothing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 1024, Checksums: true, Times: true})
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		all := filled(1, 64, 64, 8, 0)
		if n := testing.AllocsPerRun(200, func() {
			_, _ = p.SendAll(bg, all)
			b, _ := p.LoanBatch(16, 64)
			b.Bytes(3)[1]++
			_ = b.Publish(bg)
			for range all {
				m, _, _ := s.TryTake()
				_ = m.Bytes()
			}
			pack, _, _ := s.TryTakeAll()
			for q, b := range pack.All() {
				_, _ = q, b
			}
		}); n != 0 {
			t.Errorf("best effort %v: %v allocations", bestEffort, n)
		}
		ipctest.NoErr(t, s.Close())
	}
}

// A message whose bytes were changed makes its pack an error, once. The next pack is good, and
// nothing counts as missed.
func TestPackChecksum(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 4, Checksums: true})
	h := mapTopic(t, "t")
	defer h.close()
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		for i := range 20 {
			sendAll(t, p, 64, 16, 16)
			drainAll(t, s)
			before := s.Taken()
			sendAll(t, p, 64, 16, 16)
			b := h.newestPack(t)
			b[8*i%len(b)] ^= 4
			_, ok, err := s.TryTake()
			ipctest.WantErr(t, err, samepage.ErrChecksum, "pack")
			if ok {
				t.Error("there is a message in spite of the checksum")
			}
			wantNothing(t, s)
			sendAll(t, p, 8, 8)
			wantPack(t, s, p.Next()-2, 8, 8)
			if s.Missed() != 0 || s.Taken() > before+3 {
				t.Errorf("%d missed, %d taken", s.Missed(), s.Taken()-before)
			}
		}
		ipctest.NoErr(t, s.Close())
	}
}

// A publisher that follows another one continues with its numbers.
func TestPackTakeover(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 4, Publishers: 2}
	s := (*pubsub.Subscriber)(nil)
	keep := newPub(t, "t", o)
	for round := range 20 {
		p := newPub(t, "t", o)
		if s == nil {
			s = newSub(t, "t", nil)
		}
		if want := uint64(round*7 + 1); p.Next() != want {
			t.Fatalf("the next message is %d, want %d", p.Next(), want)
		}
		sendAll(t, p, 8, 16, 64)
		wantMessages(t, s, p.Next()-3, p.Next()-1)
		send(t, p, 16)
		b, err := p.LoanBatch(3, 16)
		ipctest.NoErr(t, err)
		for i := range b.Len() {
			ipctest.Fill(b.Bytes(i), p.Next()+uint64(i))
		}
		ipctest.NoErr(t, b.Publish(bg))
		if round%2 == 0 {
			ipctest.NoErr(t, p.Close())
		} else {
			ipctest.NoErr(t, p.Abort())
		}
		wantMessages(t, s, uint64(round*7+4), uint64(round*7+7))
		for {
			_, ok, err := s.TryTake()
			if !ok && err == nil {
				break
			}
			ipctest.WantErr(t, err, samepage.ErrPeerDied)
		}
	}
	_ = keep
}

// Several publishers, each with its own numbers.
func TestPackSeveral(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const several, packs = 3, 200
	o := &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 4, Publishers: several}
	var ps []*pubsub.Publisher
	for range several {
		ps = append(ps, newPub(t, "t", o))
	}
	subs := []*pubsub.Subscriber{newSub(t, "t", nil), newSub(t, "t", nil), newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})}
	errs := make(chan error)
	for _, p := range ps {
		go func() {
			for i := range packs {
				if _, err := p.SendAll(bg, filled(p.Next(), 16, 8*(i%3), 64)); err != nil {
					errs <- err
					return
				}
			}
			errs <- p.Close()
		}()
	}
	for i, s := range subs {
		go func() {
			last := make([]uint64, several)
			for {
				p, err := s.TakeAll(bg)
				if err == io.EOF {
					break
				}
				if err != nil {
					errs <- err
					return
				}
				l := p.Publisher()
				least := last[l] + 1 + p.Missed() // before the first pack, only the missed packs are known
				if p.Seq() < least || p.Seq() > least && last[l] > 0 || i < 2 && p.Missed() > 0 {
					errs <- fmt.Errorf("subscriber %d: message %d after %d, %d missed", i, p.Seq(), last[l], p.Missed())
					return
				}
				for q, b := range p.All() {
					if err := ipctest.Check(b, q); err != nil {
						errs <- err
						return
					}
					last[l] = q
				}
			}
			if i < 2 && !slices.Equal(last, []uint64{3 * packs, 3 * packs, 3 * packs}) {
				errs <- fmt.Errorf("the last messages are %v", last)
				return
			}
			errs <- nil
		}()
	}
	for range len(ps) + len(subs) {
		ipctest.NoErr(t, <-errs)
	}
}

// Loans and holds that are forgotten are named, in a debug build with their stacks.
func TestPackForgottenLoans(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Holds: 1})
	s := newSub(t, "t", nil)
	b, err := p.LoanBatch(2, 8)
	ipctest.NoErr(t, err)
	err = p.Close()
	ipctest.WantErr(t, err, samepage.ErrBusy, "on loan: 1")
	b.Discard()
	sendAll(t, p, 8, 8)
	all := wantPack(t, s, 1, 8, 8)
	h, err := all.Hold()
	ipctest.NoErr(t, err)
	err = s.Close()
	ipctest.WantErr(t, err, samepage.ErrBusy, "held: 1")
	if debug := strings.Contains(err.Error(), "taken at"); debug != strings.Contains(err.Error(), "packsends_test.go") {
		t.Error(err)
	}
	h.Release()
	if !bytes.Equal(filled(1, 8)[0], all.Bytes(0)) {
		t.Error("the pack is not good any more")
	}
	ipctest.NoErr(t, s.Close())
	ipctest.NoErr(t, p.Close())
}
