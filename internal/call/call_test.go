package call

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"samepage/internal/ipctest"
	"samepage/layout"
)

// heap makes a Set in private memory of the process, where the race detector sees all accesses.
func heap(t testing.TB, st Settings) *Set {
	t.Helper()
	c, o, err := st.Config()
	ipctest.NoErr(t, err)
	live := ipctest.Aligned(layout.ServiceLiveSize)
	copy(live, Live(c))
	s, err := Open(live, ipctest.Aligned(o.Payload))
	ipctest.NoErr(t, err)
	return s
}

func client(i int) layout.Owner { return layout.OwnerOf(i, 1) }

// ask claims a slot, waiting for one, and asks call q in it.
func ask(t *testing.T, s *Set, me layout.Owner, last int, q uint64, flags uint32) (slot int, n uint16) {
	slot = last
	for !s.Claim(slot, me) {
		slot = (slot + 1) % s.Calls()
		runtime.Gosched()
	}
	req := s.Request(slot)[:64]
	binary.LittleEndian.PutUint64(req, q)
	ipctest.Fill(req[8:], q)
	n, handed, err := s.Ask(slot, &Header{Length: 64, Client: uint32(me.Slot()), Flags: flags})
	if err != nil {
		t.Error(err)
	}
	if !handed {
		s.Hint(slot)
	}
	return slot, n
}

// answer executes a call and answers it.
func answer(t *testing.T, w *Worker, c *Call, executed []atomic.Int32) {
	execute(t, w, c, executed)
	w.Answer(c, 0, 64, 0, layout.ReplyDone)
}

// execute executes a call.
func execute(t *testing.T, w *Worker, c *Call, executed []atomic.Int32) {
	w.Begin(c)
	req, err := w.RequestOf(c)
	if err != nil || len(req) != 64 {
		t.Errorf("a request of %d bytes, %v", len(req), err)
		return
	}
	q := binary.LittleEndian.Uint64(req)
	executed[q].Add(1)
	resp := w.s.Response(c.Slot, 0)[:64]
	binary.LittleEndian.PutUint64(resp, q)
	ipctest.Fill(resp[8:], q+1)
	if err := ipctest.Check(req[8:], q); err != nil {
		t.Error(err)
	}
}

// Several clients and workers, and workers that die at any step. Each call has its own answer, or
// fails because its worker died, and none is executed twice that must not be.
func TestManyCalls(t *testing.T) {
	for _, calls := range []int{1, 3, 70} {
		for _, deaths := range []bool{false, true} {
			t.Run(fmt.Sprint(calls, " slots, deaths ", deaths), func(t *testing.T) { manyCalls(t, calls, deaths) })
		}
	}
}

func manyCalls(t *testing.T, slots int, deaths bool) {
	const clients, workers = 4, 3
	per := ipctest.Repeat(t, 2000, 500, "")
	s := heap(t, Settings{Calls: slots, Parts: 1, Request: 64, Response: 64})
	executed := make([]atomic.Int32, clients*per)
	var over atomic.Bool
	var asking, working sync.WaitGroup
	var failed, withdrawn, again atomic.Int32
	for i := range clients {
		asking.Go(func() {
			me, slot := client(i), 0
			for k := range per {
				q := uint64(i*per + k)
				flags := uint32(0)
				if q%2 == 0 {
					flags = layout.CallIdempotent
				}
				var n uint16
				slot, n = ask(t, s, me, slot, q, flags)
				if q%16 == 5 && s.Withdraw(slot, n) {
					withdrawn.Add(1)
					if executed[q].Load() != 0 {
						t.Errorf("call %d was withdrawn, and executed", q)
					}
					s.Release(slot, me)
					continue
				}
				if q%16 == 7 {
					s.Cancel(slot, n)
				}
				for {
					p, _, err := s.Look(slot, n)
					if err != nil {
						t.Error(err)
						return
					}
					if p == Waiting {
						if q%16 == 7 && s.Withdraw(slot, n) {
							break
						}
						s.HintAgain(slot)
					}
					if p == Ended {
						a, err := s.Last(slot)
						if err != nil || a.Failed || len(a.Bytes) != 64 || binary.LittleEndian.Uint64(a.Bytes) != q {
							t.Errorf("the answer to call %d is %+v, %v", q, a, err)
						} else if err := ipctest.Check(a.Bytes[8:], q+1); err != nil {
							t.Error(err)
						}
						if x := executed[q].Load(); x == 0 || x > 1 && flags == 0 {
							t.Errorf("call %d was executed %d times", q, x)
						}
						break
					}
					if p == Abandoned {
						failed.Add(1)
						if d, ok := s.Died(slot, n); !ok || d.PID == 0 {
							t.Errorf("nobody says who died during call %d", q)
						}
						// A call that was given up is not executed again, whatever it is.
						if x := executed[q].Load(); !deaths || q%16 != 7 && (flags != 0 || x != 1) {
							t.Errorf("call %d failed, and was executed %d times", q, x)
						}
						break
					}
					runtime.Gosched()
				}
				s.Release(slot, me)
			}
		})
	}
	for i := range workers {
		working.Go(func() {
			inc := uint32(1)
			me := layout.OwnerOf(clients+i, inc)
			w := s.NewWorker(me)
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			var c Call
			for idle := 0; !over.Load(); {
				if !w.Poll(&c) {
					if idle++; idle%64 != 0 || !w.Unbind(&c) {
						if w.Bound() || idle%64 != 0 {
							runtime.Gosched()
							continue
						}
					} else if !w.Scan(&c) {
						runtime.Gosched()
						continue
					}
				}
				step := 3
				if deaths && rnd.IntN(8) == 0 {
					step = rnd.IntN(4)
				}
				switch step {
				case 0: // dies before it begins
				case 1: // dies before it answers
					execute(t, w, &c, executed)
				default:
					answer(t, w, &c, executed)
					if step == 3 && rnd.IntN(4) > 0 {
						continue
					}
					if step == 3 {
						if !w.Unbind(&c) {
							w.Return(&c)
						}
						continue
					}
					// dies while it is bound
				}
				again.Add(int32(s.Reap(me, Died{PID: 7, Name: "worker"})))
				inc++
				me = layout.OwnerOf(clients+i, inc)
				w = s.NewWorker(me)
			}
			if !w.Unbind(&c) {
				t.Error("a call was handed over, and its client has ended")
			}
		})
	}
	asking.Wait()
	over.Store(true)
	working.Wait()
	for slot := range s.Calls() {
		if !s.Idle(slot) || s.OwnerOf(slot) != 0 || s.StateOf(slot).Phase() != layout.CallFree {
			t.Errorf("slot %d is left in state %v", slot, s.StateOf(slot))
		}
	}
	t.Logf("%d calls, %d withdrawn, %d failed, %d given to another worker", clients*per, withdrawn.Load(), failed.Load(), again.Load())
}

