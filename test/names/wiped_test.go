// Package names tests what becomes of objects of every kind whose names are removed
// while they are in use.
package names

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/legacy/sharememory"
	"samepage/pubsub"
)

func TestMain(m *testing.M) { ipctest.Main(m, nil) }

var bg = context.Background()

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ipctest.NoErr(t, err)
		return v
	}
}

// named is what all that has a name can tell.
type named interface {
	Name() string
	ID() samepage.ID
	CheckName() error
	Close() error
}

// kinds makes the object of that name of each kind, or opens it when it exists.
var kinds = map[string]func(t *testing.T, name string) named{
	"memory": func(t *testing.T, name string) named {
		m, _, err := samepage.OpenOrCreate(name, 4096, nil)
		return must(m, err)(t)
	},
	"memory over a file": func(t *testing.T, name string) named {
		m, _, err := samepage.OpenOrCreate(name, 4096, &samepage.Options{File: filepath.Join(ipctest.Dir(t), "below")})
		return must(m, err)(t)
	},
	"memory that persists": func(t *testing.T, name string) named {
		m, _, err := samepage.OpenOrCreate(name, 4096, &samepage.Options{Lifetime: samepage.Persist})
		return must(m, err)(t)
	},
	"mutex": func(t *testing.T, name string) named {
		m, _, err := ipcsync.OpenOrCreateMutex(name, nil)
		return must(m, err)(t)
	},
	"rwmutex": func(t *testing.T, name string) named {
		m, _, err := ipcsync.OpenOrCreateRWMutex(name, nil)
		return must(m, err)(t)
	},
	"semaphore": func(t *testing.T, name string) named {
		s, _, err := ipcsync.OpenOrCreateSemaphore(name, 0, 1, nil)
		return must(s, err)(t)
	},
	"event": func(t *testing.T, name string) named {
		e, _, err := ipcsync.OpenOrCreateEvent(name, nil)
		return must(e, err)(t)
	},
	"publisher": func(t *testing.T, name string) named {
		p, _, err := pubsub.OpenOrCreatePublisher(name, &pubsub.Options{Publishers: 2})
		return must(p, err)(t)
	},
	"subscriber": func(t *testing.T, name string) named {
		p := must(pubsub.CreatePublisher(name, nil))(t)
		defer p.Close()
		return must(pubsub.OpenSubscriber(name, nil))(t)
	},
	"cell writer": func(t *testing.T, name string) named {
		w, _, err := cell.OpenOrCreateWriter(name, 8, nil)
		return must(w, err)(t)
	},
	"cell reader": func(t *testing.T, name string) named {
		w := must(cell.CreateWriter(name, 8, nil))(t)
		defer w.Close()
		return must(cell.OpenReader(name, nil))(t)
	},
}

// TestWipedNameIsNoticed: who has an object open whose name was removed, and perhaps
// given to another one, is told when he asks.
func TestWipedNameIsNoticed(t *testing.T) {
	ipctest.NeedNames(t)
	for kind, make := range kinds {
		t.Run(kind, func(t *testing.T) {
			store := ipctest.Store(t)
			x := make(t, "x")
			defer func() { ipctest.NoErr(t, x.Close()) }()
			ipctest.NoErr(t, x.CheckName())
			ipctest.Wipe(t, store)
			ipctest.WantErr(t, x.CheckName(), samepage.ErrNameGone)
			again := make(t, "x")
			ipctest.NoErr(t, again.CheckName())
			ipctest.WantErr(t, x.CheckName(), samepage.ErrNameGone)
			if x.ID() == again.ID() {
				t.Errorf("both have the ID %v", x.ID())
			}
			if m, ok := x.(*samepage.Memory); ok {
				alone, err := m.Alone()
				if alone {
					t.Error("the old memory says that it is alone")
				}
				ipctest.WantErr(t, err, samepage.ErrNameGone)
			}
			ipctest.NoErr(t, again.Close())
			ipctest.WantErr(t, again.CheckName(), samepage.ErrClosed)
		})
	}
}

// TestCloseLeavesAnothersName: who closes an object whose name is another one's by now
// does not take that away.
func TestCloseLeavesAnothersName(t *testing.T) {
	ipctest.NeedNames(t)
	for kind, make := range kinds {
		t.Run(kind, func(t *testing.T) {
			store := ipctest.Store(t)
			old := make(t, "x")
			ipctest.Wipe(t, store)
			x := make(t, "x")
			ipctest.NoErr(t, old.Close())
			ipctest.NoErr(t, x.CheckName())
			ipctest.NoErr(t, x.Close())
			if all := must(samepage.List())(t); len(all) > 0 && kind != "memory that persists" {
				t.Errorf("left over: %+v", all)
			}
		})
	}
}

