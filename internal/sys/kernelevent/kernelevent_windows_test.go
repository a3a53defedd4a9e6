package kernelevent

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/layout"
)

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ipctest.NoErr(t, err)
		return v
	}
}

func TestKernelEvent(t *testing.T) {
	name := fmt.Sprintf("%s-%d", t.Name(), os.Getpid())
	create := func(manual, set bool) (*Event, error) { return Create(name, layout.Local, "", manual, set) }
	open := func() (*Event, error) { return Open(name, layout.Local) }
	_, err := open()
	ipctest.WantErr(t, err, fs.ErrNotExist)
	k := must(create(false, false))(t)
	_, err = create(false, false)
	ipctest.WantErr(t, err, fs.ErrExist)
	l := must(open())(t)
	try := func(want bool) {
		t.Helper()
		if got := must(l.TryWait())(t); got != want {
			t.Errorf("event is set: %v, want %v", got, want)
		}
	}
	try(false)
	ipctest.NoErr(t, k.Set())
	ipctest.NoErr(t, k.Set())
	try(true) // two sets are one
	try(false)
	ipctest.NoErr(t, l.Set())
	ipctest.NoErr(t, l.Reset()) // the opener has the right
	try(false)

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	since := time.Now()
	ipctest.WantErr(t, l.Wait(ctx), context.DeadlineExceeded)
	t.Logf("a deadline of 20 ms took %v", time.Since(since))
	time.AfterFunc(20*time.Millisecond, func() { _ = k.Set() })
	ipctest.NoErr(t, l.Wait(context.Background()))
	try(false) // the wait took it

	time.AfterFunc(20*time.Millisecond, func() { _ = l.Close() })
	ipctest.WantErr(t, l.Wait(context.Background()), fs.ErrClosed)
	ipctest.WantErr(t, l.Set(), fs.ErrClosed)
	ipctest.NoErr(t, l.Close()) // returns when the other one is done: the name is made anew below
	ipctest.NoErr(t, k.Close())

	k = must(create(true, true))(t)
	l = must(open())(t)
	try(true)
	try(true)
	ipctest.NoErr(t, k.Reset())
	try(false)
	ipctest.NoErr(t, k.Close())
	ipctest.NoErr(t, l.Close())
}
