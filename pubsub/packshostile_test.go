package pubsub_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// newestPack returns the payload of the newest message of lane 0.
func (h *topicMap) newestPack(t testing.TB) []byte {
	t.Helper()
	at, n := h.newest(t)
	return h.v.Bytes()[at:][:n]
}

// newest returns the offset and the length of that payload.
func (h *topicMap) newest(t testing.TB) (payload, n uint64) {
	t.Helper()
	most, at := uint64(0), uint64(0)
	for slot := range int(h.c.Slots) {
		off := h.slot(0, slot)
		if q := h.word(t, off).Load(); q > most {
			most, at = q, off
		}
	}
	return at + layout.SlotHeaderSize, uint64(binary.LittleEndian.Uint32(h.v.Bytes()[at+layout.SlotLengthOffset:]))
}

// A pack whose header or lengths make no sense is an error that names the topic. The next pack is
// good.
func TestPackCorrupt(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	le := binary.LittleEndian
	first := func(v uint64) func([]byte) { return func(b []byte) { le.PutUint64(b, v) } }
	count := func(v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[8:], v) } }
	size := func(v uint32) func([]byte) { return func(b []byte) { le.PutUint32(b[12:], v) } }
	length := func(i int, v uint32) func([]byte) {
		return func(b []byte) { le.PutUint32(b[16+4*i:], v) }
	}
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 4})
	h := mapTopic(t, "t")
	defer h.close()
	for name, c := range map[string]struct {
		sizes  []int
		change func([]byte)
		good   int // messages that are good before
	}{
		"first 0":            {[]int{8, 8, 8}, first(0), 0},
		"first jumps back":   {[]int{8, 8, 8}, first(1), 0},
		"first by 2^63":      {[]int{8, 8, 8}, first(1 << 63), 0},
		"first is the last":  {[]int{8, 8, 8}, first(1<<64 - 1), 0},
		"count 0":            {[]int{8, 8, 8}, count(0), 0},
		"count 4":            {[]int{8, 8, 8}, count(4), 0},
		"largest count":      {[]int{8, 8, 8}, count(1<<32 - 1), 0},
		"count overflows":    {[]int{8, 8, 8}, count(1 << 29), 0},
		"size 9":             {[]int{8, 8, 8}, size(9), 0},
		"largest size":       {[]int{8, 8, 8}, size(1<<32 - 1), 0},
		"size of 65":         {[]int{64, 64, 64}, size(65), 0},
		"lengths in payload": {[]int{64, 64, 64}, func(b []byte) { size(0)(b); length(0, 65)(b) }, 0},
		"many lengths":       {[]int{16, 8, 8}, count(1 << 10), 0},
		"first length":       {[]int{16, 8, 8}, length(0, 65), 0},
		"second length":      {[]int{16, 8, 8}, length(1, 1<<32-1), 1},
		"third length":       {[]int{16, 8, 8}, length(2, 9), 2},
	} {
		for _, bestEffort := range []bool{false, true} {
			for _, all := range []bool{false, true} {
				send(t, p, 8)
				s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
				send(t, p, 8)
				wantMessages(t, s, p.Next()-1, p.Next()-1)
				sendAll(t, p, c.sizes...)
				c.change(h.newestPack(t))
				good := c.good
				if all {
					good = 0
				}
				for range good {
					m, ok, err := s.TryTake()
					if !ok || err != nil || m.Bytes() == nil {
						t.Fatalf("%s: %v, %v", name, ok, err)
					}
				}
				var ok bool
				var err error
				if all {
					_, ok, err = s.TryTakeAll()
				} else {
					_, ok, err = s.TryTake()
				}
				ipctest.WantErr(t, err, samepage.ErrCorrupt, `"t"`, "lane 0")
				if ok || err == nil {
					t.Fatalf("%s: a message is taken, best effort %v, all %v", name, bestEffort, all)
				}
				wantNothing(t, s)
				sendAll(t, p, 8, 8)
				wantMessages(t, s, p.Next()-2, p.Next()-1)
				if s.Missed() != 0 {
					t.Errorf("%s: %d missed", name, s.Missed())
				}
				ipctest.NoErr(t, s.Close())
			}
		}
	}

	// A gap counts as missed, also for a reliable subscriber: the publisher may have left out numbers.
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		send(t, p, 8)
		wantMessages(t, s, p.Next()-1, p.Next()-1)
		q := p.Next()
		send(t, p, 8)
		first(q + 5)(h.newestPack(t))
		m, _, err := s.TryTake()
		ipctest.NoErr(t, err)
		if m.Seq() != q+5 || m.Missed() != 5 {
			t.Errorf("message %d, %d missed", m.Seq(), m.Missed())
		}
		ipctest.NoErr(t, s.Close())
	}
}

