package pubsub_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// hd is the size of a picture of 1920 x 1080 pixels of 3 bytes.
const hd = 1920 * 1080 * 3

// inUse is how many bytes of a topic have space.
func inUse(t *testing.T, name string) int64 {
	t.Helper()
	i, err := samepage.Stat(name, &samepage.Options{Kind: samepage.KindTopic})
	ipctest.NoErr(t, err)
	return i.Allocated
}

// A topic takes the memory that InUse says for the members that are there, and the figures of the
// documentation are met.
func TestInUse(t *testing.T) {
	for _, c := range []struct {
		what       string
		o          pubsub.Options
		publishers int
		subs       pubsub.SubscriberOptions
		most       float64 // MiB
	}{
		{"small", pubsub.Options{}, 1, pubsub.SubscriberOptions{}, 0.3},
		{"64 small", pubsub.Options{Publishers: 64, Members: 80}, 64, pubsub.SubscriberOptions{BestEffort: true}, 15},
		{"64 of 64 bytes", pubsub.Options{MaxSize: 64, Publishers: 64, Members: 80}, 64, pubsub.SubscriberOptions{}, 4},
		{"1080p", pubsub.Options{MaxSize: hd}, 1, pubsub.SubscriberOptions{}, 45},
		{"1080p, best effort", pubsub.Options{MaxSize: hd}, 1, pubsub.SubscriberOptions{BestEffort: true}, 45},
	} {
		t.Run(c.what, func(t *testing.T) {
			ipctest.Store(t)
			for range c.publishers {
				p, _, err := pubsub.OpenOrCreatePublisher("t", &c.o)
				ipctest.NoErr(t, err)
				t.Cleanup(func() { ipctest.NoErr(t, p.Close()) })
				ipctest.NoErr(t, p.Send(bg, make([]byte, p.Options().MaxSize)))
			}
			for range 2 {
				newSub(t, "t", &c.subs)
			}
			keeps := 0
			if c.subs.BestEffort {
				keeps = 2
			}
			want, err := c.o.InUse(c.publishers, keeps)
			ipctest.NoErr(t, err)
			size, err := c.o.Size()
			ipctest.NoErr(t, err)
			got := inUse(t, "t")
			t.Logf("%.2f MiB in use, %.2f told, %.2f at most", mib(got), mib(want), mib(size))
			// The ends of a part have whole pages.
			if got > want+int64(c.publishers+1)*2*4096 || got < want-128<<10 || mib(got) > c.most {
				t.Errorf("%d bytes are in use, told are %d, want at most %v MiB", got, want, c.most)
			}
		})
	}
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// Send causes no page fault: neither the first one, nor one that needs more slots than before.
func TestSendCausesNoPageFaults(t *testing.T) {
	ipctest.Store(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := newPub(t, "t", &pubsub.Options{MaxSize: hd, Holds: 2})
	b := make([]byte, hd)
	for i := range b {
		b[i] = byte(i)
	}
	subs := []*pubsub.Subscriber{newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true}), newSub(t, "t", nil)}
	ipctest.NoErr(t, p.Send(bg, b[:1])) // the code itself
	used := mapTopic(t, "t").laneWord(t, 0, layout.LaneUsedOffset)
	for i := range 20 {
		had := used.Load()
		before := pageFaults(t)
		ipctest.NoErr(t, p.Send(bg, b))
		n := pageFaults(t) - before
		// A new slot gets its pages at once, but the system counts each as a page fault. Go's runtime
		// has a few of its own. A slot without pages has more than a thousand.
		const own = 32
		if pages := int64(used.Load()-had) * (hd/4096 + 2); n > pages+own {
			t.Errorf("message %d caused %d page faults, %d pages are new", i, n, pages)
		}
		for _, s := range subs {
			m, err := s.Take(bg)
			ipctest.NoErr(t, err)
			if i < 2 {
				h, err := m.Hold()
				ipctest.NoErr(t, err)
				t.Cleanup(h.Release)
			}
			s.Release()
		}
	}
}

// pageFaults is the number of page faults of this thread.
func pageFaults(t *testing.T) int64 {
	t.Helper()
	var r unix.Rusage
	ipctest.NoErr(t, unix.Getrusage(unix.RUSAGE_THREAD, &r))
	return int64(r.Minflt) + int64(r.Majflt)
}

