//go:build race

package race

import (
	"context"
	"io"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/legacy/baseimage"
	"samepage/legacy/earseimage"
	"samepage/legacy/sharememory"
	"samepage/pubsub"
)

// opened is a thing that is closed at the end of a program.
func opened[T io.Closer](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		no(tb, err)
		tb.Cleanup(func() { no(tb, v.Close()) })
		return v
	}
}

// dropExisted has OpenOrCreate return what opened takes.
func dropExisted[T any](v T, _ bool, err error) (T, error) { return v, err }

func mutex(w *world, name string) *ipcsync.Mutex {
	return opened(dropExisted(ipcsync.OpenOrCreateMutex(name, nil)))(w.tb)
}

func rwmutex(w *world, name string) *ipcsync.RWMutex {
	return opened(dropExisted(ipcsync.OpenOrCreateRWMutex(name, nil)))(w.tb)
}

func event(w *world, name string, o *ipcsync.EventOptions) *ipcsync.Event {
	return opened(dropExisted(ipcsync.OpenOrCreateEvent(name, o)))(w.tb)
}

func semaphore(w *world, name string, count uint32) *ipcsync.Semaphore {
	return opened(dropExisted(ipcsync.OpenOrCreateSemaphore(name, count, 9, nil)))(w.tb)
}

// locker is what the locks have in common.
type locker interface {
	Lock(context.Context) error
	Unlock() error
}

// touchLocked touches the variable with the lock.
func (w *world) touchLocked(l locker) {
	no(w.tb, l.Lock(bg))
	w.touch()
	no(w.tb, l.Unlock())
}

type rlocker interface {
	RLock(context.Context) error
	RUnlock() error
}

// touchRead touches the variable with a read lock.
func (w *world) touchRead(l rlocker) {
	no(w.tb, l.RLock(bg))
	w.touch()
	no(w.tb, l.RUnlock())
}

func (w *world) true(ok bool, err error) {
	w.tb.Helper()
	no(w.tb, err)
	if !ok {
		w.tb.Fatal("it is false")
	}
}

