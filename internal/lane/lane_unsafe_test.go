package lane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"samepage/internal/ipctest"
	"samepage/layout"
)

// heap makes a Set in private memory of the process, where the race detector sees all accesses.
func heap(t testing.TB, st Settings) *Set {
	t.Helper()
	c, o, err := st.Config()
	if err != nil {
		t.Fatal(err)
	}
	live := ipctest.Aligned(o.Live)
	copy(live, Live(c, o))
	s, err := Open(live, ipctest.Aligned(o.Payload), st.Readers)
	if err != nil {
		t.Fatal(err)
	}
	for l := range st.Lanes {
		for m := range st.Readers {
			ipctest.NoErr(t, s.Keep(l, m, st.Holds+1))
		}
	}
	return s
}

// send waits for room and publishes message Next, of n bytes.
func send(w *Writer, n int) {
	slot, ok := w.Loan()
	if !ok {
		panic("no slot is free")
	}
	ipctest.Fill(w.Payload(slot)[:n], w.Next())
	for !w.Room() {
		runtime.Gosched()
	}
	w.TakeBack(slot)
	w.Publish(slot, uint32(n), true)
}

// One writer has reliable and best-effort readers, and some of them come later. No message is torn,
// and reliable readers miss nothing.
func TestManyReaders(t *testing.T) {
	for _, depth := range []int{1, 2, 8, 64} {
		t.Run(fmt.Sprint("depth ", depth), func(t *testing.T) {
			s := heap(t, Settings{Lanes: 1, Depth: depth, MaxSize: 128, Readers: 8, Holds: 2, Loans: 2})
			const messages = 20000
			w := NewWriter(s, 0)
			var wg sync.WaitGroup
			var ready sync.WaitGroup
			for m := range 6 {
				ready.Add(1)
				wg.Go(func() {
					if m >= 4 {
						ready.Done()
						time.Sleep(time.Millisecond) // in the middle
					}
					reliable := m%2 == 0
					r := NewReader(s, 0, layout.OwnerOf(m, 1), reliable, Oldest)
					if m < 4 {
						ready.Done()
					}
					last, missed := r.Next()-1, uint64(0)
					var msg Message
					for last < messages {
						ok, err := r.Try(&msg)
						if err != nil {
							t.Error(err)
							return
						}
						if !ok {
							r.Settle()
							r.Lost()
							runtime.Gosched()
							continue
						}
						if err := ipctest.Check(r.Payload(&msg), msg.Seq); err != nil {
							t.Errorf("reader %d: %v", m, err)
							return
						}
						if msg.Seq != last+1+msg.Missed || reliable && msg.Missed > 0 {
							t.Errorf("reader %d: message %d after %d, %d missed", m, msg.Seq, last, msg.Missed)
							return
						}
						last, missed = msg.Seq, missed+msg.Missed
						r.LetGo()
					}
					r.Leave()
					if m == 1 {
						t.Logf("best effort missed %d of %d", missed, messages)
					}
				})
			}
			ready.Wait()
			for range messages {
				send(w, 128)
			}
			wg.Wait()
		})
	}
}

// Messages that are held do not change.
func TestHeld(t *testing.T) {
	s := heap(t, Settings{Lanes: 1, Depth: 2, MaxSize: 64, Readers: 2, Holds: 3, Loans: 1})
	w := NewWriter(s, 0)
	for m, reliable := range []bool{true, false} {
		r := NewReader(s, 0, layout.OwnerOf(m, 1), reliable, Now)
		var held []Message
		for k := range 3 {
			send(w, 64)
			var msg Message
			if ok, err := r.Try(&msg); !ok || err != nil {
				t.Fatal(ok, err)
			}
			r.Hold(&msg, k+1)
			r.LetGo()
			held = append(held, msg)
		}
		r.Leave()
		for range 100 {
			send(w, 64)
		}
		for _, msg := range held {
			if err := ipctest.Check(r.Payload(&msg), msg.Seq); err != nil {
				t.Error(err)
			}
		}
	}
}