// fill takes all space that the store has left.
func fill(t *testing.T, store string) {
	t.Helper()
	f, err := os.Create(filepath.Join(store, "full"))
	ipctest.NoErr(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	ipctest.WantErr(t, err, unix.ENOSPC)
}

// Who needs space that is not there gets the error: a publisher, a subscriber, a hold and a loan.
// Nobody else notices anything, and nobody faults.
func TestNoSpace(t *testing.T) {
	if err := ipctest.SmallStore(t, "size=2m"); err != nil {
		t.Skip(err)
	}
	store := os.Getenv("SAMEPAGE_DIR")
	const size = 128<<10 - 32 // a slot of 128 KiB
	o := &pubsub.Options{MaxSize: size, Depth: 1, Publishers: 2, Holds: 8, Loans: 8, Members: 64}
	p := newPub(t, "t", o) // 6 slots
	best := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	all := newSub(t, "t", nil)
	b := make([]byte, size)
	next := uint64(1)
	send := func() {
		t.Helper()
		for range 12 {
			ipctest.Fill(b, next)
			ipctest.NoErr(t, p.Send(bg, b))
			for _, s := range []*pubsub.Subscriber{best, all} {
				m, err := s.Take(bg)
				ipctest.NoErr(t, err)
				ipctest.NoErr(t, ipctest.Check(m.Bytes(), next))
			}
			all.Release()
			next++
		}
	}
	send()
	fill(t, store)
	send()
	_, err := pubsub.OpenPublisher("t", nil)
	ipctest.WantErr(t, err, samepage.ErrNoSpace)
	t.Log(err)
	_, err = pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{BestEffort: true})
	ipctest.WantErr(t, err, samepage.ErrNoSpace)
	t.Log(err)
	newSub(t, "t", &pubsub.SubscriberOptions{From: pubsub.FromNow}).Close() // needs no space
	left, err := samepage.List()
	ipctest.NoErr(t, err)
	o.Lifetime = samepage.Persist
	_, err = pubsub.CreatePublisher("other", o)
	ipctest.WantErr(t, err, samepage.ErrNoSpace)
	t.Log(err)
	if all, err := samepage.List(); err != nil || len(all) != len(left) {
		t.Errorf("a topic that could not be made is there: %+v, %v", all, err)
	}
	send()
	ipctest.NoErr(t, p.Send(bg, b))
	for _, s := range []*pubsub.Subscriber{best, all} {
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		_, err = m.Hold()
		ipctest.WantErr(t, err, samepage.ErrNoSpace)
		t.Log(err)
		s.Release()
	}
	next++
	send()
	// A slot that a best-effort subscriber does not pin may be lent. All others are in the ring.
	var loans []pubsub.Loan
	for err = nil; err == nil; {
		var l pubsub.Loan
		if l, err = p.Loan(1); err == nil {
			loans = append(loans, l)
		}
	}
	ipctest.WantErr(t, err, samepage.ErrNoSpace)
	t.Log(err)
	for _, l := range loans {
		l.Discard()
	}
	send()
	// When there is space again, all of this works.
	ipctest.NoErr(t, os.Remove(filepath.Join(store, "full")))
	ipctest.NoErr(t, p.Send(bg, b))
	m, err := all.Take(bg)
	ipctest.NoErr(t, err)
	h, err := m.Hold()
	ipctest.NoErr(t, err)
	h.Release()
	all.Release()
	_, err = best.Take(bg)
	ipctest.NoErr(t, err)
	next++
	send()
}

// A word that leads to a slot without space is an error or no message, and never a fault, also if
// the word Used is wrong. The store is full, so a touch of such a slot would kill the process.
func TestHostileHoles(t *testing.T) {
	if err := ipctest.SmallStore(t, "size=32m"); err != nil {
		t.Skip(err)
	}
	store := os.Getenv("SAMEPAGE_DIR")
	o := &pubsub.Options{MaxSize: 64 << 10, Depth: 2, Loans: 100, Members: 64, Publishers: 2}
	for what, spoil := range map[string]func(h *topicMap, newest uint64){
		"Entry.Slot": func(h *topicMap, newest uint64) {
			at := h.hd.Payload + (newest+1)%uint64(h.c.Entries)*layout.EntrySize
			h.word(t, at+8).Store(uint64(h.c.Slots - 1))
			h.word(t, at).Store(newest + 1)
		},
		"SlotHeader.Next": func(h *topicMap, newest uint64) {
			for i := range 4 {
				h.word(t, h.slot(0, i)+layout.SlotNextOffset).Store(uint64(h.c.Slots - 2))
			}
		},
		"LaneWords.Owner": func(h *topicMap, _ uint64) { // a lane that never had a writer
			h.laneWord(t, 1, 0).Store(uint64(layout.OwnerOf(60, 1)))
			h.laneWord(t, 1, layout.LaneHeadOffset).Store(7)
		},
		"Keeps": func(h *topicMap, _ uint64) {
			for m := range uint64(h.c.Readers) {
				h.word(t, h.hd.Live+h.o.Keeps+m*8).Store(1 << 60)
			}
		},
	} {
		for _, used := range []uint64{0, 1 << 40} {
			for _, bestEffort := range []bool{false, true} {
				t.Run(fmt.Sprint(what, used, bestEffort), func(t *testing.T) {
					p := newPub(t, "t", o)
					opts := &pubsub.SubscriberOptions{BestEffort: bestEffort}
					s := newSub(t, "t", opts)
					for range 3 {
						ipctest.NoErr(t, p.Send(bg, make([]byte, 100)))
						_, err := s.Take(bg)
						ipctest.NoErr(t, err)
					}
					h := mapTopic(t, "t")
					fill(t, store)
					if used > 0 {
						h.laneWord(t, 0, layout.LaneUsedOffset).Store(used)
						h.laneWord(t, 1, layout.LaneUsedOffset).Store(used)
					}
					spoil(h, 3)
					ctx, cancel := context.WithTimeout(bg, 200*time.Millisecond)
					defer cancel()
					_, err := s.Take(ctx)
					t.Log(err)
					_ = p.Send(ctx, make([]byte, 100))
					for range 3 {
						_, _, _ = s.TryTake()
					}
					for _, o := range []*pubsub.SubscriberOptions{nil, {BestEffort: true}, {From: pubsub.FromNow}} {
						if s, err := pubsub.OpenSubscriber("t", o); err == nil {
							_, _, _ = s.TryTake()
							_ = s.Close()
						}
					}
					if p, err := pubsub.OpenPublisher("t", nil); err == nil {
						_ = p.Close()
					}
					_ = p.Close()
					if p, err := pubsub.OpenPublisher("t", nil); err == nil {
						_ = p.Send(ctx, make([]byte, 100))
						_ = p.Close()
					}
					ipctest.NoErr(t, h.close())
					_ = s.Close()
					ipctest.NoErr(t, os.Remove(filepath.Join(store, "full")))
					_ = samepage.Remove("t", &samepage.Options{Kind: samepage.KindTopic})
				})
			}
		}
	}
}
