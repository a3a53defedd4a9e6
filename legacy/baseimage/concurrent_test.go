package baseimage_test

import (
	"context"
	"errors"
	"os/exec"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/baseimage"
)

// ends fails the test if f does not return.
func ends(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(ipctest.Patience):
		t.Fatalf("%s does not return", what)
	}
}

// A context also ends a call that waits for another call, and TryGrab does not wait.
func TestBaseImageCallsBesideEachOther(t *testing.T) {
	store(t)
	hold := make(chan struct{})
	s := newSender(t, &baseimage.SenderOptions{Start: func() (*exec.Cmd, error) {
		<-hold
		return nil, errors.New("slow")
	}})
	r := newReceiver(t, restless)
	go func() { _, _ = r.Grab(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ends(t, "Grab beside a Grab", func() {
		_, err := r.Grab(ctx)
		ipctest.WantErr(t, err, context.DeadlineExceeded)
	})
	ends(t, "TryGrab beside a Grab", func() {
		if f, ok, err := r.TryGrab(); ok || err != nil {
			t.Errorf("%v, %v, %v", f, ok, err)
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.SendFrame(context.Background(), painting(1, 64, 48, 8)) })
	time.Sleep(20 * time.Millisecond)
	ends(t, "SendFrame beside a SendFrame", func() {
		ipctest.WantErr(t, s.SendFrame(ctx, painting(2, 64, 48, 8)), context.DeadlineExceeded)
	})
	close(hold)
	wg.Wait()
}

// If a receiver has taken a signal but no picture, the next receiver gets the signal.
func TestBaseImageSignalIsPassedOn(t *testing.T) {
	store(t)
	s := newSender(t, nil)
	noErr(t, s.SendFrame(t.Context(), painting(1, 64, 48, 8)))
	r := newReceiver(t, restless)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := r.Grab(ctx)
	ipctest.WantErr(t, err, context.DeadlineExceeded)
	noErr(t, r.Close())
	mustGrab(t, newReceiver(t, quick), 1)
}

// Close ends a Grab that settles, and a Grab that waits for a valid header. No mark stays.
func TestBaseImageCloseEndsGrab(t *testing.T) {
	store(t)
	for _, length := range []int32{64 * 48, -1} {
		b := misbehavingBase(t, 1<<20)
		r := newReceiver(t, &baseimage.ReceiverOptions{Settle: time.Hour})
		b.begin(1, 64, 48, 8)
		b.header(length, 64, 48, 8)
		noErr(t, b.finish())
		errs := make(chan error, 1)
		go func() {
			_, err := r.Grab(context.Background())
			errs <- err
		}()
		for length > 0 && b.length() != length-1 {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(20 * time.Millisecond)
		ends(t, "Close", func() { noErr(t, r.Close()) })
		ipctest.WantErr(t, <-errs, samepage.ErrClosed)
		if got := b.length(); got != length {
			t.Errorf("after Close the length is %d, want %d", got, length)
		}
		noErr(t, b.close())
	}
}

// A base dies in the middle of a picture while the signal of the picture before is pending, and is
// started again. The receiver does not return the half picture.
func TestBaseImageOfADeadBaseIsLost(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	a := startHelper(t, "base", "raw")
	r := newReceiver(t, nil)
	a.Want("ok", "begin 1 640 480 8")
	a.Want("ok", "finish")
	a.Want("ok", "begin 2 640 480 8")
	a.Kill()
	s := newSender(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := r.Grab(ctx)
	ipctest.WantErr(t, err, context.DeadlineExceeded)
	noErr(t, s.SendFrame(t.Context(), painting(3, 640, 480, 8)))
	mustGrab(t, r, 3)
}