var right = []program{
	{name: "mutex", make: func(w *world) (func(), func()) {
		m := mutex(w, "x")
		return func() { w.touchLocked(m) }, func() { w.touchLocked(m) }
	}},
	{name: "mutex, two handles", make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "x")
		return func() { w.touchLocked(m) }, func() { w.touchLocked(n) }
	}},
	{name: "mutex, contended", waits: true, make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "x")
		no(w.tb, m.Lock(bg))
		return func() {
				w.touch()
				no(w.tb, m.Unlock())
			}, func() {
				w.touchLocked(n)
			}
	}},
	{name: "mutex, one handle after the other", make: func(w *world) (func(), func()) {
		open := func() *ipcsync.Mutex {
			return must(dropExisted(ipcsync.OpenOrCreateMutex("x", &ipcsync.Options{Lifetime: samepage.Persist})))(w.tb)
		}
		return func() {
				m := open()
				w.touchLocked(m)
				no(w.tb, m.Close())
			}, func() {
				m := open()
				w.touchLocked(m)
				no(w.tb, m.Close())
			}
	}},
	{name: "mutex, TryLock", make: func(w *world) (func(), func()) {
		m, n := mutex(w, "x"), mutex(w, "x")
		lock := func(m *ipcsync.Mutex) {
			w.true(m.TryLock())
			w.touch()
			no(w.tb, m.Unlock())
		}
		return func() { lock(m) }, func() { lock(n) }
	}},
	{name: "mutex, WaitAny", make: func(w *world) (func(), func()) {
		m, n, s := mutex(w, "x"), mutex(w, "x"), semaphore(w, "s", 0)
		return func() { w.touchLocked(m) }, func() {
			must(ipcsync.WaitAny(bg, s, n))(w.tb)
			w.touch()
			no(w.tb, n.Unlock())
		}
	}},

	{name: "rwmutex, writers", make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		return func() { w.touchLocked(m) }, func() { w.touchLocked(n) }
	}},
	{name: "rwmutex, writer and reader", make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		return func() { w.touchLocked(m) }, func() { w.touchRead(n) }
	}},
	{name: "rwmutex, writer and reader that wait", waits: true, make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		no(w.tb, m.Lock(bg))
		return func() {
				w.touch()
				no(w.tb, m.Unlock())
			}, func() {
				w.touchRead(n)
			}
	}},
	{name: "rwmutex, reader and writer", make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		return func() { w.touchRead(m) }, func() { w.touchLocked(n) }
	}},
	{name: "rwmutex, reader and writer that wait", waits: true, make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		no(w.tb, m.RLock(bg))
		return func() {
				w.touch()
				no(w.tb, m.RUnlock())
			}, func() {
				w.touchLocked(n)
			}
	}},
	{name: "rwmutex, TryLock and TryRLock", make: func(w *world) (func(), func()) {
		m, n := rwmutex(w, "x"), rwmutex(w, "x")
		return func() {
				w.true(m.TryLock())
				w.touch()
				no(w.tb, m.Unlock())
			}, func() {
				w.true(n.TryRLock())
				w.touch()
				no(w.tb, n.RUnlock())
			}
	}},

	{name: "event", waits: true, make: func(w *world) (func(), func()) { return set(w, nil, (*ipcsync.Event).Wait) }},
	{name: "manual event", waits: true, make: func(w *world) (func(), func()) {
		return set(w, &ipcsync.EventOptions{Manual: true}, (*ipcsync.Event).Wait)
	}},
	{name: "exact event", waits: true, make: func(w *world) (func(), func()) {
		ipctest.Alone(w.tb, "race.exact")
		return set(w, &ipcsync.EventOptions{Exact: true}, (*ipcsync.Event).Wait)
	}},
	{name: "event, TryWait", make: func(w *world) (func(), func()) { return set(w, nil, tryWait) }},
	{name: "manual event, TryWait", make: func(w *world) (func(), func()) {
		return set(w, &ipcsync.EventOptions{Manual: true}, tryWait)
	}},
	{name: "exact event, TryWait", make: func(w *world) (func(), func()) {
		ipctest.Alone(w.tb, "race.exact")
		return set(w, &ipcsync.EventOptions{Exact: true}, tryWait)
	}},
	{name: "event, WaitAny", waits: true, make: func(w *world) (func(), func()) {
		s := semaphore(w, "s", 0)
		return set(w, nil, func(e *ipcsync.Event, ctx context.Context) error {
			_, err := ipcsync.WaitAny(ctx, s, e)
			return err
		})
	}},
	{name: "event that is set already", make: func(w *world) (func(), func()) {
		e, f := event(w, "x", nil), event(w, "x", nil)
		no(w.tb, e.Set())
		return func() {
				w.touch()
				no(w.tb, e.Set())
			}, func() {
				no(w.tb, f.Wait(bg))
				w.touch()
			}
	}},

	{name: "semaphore", waits: true, make: func(w *world) (func(), func()) {
		s, u := semaphore(w, "x", 0), semaphore(w, "x", 0)
		return func() {
				w.touch()
				no(w.tb, s.Release(2))
			}, func() {
				no(w.tb, u.Acquire(bg))
				w.touch()
			}
	}},
	{name: "semaphore, TryAcquire", make: func(w *world) (func(), func()) {
		s, u := semaphore(w, "x", 0), semaphore(w, "x", 0)
		return func() {
				w.touch()
				no(w.tb, s.Release(1))
			}, func() {
				w.true(u.TryAcquire())
				w.touch()
			}
	}},
	{name: "semaphore, WaitAny", waits: true, make: func(w *world) (func(), func()) {
		s, u, m := semaphore(w, "x", 0), semaphore(w, "x", 0), semaphore(w, "y", 0)
		return func() {
				w.touch()
				no(w.tb, s.Release(1))
			}, func() {
				must(ipcsync.WaitAny(bg, m, u))(w.tb)
				w.touch()
			}
	}},

	{name: "file lock", make: func(w *world) (func(), func()) {
		l, k := fileLock(w), fileLock(w)
		return func() { w.touchLocked(l) }, func() { w.touchLocked(k) }
	}},
	{name: "file lock, writer and reader", make: func(w *world) (func(), func()) {
		l, k := fileLock(w), fileLock(w)
		return func() { w.touchLocked(l) }, func() { w.touchRead(k) }
	}},
	{name: "file lock, reader and writer", make: func(w *world) (func(), func()) {
		l, k := fileLock(w), fileLock(w)
		return func() { w.touchRead(l) }, func() { w.touchLocked(k) }
	}},
	{name: "file lock, TryRLock and TryLock", make: func(w *world) (func(), func()) {
		l, k := fileLock(w), fileLock(w)
		return func() {
				w.true(l.TryRLock())
				w.touch()
				no(w.tb, l.RUnlock())
			}, func() {
				w.true(k.TryLock())
				w.touch()
				no(w.tb, k.Unlock())
			}
	}},
	{name: "ShareMemory", waits: true, make: func(w *world) (func(), func()) {
		o := &sharememory.Options{Lock: sharememory.FileLockOptions{Dir: w.dir}}
		wr := opened(sharememory.CreateWriter(bg, "race", 100, o))(w.tb)
		rd := opened(sharememory.OpenReader("race", o))(w.tb)
		return func() {
				w.touch()
				must(wr.Write(bg, []byte("value")))(w.tb)
			}, func() {
				for {
					if b := must(rd.Append(bg, nil))(w.tb); len(b) > 0 {
						w.touch()
						return
					}
				}
			}
	}},
	{name: "BaseImage", waits: true, make: func(w *world) (func(), func()) {
		ipctest.Alone(w.tb, "BaseImage")
		s := opened(baseimage.CreateSender(nil))(w.tb)
		r := opened(baseimage.OpenReceiver(nil))(w.tb)
		f := must(newFrame(frame.Spec{Format: frame.Gray, Width: 2, Height: 2}))(w.tb)
		return func() {
				w.touch()
				no(w.tb, s.SendFrame(bg, f))
			}, func() {
				must(r.Grab(bg))(w.tb)
				w.touch()
			}
	}},
	{name: "EarseImage, job", waits: true, make: func(w *world) (func(), func()) {
		job, serve := earseImage(w)
		return func() {
				w.touch()
				job()
			}, func() {
				serve(w.touch)
			}
	}},
	{name: "EarseImage, answer", waits: true, make: func(w *world) (func(), func()) {
		job, serve := earseImage(w)
		return func() { serve(w.touch) }, func() {
			job()
			w.touch()
		}
	}},

	{name: "object that is made and found", waits: true, make: func(w *world) (func(), func()) {
		return func() {
				w.touch()
				must(samepage.Create("x", 1, nil))(w.tb)
			}, func() {
				for {
					if m, err := samepage.Open("x", nil); err == nil {
						w.touch()
						no(w.tb, m.Close())
						return
					}
				}
			}
	}},
	{name: "topic that is awaited", waits: true, make: func(w *world) (func(), func()) {
		return func() {
				w.touch()
				must(pubsub.CreatePublisher("x", nil))(w.tb)
			}, func() {
				must(pubsub.AwaitSubscriber(bg, "x", nil))(w.tb)
				w.touch()
			}
	}},
	{name: "cell that is awaited", waits: true, make: func(w *world) (func(), func()) {
		return func() {
				w.touch()
				must(cell.CreateWriter("x", 1, nil))(w.tb)
			}, func() {
				must(cell.AwaitReader(bg, "x", nil))(w.tb)
				w.touch()
			}
	}},
}

