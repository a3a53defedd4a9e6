package forgotten

import (
	"context"
	"errors"
	"fmt"
	"image/color"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/internal/object"
	"samepage/internal/sys/process"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// forgettable is a kind of object, and how one of that name is opened, used and dropped.
type forgettable struct {
	kind string
	told string // what the debug build calls it
	open func(name, dir string) error

	unnamed bool // so it is told without the name
	//lint:ignore U1000 the test of the debug build reads it
	locked string // what is told more
}

// forgettables are all that have something of the system, except those of the packages below
// legacy.
var forgettables = []forgettable{
	{kind: "memory", told: "memory", open: func(name, _ string) error {
		_, err := samepage.Create(name, 1000, nil)
		return err
	}},
	{kind: "second handle on a memory", told: "memory", open: func(name, _ string) error {
		if _, err := samepage.Create(name, 1000, nil); err != nil {
			return err
		}
		if _, err := samepage.Open(name, nil); err != nil { // shares the first one's descriptors
			return err
		}
		_, err := samepage.Open(name, &samepage.Options{Access: samepage.ReadOnly}) // has its own
		return err
	}},
	{kind: "memory with views", told: "memory", open: func(name, _ string) error {
		m, err := samepage.Create(name, 1<<20, nil)
		if err != nil {
			return err
		}
		for _, a := range []samepage.Access{samepage.ReadWrite, samepage.ReadOnly, samepage.CopyOnWrite} {
			v, err := m.View(1000, 70000, a)
			if err != nil {
				return err
			}
			if _, err := v.ReadAt(make([]byte, 5), 0); err != nil { // not Bytes: those stay mapped
				return err
			}
		}
		_, err = m.WriteAt([]byte("x"), 5) // maps a window
		return err
	}},
	{kind: "memory over a file", told: "memory", open: func(name, dir string) error {
		_, err := samepage.Create(name, 1000, &samepage.Options{File: filepath.Join(dir, name)})
		return err
	}},
	{kind: "mapped file", told: "memory", open: func(name, dir string) error {
		_, err := samepage.MapFile(filepath.Join(dir, name), 1000, nil)
		return err
	}},
	{kind: "unnamed memory", told: "memory", unnamed: true, open: func(string, string) error {
		_, err := samepage.CreateUnnamed(1000, nil)
		return err
	}},
	{kind: "unnamed memory that was granted", told: "memory", unnamed: true, open: func(string, string) error {
		m, err := samepage.CreateUnnamed(100000, nil)
		if err != nil {
			return err
		}
		if _, err := samepage.Grant(os.Getpid(), m, samepage.ReadOnly); err != nil {
			return err
		}
		v, err := m.View(0, 0, samepage.ReadWrite)
		if err != nil {
			return err
		}
		_, err = v.WriteAt([]byte("x"), 5)
		return err
	}},
	{kind: "memory by a handle", told: "memory", unnamed: true, open: func(string, string) error {
		m, err := samepage.CreateUnnamed(4096, nil)
		if err != nil {
			return err
		}
		defer m.Close()
		v, err := samepage.OfferHandle(m, samepage.ReadWrite)
		if err != nil {
			return err
		}
		_, err = samepage.TakeHandle(os.Getpid(), v, 4096, samepage.ReadWrite)
		return err
	}},
	{kind: "exact memory", told: "memory", open: func(name, _ string) error {
		_, err := samepage.Create("samepage-test-"+name, 1000, &samepage.Options{Exact: true})
		return err
	}},
	{kind: "mutex", told: "mutex", open: func(name, _ string) error {
		m, err := ipcsync.CreateMutex(name, nil)
		if err != nil {
			return err
		}
		return errors.Join(m.Lock(context.Background()), m.Unlock())
	}},
	{kind: "rwmutex", told: "rwmutex", open: func(name, _ string) error {
		m, err := ipcsync.CreateRWMutex(name, nil)
		if err != nil {
			return err
		}
		return errors.Join(m.RLock(context.Background()), m.RUnlock(), m.Lock(context.Background()), m.Unlock())
	}},
	{kind: "semaphore", told: "semaphore", open: func(name, _ string) error {
		s, err := ipcsync.CreateSemaphore(name, 1, 1, nil)
		if err != nil {
			return err
		}
		return s.Acquire(context.Background())
	}},
	{kind: "event", told: "event", open: func(name, _ string) error {
		e, err := ipcsync.CreateEvent(name, nil)
		if err != nil {
			return err
		}
		return e.Set()
	}},
	{kind: "event that was waited for", told: "event", open: func(name, _ string) error {
		e, err := ipcsync.CreateEvent(name, nil)
		if err != nil {
			return err
		}
		// Asleep, under a context that goes on.
		woke := make(chan error, 1)
		go func() { woke <- e.Wait(goesOn) }()
		for {
			st, err := ipcsync.InspectEvent(name, nil)
			if err != nil {
				return err
			}
			if st.Members[0].Waits {
				return errors.Join(e.Set(), <-woke)
			}
		}
	}},
	{kind: "exact event", told: exactEvent, open: func(name, _ string) error {
		e, err := ipcsync.CreateEvent("samepage-test-"+name, &ipcsync.EventOptions{Exact: true})
		if err != nil {
			return err
		}
		return e.Set()
	}},
	{kind: "publisher", told: "publisher of topic", open: func(name, _ string) error {
		p, _, err := pubsub.OpenOrCreatePublisher(name, nil)
		if err != nil {
			return err
		}
		return p.Send(context.Background(), []byte("x"))
	}},
	{kind: "publisher with a loan", told: "publisher of topic", open: func(name, _ string) error {
		p, _, err := pubsub.OpenOrCreatePublisher(name, nil)
		if err != nil {
			return err
		}
		_, err = p.Loan(1)
		return err
	}},
	{kind: "typed publisher and subscriber", told: "subscriber to topic", open: func(name, _ string) error {
		p, _, err := pubsub.OpenOrCreatePublisherOf[int64](name, nil)
		if err != nil {
			return err
		}
		s, err := pubsub.OpenSubscriberOf[int64](name, nil)
		if err != nil {
			return err
		}
		n := int64(5)
		if err := p.Send(context.Background(), &n); err != nil {
			return err
		}
		_, err = s.Take(context.Background())
		return err
	}},
	{kind: "subscriber with a held message", told: "subscriber to topic", open: func(name, _ string) error {
		p, _, err := pubsub.OpenOrCreatePublisher(name, &pubsub.Options{Holds: 1})
		if err != nil {
			return err
		}
		s, err := pubsub.OpenSubscriber(name, nil)
		if err != nil {
			return err
		}
		if err := p.Send(context.Background(), []byte("x")); err != nil {
			return err
		}
		m, err := s.Take(context.Background())
		if err != nil {
			return err
		}
		_, err = m.Hold()
		return err
	}},
	{kind: "listener", told: "listener", open: func(name, _ string) error {
		l, err := stream.Listen(name, &stream.Options{Connections: 4, Buffer: 4096})
		if err != nil {
			return err
		}
		d, err := stream.Dial(context.Background(), name, nil)
		if err != nil {
			return err
		}
		a, err := l.Accept()
		if err != nil {
			return err
		}
		if err := d.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			return err
		}
		_, err = a.Write([]byte("x"))
		return err
	}},
	{kind: "cell", told: "writer of cell", open: func(name, _ string) error {
		w, _, err := cell.OpenOrCreateWriter(name, 100, &cell.Options{Holds: 1})
		if err != nil {
			return err
		}
		r, err := cell.OpenReader(name, nil)
		if err != nil {
			return err
		}
		if err := w.Set(context.Background(), []byte("x")); err != nil {
			return err
		}
		v, _, err := r.Load()
		if err != nil {
			return err
		}
		_, err = w.Loan(context.Background(), 1)
		_, herr := v.Hold()
		return errors.Join(err, herr)
	}},
	{kind: "typed cell", told: "reader of cell", open: func(name, _ string) error {
		if _, _, err := cell.OpenOrCreateWriterOf[int64](name, nil); err != nil {
			return err
		}
		_, err := cell.OpenReaderOf[int64](name, nil)
		return err
	}},
	{kind: "client", told: "client of service", open: func(name, _ string) error {
		_, err := rpc.CreateClient(name, nil)
		return err
	}},
	{kind: "client with a call, and worker", told: "client of service", open: func(name, _ string) error {
		w, err := rpc.CreateWorker(name, nil)
		if err != nil {
			return err
		}
		c, err := rpc.OpenClient(name, nil)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- w.Serve(ctx, func(*rpc.Job) error { return nil }) }()
		_, err = c.Call(goesOn, []byte("x"))
		cancel()
		if serr := <-ended; !errors.Is(serr, context.Canceled) {
			return errors.Join(err, serr)
		}
		_, berr := c.Begin(context.Background())
		return errors.Join(err, berr)
	}},
	{kind: "typed worker", told: "worker of service", open: func(name, _ string) error {
		_, err := rpc.CreateWorkerOf[int64, int64](name, nil)
		return err
	}},
	{kind: "frames", told: "publisher of topic", open: func(name, _ string) error {
		p, _, err := frame.OpenOrCreatePublisher(name, frame.Spec{Format: frame.BGR, Width: 8, Height: 8}, nil)
		if err != nil {
			return err
		}
		s, err := frame.OpenSubscriber(name, nil)
		if err != nil {
			return err
		}
		l, err := p.Loan(frame.Spec{Format: frame.BGR, Width: 8, Height: 8})
		if err != nil {
			return err
		}
		l.Image().(*frame.PackedImage).Set(1, 1, color.White)
		if err := l.Publish(context.Background()); err != nil {
			return err
		}
		_, err = s.Take(context.Background())
		return err
	}},
}

