package laneseg_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

func TestMain(m *testing.M) { ipctest.Main(m, nil) }

var bg = context.Background()

// join opens or creates the segment of that name. It has two lanes with a depth of 1.
func join(t *testing.T, name string, s lane.Settings) (*segment.Handle, *lane.Set) {
	t.Helper()
	c, of, err := s.Config()
	ipctest.NoErr(t, err)
	p := &laneseg.Plan{Kind: layout.Topic, Config: c, Offsets: of}
	h, set, _, err := p.Join(segment.ToOpenOrCreate, &object.Spec{Name: name, Kind: layout.Topic})
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, h.Close()) })
	return h, set
}

func two() lane.Settings {
	return lane.Settings{Lanes: 2, Depth: 1, MaxSize: 16, Readers: 8, Holds: 1, Loans: 2, Flags: layout.LaneChecksum}
}

func writer(t *testing.T, name string, s lane.Settings) *laneseg.Writer {
	t.Helper()
	h, set := join(t, name, s)
	w := new(laneseg.Writer)
	ipctest.NoErr(t, w.Claim(h, set, layout.RolePublisher))
	return w
}

func reader(t *testing.T, name string) *laneseg.Reader {
	t.Helper()
	h, set, err := laneseg.Open(&object.Spec{Name: name, Kind: layout.Topic}, nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, h.Close()) })
	r := new(laneseg.Reader)
	ipctest.NoErr(t, r.Join(h, set, &laneseg.Start{Reliable: true, From: lane.Oldest}))
	return r
}

// publish makes all calls for one message in order.
func publish(t *testing.T, w *laneseg.Writer, text string) {
	t.Helper()
	slot, ok := w.Loan()
	if !ok {
		t.Fatal("no slot")
	}
	n := uint32(copy(w.Payload(slot), text))
	if !w.TryRoom() {
		ipctest.NoErr(t, w.WaitRoom(bg))
	}
	if !w.TakeBack(slot) || w.TakeBack(slot) {
		t.Fatal("the slot was not on loan, or twice")
	}
	w.Seal(slot, n)
	w.Publish(slot, n)
}

// A reader that has not finished to join does not count, because it may still begin later.
func TestReaderCountsWhenItHasJoined(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := writer(t, "t", two())
	h, set, err := laneseg.Open(&object.Spec{Name: "t", Kind: layout.Topic}, nil)
	ipctest.NoErr(t, err)
	defer h.Close()
	lane.NewReader(set, w.Lane(), h.Me(), true, lane.Now)
	if n := w.Readers(laneseg.Reliable); n != 0 {
		t.Errorf("%d readers count, although the only one is still joining", n)
	}
	ipctest.NoErr(t, new(laneseg.Reader).Join(h, set, &laneseg.Start{Reliable: true, From: lane.Now}))
	if n := w.Readers(laneseg.Reliable); n != 1 {
		t.Errorf("%d readers count, want 1", n)
	}
}

func take(r *laneseg.Reader) (m laneseg.Message, err error) {
	ok, err := r.Take()
	if !ok {
		ok, err = r.TrySlowly(err)
	}
	if ok {
		r.Message(&m)
	}
	return m, err
}

// Two writers have a lane each, and a third one gets none. Their messages are one stream, which
// ends with the last writer.
func TestWritersAndReader(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	a, b := writer(t, "l", two()), writer(t, "l", two())
	h, set := join(t, "l", two())
	if err := new(laneseg.Writer).Claim(h, set, layout.RolePublisher); !errors.Is(err, laneseg.ErrNoLane) {
		t.Error(err)
	}
	if all := laneseg.Writers(h, set); len(all) != 2 {
		t.Errorf("writers %v", all)
	}
	r := reader(t, "l")
	if r.Writers() != 2 || a.Readers(laneseg.AnySort) != 1 || a.Lane() == b.Lane() {
		t.Error(r.Writers(), a.Readers(laneseg.AnySort), a.Lane(), b.Lane())
	}
	publish(t, a, "of a")
	publish(t, b, "of b")
	m, err := take(r)
	ipctest.NoErr(t, err)
	if string(m.Bytes()) != "of a" || m.Seq != 1 || !r.Good(&m) {
		t.Errorf("%+v %q", m, m.Bytes())
	}
	k, err := r.Hold(&m)
	if err != nil || r.Held() != 1 || r.MaxHeld() != 1 {
		t.Error(k, err, r.Held(), r.MaxHeld())
	}
	other, err := take(r)
	if err != nil || string(other.Bytes()) != "of b" || r.Good(&m) || string(m.Bytes()) != "of a" {
		t.Error(err)
	}
	if _, err := r.Hold(&other); !errors.Is(err, object.ErrTooManyHolds) {
		t.Error("there was a pin word left:", err)
	}
	r.Unhold(&m, k)
	if m, err := take(r); err != nil || m.Len != 0 {
		t.Error("a message too many", m, err)
	}
	a.Leave(laneseg.Cut)
	if _, err := take(r); !errors.Is(err, laneseg.ErrCut) {
		t.Error(err)
	}
	publish(t, b, "last")
	b.Leave(laneseg.InOrder)
	if m, err := take(r); err != nil || string(m.Bytes()) != "last" {
		t.Error(err)
	}
	for _, want := range []error{io.EOF, nil} { // told once
		if _, err := take(r); err != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	r.Leave()
}

// A writer waits for its reader, and the reader for its writer.
func TestBothWait(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, r := writer(t, "l", two()), reader(t, "l")
	const n = 200
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range n {
			publish(t, w, "a message")
			if w.Next()%50 == 0 {
				time.Sleep(time.Millisecond) // the reader falls asleep
			}
		}
		w.Leave(laneseg.InOrder)
	}()
	for got := 0; ; got++ {
		ok, err := r.Take()
		if !ok {
			err = r.WaitSlowly(bg, err)
		}
		if err == io.EOF {
			if got != n {
				t.Errorf("%d messages, want %d", got, n)
			}
			break
		}
		ipctest.NoErr(t, err)
		if got%50 == 0 {
			time.Sleep(time.Millisecond) // the writer falls asleep
		}
	}
	<-done
	r.Leave()
}