// A writer that takes over continues after the last message.
func TestTakeOver(t *testing.T) {
	s := heap(t, Settings{Lanes: 1, Depth: 4, MaxSize: 64, Readers: 2, Holds: 1, Loans: 2})
	r := NewReader(s, 0, layout.OwnerOf(0, 1), true, Oldest)
	var msg Message
	for q := uint64(1); q < 1000; q++ {
		w := NewWriter(s, 0) // the one before has lost a slot on loan
		if w.Next() != q {
			t.Fatalf("next message is %d, want %d", w.Next(), q)
		}
		if _, ok := w.Loan(); !ok {
			t.Fatal("no slot")
		}
		send(w, 64)
		if ok, err := r.Try(&msg); !ok || err != nil || msg.Seq != q {
			t.Fatal(ok, err, msg)
		}
		if err := ipctest.Check(r.Payload(&msg), q); err != nil {
			t.Fatal(err)
		}
		r.LetGo()
	}
}

// A late reader gets as many of the last messages as depth promises.
func TestLateJoiner(t *testing.T) {
	for _, depth := range []int{1, 3, 16} {
		s := heap(t, Settings{Lanes: 1, Depth: depth, MaxSize: 8192, Readers: 2, Holds: 1, Loans: 1})
		w := NewWriter(s, 0)
		for sent := 1; sent < 5*depth; sent++ {
			send(w, 8)
			r := NewReader(s, 0, layout.OwnerOf(0, 1), true, Oldest)
			var msg Message
			n := 0
			for {
				ok, err := r.Try(&msg)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				n++
				r.LetGo()
			}
			r.Leave()
			if n < min(depth, sent) {
				t.Fatalf("depth %d, %d sent: a late joiner gets %d", depth, sent, n)
			}
			if msg.Seq != uint64(sent) {
				t.Fatalf("the last one is %d of %d", msg.Seq, sent)
			}
		}
	}
}

// A reader that was evicted notices it before it touches bytes that may be overwritten.
func TestEvict(t *testing.T) {
	s := heap(t, Settings{Lanes: 1, Depth: 2, MaxSize: 64, Readers: 2, Holds: 1, Loans: 1, EvictAfter: 1})
	w := NewWriter(s, 0)
	r := NewReader(s, 0, layout.OwnerOf(1, 7), true, Oldest)
	send(w, 64)
	var msg Message
	if ok, err := r.Try(&msg); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for w.Room() {
		send(w, 64)
	}
	if who := w.Blocker(0); who != layout.OwnerOf(1, 7) || !w.Blocker(1).Free() {
		t.Fatalf("%v blocks", who)
	}
	if w.Evict() != 1 || !w.Room() {
		t.Fatal("an evicted reader still blocks")
	}
	w = NewWriter(s, 0) // also for the next writer
	for range 100 {
		send(w, 64)
	}
	if err := ipctest.Check(r.Payload(&msg), msg.Seq); err != nil {
		t.Error(err)
	}
	r.LetGo()
	if ok, err := r.Try(&msg); ok || !errors.Is(err, layout.ErrEvicted) {
		t.Errorf("an evicted reader takes a message: %v, %v", ok, err)
	}
	r.Leave()
	r = NewReader(s, 0, layout.OwnerOf(1, 8), true, Oldest)
	if r.Evicted() {
		t.Error("its successor is evicted as well")
	}
}

// Whatever bytes another process writes, no access goes outside the Set.
func FuzzHostile(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint16(5))
	f.Fuzz(func(t *testing.T, junk []byte, at uint16) {
		s := heap(t, Settings{Lanes: 1, Depth: 3, MaxSize: 64, Readers: 2, Holds: 1, Loans: 2, EvictAfter: 1})
		w := NewWriter(s, 0)
		rs := []*Reader{NewReader(s, 0, layout.OwnerOf(0, 1), true, Oldest), NewReader(s, 0, layout.OwnerOf(1, 1), false, Oldest)}
		watcher := NewWatcher(s, 0, Newest)
		var msg Message
		for i := range 200 {
			if len(junk) > 0 {
				to := s.live[layout.LaneWordsOffset:]
				if i%2 == 0 {
					to = s.payload
				}
				word := (*uint64)(unsafe.Pointer(&to[(int(at)*(i+1)*8)%(len(to)-8)&^7]))
				var v [8]byte
				copy(v[:], junk[i%len(junk):])
				atomic.StoreUint64(word, binary.LittleEndian.Uint64(v[:]))
			}
			if w.Room() || w.Evict() >= 0 && w.Room() {
				if slot, ok := w.Loan(); ok {
					_ = w.Payload(slot)
					w.TakeBack(slot)
					w.Publish(slot, 64, true)
				}
			}
			for _, r := range rs {
				if ok, _ := r.Try(&msg); ok {
					_ = append([]byte(nil), r.Payload(&msg)...)
					r.LetGo()
				}
				r.Lost()
				r.Settle()
			}
			if i%4 == 0 {
				watcher.SeekNewest()
			}
			if ok, _ := watcher.Try(&msg); ok {
				watcher.Copy(&msg, make([]byte, msg.Len))
			}
			if i%50 == 49 {
				w = NewWriter(s, 0)
				rs[i/50%2] = NewReader(s, 0, layout.OwnerOf(i/50%2, uint32(i)), i/50%2 == 0, Newest)
			}
		}
	})
}