// set has the first one set an event, and the second one pass it through another handle.
func set(w *world, o *ipcsync.EventOptions, pass func(*ipcsync.Event, context.Context) error) (func(), func()) {
	e, f := event(w, "race.exact", o), event(w, "race.exact", o)
	return func() {
			w.touch()
			no(w.tb, e.Set())
		}, func() {
			no(w.tb, pass(f, bg))
			w.touch()
		}
}

func tryWait(e *ipcsync.Event, _ context.Context) error {
	ok, err := e.TryWait()
	if !ok && err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// fileLock is a handle on the one file lock of a program.
func fileLock(w *world) *sharememory.FileLock {
	return opened(sharememory.NewFileLock("race", &sharememory.FileLockOptions{Dir: w.dir}))(w.tb)
}

func newFrame(s frame.Spec) (*frame.Frame, error) { return frame.New(make([]byte, s.Size()), s) }

// earseImage has one goroutine ask for a job, and another one do it.
func earseImage(w *world) (job func(), serve func(do func())) {
	ipctest.Alone(w.tb, "EarseImage")
	r := opened(earseimage.CreateRequester(nil))(w.tb)
	ready := make(chan struct{})
	ctx, cancel := context.WithCancel(bg)
	return func() {
			<-ready
			must(r.Do(bg, earseimage.Job{Source: "x", Type: earseimage.PNG}))(w.tb)
			cancel()
		}, func(do func()) {
			_ = earseimage.Serve(ctx, &earseimage.WorkerOptions{Ready: func() { close(ready) }},
				func(context.Context, earseimage.Job) (a, b []byte, err error) {
					do()
					return []byte{1}, []byte{2}, nil
				})
		}
}
