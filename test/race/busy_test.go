//go:build race

package race

import (
	"samepage/cell"
	"samepage/ipcsync"
	"samepage/pubsub"
)

// rounds is how often each goroutine of a busy program touches the variable: so often that
// they come upon each other in every way, asleep and awake.
const rounds = 300

func busy(first, second func()) (func(), func()) {
	loop := func(f func()) func() {
		return func() {
			for range rounds {
				f()
			}
		}
	}
	return loop(first), loop(second)
}

// rightBusy are programs whose goroutines run at the same time.
var rightBusy = []program{
	{name: "busy mutex", waits: true, make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "x")
		return busy(func() { w.touchLocked(m) }, func() { w.touchLocked(n) })
	}},
	{name: "busy mutex of one handle", waits: true, make: func(w *world) (func(), func()) {
		m := mutex(w, "x")
		return busy(func() { w.touchLocked(m) }, func() { w.touchLocked(m) })
	}},
	{name: "busy mutex, WaitAny", waits: true, make: func(w *world) (func(), func()) {
		guard := func(m *ipcsync.Mutex, s *ipcsync.Semaphore) func() {
			return func() {
				must(ipcsync.WaitAny(bg, s, m))(w.tb)
				w.touch()
				no(w.tb, m.Unlock())
			}
		}
		return busy(guard(mutex(w, "x"), semaphore(w, "s", 0)), guard(mutex(w, "x"), semaphore(w, "s", 0)))
	}},
	{name: "busy rwmutex", waits: true, make: func(w *world) (func(), func()) {
		both := func(m *ipcsync.RWMutex) func() {
			return func() {
				w.touchLocked(m)
				no(w.tb, m.RLock(bg))
				_ = w.variable
				no(w.tb, m.RUnlock())
			}
		}
		return busy(both(rwmutex(w, "x")), both(rwmutex(w, "x")))
	}},
	{name: "busy semaphore of one unit", waits: true, make: func(w *world) (func(), func()) {
		guard := func(s *ipcsync.Semaphore) func() {
			return func() {
				no(w.tb, s.Acquire(bg))
				w.touch()
				no(w.tb, s.Release(1))
			}
		}
		return busy(guard(semaphore(w, "x", 1)), guard(semaphore(w, "x", 1)))
	}},
	{name: "busy events", waits: true, make: func(w *world) (func(), func()) {
		turn := func(mine, others string) func() {
			e, f := event(w, mine, nil), event(w, others, nil)
			return func() {
				no(w.tb, e.Wait(bg))
				w.touch()
				no(w.tb, f.Set())
			}
		}
		no(w.tb, event(w, "a", nil).Set())
		return busy(turn("a", "b"), turn("b", "a"))
	}},
	{name: "busy file lock", waits: true, make: func(w *world) (func(), func()) {
		l, k := fileLock(w), fileLock(w)
		return busy(func() { w.touchLocked(l) }, func() { w.touchLocked(k) })
	}},
	{name: "busy topics", waits: true, make: func(w *world) (func(), func()) {
		open := func(name string) (*pubsub.Publisher, *pubsub.Subscriber) {
			p := opened(pubsub.CreatePublisher(name, small))(w.tb)
			return p, opened(pubsub.OpenSubscriber(name, nil))(w.tb)
		}
		turn := func(s *pubsub.Subscriber, p *pubsub.Publisher) func() {
			return func() {
				must(s.Take(bg))(w.tb)
				w.touch()
				no(w.tb, send(p))
			}
		}
		a, fromA := open("a")
		b, fromB := open("b")
		no(w.tb, send(a))
		return busy(turn(fromA, b), turn(fromB, a))
	}},
	{name: "busy cell", waits: true, make: func(w *world) (func(), func()) {
		guard := func(wr *cell.Writer) func() {
			return func() {
				no(w.tb, wr.Update(bg, func(_, _ []byte) (int, error) {
					w.touch()
					return 8, nil
				}))
			}
		}
		a, _ := cellOf(w, 8)
		return busy(guard(a), guard(opened(cell.OpenWriter("x", nil))(w.tb)))
	}},
}