// exactEvent is what is below an exact event.
var exactEvent = map[bool]string{false: "event", true: "exact event"}[runtime.GOOS == "windows"]

var goesOn, _ = context.WithCancel(context.Background()) //nolint:govet // it goes on

// noNames finds the names of this test.
func noNames(t *testing.T) func() error {
	return func() error {
		all, err := samepage.List()
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("%d names, the first of %v %q", len(all), all[0].Kind, all[0].Name)
		}
		return err
	}
}

// What is dropped without Close gives its descriptors and its name back, as files do.
func TestForgottenIsGivenBack(t *testing.T) {
	ipctest.NeedNames(t)
	for _, f := range forgettables {
		t.Run(strings.ReplaceAll(f.kind, " ", "_"), func(t *testing.T) {
			ipctest.Store(t)
			dir := ipctest.Dir(t)
			ipctest.Forget(t, process.Usage, func(i int) error { return f.open(fmt.Sprint("forgotten", i), dir) }, noNames(t))
		})
	}
}

// A name that persists stays, and only that.
func TestForgottenPersistentStays(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	ipctest.Forget(t, process.Usage, func(i int) error {
		m, err := samepage.Create(fmt.Sprint("stays", i), 100, &samepage.Options{Lifetime: samepage.Persist})
		if err != nil {
			return err
		}
		_, err = m.WriteAt([]byte("here"), 0)
		return err
	}, nil)
	for i := range ipctest.Forgotten(t) + 1 {
		name := fmt.Sprint("stays", i)
		m := must(samepage.Open(name, nil))(t)
		b := make([]byte, 4)
		if _, err := m.ReadAt(b, 0); err != nil || string(b) != "here" {
			t.Fatalf("%s has %q, %v", name, b, err)
		}
		ipctest.NoErr(t, m.Close())
		// On Windows Forget may return while some are still open.
		ipctest.Collect(t, name, func() error { return samepage.Remove(name, nil) })
	}
}

