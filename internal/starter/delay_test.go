package starter

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
)

// fakeClock is a clock that does not go by itself. Who waits moves it.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
	stuck  bool // waiting never ends
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited = append(c.waited, d)
	if c.stuck {
		return nil
	}
	c.now = c.now.Add(d)
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func delayed(t *testing.T, name string, c *fakeClock) *Starter {
	t.Helper()
	ipctest.NeedNames(t)
	s, err := Open(name, &Options{MinDelay: time.Second, MaxDelay: 5 * time.Second, Steady: time.Minute, clock: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ipctest.NoErr(t, s.Close()) })
	return s
}

// ended starts a child, and waits until the record says that it has ended.
func endedChild(t *testing.T, s *Starter, dir string, between func(layout.Process)) *WorkerError {
	t.Helper()
	p := ensure(t, s, func() (*exec.Cmd, error) { return workerCommand(dir) }, true)
	if between != nil {
		between(p)
	}
	told(t, dir, p)
	kill(t, p)
	e, err := s.Ended(patience(t), p)
	if err != nil || e == nil {
		t.Fatalf("how %v ended: %v, %v", p, e, err)
	}
	return e
}

// The delay doubles with each start that is no success, up to a limit. It is the same for all
// processes, since it is in the record. A success resets it.
func TestMission003_09_Delays(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	clock := &fakeClock{now: time.Unix(1000, 0)}
	a, b := delayed(t, "delays", clock), delayed(t, "delays", clock)
	for i := range 6 {
		e := endedChild(t, []*Starter{a, b}[i%2], dir, nil)
		if e.Failures != i+1 {
			t.Errorf("after %d starts there are %d failures", i+1, e.Failures)
		}
	}
	sec := time.Second
	if want := []time.Duration{sec, 2 * sec, 4 * sec, 5 * sec, 5 * sec}; !slices.Equal(clock.waited, want) {
		t.Errorf("the delays are %v, want %v", clock.waited, want)
	}
	// A child that becomes ready and ends before it was Steady is no success.
	e := endedChild(t, a, dir, func(p layout.Process) {
		ipctest.NoErr(t, a.SetReady(t.Context(), p))
		clock.pass(59 * sec)
	})
	if e.Failures != 7 || e.Next.Sub(e.Ended) != 5*sec || e.Ready.IsZero() {
		t.Errorf("%+v", e)
	}
	e = endedChild(t, b, dir, func(p layout.Process) {
		ipctest.NoErr(t, b.SetReady(t.Context(), p))
		clock.pass(60 * sec)
	})
	if e.Failures != 0 || !e.Next.IsZero() {
		t.Errorf("%+v", e)
	}
	clock.waited = nil
	endedChild(t, a, dir, nil)
	if clock.waited != nil {
		t.Errorf("after a success the delay is %v", clock.waited)
	}
}

// The wall clock is set back while a delay is not over. The delay is not longer than MaxDelay.
func TestDelayWhenClockIsSetBack(t *testing.T) {
	ipctest.Store(t)
	dir := folder(t)
	clock := &fakeClock{now: time.Unix(1e6, 0)}
	s := delayed(t, "back", clock)
	endedChild(t, s, dir, nil)
	clock.pass(-1e5 * time.Second)
	s.opts.MaxDelay = 3 * time.Second
	endedChild(t, s, dir, nil)
	if !slices.Equal(clock.waited, []time.Duration{3 * time.Second}) {
		t.Errorf("the delays are %v", clock.waited)
	}
}

// A command that cannot be started is a failure, too, for all processes.
func TestDelayAfterBadCommand(t *testing.T) {
	ipctest.Store(t)
	clock := &fakeClock{now: time.Unix(1000, 0), stuck: true}
	a, b := delayed(t, "bad", clock), delayed(t, "bad", clock)
	_, _, err := a.Ensure(t.Context(), func() (*exec.Cmd, error) { return exec.Command("no-such-command"), nil })
	ipctest.WantErr(t, err, exec.ErrNotFound)
	if e := workerError(t, err); e.PID != 0 || e.Failures != 1 {
		t.Errorf("%+v", e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err = b.Ensure(ctx, func() (*exec.Cmd, error) { return nil, errors.New("called") })
	ipctest.WantErr(t, err, context.DeadlineExceeded, "no-such-command", "could not be started")
	// Close ends a delay.
	done := make(chan error)
	go func() {
		_, _, err := b.Ensure(context.Background(), nil)
		done <- err
	}()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		clock.mu.Lock()
		n := len(clock.waited)
		clock.mu.Unlock()
		if n >= 2 {
			break
		}
		if time.Since(begun) > ipctest.Patience {
			t.Fatal("Ensure does not wait")
		}
	}
	ipctest.NoErr(t, b.Close())
	ipctest.WantErr(t, <-done, samepage.ErrClosed)
}
