package ipcsync_test

import (
	"sync"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// Two users close at the same time. Each Close returns when the name is gone.
func TestTwoClose(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	type object interface{ Close() error }
	for what, make := range map[string]func() (object, error){
		"memory": func() (object, error) { return samepage.Create("x", 4096, nil) },
		"event":  func() (object, error) { return ipcsync.CreateEvent("x", nil) },
		"mutex":  func() (object, error) { return ipcsync.CreateMutex("x", nil) },
	} {
		t.Run(what, func(t *testing.T) {
			for range 100 {
				o, err := make()
				ipctest.NoErr(t, err)
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() {
						if err := o.Close(); err != nil {
							t.Error(err)
						}
						if l, err := samepage.List(); err != nil || len(l) != 0 {
							t.Errorf("listed %+v, %v after Close", l, err)
						}
					})
				}
				both.Wait()
				if t.Failed() {
					return
				}
			}
		})
	}
}