// Lengths that change while a pack is read give an error or no bytes.
func TestPackChangesMeanwhile(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256})
	s := newSub(t, "t", nil)
	h := mapTopic(t, "t")
	defer h.close()
	sendAll(t, p, 8, 16, 24)
	all := wantPack(t, s, 1, 8, 16, 24)
	layout.PutPackLength(h.newestPack(t), 1, 1<<30)
	if all.Bytes(1) != nil || all.Bytes(2) != nil || len(all.Bytes(0)) != 8 {
		t.Error("bytes outside of the pack")
	}
	n := 0
	for range all.All() {
		n++
	}
	if n != 1 {
		t.Errorf("%d messages", n)
	}
}

// What a subscriber has missed before a damaged pack counts, although it is not known how many
// messages it was.
func TestPackMissedBeforeDamage(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 4})
	s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	sendAll(t, p, 8, 8)
	wantPack(t, s, 1, 8, 8)
	h := mapTopic(t, "t")
	defer h.close()
	for range 20 {
		sendAll(t, p, 8, 8)
		binary.LittleEndian.PutUint32(h.newestPack(t)[8:], 0)
	}
	_, _, err := s.TryTake()
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	if n := s.Missed(); n < 10 || n > 20 {
		t.Errorf("%d packs were missed before", n)
	}
}

// A publisher continues after a damaged pack, with the number that the lane has beside it.
func TestPackTakeoverDamaged(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &pubsub.Options{MaxSize: 64, Pack: 256, Publishers: 2}
	newPub(t, "t", o)
	p := newPub(t, "t", o)
	h := mapTopic(t, "t")
	defer h.close()
	for _, number := range []uint64{0, 1, 17, 1 << 63} {
		sendAll(t, p, 8, 8)
		want := p.Next()
		ipctest.NoErr(t, p.Close())
		w := h.laneWord(t, 1, layout.LaneNumberOffset)
		if w.Load() != want {
			t.Fatalf("Number is %d, want %d", w.Load(), want)
		}
		// All packs of the lane.
		for slot := range int(h.c.Slots) {
			binary.LittleEndian.PutUint32(h.v.Bytes()[h.slot(1, slot)+layout.SlotHeaderSize+8:], 0)
		}
		if number > 0 {
			w.Store(number)
			want = min(number, layout.MaxNumber-1)
		}
		p = newPub(t, "t", o)
		if p.Next() != want || w.Load() != want {
			t.Errorf("Number was %d: the next message is %d, Number %d, want %d", number, p.Next(), w.Load(), want)
		}
		_ = p.Lag()
	}
}

// Whatever a hostile publisher writes into packs while they are read, there is no fault, and no
// call takes more messages than it can.
func FuzzHostilePacks(f *testing.F) {
	ipctest.NeedNames(f)
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		ipctest.Store(t)
		rnd := rand.New(rand.NewPCG(seed, 11))
		p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Pack: 256, Depth: 4, Holds: 1, Checksums: seed%4 == 0})
		h := mapTopic(t, "t")
		var subs []*pubsub.Subscriber
		for i := range 4 {
			subs = append(subs, newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: i%2 == 1}))
		}
		spoil := func() {
			at, _ := h.newest(t)
			junk(h.word(t, at+uint64(rnd.IntN(5)*8)), rnd)
		}
		for range 100 {
			if rnd.IntN(2) == 0 {
				_, _ = p.SendAll(bg, filled(1, 8, rnd.IntN(65), 24))
			} else if b, err := p.LoanBatch(1+rnd.IntN(8), 24); err == nil {
				_ = b.Publish(bg)
			}
			spoil()
			for i, s := range subs {
				for n := 0; n < 100; n++ {
					if i < 2 {
						m, ok, err := s.TryTake()
						if !ok && err == nil {
							break
						}
						if err != nil && !errors.Is(err, samepage.ErrCorrupt) && !errors.Is(err, samepage.ErrChecksum) {
							t.Fatal(err)
						}
						read(m.Bytes())
						if len(m.Bytes()) > 64 {
							t.Fatalf("%d bytes", len(m.Bytes()))
						}
					} else {
						all, ok, err := s.TryTakeAll()
						if !ok && err == nil {
							break
						}
						if rnd.IntN(2) == 0 {
							spoil()
						}
						for _, b := range all.All() {
							if read(b); len(b) > 64 {
								t.Fatalf("%d bytes", len(b))
							}
						}
						read(all.Bytes(rnd.IntN(9)))
					}
					if n == 99 {
						t.Fatal("100 messages or errors for one pack")
					}
					if rnd.IntN(4) == 0 {
						spoil()
					}
					if rnd.IntN(8) == 0 {
						s.Release()
					}
				}
			}
		}
		ipctest.NoErr(t, h.close())
	})
}

var sink byte

func read(b []byte) {
	for _, c := range b {
		sink += c
	}
}
