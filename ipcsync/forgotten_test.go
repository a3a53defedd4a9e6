package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"testing"

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

// A lock that is held is not given back with its handle: nobody gets it while this
// process lives, and whoever gets it then is told.
func TestForgottenLockStays(t *testing.T) {
	ipctest.NeedNames(t)
	for what, hold := range map[string]func() error{
		"mutex": func() error {
			m, err := ipcsync.OpenMutex("l", nil)
			if err != nil {
				return err
			}
			return m.Lock(bg)
		},
		"closed mutex": func() error {
			m, err := ipcsync.OpenMutex("l", nil)
			if err != nil {
				return err
			}
			if err := m.Lock(bg); err != nil {
				return err
			}
			if err := m.Close(); !errors.Is(err, samepage.ErrBusy) {
				return fmt.Errorf("Close of a mutex that is locked: %w", err)
			}
			return nil
		},
		"rwmutex": func() error {
			m, err := ipcsync.OpenRWMutex("l", nil)
			if err != nil {
				return err
			}
			return m.Lock(bg)
		},
		"rwmutex, read": func() error {
			m, err := ipcsync.OpenRWMutex("l", nil)
			if err != nil {
				return err
			}
			return m.RLock(bg)
		},
	} {
		t.Run(what, func(t *testing.T) {
			ipctest.Store(t)
			m, rw := newMutex(t, "l", nil), newRW(t, "l", nil)
			ipctest.NoErr(t, hold())
			collected(t)
			okM, errM := m.TryLock()
			okW, errW := rw.TryLock()
			if okM && okW {
				t.Errorf("both are free (%v, %v)", errM, errW)
			}
			if errM != nil || errW != nil {
				t.Errorf("errors %v, %v", errM, errW)
			}
			if okM {
				ipctest.NoErr(t, m.Unlock())
			}
			if okW {
				ipctest.NoErr(t, rw.Unlock())
			}
		})
	}
}

// A handle that somebody sleeps in is not dropped.
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
		st, err := ipcsync.Inspect(samepage.KindEvent, "e", nil)
		ipctest.NoErr(t, err)
		asleep = st.Members[0].Waits
	}
	collected(t)
	e, err := ipcsync.OpenEvent("e", nil)
	ipctest.NoErr(t, err)
	defer e.Close()
	ipctest.NoErr(t, e.Set())
	ipctest.NoErr(t, <-woke)
}
