//go:build race

package race

import (
	"runtime"

	"samepage/ipcsync"
	"samepage/pubsub"
)

// wrong programs touch the variable where the promise that they rely on does not reach. In
// each the second goroutine is the later one by the clock.
var wrong = []program{
	{name: "mutex that one of them does not take", make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "x")
		return func() {
				w.touchLocked(m)
				w.touch()
			}, func() {
				w.touchLocked(n)
			}
	}},
	{name: "mutex and no lock at all", make: func(w *world) (func(), func()) {
		m := mutex(w, "x")
		return func() { w.touchLocked(m) }, w.touch
	}},
	{name: "mutex, an Unlock that fails", make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "x")
		return func() {
				w.touch()
				if m.Unlock() == nil {
					w.tb.Fatal("it unlocks what is not locked")
				}
			}, func() {
				w.touchLocked(n)
			}
	}},
	{name: "mutex, a TryLock that fails", make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "x")
		return func() {
				no(w.tb, m.Lock(bg))
				w.touch()
			}, func() {
				if ok, err := n.TryLock(); ok || err != nil {
					w.tb.Fatal(ok, err)
				}
				w.touch()
				no(w.tb, m.Unlock())
			}
	}},
	{name: "two mutexes", make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "y")
		return func() { w.touchLocked(m) }, func() { w.touchLocked(n) }
	}},
	{name: "mutex and rwmutex of one name", make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), rwmutex(w, "x")
		return func() { w.touchLocked(m) }, func() { w.touchLocked(n) }
	}},
	{name: "rwmutex, readers", make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		return func() { w.touchRead(m) }, func() { w.touchRead(n) }
	}},
	{name: "rwmutex, readers by one handle", make: func(w *world) (func(), func()) {
		m := rwmutex(w, "x")
		return func() { w.touchRead(m) }, func() { w.touchRead(m) }
	}},
	{name: "rwmutex, an RUnlock that fails", make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		return func() {
				w.touch()
				if m.RUnlock() == nil {
					w.tb.Fatal("it unlocks what is not locked")
				}
			}, func() {
				w.touchLocked(n)
			}
	}},
	{name: "file lock, readers", calls: true, make: func(w *world) (func(), func()) {
		l, k := fileLock(w), fileLock(w)
		return func() { w.touchRead(l) }, func() { w.touchRead(k) }
	}},
	{name: "file lock that one of them does not take", make: func(w *world) (func(), func()) {
		l, k := fileLock(w), fileLock(w)
		return func() {
				w.touchLocked(l)
				w.touch()
			}, func() {
				w.touchLocked(k)
			}
	}},

	{name: "event, after Set", make: func(w *world) (func(), func()) {
		e, f := event(w, "x", nil), event(w, "x", nil)
		return func() {
				no(w.tb, e.Set())
				w.touch()
			}, func() {
				no(w.tb, f.Wait(bg))
				w.touch()
			}
	}},
	{name: "event, from Wait to the next Set", make: func(w *world) (func(), func()) {
		e, f := event(w, "x", nil), event(w, "x", nil)
		no(w.tb, e.Set())
		return func() {
				no(w.tb, f.Wait(bg))
				w.touch()
			}, func() {
				w.touch()
				no(w.tb, e.Set())
			}
	}},
	{name: "event, a TryWait that fails", make: func(w *world) (func(), func()) {
		e, f := event(w, "x", nil), event(w, "x", nil)
		return func() {
				w.touch()
				no(w.tb, e.Set())
				no(w.tb, e.Reset())
			}, func() {
				if ok, err := f.TryWait(); ok || err != nil {
					w.tb.Fatal(ok, err)
				}
				w.touch()
			}
	}},
	{name: "event, from Wait to Wait", make: func(w *world) (func(), func()) {
		e, f := event(w, "x", nil), event(w, "x", nil)
		pass := func(e *ipcsync.Event) {
			no(w.tb, e.Set())
			no(w.tb, e.Wait(bg))
			w.touch()
		}
		return func() { pass(e) }, func() { pass(f) }
	}},
	{name: "two events that are slept on", waits: true, calls: true, make: func(w *world) (func(), func()) {
		x, y, x2, y2 := event(w, "x", nil), event(w, "y", nil), event(w, "x", nil), event(w, "y", nil)
		return func() { // sleeps when it has touched the variable
				sleeps(w, "y")
				w.touch()
				w.reach(1)
				no(w.tb, x.Wait(bg))
			}, func() { // slept before
				go func() {
					w.await(1)
					sleeps(w, "x")
					no(w.tb, y2.Set())
				}()
				no(w.tb, y.Wait(bg))
				w.touch()
				no(w.tb, x2.Set())
			}
	}},
	{name: "semaphore of two units", make: func(w *world) (func(), func()) {
		s, u := semaphore(w, "x", 2), semaphore(w, "x", 2)
		return func() {
				no(w.tb, s.Acquire(bg))
				w.touch()
			}, func() {
				no(w.tb, u.Acquire(bg))
				w.touch()
			}
	}},
	{name: "semaphore, a Release that fails", make: func(w *world) (func(), func()) {
		s, u := semaphore(w, "x", 2), semaphore(w, "x", 2)
		return func() {
				w.touch()
				if s.Release(100) == nil {
					w.tb.Fatal("it has more units than it may")
				}
			}, func() {
				no(w.tb, u.Acquire(bg))
				w.touch()
			}
	}},

	{name: "topic, after Send", make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		return func() {
				no(w.tb, send(p))
				w.touch()
			}, func() {
				must(s.Take(bg))(w.tb)
				w.touch()
			}
	}},
	{name: "topic, before a message that was not taken yet", make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		return func() {
				no(w.tb, send(p))
				w.touch()
				no(w.tb, send(p))
			}, func() {
				must(s.Take(bg))(w.tb)
				w.touch()
				must(s.Take(bg))(w.tb)
			}
	}},
	{name: "topic, a TryTake that finds nothing", make: func(w *world) (func(), func()) {
		_, s := topic(w, nil, nil)
		return w.touch, func() {
			if _, ok, err := s.TryTake(); ok || err != nil {
				w.tb.Fatal(ok, err)
			}
			w.touch()
		}
	}},
	{name: "topic, two subscribers", make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		t := opened(pubsub.OpenSubscriber("x", nil))(w.tb)
		no(w.tb, send(p))
		take := func(s *pubsub.Subscriber) {
			must(s.Take(bg))(w.tb)
			w.touch()
			s.Release()
		}
		return func() { take(s) }, func() { take(t) }
	}},
	{name: "topic, two publishers", make: func(w *world) (func(), func()) {
		o := &pubsub.Options{Publishers: 2}
		p, _ := topic(w, o, nil)
		q := opened(pubsub.OpenPublisher("x", nil))(w.tb)
		return func() {
				w.touch()
				no(w.tb, send(p))
			}, func() {
				w.touch()
				no(w.tb, send(q))
			}
	}},
	{name: "topic, a message that is published while an earlier one is looked at", make: func(w *world) (func(), func()) {
		p, s := topic(w, nil, nil)
		no(w.tb, send(p))
		return func() {
				must(s.Take(bg))(w.tb)
				w.touch()
				s.Release()
			}, func() {
				no(w.tb, send(p))
				w.touch()
			}
	}},
	{name: "two topics", make: func(w *world) (func(), func()) {
		p, _ := topic(w, nil, nil)
		q := opened(pubsub.CreatePublisher("y", nil))(w.tb)
		s := opened(pubsub.OpenSubscriber("y", nil))(w.tb)
		no(w.tb, send(q))
		return func() {
				w.touch()
				no(w.tb, send(p))
			}, func() {
				must(s.Take(bg))(w.tb)
				w.touch()
			}
	}},
	{name: "cell, after Set", make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		return func() {
				setter(w, wr)()
				w.touch()
			}, func() {
				loader(w, rd)()
				w.touch()
			}
	}},
	{name: "cell, readers and the writer", make: func(w *world) (func(), func()) {
		wr, rd := cellOf(w, 8)
		setter(w, wr)()
		return func() {
				loader(w, rd)()
				w.touch()
			}, func() {
				setter(w, wr)()
				w.touch()
			}
	}},
}

// sleeps waits until a handle on the event sleeps.
func sleeps(w *world, event string) {
	for {
		st := must(ipcsync.InspectEvent(event, nil))(w.tb)
		for _, m := range st.Members {
			if m.Waits {
				return
			}
		}
		runtime.Gosched()
	}
}
