package pubsub_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// topicMap has the bytes of a topic, as a hostile member sees them.
type topicMap struct {
	m  *samepage.Memory
	v  *samepage.View
	hd *layout.SegmentHeader
	c  *layout.LaneConfig
	o  *layout.LaneOffsets
}

func mapTopic(t testing.TB, name string) *topicMap {
	t.Helper()
	m, err := samepage.Open(name, &samepage.Options{Kind: samepage.KindTopic})
	ipctest.NoErr(t, err)
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	b := v.Bytes()
	hd, err := layout.ParseSegment(append([]byte(nil), b[:layout.SegmentHeaderSize]...), layout.Topic, m.Size())
	ipctest.NoErr(t, err)
	c, o, err := layout.ParseLaneConfig(append([]byte(nil), b[hd.Live+layout.LaneConfigOffset:][:layout.LaneConfigSize]...))
	ipctest.NoErr(t, err)
	return &topicMap{m, v, hd, c, o}
}

func (h *topicMap) close() error { return errors.Join(h.v.Close(), h.m.Close()) }

func (h *topicMap) word(t testing.TB, off uint64) *atomic.Uint64 {
	t.Helper()
	w, err := h.v.Uint64(int(off))
	ipctest.NoErr(t, err)
	return w
}

// laneWord returns a word of a lane.
func (h *topicMap) laneWord(t testing.TB, lane int, off uint64) *atomic.Uint64 {
	return h.word(t, h.hd.Live+h.o.Words+uint64(lane)*layout.LaneWordsSize+off)
}

// slot returns the offset of the header of a slot.
func (h *topicMap) slot(lane, slot int) uint64 {
	return h.hd.Payload + uint64(lane)*h.o.Lane + h.o.Slots + uint64(slot)*h.c.SlotSize
}

// anywhere returns a word that members change: in the live region, the member table, an entry, or
// the header of a slot.
func (h *topicMap) anywhere(rnd *rand.Rand) uint64 {
	lane := rnd.IntN(int(h.c.Lanes))
	switch rnd.IntN(4) {
	case 0:
		return h.hd.Live + uint64(rnd.IntN(int(h.hd.LiveSize)/8))*8
	case 1:
		return h.hd.Table + uint64(rnd.IntN(int(h.c.Readers)*layout.MemberSize/8))*8
	case 2:
		return h.hd.Payload + uint64(lane)*h.o.Entries + uint64(rnd.IntN(int(h.c.Entries)*layout.EntrySize/8))*8
	default:
		return h.slot(lane, rnd.IntN(int(h.c.Slots))) + uint64(rnd.IntN(4))*8
	}
}

func junk(w *atomic.Uint64, rnd *rand.Rand) {
	switch rnd.IntN(6) {
	case 0:
		w.Store(rnd.Uint64())
	case 1:
		w.Store(^uint64(0) - uint64(rnd.IntN(3)))
	case 2:
		w.Store(uint64(rnd.IntN(1 << 10)))
	case 3:
		w.Store(w.Load() + uint64(rnd.IntN(64)) - 32)
	case 4:
		w.Store(0)
	default:
		w.Store(w.Load() ^ 1<<rnd.IntN(64))
	}
}

// hostilePub and hostileSub call all methods, and return errors that are not tested.
func hostilePub(ctx context.Context, p *pubsub.Publisher) {
	l, err := p.Loan(24)
	if err == nil {
		ipctest.Fill(l.Bytes(), p.Next())
		if l.Publish(ctx) != nil {
			if ok, _ := l.TryPublish(); !ok {
				l.Discard()
			}
		}
	}
	_ = p.Send(ctx, make([]byte, 64))
	_, _ = p.SendAll(ctx, [][]byte{{1}, nil, make([]byte, 8)})
	if b, err := p.LoanBatch(3, 24); err == nil && b.Publish(ctx) != nil {
		b.Discard()
	}
	_ = p.Lag()
	_ = p.Subscribers()
}

func hostileSub(ctx context.Context, s *pubsub.Subscriber) {
	var sum byte
	for range 4 {
		m, err := s.Take(ctx)
		if err != nil {
			_, _, _ = s.TryTake()
			continue
		}
		for _, c := range m.Bytes() {
			sum += c
		}
		_ = m.Time()
		if h, err := m.Hold(); err == nil {
			_ = append([]byte(nil), h.Bytes()...)
			defer h.Release()
		}
	}
	_, _ = pubsub.WaitAny(ctx, s)
	if all, err := s.TakeAll(ctx); err == nil {
		for _, b := range all.All() {
			sum += byte(len(b))
			for _, c := range b {
				sum += c
			}
		}
	}
	s.Release()
}