// collected drops a memory and returns when that is given back: what can be collected has
// been.
func collected(t *testing.T) {
	t.Helper()
	func() { must(samepage.Create("a witness", 100, nil))(t) }()
	ipctest.Collect(t, "a witness", func() error {
		_, err := samepage.Stat("a witness", nil)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("it is there (%v)", err)
	})
	runtime.GC()
}

// Bytes that somebody has had stay mapped when all else is given back, as do words. In a
// process of its own, for there they stay.
func TestForgottenBytesStay(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, what := range []string{"named", "unnamed", "granted"} {
		if l := ipctest.Start(t, "keep bytes", what).Line(); l != "<nil>" {
			t.Errorf("%s: %s", what, l)
		}
	}
}

func init() {
	helpers["keep bytes"] = func(args []string) { fmt.Println(keepBytes(args[0])) }
}

func keepBytes(what string) error {
	open := func() (m *samepage.Memory, err error) {
		switch what {
		case "named":
			m, _, err = samepage.OpenOrCreate("m", 100, nil)
		case "unnamed":
			m, err = samepage.CreateUnnamed(100, nil)
		case "granted":
			if m, err = samepage.CreateUnnamed(100, nil); err == nil {
				_, err = samepage.Grant(os.Getpid(), m, samepage.ReadOnly)
			}
		}
		return m, err
	}
	b, w, err := func() ([]byte, *atomic.Uint64, error) {
		m, err := open()
		if err != nil {
			return nil, nil, err
		}
		v, err := m.View(0, 0, samepage.ReadWrite)
		if err != nil {
			return nil, nil, err
		}
		b := v.Bytes()
		if m, err = open(); err != nil {
			return nil, nil, err
		}
		if v, err = m.View(0, 0, samepage.ReadWrite); err != nil {
			return nil, nil, err
		}
		w, err := v.Uint64(8)
		return b, w, err
	}()
	if err != nil {
		return err
	}
	for object.OpenCount() > 0 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	b[0] = 7
	w.Add(1)
	return nil
}

// A view keeps its memory, and a memory its views.
func TestForgottenOnlyWhenBothAre(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	open := func() (*samepage.Memory, *samepage.View) {
		m := must(samepage.Create("m", 100, nil))(t)
		return m, must(m.View(0, 0, samepage.ReadWrite))(t)
	}
	_, v := open()
	collected(t)
	must(samepage.Stat("m", nil))(t)
	must(v.WriteAt([]byte("x"), 5))(t)
	v = nil
	ipctest.Collect(t, "both", noNames(t))

	m, _ := open()
	collected(t)
	ipctest.WantErr(t, m.Close(), samepage.ErrUnreleased, "forgotten_test.go:")
	m = nil
	ipctest.Collect(t, "both", noNames(t))
}

// A command that is to inherit a memory keeps it until it is started.
func TestForgottenBeforeTheChildStarts(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	cmd := ipctest.Command(t, "agent")
	func() {
		m := must(samepage.CreateUnnamed(100, &samepage.Options{Init: []byte("left to the child")}))(t)
		must(samepage.Inherit(cmd, "m", m, samepage.ReadWrite))(t)
	}()
	collected(t)
	c := ipctest.StartCmd(t, cmd)
	c.Want("ok 100", "inherited m")
	if got := c.Ask("read 0 17"); !strings.Contains(got, "left to the child") {
		t.Errorf("the child reads %q", got)
	}
}
