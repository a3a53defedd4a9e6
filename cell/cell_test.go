package cell_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
)

var bg = context.Background()

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"writer": writerRole, "reader": readerRole, "once": onceRole})
}

func newWriter(t testing.TB, name string, size int, o *cell.Options) *cell.Writer {
	t.Helper()
	w, _, err := cell.OpenOrCreateWriter(name, size, o)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func newReader(t testing.TB, name string) *cell.Reader {
	t.Helper()
	r, err := cell.OpenReader(name, nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// fill writes value q, check says whether b is a value.
func fill(b []byte, q uint64) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], q)
	}
}

func check(b []byte) (uint64, error) {
	q := binary.LittleEndian.Uint64(b)
	for i := 0; i+8 <= len(b); i += 8 {
		if got := binary.LittleEndian.Uint64(b[i:]); got != q {
			return 0, fmt.Errorf("value %d of %d bytes is torn at byte %d, which is of %d", q, len(b), i, got)
		}
	}
	return q, nil
}

func TestSetLoad(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := cell.OpenReader("c", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	w := newWriter(t, "c", 100, &cell.Options{Times: true, Checksums: true, Holds: 1})
	r := newReader(t, "c")
	if _, ok, err := r.Load(); ok || err != nil || r.Generation() != 0 {
		t.Error("a new cell has a value", ok, err)
	}
	ipctest.NoErr(t, w.Set(bg, nil))
	v, ok, err := r.Load()
	if !ok || err != nil || v.Bytes() == nil || len(v.Bytes()) != 0 {
		t.Error("an empty value is not available", ok, err, v.Bytes())
	}
	for i := range 500 { // more than there are slots
		b := make([]byte, 8+i%90)
		fill(b, uint64(i))
		ipctest.NoErr(t, w.Set(bg, b))
		old := v
		v, ok, err = r.Load()
		if !ok || err != nil || len(v.Bytes()) != len(b) || v.Generation() != uint64(i+2) {
			t.Fatal(ok, err, v.Generation())
		}
		if q, err := check(v.Bytes()); err != nil || q != uint64(i) {
			t.Fatal(q, err)
		}
		if i != 1 && old.Bytes() != nil || v.Age() < 0 || v.Age() > time.Minute {
			t.Error("an old value is still good, or the new one is", v.Age(), "old")
		}
		if i == 0 {
			held, err := v.Hold()
			ipctest.NoErr(t, err)
			if held.Generation() != 2 || held.Age() < 0 {
				t.Error("what is held is", held.Generation(), held.Age(), "old")
			}
			defer func() {
				if q, err := check(held.Bytes()); err != nil || q != 0 {
					t.Error("what is held has changed", q, err)
				}
				held.Release()
				ipctest.NoErr(t, r.Close())
			}()
		}
	}
	_, err = v.Hold()
	ipctest.WantErr(t, err, samepage.ErrTooManyHolds)
	ipctest.WantErr(t, r.Close(), samepage.ErrUnreleased)
	buf := make([]byte, 4)
	n, _, ok, err := r.ReadInto(buf)
	if n != 4 || !ok {
		t.Error(n, ok)
	}
	ipctest.WantErr(t, err, samepage.ErrTruncated)
	copied, ok, err := r.Get()
	if v, _, lerr := r.Load(); !ok || err != nil || lerr != nil || !bytes.Equal(copied, v.Bytes()) {
		t.Errorf("a copy of %q is %q; %v, %v", v.Bytes(), copied, err, lerr)
	}
	copied[0]++ // it is the caller's
	ipctest.WantErr(t, w.Set(bg, make([]byte, 101)), samepage.ErrTooLarge)
	_, err = w.Loan(bg, -1)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize)
	_, _, err = cell.OpenOrCreateWriter("c", 101, nil)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	_, _, err = cell.OpenOrCreateWriter("d", 0, nil)
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	_, _, err = cell.OpenOrCreateWriter("d", 8, &cell.Options{Members: -1})
	ipctest.WantErr(t, err, fs.ErrInvalid)
}

