package pubsub_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// orderly is a subscriber that checks the numbers of what it takes.
type orderly struct {
	*pubsub.Subscriber
	best bool
	next [2]uint64 // of each publisher
}

func (s *orderly) took(t *testing.T, publisher int, q, missed uint64, n int) {
	t.Helper()
	next := &s.next[publisher]
	if joins := s.best && *next == 1; q != *next+missed && !joins || missed > 0 && !s.best {
		t.Fatalf("publisher %d: message %d, %d missed, want %d", publisher, q, missed, *next)
	}
	*next = q + uint64(n)
}

// Whatever a subscriber does with packs, it gets each message once and in order, with the right
// bytes, and what it holds does not change.
func TestPackAnyOrder(t *testing.T) {
	ipctest.NeedNames(t)
	over, cancel := context.WithCancel(bg)
	cancel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			ipctest.Store(t)
			rnd := rand.New(rand.NewPCG(seed, 3))
			o := &pubsub.Options{
				MaxSize: 64, Pack: 256, Depth: 1 + rnd.IntN(6), Publishers: 2, Members: 5, Holds: 3,
				Checksums: seed%3 == 0,
			}
			ps := []*pubsub.Publisher{newPub(t, "t", o), newPub(t, "t", o)}
			var subs []*orderly
			for i := range 3 {
				best := i == 1
				s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: best})
				subs = append(subs, &orderly{s, best, [2]uint64{1, 1}})
			}
			type held interface {
				Release()
				Seq() uint64
			}
			keep := map[held]iter.Seq2[uint64, []byte]{}
			for range 600 {
				for range rnd.IntN(3) {
					publishSome(t, ps[rnd.IntN(2)], rnd)
				}
				s := subs[rnd.IntN(len(subs))]
				if rnd.IntN(4) == 0 {
					s.Release()
				}
				found := false
				if rnd.IntN(4) == 0 {
					_, err := pubsub.WaitAny(over, s.Subscriber)
					found = err == nil
				}
				if rnd.IntN(4) == 0 {
					s.Release() // also after WaitAny
				}
				var ok bool
				var err error
				if rnd.IntN(3) == 0 {
					var p pubsub.Pack
					if p, ok, err = s.TryTakeAll(); ok {
						s.took(t, p.Publisher(), p.Seq(), p.Missed(), p.Len())
						checkAll(t, p.All(), p.Len())
						if h, err := p.Hold(); err == nil {
							keep[h] = h.All()
						}
					}
				} else {
					var m pubsub.Message
					if m, ok, err = s.TryTake(); ok {
						s.took(t, m.Publisher(), m.Seq(), m.Missed(), 1)
						ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
						if h, err := m.Hold(); err == nil {
							keep[h] = func(yield func(uint64, []byte) bool) { yield(h.Seq(), h.Bytes()) }
						}
					}
				}
				ipctest.NoErr(t, err)
				if found && !ok {
					t.Fatal("WaitAny found a message, but there is none")
				}
				for h, all := range keep {
					checkAll(t, all, 1)
					if rnd.IntN(4) == 0 {
						h.Release()
						delete(keep, h)
					}
				}
			}
			for h := range keep {
				h.Release()
			}
		})
	}
}

// publishSome publishes a batch or one message, if there is room.
func publishSome(t *testing.T, p *pubsub.Publisher, rnd *rand.Rand) {
	t.Helper()
	if rnd.IntN(2) == 0 {
		b, err := p.LoanBatch(1+rnd.IntN(8), 24)
		ipctest.NoErr(t, err)
		for i := range b.Len() {
			ipctest.Fill(b.Bytes(i), p.Next()+uint64(i))
		}
		_, err = b.TryPublish()
		ipctest.NoErr(t, err)
		b.Discard()
		return
	}
	first, err := p.Loan(8) // so this message is often not where it is expected
	ipctest.NoErr(t, err)
	l, err := p.Loan(rnd.IntN(65))
	ipctest.NoErr(t, err)
	ipctest.Fill(l.Bytes(), p.Next())
	if rnd.IntN(2) == 0 {
		first.Discard()
	}
	_, err = l.TryPublish()
	ipctest.NoErr(t, err)
	l.Discard()
	first.Discard()
}

// checkAll checks the bytes of at least n messages.
func checkAll(t *testing.T, all iter.Seq2[uint64, []byte], n int) {
	t.Helper()
	for q, b := range all {
		ipctest.NoErr(t, ipctest.Check(b, q))
		n--
	}
	if n > 0 {
		t.Fatalf("%d messages have no bytes", n)
	}
}
