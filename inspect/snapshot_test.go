package inspect_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
)

var bg = context.Background()

func TestMain(m *testing.M) {
	hear := func() { _, _ = bufio.NewReader(os.Stdin).ReadString('\n') }
	ipctest.Main(m, map[string]func([]string){
		// locks locks one mutex, and another when it is told to.
		"locks": func(args []string) {
			a, b := must(ipcsync.OpenMutex(args[0], nil)), must(ipcsync.OpenMutex(args[1], nil))
			check(a.Lock(bg))
			fmt.Println("locked")
			hear()
			check(b.Lock(bg))
		},
		// reads subscribes to a topic, and takes nothing until it is told to.
		"reads": func([]string) {
			s := must(pubsub.OpenSubscriber("t", nil))
			fmt.Println("reads")
			hear()
			for _, err := range s.Messages(bg) {
				check(err)
			}
		},
		// publishes publishes until it is killed. It prints a line after some messages.
		"publishes": func([]string) {
			p := must(pubsub.OpenPublisher("t", nil))
			fmt.Println("publishes")
			hear()
			for n := 1; ; n++ {
				check(p.Send(bg, []byte("message")))
				if n == 100 {
					fmt.Println(n)
				}
			}
		},
		"floods":  floods,
		"sets":    sets,
		"touches": touches,
		// works takes a call, and answers when the input ends, with the test.
		"works": func([]string) {
			w := must(rpc.CreateWorker("s", nil))
			fmt.Println("works")
			ctx, end := context.WithCancel(bg)
			_ = w.Serve(ctx, rpc.Func(func(context.Context, []byte) ([]byte, error) {
				defer end()
				_, err := io.Copy(io.Discard, os.Stdin)
				return nil, err
			}))
		},
	})
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

// snapshot returns a snapshot in which all is as it should be.
func snapshot(t *testing.T, ok func(*inspect.State) bool) *inspect.State {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		s, err := inspect.Snapshot(nil)
		ipctest.NoErr(t, err)
		if ok(s) {
			return s
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatalf("at last: %s", must(json.Marshal(s)))
		}
	}
}

// wait is the wait of a member of an object for a reason, and for whom it waits; nil if there is
// none.
func wait(s *inspect.State, name string, why inspect.Reason) (w *inspect.Wait, on []int) {
	for _, o := range s.Objects {
		if o.Name != name || o.Detail == nil {
			continue
		}
		for i := range o.Detail.Waits {
			if v := &o.Detail.Waits[i]; v.For == why {
				w = v
				for _, k := range v.On {
					on = append(on, o.Detail.Members[k].PID)
				}
			}
		}
	}
	return w, on
}

// A publisher that waits for a subscriber is seen, with the subscriber and since when, and so is
// the end of the wait.
func TestSnapshotOfWaitingPublisher(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := must(pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 8, Depth: 4}))
	defer p.Close()
	child := ipctest.Start(t, "reads")
	child.Line()
	ctx, cancel := context.WithCancel(bg)
	ended := make(chan error)
	begun := time.Now()
	go func() {
		for {
			if err := p.Send(ctx, []byte("message")); err != nil {
				ended <- err
				return
			}
		}
	}()
	blocked := func(s *inspect.State) bool { w, _ := wait(s, "t", inspect.ForSpace); return w != nil }
	first := snapshot(t, blocked)
	if _, on := wait(first, "t", inspect.ForSpace); !slices.Equal(on, []int{child.PID()}) {
		t.Errorf("it waits for %v, want %d", on, child.PID())
	}
	if all := first.Objects[0].Findings(); len(all) != 1 || all[0].What != inspect.InTheWay || all[0].Members[0].PID != child.PID() {
		t.Errorf("findings: %+v", all)
	}
	w, _ := wait(first, "t", inspect.ForSpace)
	since := w.Since
	if !w.Exact || since.Before(begun.Round(0)) || since.After(time.Now().Round(0)) {
		t.Errorf("it waits since %v, exact %t", since, w.Exact)
	}
	second := snapshot(t, blocked)
	second.Since(first)
	if w, _ := wait(second, "t", inspect.ForSpace); !w.Since.Equal(since) {
		t.Errorf("it waits since %v, want %v", w.Since, since)
	}
	if r := second.Objects[0].Rate; r == nil || r.Count != 0 || r.Seconds <= 0 {
		t.Errorf("nothing moves: %+v", r)
	}
	third := snapshot(t, blocked)
	third.Since(second)
	if w, _ := wait(third, "t", inspect.ForSpace); !w.Since.Equal(since) {
		t.Errorf("it still waits since %v, want %v", w.Since, since)
	}

	child.Send("go on")
	last := snapshot(t, func(s *inspect.State) bool {
		s.Since(third)
		r := s.Objects[0].Rate
		return r != nil && r.Count > 100
	})
	if r := last.Objects[0].Rate; r.PerSecond <= 0 || r.Bytes < 7*100 || r.BytesPerSecond <= 0 {
		t.Errorf("the rate: %+v", r)
	}
	if w, _ := wait(last, "t", inspect.ForSpace); w != nil && !w.Since.After(since) {
		t.Errorf("another wait has begun at %v, before %v", w.Since, since)
	}
	cancel()
	ipctest.WantErr(t, <-ended, context.Canceled)
}

