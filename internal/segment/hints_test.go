package segment

import (
	"runtime"
	"sync/atomic"
	"testing"

	"samepage/layout"
)

type never struct{}

func (never) Try() (bool, error)         { return false, nil }
func (never) Holds() bool                { return false }
func (never) DependsOn(int) layout.Owner { return 0 }
func (never) NeedsName() bool            { return false }
func (never) Hint() int                  { return 0 }

// BetweenLooks does not call its function while a leader looks at hints.
func TestBetweenLooks(t *testing.T) {
	h := &Handle{}
	var looks atomic.Bool
	ended := make(chan bool, 1)
	h.Hints(1, func(func(int)) {
		looks.Store(true)
		go h.BetweenLooks(func() { ended <- looks.Load() })
		for range 1000 {
			runtime.Gosched()
		}
		looks.Store(false)
	})
	h.followers.add(never{})
	h.followers.tell()
	if <-ended {
		t.Error("the function was called while a leader looked at hints")
	}
}
