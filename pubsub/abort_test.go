package pubsub_test

import (
	"errors"
	"io"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// After Abort of a publisher its messages stay, and subscribers learn that the stream is not
// complete. This holds for subscribers that were there, also if there are other publishers, and
// for those that come later, also if an earlier stream was ended in order.
func TestAbort(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	opts := &pubsub.Options{Publishers: 2}
	publisher := func() *pubsub.Publisher {
		t.Helper()
		p, _, err := pubsub.OpenOrCreatePublisher("t", opts)
		ipctest.NoErr(t, err)
		return p
	}
	subscriber := func() *pubsub.Subscriber {
		t.Helper()
		s, err := pubsub.OpenSubscriber("t", nil)
		ipctest.NoErr(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	takes := func(s *pubsub.Subscriber, want ...string) {
		t.Helper()
		for _, w := range want {
			m, ok, err := s.TryTake()
			if !ok || err != nil || string(m.Bytes()) != w {
				t.Fatalf("took %q, %v, %v, want %q", m.Bytes(), ok, err, w)
			}
		}
	}
	ends := func(s *pubsub.Subscriber, want error) {
		t.Helper()
		if _, _, err := s.TryTake(); !errors.Is(err, want) {
			t.Fatalf("the end is %v, want %v", err, want)
		}
	}

	first, second := publisher(), publisher()
	early := subscriber()
	ipctest.NoErr(t, first.Send(t.Context(), []byte("a")))
	l, err := first.Loan(1)
	ipctest.NoErr(t, err)
	if err := first.Abort(); !errors.Is(err, samepage.ErrBusy) {
		t.Errorf("with a loan: %v", err)
	}
	l.Discard()
	ipctest.NoErr(t, first.Abort())
	ipctest.NoErr(t, first.Abort())
	ipctest.NoErr(t, first.Close())
	if err := first.Send(t.Context(), []byte("b")); !errors.Is(err, samepage.ErrClosed) {
		t.Errorf("published after it: %v", err)
	}
	takes(early, "a")
	ends(early, samepage.ErrPeerDied)
	if n := early.Publishers(); n != 1 {
		t.Errorf("%d publishers are left, want 1", n)
	}
	ipctest.NoErr(t, second.Send(t.Context(), []byte("c")))
	ipctest.NoErr(t, second.Close())
	takes(early, "c")
	ends(early, io.EOF)

	// Somebody comes later, and finds both streams.
	late := subscriber()
	takes(late, "a", "c")
	ends(late, samepage.ErrPeerDied)

	// The next stream is one like others.
	third := publisher()
	ipctest.NoErr(t, third.Send(t.Context(), []byte("d")))
	takes(early, "d")
	takes(late, "d")
	ipctest.NoErr(t, third.Close())
	ends(early, io.EOF)

	// Ended in order, then given up, by the one and the other in one place.
	fourth := publisher()
	ipctest.NoErr(t, fourth.Send(t.Context(), []byte("e")))
	ipctest.NoErr(t, fourth.Abort())
	latest := subscriber()
	all := map[string]bool{} // lanes come in turn
	for range 4 {
		m, ok, err := latest.TryTake()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		all[string(m.Bytes())] = true
	}
	if len(all) != 4 {
		t.Errorf("took %v", all)
	}
	ends(latest, samepage.ErrPeerDied)
	st, err := pubsub.Inspect("t", nil)
	ipctest.NoErr(t, err)
	if l := st.Lanes[0]; l.Deaths != 2 || l.Ends != 1 {
		t.Errorf("the lane tells %+v", l)
	}
}

// Abort wakes a sleeping subscriber.
func TestAbortWakes(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, _, err := pubsub.OpenOrCreatePublisher("t", nil)
	ipctest.NoErr(t, err)
	s, err := pubsub.OpenSubscriber("t", nil)
	ipctest.NoErr(t, err)
	defer s.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Take(t.Context())
		ended <- err
	}()
	ipctest.NoErr(t, p.Abort())
	if err := <-ended; !errors.Is(err, samepage.ErrPeerDied) {
		t.Errorf("woken by %v", err)
	}
}