// A worker that takes a call by a scan clears its hint: nobody else has to look at the slot.
func TestScanClearsHint(t *testing.T) {
	s := heap(t, Settings{Calls: 70, Parts: 1, Request: 64, Response: 64})
	w := s.NewWorker(layout.OwnerOf(1, 1))
	for i := range 70 {
		slot, _ := ask(t, s, client(0), i, 0, 0)
		var c Call
		if slot != i || !w.Scan(&c) || c.Slot != i || s.Hinted() {
			t.Fatalf("slot %d: taken %d, hinted %t", i, c.Slot, s.Hinted())
		}
	}
}

// A client that hands over one call after the other leaves others their turn.
func TestHandedOverInTurn(t *testing.T) {
	s := heap(t, Settings{Calls: 2, Parts: 1, Request: 64, Response: 64})
	w := s.NewWorker(layout.OwnerOf(2, 1))
	executed := make([]atomic.Int32, 2)
	var c Call
	busy, _ := ask(t, s, client(0), 0, 0, 0)
	if !w.Poll(&c) {
		t.Fatal("no call")
	}
	answer(t, w, &c, executed)
	s.Release(busy, client(0))
	ask(t, s, client(1), 1, 1, 0)
	for k := 0; executed[1].Load() == 0; k++ {
		if k > fair+1 {
			t.Fatalf("the other call still waits after %d", k)
		}
		if s.OwnerOf(0) == 0 {
			ask(t, s, client(0), 0, 0, 0)
		}
		if !w.Poll(&c) {
			t.Fatal("no call")
		}
		gave := w.GaveBack()
		if gave != (c.Slot == 1) {
			t.Errorf("slot %d, and a call was given back: %t", c.Slot, gave)
		}
		answer(t, w, &c, executed)
		if c.Slot == 0 {
			s.Release(0, client(0))
		}
	}
	if !w.Unbind(&c) || !w.Poll(&c) || c.Slot != 0 {
		t.Error("the call that was given back is lost")
	}
}

// The numbers of calls go round, also if no call is answered.
func TestNumbersGoRound(t *testing.T) {
	s := heap(t, Settings{Calls: 1, Parts: 1, Request: 64, Response: 64})
	w := s.NewWorker(layout.OwnerOf(1, 1))
	executed := make([]atomic.Int32, 1)
	var c Call
	for i := range 3 << 16 {
		_, n := ask(t, s, client(0), 0, 0, 0)
		if p, _, err := s.Look(0, n); p != Waiting || err != nil {
			t.Fatalf("call %d, number %d: %v, %v before anybody has it", i, n, p, err)
		}
		if s.Cancelled(0, n) {
			t.Fatalf("call %d, number %d is cancelled", i, n)
		}
		switch {
		case i%70000 == 100:
			if !w.Poll(&c) && !w.Scan(&c) {
				t.Fatal("no call")
			}
			s.Cancel(0, n)
			answer(t, w, &c, executed)
			if !w.Unbind(&c) {
				t.Fatal("handed over")
			}
		case !s.Withdraw(0, n):
			t.Fatal("not withdrawn")
		}
		s.Release(0, client(0))
	}
}