func TestLoanAndUpdate(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, w2 := newWriter(t, "c", 16, nil), newWriter(t, "c", 16, nil)
	l, err := w.Loan(bg, 16)
	ipctest.NoErr(t, err)
	_, err = w.Loan(bg, 16)
	ipctest.WantErr(t, err, samepage.ErrTooManyHolds)
	ctx, cancel := context.WithTimeout(bg, 10*time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, w2.Set(ctx, []byte("x")), os.ErrDeadlineExceeded)
	ipctest.WantErr(t, w.Close(), samepage.ErrUnreleased)
	l.Discard()
	l.Discard()
	ipctest.WantErr(t, l.Commit(), samepage.ErrClosed)
	for i := range 10 {
		u := []*cell.Writer{w, w2}[i%2]
		ipctest.NoErr(t, u.Update(bg, func(b, old []byte) (int, error) {
			return copy(b, append(old[:len(old):len(old)], 'x')), nil
		}))
	}
	failed := errors.New("failed")
	ipctest.WantErr(t, w.Update(bg, func(b, _ []byte) (int, error) { b[0] = 'y'; return 1, failed }), failed)
	ipctest.WantErr(t, w.Update(bg, func([]byte, []byte) (int, error) { return 17, nil }), samepage.ErrTooLarge)
	r := newReader(t, "c")
	v, ok, err := r.Load()
	if !ok || err != nil || string(v.Bytes()) != "xxxxxxxxxx" {
		t.Errorf("%q, %v, %v", v.Bytes(), ok, err)
	}
}

