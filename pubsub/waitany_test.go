package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// taken returns what TryTake finds after WaitAny: the first byte of a message, or an error.
func taken(t *testing.T, subs ...*pubsub.Subscriber) string {
	t.Helper()
	i, err := pubsub.WaitAny(bg, subs...)
	if err != nil {
		t.Fatal(err)
	}
	m, ok, err := subs[i].TryTake()
	switch {
	case err != nil:
		for _, e := range []error{io.EOF, samepage.ErrPeerDied, samepage.ErrEvicted, samepage.ErrClosed} {
			if errors.Is(err, e) {
				return fmt.Sprintf("%d: %v", i, e)
			}
		}
		t.Fatal(err)
	case !ok:
		t.Errorf("WaitAny returns %d, and there is nothing to take", i)
		return fmt.Sprintf("%d: nothing", i)
	}
	return fmt.Sprintf("%d: %c", i, m.Bytes()[0])
}

// TestWaitAnyKeepsItsPromise: the next TryTake of the subscriber whose index WaitAny returns finds
// a message or an error.
func TestWaitAnyKeepsItsPromise(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &pubsub.Options{Publishers: 2, Depth: 2, MaxSize: 8, EvictAfter: time.Nanosecond}
	for _, c := range []struct {
		name string
		do   func(a1, a2, b *pubsub.Publisher) // after the subscriptions to a and b
		opts pubsub.SubscriberOptions
		want []string
	}{
		{name: "a publisher closes while another lives", do: func(a1, _, b *pubsub.Publisher) {
			ipctest.NoErr(t, a1.Close())
			ipctest.NoErr(t, b.Send(bg, []byte("x")))
		}, want: []string{"1: x"}},
		{name: "and the other one has sent", do: func(a1, a2, b *pubsub.Publisher) {
			ipctest.NoErr(t, a1.Close())
			ipctest.NoErr(t, a2.Send(bg, []byte("y")))
			ipctest.NoErr(t, b.Send(bg, []byte("x")))
		}, want: []string{"0: y", "1: x"}},
		{name: "all publishers close", do: func(a1, a2, b *pubsub.Publisher) {
			ipctest.NoErr(t, a1.Send(bg, []byte("y")))
			ipctest.NoErr(t, errors.Join(a1.Close(), a2.Close()))
			ipctest.NoErr(t, b.Send(bg, []byte("x")))
		}, want: []string{"0: y", "0: EOF", "1: x"}},
		{name: "the subscriber is evicted", do: func(a1, _, b *pubsub.Publisher) {
			for a1.Evicted() == 0 {
				ipctest.NoErr(t, a1.Send(bg, []byte("y")))
			}
			ipctest.NoErr(t, b.Send(bg, []byte("x")))
		}, want: []string{"0: " + samepage.ErrEvicted.Error(), "0: " + samepage.ErrEvicted.Error()}},
		{name: "a best-effort subscriber has missed much", do: func(a1, a2, b *pubsub.Publisher) {
			for range 50 {
				ipctest.NoErr(t, a1.Send(bg, []byte("y")))
			}
			ipctest.NoErr(t, errors.Join(a1.Close(), a2.Close()))
			ipctest.NoErr(t, b.Send(bg, []byte("x")))
		}, opts: pubsub.SubscriberOptions{BestEffort: true}, want: []string{"0: y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a1, a2, b := newPub(t, "a", o), newPub(t, "a", o), newPub(t, "b", o)
			sa, sb := newSub(t, "a", &c.opts), newSub(t, "b", &c.opts)
			c.do(a1, a2, b)
			for _, want := range c.want {
				if got := taken(t, sa, sb); got != want {
					t.Errorf("taken %q, want %q", got, want)
				}
			}
			ipctest.NoErr(t, errors.Join(sa.Close(), sb.Close(), a1.Close(), a2.Close(), b.Close()))
		})
	}
}

// TestWaitAnyKeepsTheMessage: the next take gets the message that WaitAny has found, whatever
// happens between the two calls.
func TestWaitAnyKeepsTheMessage(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, bestEffort := range []bool{false, true} {
		p := newPub(t, "t", &pubsub.Options{Depth: 2, MaxSize: 8})
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort})
		ipctest.NoErr(t, p.Send(bg, []byte("1")))
		for range 2 {
			i, err := pubsub.WaitAny(bg, s)
			if i != 0 || err != nil {
				t.Fatalf("WaitAny is %d, %v", i, err)
			}
			s.Release()
		}
		if bestEffort {
			for range 20 {
				ipctest.NoErr(t, p.Send(bg, []byte("2")))
			}
		}
		m, ok, err := s.TryTake()
		ipctest.NoErr(t, err)
		if !ok || string(m.Bytes()) != "1" || s.Taken() != 1 {
			t.Errorf("TryTake finds %v, %q, taken in all %d", ok, m.Bytes(), s.Taken())
		}
		ipctest.NoErr(t, errors.Join(s.Close(), p.Close()))
	}
}

// TestWaitAnyOfMany waits for more subscribers than one thread can sleep for. First each has one
// message. Then none has a message, and WaitAny ends with its deadline.
func TestWaitAnyOfMany(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const n = 300 // of which a thread sleeps for 127, or 63
	var subs []*pubsub.Subscriber
	var pubs []*pubsub.Publisher
	o := &pubsub.Options{Depth: 1, MaxSize: 8, Members: 2}
	for i := range n {
		pubs = append(pubs, newPub(t, fmt.Sprint(i), o))
		subs = append(subs, newSub(t, fmt.Sprint(i), nil))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			ipctest.NoErr(t, pubs[(i*7+3)%n].Send(bg, []byte("x")))
		}
	})
	seen := make([]bool, n)
	for range n {
		i, err := pubsub.WaitAny(bg, subs...)
		ipctest.NoErr(t, err)
		_, ok, err := subs[i].TryTake()
		if !ok || err != nil || seen[i] {
			t.Fatalf("of %d: taken %v, %v, seen before %v", i, ok, err, seen[i])
		}
		seen[i] = true
		subs[i].Release()
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := pubsub.WaitAny(ctx, subs...)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
	t.Logf("a deadline of 100 ms came after %v", time.Since(begun))
}
