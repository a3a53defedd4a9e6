package pubsub_test

import (
	"errors"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
)

// If one of two publishers dies and the other one is silent, a waiting subscriber gets the error.
func TestDeathBesideSilence(t *testing.T) {
	ipctest.NeedNames(t)
	for victim := range 2 {
		ipctest.Store(t)
		var c *ipctest.Child
		o := topicOptions(0)
		for i := range 2 {
			if i == victim {
				c = ipctest.Start(t, "talker", "t", "0s", "0")
				if l := c.Line(); l != "ready" {
					t.Fatal(l)
				}
			} else {
				p := newPub(t, "t", o)
				defer func() { ipctest.NoErr(t, p.Close()) }()
			}
		}
		s := newSub(t, "t", nil)
		for s.Publishers() < 2 {
			time.Sleep(time.Millisecond)
		}
		c.Kill()
		for {
			_, err := s.Take(bg)
			if errors.Is(err, samepage.ErrPeerDied) {
				break
			}
			ipctest.NoErr(t, err)
		}
		ipctest.NoErr(t, s.Close())
	}
}