// waits are the calls that wait, each for what nobody who has the object open gives.
var waits = map[string]func(t *testing.T, x string, keep func(io.Closer)) func() error{
	"Mutex.Lock": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		m := kinds["mutex"](t, x).(*ipcsync.Mutex)
		ipctest.NoErr(t, must(ipcsync.OpenMutex(x, nil))(t).Lock(bg))
		keep(m)
		return func() error { return m.Lock(bg) }
	},
	"RWMutex.RLock": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		m := kinds["rwmutex"](t, x).(*ipcsync.RWMutex)
		ipctest.NoErr(t, must(ipcsync.OpenRWMutex(x, nil))(t).Lock(bg))
		keep(m)
		return func() error { return m.RLock(bg) }
	},
	"RWMutex.Lock beside a writer": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		m := kinds["rwmutex"](t, x).(*ipcsync.RWMutex)
		ipctest.NoErr(t, must(ipcsync.OpenRWMutex(x, nil))(t).Lock(bg))
		keep(m)
		return func() error { return m.Lock(bg) }
	},
	"RWMutex.Lock beside a reader": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		m := kinds["rwmutex"](t, x).(*ipcsync.RWMutex)
		ipctest.NoErr(t, must(ipcsync.OpenRWMutex(x, nil))(t).RLock(bg))
		keep(m)
		return func() error { return m.Lock(bg) }
	},
	"Semaphore.Acquire": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		s := kinds["semaphore"](t, x).(*ipcsync.Semaphore)
		keep(s)
		return func() error { return s.Acquire(bg) }
	},
	"Event.Wait": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		e := kinds["event"](t, x).(*ipcsync.Event)
		keep(e)
		return func() error { return e.Wait(bg) }
	},
	"ipcsync.WaitAny": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		e, s := kinds["event"](t, x).(*ipcsync.Event), kinds["semaphore"](t, x).(*ipcsync.Semaphore)
		keep(e)
		keep(s)
		return func() error {
			_, err := ipcsync.WaitAny(bg, e, s)
			return err
		}
	},
	"Subscriber.Take": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		s := kinds["subscriber"](t, x).(*pubsub.Subscriber)
		keep(s)
		_, err := s.Take(bg)
		ipctest.WantErr(t, err, io.EOF)
		return func() error {
			_, err := s.Take(bg)
			return err
		}
	},
	"pubsub.WaitAny": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		s := kinds["subscriber"](t, x).(*pubsub.Subscriber)
		keep(s)
		_, err := s.Take(bg)
		ipctest.WantErr(t, err, io.EOF)
		return func() error {
			i, err := pubsub.WaitAny(bg, s)
			if err == nil {
				_, _, err = s.TryTake()
				err = fmt.Errorf("WaitAny returns %d, TryTake %w", i, err)
			}
			return err
		}
	},
	"Publisher.WaitSubscribers": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		p := kinds["publisher"](t, x).(*pubsub.Publisher)
		keep(p)
		return func() error { return p.WaitSubscribers(bg, 1) }
	},
	"cell Reader.Changed": func(t *testing.T, x string, keep func(io.Closer)) func() error {
		r := kinds["cell reader"](t, x).(*cell.Reader)
		keep(r)
		return func() error { return r.Changed(bg) }
	},
}

// TestWaitEndsWhenNameIsGone: a wait that nobody who has the object open will end, or
// that would not exclude whoever comes by the name, ends with ErrNameGone.
func TestWaitEndsWhenNameIsGone(t *testing.T) {
	ipctest.NeedNames(t)
	for _, when := range []string{"before", "meanwhile"} {
		t.Run("gone "+when, func(t *testing.T) {
			store := ipctest.Store(t)
			type end struct {
				call string
				err  error
			}
			ended := make(chan end)
			begin := make(chan bool)
			for call, prepare := range waits {
				wait := prepare(t, call, func(c io.Closer) { t.Cleanup(func() { ipctest.NoErr(t, c.Close()) }) })
				go func() {
					<-begin
					ended <- end{call, wait()}
				}()
			}
			if when == "before" {
				ipctest.Wipe(t, store)
			}
			close(begin)
			if when == "meanwhile" {
				ipctest.Wipe(t, store)
			}
			for range waits {
				if e := <-ended; !errors.Is(e.err, samepage.ErrNameGone) {
					t.Errorf("%s ends with %v, want ErrNameGone", e.call, e.err)
				}
			}
		})
	}
}

// namesWereLookedAt returns when the death watch has looked at the names of all who
// sleep: it has found one that is gone.
func namesWereLookedAt(t *testing.T) {
	t.Helper()
	d := ipctest.Store(t)
	e := must(ipcsync.CreateEvent("canary", nil))(t)
	defer e.Close()
	ipctest.Wipe(t, d)
	ipctest.WantErr(t, e.Wait(bg), samepage.ErrNameGone)
}

