package starter

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

// A call ends with its context, also while another call makes its command.
func TestCallsBesideEachOther(t *testing.T) {
	ipctest.Store(t)
	s := openStarter(t, "slow")
	making, hold, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		_, _, _ = s.Ensure(context.Background(), func() (*exec.Cmd, error) {
			close(making)
			<-hold
			return nil, errors.New("slow")
		})
		close(done)
	}()
	<-making
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, _, err := s.Running(ctx)
		ended <- err
	}()
	select {
	case err := <-ended:
		ipctest.WantErr(t, err, context.DeadlineExceeded)
	case <-time.After(ipctest.Patience):
		t.Error("Running does not return")
	}
	close(hold)
	<-done
}

// A function that panics does not keep the lock that all processes share.
func TestPanicOfTheCommand(t *testing.T) {
	ipctest.Store(t)
	s, other := openStarter(t, "panics"), openStarter(t, "panics")
	func() {
		defer func() { _ = recover() }()
		_, _, _ = s.Ensure(t.Context(), func() (*exec.Cmd, error) { panic("of the user") })
	}()
	asked := errors.New("asked")
	for _, s := range []*Starter{s, other} {
		ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
		_, _, err := s.Ensure(ctx, func() (*exec.Cmd, error) { return nil, asked })
		cancel()
		ipctest.WantErr(t, err, asked)
	}
}
