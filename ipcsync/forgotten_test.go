package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// collected drops an event and returns when that is given back: what can be collected has
// been.
func collected(t *testing.T) {
	t.Helper()
	func() {
		_, err := ipcsync.CreateEvent("a witness", nil)
		ipctest.NoErr(t, err)
	}()
	ipctest.Collect(t, "a witness", func() error {
		_, err := samepage.Stat("a witness", &samepage.Options{Kind: samepage.KindEvent})
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("it is there (%v)", err)
	})
	runtime.GC()
}

// holds are ways to hold the lock l and forget the handle, and what its other users find
// when the process has died.
var holds = map[string]struct {
	hold func() error
	then error
}{
	"mutex": {func() error {
		m, err := ipcsync.OpenMutex("l", nil)
		if err != nil {
			return err
		}
		return m.Lock(bg)
	}, samepage.ErrOwnerDied},
	"closed mutex": {func() error {
		m, err := ipcsync.OpenMutex("l", nil)
		if err != nil {
			return err
		}
		if err := m.Lock(bg); err != nil {
			return err
		}
		if err := m.Close(); !errors.Is(err, samepage.ErrBusy) {
			return fmt.Errorf("close a mutex that is locked: %w", err)
		}
		return nil
	}, samepage.ErrOwnerDied},
	"rwmutex": {func() error {
		m, err := ipcsync.OpenRWMutex("l", nil)
		if err != nil {
			return err
		}
		return m.Lock(bg)
	}, samepage.ErrOwnerDied},
	"rwmutex, read": {func() error {
		m, err := ipcsync.OpenRWMutex("l", nil)
		if err != nil {
			return err
		}
		return m.RLock(bg)
	}, nil},
}

// holdAndForget is the helper that does so.
func holdAndForget(args []string) {
	if err := holds[args[0]].hold(); err != nil {
		fmt.Println(err)
		return
	}
	// Until what was dropped later has been given back.
	if _, err := ipcsync.CreateEvent("a witness", nil); err != nil {
		fmt.Println(err)
		return
	}
	for {
		runtime.GC()
		if _, err := samepage.Stat("a witness", &samepage.Options{Kind: samepage.KindEvent}); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Println("held")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// A handle is dropped while it holds a lock. Nobody gets the lock while the process lives. The next
// holder learns that the owner died.
func TestForgottenLockStays(t *testing.T) {
	ipctest.NeedNames(t)
	for what, h := range holds {
		t.Run(what, func(t *testing.T) {
			ipctest.Store(t)
			m, rw := newMutex(t, "l", nil), newRW(t, "l", nil)
			c := ipctest.Start(t, "forget", what)
			if l := c.Line(); l != "held" {
				t.Fatal(l)
			}
			okM, errM := m.TryLock()
			okW, errW := rw.TryLock()
			if okM == okW || errM != nil || errW != nil {
				t.Fatalf("mutex free: %v, %v; rwmutex free: %v, %v", okM, errM, okW, errW)
			}
			c.Kill()
			switch {
			case okW:
				ipctest.WantErr(t, m.Lock(bg), h.then)
			case okM:
				ipctest.WantErr(t, rw.Lock(bg), h.then)
			}
			ipctest.NoErr(t, m.Unlock())
			ipctest.NoErr(t, rw.Unlock())
		})
	}
}

// A handle is not collected while a goroutine sleeps in it.
func TestForgottenNotWhileAsleep(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	woke := make(chan error, 1)
	func() {
		e, err := ipcsync.CreateEvent("e", nil)
		ipctest.NoErr(t, err)
		go func() { woke <- e.Wait(context.Background()) }()
	}()
	for asleep := false; !asleep; {
		st, err := ipcsync.InspectEvent("e", nil)
		ipctest.NoErr(t, err)
		asleep = st.Members[0].Waits
	}
	collected(t)
	e, err := ipcsync.OpenEvent("e", nil)
	ipctest.NoErr(t, err)
	defer e.Close()
	ipctest.NoErr(t, e.Set())
	ipctest.NoErr(t, <-woke)
	ipctest.NoErr(t, e.Close())
	ipctest.Collect(t, "the sleeper's event", func() error {
		if _, err := samepage.Stat("e", &samepage.Options{Kind: samepage.KindEvent}); err == nil {
			return errors.New("it is there")
		}
		return nil
	})
}