// TestPairGoesOnWithoutName: those who have the object open and need nobody else are not
// disturbed when its name is removed.
func TestPairGoesOnWithoutName(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	type pair struct {
		name string
		give func() error
		err  chan error
	}
	var pairs []*pair
	for _, c := range []struct {
		name string
		make func(t *testing.T, x string) (wait, give func() error)
	}{
		{"event", func(t *testing.T, x string) (wait, give func() error) {
			a, b := kinds["event"](t, x).(*ipcsync.Event), kinds["event"](t, x).(*ipcsync.Event)
			return func() error { return a.Wait(bg) }, b.Set
		}},
		{"semaphore", func(t *testing.T, x string) (wait, give func() error) {
			a, b := kinds["semaphore"](t, x).(*ipcsync.Semaphore), kinds["semaphore"](t, x).(*ipcsync.Semaphore)
			return func() error { return a.Acquire(bg) }, func() error { return b.Release(1) }
		}},
		{"topic", func(t *testing.T, x string) (wait, give func() error) {
			p := kinds["publisher"](t, x).(*pubsub.Publisher)
			s := must(pubsub.OpenSubscriber(x, nil))(t)
			return func() error {
				_, err := s.Take(bg)
				return err
			}, func() error { return p.Send(bg, []byte("hello")) }
		}},
		{"topic with no room", func(t *testing.T, x string) (wait, give func() error) {
			p := must(pubsub.CreatePublisher(x, &pubsub.Options{Depth: 1}))(t)
			s := must(pubsub.OpenSubscriber(x, nil))(t)
			for full := false; !full; {
				l := must(p.Loan(1))(t)
				ok, err := l.TryPublish()
				ipctest.NoErr(t, err)
				if full = !ok; full {
					l.Discard()
				}
			}
			return func() error { return p.Send(bg, []byte("more")) }, func() error {
				_, err := s.Take(bg)
				s.Release()
				return err
			}
		}},
		{"cell", func(t *testing.T, x string) (wait, give func() error) {
			w := kinds["cell writer"](t, x).(*cell.Writer)
			r := must(cell.OpenReader(x, nil))(t)
			return func() error { return r.Changed(bg) }, func() error { return w.Set(bg, []byte("12345678")) }
		}},
		{"turns of a cell's writers", func(t *testing.T, x string) (wait, give func() error) {
			a, b := kinds["cell writer"](t, x).(*cell.Writer), kinds["cell writer"](t, x).(*cell.Writer)
			l := must(a.Loan(bg, 8))(t)
			return func() error { return b.Set(bg, []byte("12345678")) }, func() error {
				l.Discard()
				return nil
			}
		}},
	} {
		wait, give := c.make(t, c.name)
		p := &pair{c.name, give, make(chan error, 1)}
		go func() { p.err <- wait() }()
		pairs = append(pairs, p)
	}
	ipctest.Wipe(t, store)
	for range 2 { // the second time all waits are surely under way
		namesWereLookedAt(t)
	}
	for _, p := range pairs {
		select {
		case err := <-p.err:
			t.Errorf("%s: the wait has ended with %v", p.name, err)
			continue
		default:
		}
		ipctest.NoErr(t, p.give())
		if err := <-p.err; err != nil {
			t.Errorf("%s: the wait ends with %v", p.name, err)
		}
	}
}

// TestWipedMutexOfTwoProcesses: the case that began it all. One holds the mutex, the name
// is wiped, and another one makes it anew: whoever waits beside the first is told.
func TestWipedMutexOfTwoProcesses(t *testing.T) {
	ipctest.NeedNames(t)
	store := ipctest.Store(t)
	a := kinds["mutex"](t, "x").(*ipcsync.Mutex)
	ipctest.NoErr(t, a.Lock(bg))
	ipctest.Wipe(t, store)
	b, existed, err := ipcsync.OpenOrCreateMutex("x", nil)
	ipctest.NoErr(t, err)
	if existed || a.ID() == b.ID() {
		t.Errorf("existed: %v, IDs %v and %v", existed, a.ID(), b.ID())
	}
	ipctest.NoErr(t, b.Lock(bg))
	if err := a.CheckName(); !errors.Is(err, samepage.ErrNameGone) {
		t.Errorf("the first one's name: %v", err)
	}
	ipctest.NoErr(t, b.CheckName())
	ipctest.NoErr(t, errors.Join(a.Unlock(), b.Unlock(), a.Close(), b.Close()))
}

// TestWipedFileLock: who unlocks a lock of files that were removed meanwhile is told that it
// excluded nobody who came since.
func TestWipedFileLock(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("Windows lets nobody remove a lock file that is open")
	}
	dir := ipctest.Dir(t)
	opts := &sharememory.FileLockOptions{Dir: dir}
	a, b := must(sharememory.NewFileLock("x", opts))(t), must(sharememory.NewFileLock("x", opts))(t)
	for _, c := range []struct {
		lock, unlock, other, done func() error
	}{
		{func() error { return a.Lock(bg) }, a.Unlock, func() error { return b.Lock(bg) }, b.Unlock},
		{func() error { return a.RLock(bg) }, a.RUnlock, func() error { return b.Lock(bg) }, b.Unlock},
		{func() error { return a.Lock(bg) }, a.Unlock, func() error { return b.RLock(bg) }, b.RUnlock},
	} {
		ipctest.NoErr(t, c.lock())
		ipctest.NoErr(t, c.unlock())
		ipctest.NoErr(t, c.lock())
		ipctest.Wipe(t, dir)
		ipctest.NoErr(t, c.other())
		ipctest.WantErr(t, c.unlock(), samepage.ErrNameGone)
		ipctest.NoErr(t, c.done())
	}
	ipctest.NoErr(t, errors.Join(a.Close(), b.Close()))
}
