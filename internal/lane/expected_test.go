package lane

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"samepage/internal/ipctest"
	"samepage/layout"
)

// takeAll takes all messages that r finds, and returns the number of the last one.
func takeAll(t *testing.T, r *Reader, polls bool) (last uint64) {
	t.Helper()
	var m Message
	for {
		r.LetGo()
		ok, err := r.Try(&m)
		ipctest.NoErr(t, err)
		if !ok {
			if polls && (r.Poll(2) || r.Lost()) {
				continue
			}
			return last
		}
		ipctest.NoErr(t, ipctest.Check(r.Payload(&m), m.Seq))
		if m.Missed > 0 && (r.reliable || last > 0) { // one that joins may miss the oldest
			t.Errorf("%d messages were missed before %d", m.Missed, m.Seq)
		}
		last = m.Seq
	}
}

func fill(w *Writer, slot uint32, q uint64) { ipctest.Fill(w.Payload(slot)[:64], q) }

// Loans may be published in any order. Then the next message is not where readers expect it, and
// they find it by its entry.
func TestLoansInAnyOrder(t *testing.T) {
	for _, reliable := range []bool{true, false} {
		for _, polls := range []bool{true, false} {
			t.Run(fmt.Sprint("reliable ", reliable, ", polls ", polls), func(t *testing.T) {
				s := heap(t, Settings{Lanes: 1, Depth: 4, MaxSize: 64, Readers: 2, Loans: 4})
				w := NewWriter(s, 0)
				r := NewReader(s, 0, layout.OwnerOf(0, 1), reliable, Oldest)
				rnd := rand.New(rand.NewPCG(1, 2))
				var loans []uint32
				right := 0
				for n := uint64(1); n <= 1000; {
					if slot, ok := w.Loan(); ok && rnd.IntN(2) == 0 {
						loans = append(loans, slot)
						continue
					} else if ok {
						w.TakeBack(slot)
						w.Discard(slot)
					}
					if len(loans) == 0 {
						continue
					}
					i := rnd.IntN(len(loans))
					slot := loans[i]
					loans = append(loans[:i], loans[i+1:]...)
					fill(w, slot, n)
					if !w.Room() {
						t.Fatal("no room, although the reader has taken all")
					}
					w.TakeBack(slot)
					w.Publish(slot, 64, true)
					if r.slot == slot {
						right++
					}
					if last := takeAll(t, r, polls); last != n {
						t.Fatalf("the last message is %d, want %d", last, n)
					}
					n++
				}
				if right == 0 || right == 1000 {
					t.Errorf("%d of 1000 predictions were right, so this test shows nothing", right)
				}
			})
		}
	}
}

// If loans are published in the order in which they were taken, or one at a time, or by Send, all
// predictions are right.
func TestPredictions(t *testing.T) {
	for name, publish := range map[string]func(w *Writer){
		"one loan at a time": func(w *Writer) { send(w, 64) },
		"Send": func(w *Writer) {
			b := make([]byte, 64)
			ipctest.Fill(b, w.Next())
			if !w.Room() || !w.Send(b, true) {
				panic("Send refused")
			}
		},
		"batches": func(w *Writer) {
			var loans []uint32
			for i := range 5 {
				slot, _ := w.Loan()
				fill(w, slot, w.Next()+uint64(i))
				loans = append(loans, slot)
			}
			for _, slot := range loans {
				w.Room()
				w.TakeBack(slot)
				w.Publish(slot, 64, false)
			}
			w.Fence()
		},
		"the next loan first": func(w *Writer) { // so the writer always has a loan
			if w.Loans() == 0 {
				w.Loan()
			}
			slot := w.lent[len(w.lent)-1]
			fill(w, slot, w.Next())
			w.Loan()
			w.Room()
			w.TakeBack(slot)
			w.Publish(slot, 64, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := heap(t, Settings{Lanes: 1, Depth: 16, MaxSize: 64, Readers: 2, Loans: 5})
			w := NewWriter(s, 0)
			w.Ahead()
			r := NewReader(s, 0, layout.OwnerOf(0, 1), true, Oldest)
			for range 300 {
				publish(w)
				w.Ahead()
				var m Message
				for r.next < w.next {
					expected := r.slot
					if ok, err := r.Try(&m); !ok || m.Slot != expected {
						t.Fatalf("%v, %v: message %d is in slot %d, expected in %d", ok, err, m.Seq, m.Slot, expected)
					}
					r.LetGo()
				}
			}
		})
	}
}