func TestChanged(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := newWriter(t, "c", 8, nil)
	r := newReader(t, "c")
	ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
	ipctest.WantErr(t, r.Changed(ctx), os.ErrDeadlineExceeded)
	cancel()
	const last = 2000
	done := make(chan error, 1)
	go func() {
		for i := range uint64(last) {
			if err := w.Set(bg, binary.LittleEndian.AppendUint64(nil, i+1)); err != nil {
				done <- err
				return
			}
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		done <- nil
	}()
	var q uint64
	for v, err := range r.Values(bg) {
		ipctest.NoErr(t, err)
		n := binary.LittleEndian.Uint64(v.Bytes())
		if n <= q {
			t.Fatalf("value %d after %d", n, q)
		}
		if q = n; q == last {
			break
		}
	}
	ipctest.NoErr(t, <-done)
	ctx, cancel = context.WithCancel(bg)
	cancel()
	ipctest.WantErr(t, r.Changed(ctx), context.Canceled)
}

type config struct {
	Rate  float64
	Limit uint32
	Flags [4]uint8
}

func TestTyped(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, _, err := cell.OpenOrCreateWriterOf[config]("c", nil)
	ipctest.NoErr(t, err)
	r, err := cell.OpenReaderOf[config]("c", nil)
	ipctest.NoErr(t, err)
	if _, ok, err := r.Get(); ok || err != nil {
		t.Error(ok, err)
	}
	ipctest.NoErr(t, w.Update(bg, func(c *config) error { c.Rate++; return nil }))
	ipctest.NoErr(t, w.Update(bg, func(c *config) error { c.Rate++; c.Limit = 9; return nil }))
	if c, ok, err := r.Get(); !ok || err != nil || c.Rate != 2 || c.Limit != 9 {
		t.Error(c, ok, err)
	}
	ipctest.NoErr(t, w.Set(bg, &config{Rate: 7}))
	if c, ok, err := r.Load(); !ok || err != nil || *c.Value() != (config{Rate: 7}) || c.Generation() != 3 {
		t.Error(c.Value(), ok, err)
	}
	_, err = cell.OpenReaderOf[[2]uint64]("c", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	if !strings.Contains(err.Error(), "cell_test.config") || !strings.Contains(err.Error(), "[2]uint64") {
		t.Errorf("%v does not name both types", err)
	}
	_, _, err = cell.OpenOrCreateWriter("c", 16, nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	_, _, err = cell.OpenOrCreateWriterOf[string]("d", nil)
	ipctest.WantErr(t, err, samepage.ErrType)
	if n := testing.AllocsPerRun(100, func() {
		_ = w.Set(bg, &config{Rate: 8})
		_, _, _ = r.Get()
	}); n != 0 {
		t.Errorf("%v allocations a value", n)
	}
	ipctest.NoErr(t, w.Close())
	ipctest.NoErr(t, r.Close())
	_, _, err = r.Get()
	ipctest.WantErr(t, err, samepage.ErrClosed)
}

func writerRole(args []string) {
	w, _, err := cell.OpenOrCreateWriter(args[0], 1024, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for {
		if err := w.Update(bg, func(b, old []byte) (int, error) {
			q := uint64(1)
			if old != nil {
				v, err := check(old)
				if err != nil {
					return 0, err
				}
				q = v + 1
			}
			fill(b, q)
			return len(b), nil
		}); err != nil {
			fmt.Println(err)
			return
		}
	}
}

func readerRole(args []string) {
	r, err := cell.AwaitReader(bg, args[0], nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	var last uint64
	for n := 0; n < 200000; n++ {
		v, ok, err := r.Load()
		if err != nil {
			fmt.Println(err)
			return
		}
		if !ok {
			continue
		}
		q, err := check(v.Bytes())
		if err != nil || q < last {
			fmt.Println(q, "after", last, err)
			return
		}
		last = q
	}
	fmt.Println("done")
}

// Writer processes are killed at random moments, and other processes read. No value is torn, no
// committed value is lost, and the next writer goes on at once.
func TestWritersKilled(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	early := ipctest.Start(t, "reader", "c")
	keep := newReaderWhenThere(t, "c")
	rounds := ipctest.Repeat(t, 10, 3, "")
	var last uint64
	for range rounds {
		var cs []*ipctest.Child
		for range 2 {
			c := ipctest.Start(t, "writer", "c")
			if l := c.Line(); l != "ready" {
				t.Fatal(l)
			}
			cs = append(cs, c)
		}
		r := keep()
		for n := 0; n < 2000; n++ {
			v, ok, err := r.Load()
			ipctest.NoErr(t, err)
			if !ok {
				continue
			}
			q, err := check(v.Bytes())
			ipctest.NoErr(t, err)
			if q < last {
				t.Fatalf("value %d after %d", q, last)
			}
			last = q
		}
		cs[0].Kill()
		g := r.Generation()
		for r.Generation() == g { // the other one goes on
			ipctest.NoErr(t, r.Changed(bg))
		}
		cs[1].Kill()
	}
	if l := early.Line(); l != "ready" {
		t.Error(l)
	}
	if l := early.Line(); l != "done" {
		t.Error(l)
	}
}

// newReaderWhenThere returns a function that opens the reader at its first call.
func newReaderWhenThere(t *testing.T, name string) func() *cell.Reader {
	var r *cell.Reader
	return func() *cell.Reader {
		if r == nil {
			r = newReader(t, name)
		}
		return r
	}
}

// Several writers and readers in one process.
func TestGoroutines(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const writers, rounds = 4, 2000
	newWriter(t, "c", 64, nil)
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 3 {
		r := newReader(t, "c")
		wg.Go(func() {
			for !stop.Load() {
				v, ok, err := r.Load()
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					if _, err := check(v.Bytes()); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	var ws sync.WaitGroup
	for range writers {
		w := newWriter(t, "c", 64, nil)
		ws.Go(func() {
			for range rounds {
				if err := w.Update(bg, func(b, old []byte) (int, error) {
					q := uint64(0)
					if old != nil {
						q = binary.LittleEndian.Uint64(old)
					}
					fill(b, q+1)
					return len(b), nil
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	ws.Wait()
	stop.Store(true)
	wg.Wait()
	r := newReader(t, "c")
	v, _, err := r.Load()
	ipctest.NoErr(t, err)
	if q, _ := check(v.Bytes()); q != writers*rounds {
		t.Errorf("%d updates were made, the value has %d", writers*rounds, q)
	}
}