func BenchmarkPublishTake(b *testing.B) {
	s := heap(b, Settings{Lanes: 1, Depth: 64, MaxSize: 64, Readers: 8, Holds: 1, Loans: 2})
	w := NewWriter(s, 0)
	r := NewReader(s, 0, layout.OwnerOf(0, 1), true, Oldest)
	var msg Message
	b.ReportAllocs()
	for b.Loop() {
		slot, _ := w.Loan()
		w.Payload(slot)[0] = 1
		w.Room()
		w.TakeBack(slot)
		w.Publish(slot, 64, true)
		_, _ = r.Try(&msg)
		r.LetGo()
	}
}

// Two threads: messages per second through a ring.
func BenchmarkStream(b *testing.B) {
	for _, fence := range []bool{true, false} {
		for _, reliable := range []bool{true, false} {
			b.Run(fmt.Sprintf("fence=%v,reliable=%v", fence, reliable), func(b *testing.B) {
				s := heap(b, Settings{Lanes: 1, Depth: 1024, MaxSize: 64, Readers: 8, Holds: 1, Loans: 2})
				w := NewWriter(s, 0)
				n := uint64(b.N)
				done := make(chan uint64)
				r := NewReader(s, 0, layout.OwnerOf(0, 1), reliable, Oldest)
				go func() {
					var msg Message
					var sum uint64
					for msg.Seq < n {
						if ok, _ := r.Try(&msg); ok {
							sum += *(*uint64)(unsafe.Pointer(&r.Payload(&msg)[0]))
							r.LetGo()
						} else {
							r.Poll(8)
							r.Lost()
						}
					}
					done <- sum
				}()
				b.ResetTimer()
				for range n {
					slot, _ := w.Loan()
					p := (*[8]uint64)(unsafe.Pointer(&w.Payload(slot)[0]))
					for i := range p {
						p[i] = w.next
					}
					for !w.Room() {
						poll(new(uint64), 1, 8) // it only pauses
					}
					w.TakeBack(slot)
					w.Publish(slot, 64, fence)
				}
				<-done
			})
		}
	}
}

// A message goes from one thread to another and back. One way takes half of the time.
func BenchmarkPingPong(b *testing.B) {
	for _, reliable := range []bool{true, false} {
		b.Run(fmt.Sprint("reliable=", reliable), func(b *testing.B) {
			st := Settings{Lanes: 1, Depth: 4, MaxSize: 64, Readers: 2, Holds: 1, Loans: 2}
			there, back := heap(b, st), heap(b, st)
			put := func(w *Writer) {
				slot, _ := w.Loan()
				*(*uint64)(unsafe.Pointer(&w.Payload(slot)[0])) = w.next
				w.Room()
				w.TakeBack(slot)
				w.Publish(slot, 64, true)
				w.Ahead()
			}
			take := func(r *Reader, m *Message) {
				r.LetGo()
				for {
					if ok, _ := r.Try(m); ok {
						break
					}
					r.Poll(16)
				}
				if *(*uint64)(unsafe.Pointer(&r.Payload(m)[0])) != m.Seq {
					b.Error("wrong")
				}
			}
			n := b.N
			done := make(chan bool)
			w1, w2 := NewWriter(there, 0), NewWriter(back, 0)
			r1, r2 := NewReader(there, 0, layout.OwnerOf(0, 1), reliable, Oldest), NewReader(back, 0, layout.OwnerOf(0, 1), reliable, Oldest)
			go func() {
				runtime.LockOSThread()
				var m Message
				for range n {
					take(r1, &m)
					put(w2)
				}
				close(done)
			}()
			runtime.LockOSThread()
			var m Message
			b.ResetTimer()
			for range n {
				put(w1)
				take(r2, &m)
			}
			<-done
		})
	}
}
