package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// These are tests of Watcher. SAMEPAGE_EXCHANGES is the number of copies of each, and
// SAMEPAGE_SECONDS is how long hostile words are tried.

// floods publishes at full speed until it is killed. The settings are the options in JSON.
func floods(args []string) {
	p := must(pubsub.OpenPublisher(args[0], nil))
	size := must(strconv.Atoi(args[1]))
	fmt.Println("ready")
	b := make([]byte, size)
	for p.Options().Pack == 0 {
		ipctest.Fill(b, p.Next())
		check(p.Send(bg, b))
	}
	for {
		var all [][]byte
		for i := range uint64(5) {
			b := make([]byte, size-8*int(i%2)) // two sizes
			ipctest.Fill(b, p.Next()+i)
			all = append(all, b)
		}
		must(p.SendAll(bg, all))
	}
}

// sets writes a cell at full speed until it is killed.
func sets(args []string) {
	w := must(cell.OpenWriter(args[0], nil))
	fmt.Println("ready")
	b := make([]byte, w.Cap())
	for q := w.Generation() + 1; ; q++ {
		ipctest.Fill(b, q)
		check(w.Set(bg, b))
	}
}

func watch(t *testing.T, kind samepage.Kind, name string, o *inspect.WatchOptions) *inspect.Watcher {
	t.Helper()
	w, err := inspect.Watch(kind, name, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, w.Close()) })
	return w
}

// copies copies n messages at least, with each of the two methods, and some of each publisher. None
// may be torn, or come after a later one of its publisher.
func copies(t *testing.T, w *inspect.Watcher, n, publishers int) {
	t.Helper()
	var buf []byte
	last, got, missed := map[int]uint64{}, 0, uint64(0)
	for begun, k := time.Now(), 0; got < n || len(last) < publishers; k++ {
		take := w.Next
		if k%3 == 0 {
			take = w.Newest
		}
		m, ok, err := take(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if time.Since(begun) > ipctest.Patience {
				t.Fatalf("only %d copies", got)
			}
			continue
		}
		buf = m.Data
		if err := ipctest.Check(m.Data, m.Seq); err != nil || m.Size != len(m.Data) {
			t.Fatalf("copy %d: %d bytes of %d: %v", got, len(m.Data), m.Size, err)
		}
		was := last[m.Publisher]
		if m.Seq < was || m.Seq == was && k%3 != 0 || was > 0 && m.Seq > was && m.Missed != m.Seq-was-1 {
			t.Fatalf("message %d after %d, %d missed", m.Seq, was, m.Missed)
		}
		last[m.Publisher], missed = m.Seq, missed+m.Missed
		got++
	}
	t.Logf("%d copies, %d missed, from %d publishers", got, missed, len(last))
}

// A publisher at full speed never gives a torn copy, and is not seen by it. It may be killed in the
// middle, and another one goes on.
func TestWatchAtFullSpeed(t *testing.T) {
	ipctest.NeedNames(t)
	for name, o := range map[string]struct {
		size int
		pubsub.Options
	}{
		"small":      {64, pubsub.Options{MaxSize: 64, Depth: 64}},
		"one":        {4096, pubsub.Options{MaxSize: 4096, Depth: 1}},
		"large":      {64 << 10, pubsub.Options{MaxSize: 64 << 10, Depth: 4}},
		"checksums":  {1024, pubsub.Options{MaxSize: 1024, Checksums: true, Times: true}},
		"packs":      {64, pubsub.Options{MaxSize: 64, Pack: 1024}},
		"publishers": {128, pubsub.Options{MaxSize: 128, Publishers: 2, Times: true}},
		"evicts":     {128, pubsub.Options{MaxSize: 128, Depth: 2, EvictAfter: time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			ipctest.Store(t)
			o.Lifetime, o.Publishers = samepage.Persist, max(o.Publishers, 1)
			ipctest.NoErr(t, must(pubsub.CreatePublisher("t", &o.Options)).Close())
			w := watch(t, samepage.KindTopic, "t", nil)
			n := ipctest.Repeat(t, 1500, 100, "SAMEPAGE_EXCHANGES")
			for range 2 {
				var children []*ipctest.Child
				for range o.Publishers {
					c := ipctest.Start(t, "floods", "t", strconv.Itoa(o.size))
					c.Line()
					children = append(children, c)
				}
				copies(t, w, n, o.Publishers)
				st := must(pubsub.Inspect("t", nil))
				if len(st.Members) != o.Publishers {
					t.Errorf("%d members, want %d publishers", len(st.Members), o.Publishers)
				}
				if n, err := w.Writers(); n != o.Publishers || err != nil {
					t.Errorf("%d publishers, %v", n, err)
				}
				for _, c := range children {
					c.Kill()
				}
				for { // what they have left
					_, ok, err := w.Next(nil)
					ipctest.NoErr(t, err)
					if !ok {
						break
					}
				}
			}
			_, err := w.Writers()
			ipctest.WantErr(t, err, samepage.ErrPeerDied)
		})
	}
}