// checkSlots checks that the writer has each slot exactly once, if it has none on loan.
func checkSlots(t *testing.T, w *Writer) {
	t.Helper()
	n := make([]int, w.slotsN)
	for _, all := range [][]uint32{w.free, w.retired, w.ring} {
		for _, slot := range all {
			if slot != noSlot {
				n[slot]++
			}
		}
	}
	for slot, n := range n {
		if n != 1 {
			t.Errorf("the writer has slot %d %d times", slot, n)
		}
	}
}

// A writer dies between the steps of a publication. If its message is in the expected slot, it is
// published: readers take it before the next writer comes, and the next writer counts it. Otherwise
// the next writer uses the number again.
func TestDeathBetweenSlotAndEntry(t *testing.T) {
	steps := []func(w *Writer, slot uint32){
		func(w *Writer, slot uint32) { atomic.StoreUint64(w.generation(slot), w.next) },
		func(w *Writer, _ uint32) { atomic.StoreUint64(w.sequence(w.i), 0) },
		func(w *Writer, slot uint32) { atomic.StoreUint32(w.slotOf(w.i), slot) },
		func(w *Writer, _ uint32) { atomic.StoreUint64(w.sequence(w.i), w.next) },
	}
	for _, before := range []int{0, 1, 3, 50} {
		for done := range len(steps) + 1 {
			for _, expected := range []bool{true, false} {
				for _, reliable := range []bool{true, false} {
					t.Run(fmt.Sprint(before, " before, ", done, " steps, expected ", expected, ", reliable ", reliable), func(t *testing.T) {
						s := heap(t, Settings{Lanes: 1, Depth: 4, MaxSize: 64, Readers: 4, Loans: 2})
						w := NewWriter(s, 0)
						r := NewReader(s, 0, layout.OwnerOf(0, 1), reliable, Oldest)
						for range before {
							send(w, 64)
							takeAll(t, r, false)
						}
						slot, _ := w.Loan()
						if !expected {
							slot, _ = w.Loan()
						}
						if !w.Room() || slot == r.slot != expected {
							t.Fatalf("loan of slot %d, the reader expects the message in %d", slot, r.slot)
						}
						fill(w, slot, w.next)
						atomic.StoreUint32(w.length(slot), 64)
						q := w.next
						atomic.StoreUint32(w.after(slot), (slot+1)%w.slotsN)
						for _, step := range steps[:done] {
							step(w, slot)
						}
						published := done == len(steps) || expected && done > 0
						if r.Ready() != published {
							t.Errorf("Ready is %v, want %v", r.Ready(), published)
						}
						if last := takeAll(t, r, true); last == q != published {
							t.Errorf("the reader takes %d, message %d was published: %v", last, q, published)
						}
						joined := NewReader(s, 0, layout.OwnerOf(1, 1), reliable, Oldest)
						if last := takeAll(t, joined, true); last == q != published {
							t.Errorf("a reader that joins takes %d, message %d was published: %v", last, q, published)
						}
						w = NewWriter(s, 0)
						checkSlots(t, w)
						want := q
						if published {
							want++
						}
						if w.Next() != want {
							t.Fatalf("the next writer goes on with %d, want %d", w.Next(), want)
						}
						for range 20 {
							q := w.Next()
							send(w, 64)
							for _, r := range []*Reader{r, joined} {
								if last := takeAll(t, r, true); last != q {
									t.Fatalf("a reader takes %d, want %d", last, q)
								}
							}
						}
					})
				}
			}
		}
	}
}

// A reader that polls pins the slot in which it expects the message. From the time when it sees the
// message there, the slot is safe.
func TestPinnedAhead(t *testing.T) {
	s := heap(t, Settings{Lanes: 1, Depth: 2, MaxSize: 64, Readers: 2, Loans: 1})
	w := NewWriter(s, 0)
	w.Ahead()
	r := NewReader(s, 0, layout.OwnerOf(0, 1), false, Oldest)
	var m Message
	for n := range 100 {
		r.LetGo()
		if ok, err := r.Try(&m); ok || err != nil {
			t.Fatal(ok, err)
		}
		w.Ahead()
		r.Poll(1)
		expected, ahead := r.slot, n%2 == 0
		if ahead {
			send(w, 64)
		} else {
			for range 200 { // many times as many as there are slots
				send(w, 64)
			}
		}
		if ok, err := r.Try(&m); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ahead && (m.Slot != expected || m.Missed > 0) {
			t.Errorf("message %d in slot %d, %d missed; it was expected in slot %d", m.Seq, m.Slot, m.Missed, expected)
		}
		for range 200 {
			send(w, 64)
			w.Ahead()
		}
		ipctest.NoErr(t, ipctest.Check(r.Payload(&m), m.Seq)) // still pinned
		r.seek(w.Next())
	}
}