// Two processes that wait for each other's lock are a cycle. When one dies there is none.
func TestSnapshotOfDeadlock(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	a, b := must(ipcsync.CreateMutex("a", nil)), must(ipcsync.CreateMutex("b", nil))
	defer a.Close()
	defer b.Close()
	one, two := ipctest.Start(t, "locks", "a", "b"), ipctest.Start(t, "locks", "b", "a")
	one.Line()
	two.Line()
	one.Send("lock")
	s := snapshot(t, func(s *inspect.State) bool { _, on := wait(s, "b", inspect.ForLock); return len(on) == 1 })
	if len(s.Cycles) != 0 {
		t.Errorf("nobody waits in a circle: %v", s.Cycles)
	}
	two.Send("lock")
	s = snapshot(t, func(s *inspect.State) bool { return len(s.Cycles) > 0 })
	waitsAt := map[int]string{one.PID(): "b", two.PID(): "a"}
	for _, step := range s.Cycles[0] {
		if waitsAt[step.PID] != s.Objects[step.Object].Name || step.Name == "" {
			t.Errorf("step %+v", step)
		}
		delete(waitsAt, step.PID)
	}
	if len(s.Cycles) != 1 || len(waitsAt) != 0 {
		t.Errorf("cycles: %v", s.Cycles)
	}
	two.Kill()
	snapshot(t, func(s *inspect.State) bool { return len(s.Cycles) == 0 })
}

// A client waits for the worker that has taken its call.
func TestSnapshotOfCall(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	child := ipctest.Start(t, "works")
	child.Line()
	c := must(rpc.OpenClient("s", nil))
	ctx, cancel := context.WithCancel(bg)
	ended := make(chan error)
	go func() {
		_, err := c.Call(ctx, []byte("call"))
		ended <- err
	}()
	s := snapshot(t, func(s *inspect.State) bool { w, _ := wait(s, "s", inspect.ForAnswer); return w != nil })
	if _, on := wait(s, "s", inspect.ForAnswer); !slices.Equal(on, []int{child.PID()}) {
		t.Errorf("it waits for %v, want %d", on, child.PID())
	}
	cancel()
	ipctest.WantErr(t, <-ended, context.Canceled)
	ipctest.NoErr(t, c.Close())
}

// JSON has each fact once. Memory is counted. Match leaves objects out.
func TestSnapshotJSON(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := must(cell.CreateWriter("c", 8, nil))
	defer w.Close()
	ipctest.NoErr(t, w.Set(bg, []byte("value")))
	m := must(samepage.Create("m", 1<<20, nil))
	defer m.Close()
	e := must(ipcsync.CreateEvent("e", nil))
	defer e.Close()

	first := must(inspect.Snapshot(nil))
	ipctest.NoErr(t, w.Set(bg, []byte("value")))
	s := must(inspect.Snapshot(nil))
	s.Since(first)
	var got struct {
		Memory  inspect.Memory
		Objects []struct {
			Info struct {
				Name string
				Size int64
			}
			Room    int
			Members []struct{ PID int }
			State   map[string]any
			Rate    struct{ Count uint64 }
		}
	}
	b := must(json.Marshal(s))
	ipctest.NoErr(t, json.Unmarshal(b, &got))
	size := int64(0)
	for _, o := range got.Objects {
		size += o.Info.Size
		if o.Info.Name == "m" {
			continue
		}
		if len(o.Members) != 1 || o.Members[0].PID != os.Getpid() || o.Room < 1 || o.State["members"] != nil || o.State["kind"] == nil {
			t.Errorf("%+v", o)
		}
		if o.Info.Name == "c" && (o.State["generation"] != 2.0 || o.Rate.Count != 1) {
			t.Errorf("the cell: %+v", o)
		}
	}
	if len(got.Objects) != 3 || got.Memory.Size != size || size < 1<<20 || !strings.Contains(string(b), `"cycles":[]`) {
		t.Errorf("%s", b)
	}

	s = must(inspect.Snapshot(&inspect.Options{Match: func(i *samepage.Info) bool { return i.Kind == samepage.KindEvent }}))
	if len(s.Objects) != 1 || s.Objects[0].Name != "e" {
		t.Errorf("with Match: %+v", s.Objects)
	}
}

// A damaged object has its error, and the others are described.
func TestSnapshotOfDamaged(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	a, b := must(ipcsync.CreateMutex("a", nil)), must(ipcsync.CreateMutex("b", nil))
	defer a.Close()
	defer b.Close()
	m := must(samepage.Open("a", &samepage.Options{Kind: samepage.KindMutex}))
	must(m.WriteAt([]byte("damaged"), 32))
	ipctest.NoErr(t, m.Close())
	s := must(inspect.Snapshot(nil))
	if len(s.Objects) != 2 || !errors.Is(s.Objects[0].Err, samepage.ErrCorrupt) || s.Objects[1].Err != nil || s.Objects[1].Detail == nil {
		t.Errorf("%s", must(json.Marshal(s)))
	}
	if !strings.Contains(string(must(json.Marshal(s.Objects[0]))), `"findings":["unreadable"],"error":"`) {
		t.Errorf("%s", must(json.Marshal(s.Objects[0])))
	}
}