// The same for a cell.
func TestWatchCellAtFullSpeed(t *testing.T) {
	ipctest.NeedNames(t)
	for _, size := range []int{64, 30_000} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			ipctest.Store(t)
			first := must(cell.CreateWriter("c", size, &cell.Options{Lifetime: samepage.Persist}))
			b := make([]byte, size)
			ipctest.Fill(b, 1)
			ipctest.NoErr(t, first.Set(bg, b))
			ipctest.NoErr(t, first.Close())
			w := watch(t, samepage.KindCell, "c", &inspect.WatchOptions{From: inspect.FromNewest})
			if m, ok, err := w.Next(nil); !ok || err != nil || m.Seq != 1 || m.Missed != 0 {
				t.Fatalf("the first value: %+v %t %v", m.Seq, ok, err)
			}
			if _, ok, err := w.Next(nil); ok || err != nil {
				t.Fatalf("a value twice, %v", err)
			}
			for range 2 {
				c := ipctest.Start(t, "sets", "c")
				c.Line()
				copies(t, w, ipctest.Repeat(t, 1500, 100, "SAMEPAGE_EXCHANGES"), 1)
				living := 0
				for _, m := range must(cell.Inspect("c", nil)).Members {
					if m.Alive {
						living++
					}
				}
				if living != 1 {
					t.Errorf("%d living members, want a writer", living)
				}
				c.Kill()
			}
		})
	}
}

// Each message is copied once, in order, with its time and how many were missed, and only as many
// bytes as are wanted. Watching needs no place, and keeps no name.
func TestWatch(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := must(pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 64, Depth: 4, Members: 1, Times: true}))
	_, err := pubsub.OpenSubscriber("t", nil)
	ipctest.WantErr(t, err, samepage.ErrTooManyMembers)
	now := watch(t, samepage.KindTopic, "t", nil)
	oldest := watch(t, samepage.KindTopic, "t", &inspect.WatchOptions{From: inspect.FromOldest, Most: 5})
	send := func(first, last int) {
		for i := first; i <= last; i++ {
			ipctest.NoErr(t, p.Send(bg, fmt.Appendf(nil, "message %d", i)))
		}
	}
	wants := func(w *inspect.Watcher, seq, missed uint64, data string) {
		t.Helper()
		m, ok, err := w.Next(nil)
		ipctest.NoErr(t, err)
		if !ok || m.Seq != seq || m.Missed != missed || string(m.Data) != data || m.Size != len(fmt.Sprint("message ", seq)) || m.Time.IsZero() {
			t.Errorf("message %d, %d missed, %q of %d bytes, %v, want %d, %d, %q", m.Seq, m.Missed, m.Data, m.Size, m.Time, seq, missed, data)
		}
	}
	nothing := func(w *inspect.Watcher) {
		t.Helper()
		if m, ok, err := w.Next(nil); ok || err != nil {
			t.Errorf("another message: %d, %v", m.Seq, err)
		}
	}
	nothing(now)
	if _, ok, err := now.Newest(nil); ok || err != nil {
		t.Errorf("the newest of none: %v", err)
	}
	send(1, 2)
	wants(now, 1, 0, "message 1")
	wants(oldest, 1, 0, "messa")
	send(3, 3)
	wants(now, 2, 0, "message 2")
	wants(now, 3, 0, "message 3")
	nothing(now)
	if m, ok, err := now.Newest(nil); !ok || err != nil || m.Seq != 3 {
		t.Errorf("the newest again: %d, %t, %v", m.Seq, ok, err)
	}
	send(4, 100)
	m, ok, err := oldest.Next(nil)
	if !ok || err != nil || m.Seq < 93 || m.Missed != m.Seq-2 {
		t.Errorf("after many: %d, %d missed, %v", m.Seq, m.Missed, err)
	}
	if m, ok, err := now.Newest(nil); !ok || err != nil || m.Seq != 100 || m.Missed != 96 {
		t.Errorf("the newest: %d, %d missed, %t, %v", m.Seq, m.Missed, ok, err)
	}
	nothing(now)
	if n, err := now.Writers(); n != 1 || err != nil {
		t.Errorf("%d publishers, %v", n, err)
	}

	ipctest.NoErr(t, p.Close()) // the last user, so the name goes
	_, err = pubsub.Inspect("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	_, err = now.Writers()
	ipctest.WantErr(t, err, io.EOF)
	p = must(pubsub.CreatePublisher("t", nil))
	ipctest.NoErr(t, p.Send(bg, []byte("of another topic")))
	nothing(now)
	late := watch(t, samepage.KindTopic, "t", nil)
	if late.ID() == now.ID() {
		t.Error("two topics with one ID")
	}
	_, err = late.Writers()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.Close())

	ipctest.NoErr(t, now.Close())
	_, _, err = now.Next(nil)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = now.Writers()
	ipctest.WantErr(t, err, samepage.ErrClosed)
}