// In FuzzHostileTopic a member writes any values into the live words, the member table, the entries
// and the headers of slots. Meanwhile others publish, take, come and leave. They may get errors,
// but no panic, fault or endless loop.
func FuzzHostileTopic(f *testing.F) {
	ipctest.NeedNames(f)
	for seed := range uint64(8) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(hostileTopic)
}

func hostileTopic(t *testing.T, seed uint64, flags uint8) {
	ipctest.Store(t)
	o := &pubsub.Options{Publishers: 2, MaxSize: 64, Depth: 2, Members: 8, Holds: 2, Checksums: flags&1 != 0, Times: true}
	if flags&2 != 0 {
		o.EvictAfter = time.Millisecond
	}
	if flags&4 != 0 {
		o.Pack = 128
	}
	keep, _, err := pubsub.OpenOrCreatePublisher("t", o)
	ipctest.NoErr(t, err)
	h := mapTopic(t, "t")
	settings := append([]byte(nil), h.v.Bytes()[h.hd.Live+layout.LaneConfigOffset:][:layout.LaneConfigSize]...)

	var stop atomic.Bool
	var wg sync.WaitGroup
	short := func(f func(context.Context)) {
		ctx, cancel := context.WithTimeout(bg, time.Millisecond)
		defer cancel()
		begun := time.Now()
		f(ctx)
		if d := time.Since(begun); d > ipctest.Patience/2 {
			t.Errorf("calls with a context of a millisecond took %v", d)
		}
	}
	for i := range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if i == 0 {
					p, _, err := pubsub.OpenOrCreatePublisher("t", o)
					for range 5 {
						if err == nil {
							short(func(ctx context.Context) { hostilePub(ctx, p) })
						}
					}
					if err == nil {
						_ = p.Close()
					}
					continue
				}
				s, err := pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{BestEffort: i == 1, From: pubsub.From(i % 3)})
				for range 3 {
					if err == nil {
						short(func(ctx context.Context) { hostileSub(ctx, s) })
					}
				}
				if err == nil {
					_ = s.Close()
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(seed, uint64(flags)))
	for range 400 {
		junk(h.word(t, h.anywhere(rnd)), rnd)
		if rnd.IntN(8) == 0 { // else nobody could join any more
			copy(h.v.Bytes()[h.hd.Live+layout.LaneConfigOffset:], settings)
		}
		time.Sleep(10 * time.Microsecond)
	}
	stop.Store(true)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(ipctest.Patience):
		t.Fatal("somebody is caught in a loop, or asleep past its context")
	}
	ipctest.NoErr(t, keep.Close())
	ipctest.NoErr(t, h.close())
}

// The fuzz test with one seed after the other, for SAMEPAGE_SECONDS (make soak: 300).
func TestSoakHostileTopic(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Seeds(t, func(t *testing.T, seed, n uint64) { hostileTopic(t, seed, uint8(n)) })
}

// If a member changes all entries and slots all the time, calls of others still end with their
// context.
func TestHostileWriterKeepsNobody(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, bestEffort := range []bool{false, true} {
		p := newPub(t, "t", &pubsub.Options{Depth: 1, MaxSize: 8})
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort})
		h := mapTopic(t, "t")
		var stop atomic.Bool
		var wg sync.WaitGroup
		words := make([]*atomic.Uint64, h.c.Entries)
		for i := range words {
			words[i] = h.word(t, h.hd.Payload+uint64(i)*layout.EntrySize)
		}
		slots := make([]*atomic.Uint64, h.c.Slots)
		for i := range slots {
			slots[i] = h.word(t, h.slot(0, i))
		}
		wg.Go(func() {
			n := uint64(len(words))
			for q := n; !stop.Load(); q++ {
				words[q%n].Store(q)
				slots[q%uint64(len(slots))].Store(q)
			}
		})
		for range 20 {
			ctx, cancel := context.WithTimeout(bg, time.Millisecond)
			done := make(chan struct{})
			go func() {
				_, err := s.Take(ctx)
				if err == io.EOF {
					t.Error(err)
				}
				_, _, _ = s.TryTake()
				close(done)
			}()
			select {
			case <-done:
			case <-time.After(ipctest.Patience):
				t.Fatal("a subscriber is kept beyond its context")
			}
			cancel()
		}
		stop.Store(true)
		wg.Wait()
		ipctest.NoErr(t, s.Close())
		ipctest.NoErr(t, p.Close())
		ipctest.NoErr(t, h.close())
	}
}