// Without room, and without a message, a wait ends with its context, and with the handle.
func TestWaitsEnd(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, r := writer(t, "l", two()), reader(t, "l")
	short, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, r.WaitSlowly(short, nil), context.DeadlineExceeded)
	ipctest.WantErr(t, w.WaitReaders(short, 2, laneseg.AnySort), context.DeadlineExceeded)
	for w.TryRoom() {
		publish(t, w, "x")
	}
	ipctest.WantErr(t, w.WaitRoom(short), context.DeadlineExceeded)
	i, err := laneseg.WaitAny(bg, 1, func(int) *laneseg.Reader { return r })
	if i != 0 || err != nil {
		t.Error(i, err)
	}
	ok, err := r.Take() // what WaitAny has found
	if !ok || err != nil {
		t.Error(ok, err)
	}
	r.Release()
	if !w.TryRoom() {
		t.Error("no room after Release")
	}
	w.Leave(laneseg.InOrder)
	r.Leave()
}

// A segment that has EvictAfter evicts a reader that takes too long.
func TestEviction(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := two()
	s.EvictAfter = int64(time.Millisecond)
	w, r := writer(t, "l", s), reader(t, "l")
	for w.TryRoom() && w.Next() < 100 {
		publish(t, w, "x")
	}
	ipctest.NoErr(t, w.WaitRoom(bg))
	if w.Evicted() != 1 || w.Readers(laneseg.Reliable) != 0 {
		t.Error(w.Evicted(), w.Readers(laneseg.Reliable))
	}
	for range 2 { // for good
		_, err := take(r)
		ipctest.WantErr(t, err, layout.ErrEvicted)
	}
	w.Leave(laneseg.InOrder)
	r.Leave()
}

// The writers of a cell take turns, and its readers wait for a new value.
func TestCell(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := lane.Settings{MaxSize: 16, Readers: 8, Holds: 1}
	c, of, err := s.CellConfig()
	ipctest.NoErr(t, err)
	p := &laneseg.Plan{Kind: layout.Cell, Config: c, Offsets: of}
	o := &object.Spec{Name: "c", Kind: layout.Cell}
	var ws [2]laneseg.CellWriter
	for i := range ws {
		h, set, _, err := p.Join(segment.ToOpenOrCreate, o)
		ipctest.NoErr(t, err)
		t.Cleanup(func() { ipctest.NoErr(t, h.Close()) })
		ipctest.NoErr(t, ws[i].Join(h, set))
	}
	h, set, err := laneseg.Open(o, nil)
	ipctest.NoErr(t, err)
	var r laneseg.CellReader
	ipctest.NoErr(t, r.Join(h, set))
	short, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, r.Wait(short), context.DeadlineExceeded)

	slot, err := ws[0].Begin(bg)
	ipctest.NoErr(t, err)
	_, err = ws[0].Begin(bg)
	ipctest.WantErr(t, err, object.ErrTooManyHolds)
	_, err = ws[1].Begin(short)
	ipctest.WantErr(t, err, context.DeadlineExceeded, "blocked by the turn of")
	if !ws[0].Working() || ws[1].Working() || !ws[0].TakeBack(slot) {
		t.Error(ws[0].Working(), ws[1].Working())
	}
	ws[0].Commit(slot, uint32(copy(ws[0].Payload(slot), "value")))
	ipctest.NoErr(t, r.Wait(bg))
	m, err := r.Load()
	if err != nil || m == nil || string(r.Payload(m)) != "value" {
		t.Fatal(m, err)
	}
	slot, err = ws[1].Begin(bg)
	ipctest.NoErr(t, err)
	ws[1].TakeBack(slot)
	ws[1].Discard(slot)
	if r.Changed() {
		t.Error("a value that was discarded")
	}
	k, err := r.Hold(m)
	ipctest.NoErr(t, err)
	r.Unhold(m, k)
	r.Unpin()
	ipctest.NoErr(t, h.Close())
	ipctest.WantErr(t, r.Wait(bg), fs.ErrClosed)
}