// Objects that cannot be watched.
func TestWatchErrors(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := inspect.Watch(samepage.KindTopic, "t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	_, err = inspect.Watch(samepage.KindMutex, "t", nil)
	ipctest.WantErr(t, err, fs.ErrInvalid)
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, err = inspect.AwaitWatcher(ctx, samepage.KindTopic, "t", nil)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
}

// Whatever others write into a topic or a cell, a Watcher returns.
func TestWatchHostile(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Seeds(t, func(t *testing.T, seed, n uint64) {
		ipctest.Store(t)
		rnd := rand.New(rand.NewPCG(seed, n))
		o := &pubsub.Options{MaxSize: 64, Depth: 3, Publishers: 2, Times: n%2 == 0, Checksums: n%3 == 0, Pack: int(n%4/2) * 256}
		p := must(pubsub.CreatePublisher("t", o))
		c := must(cell.CreateWriter("t", 64, nil))
		ipctest.NoErr(t, errors.Join(p.Send(bg, make([]byte, 64)), c.Set(bg, make([]byte, 64))))
		for _, kind := range []samepage.Kind{samepage.KindTopic, samepage.KindCell} {
			m := must(samepage.Open("t", &samepage.Options{Kind: kind}))
			v := must(m.View(0, 0, samepage.ReadWrite))
			spoil := func() {
				word := must(v.Uint64(rnd.IntN(v.Len()/8) * 8))
				spoilt(word, rnd)
			}
			var ws []*inspect.Watcher
			times := map[samepage.Kind]int{samepage.KindTopic: 500, samepage.KindCell: 40} // a bad value is tried often
			for range times[kind] {
				spoil()
				if len(ws) < 4 {
					if w, err := inspect.Watch(kind, "t", &inspect.WatchOptions{From: inspect.From(rnd.IntN(3)), Most: rnd.IntN(3) - 1}); err == nil {
						ws = append(ws, w)
					}
				}
				for _, w := range ws {
					_, _, _ = w.Next(nil)
					_, _, _ = w.Newest(nil)
				}
				if len(ws) > 0 && rnd.IntN(50) == 0 {
					_, _ = ws[0].Writers()
					ipctest.NoErr(t, ws[0].Close())
					ws = ws[1:]
				}
			}
			for _, w := range ws {
				ipctest.NoErr(t, w.Close())
			}
			ipctest.NoErr(t, errors.Join(v.Close(), m.Close()))
		}
		_, _ = p.Close(), c.Close()
	})
}

func spoilt(w *atomic.Uint64, rnd *rand.Rand) {
	switch rnd.IntN(4) {
	case 0:
		w.Store(rnd.Uint64())
	case 1:
		w.Store(uint64(rnd.IntN(1 << 8)))
	case 2:
		w.Store(w.Load() + uint64(rnd.IntN(8)) - 4)
	default:
		w.Store(w.Load() ^ 1<<rnd.IntN(64))
	}
}
