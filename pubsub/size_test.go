package pubsub_test

import (
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// Options.Size returns the size that a topic really has.
func TestSize(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, o := range []*pubsub.Options{{}, {Members: 200, Publishers: 3}, {Members: 1, MaxSize: 1 << 20, Depth: 2, Holds: 0, Loans: 1}} {
		p := newPub(t, "t", o)
		want, err := o.Size()
		ipctest.NoErr(t, err)
		i, err := samepage.Stat("t", &samepage.Options{Kind: samepage.KindTopic})
		ipctest.NoErr(t, err)
		if i.Size != want {
			t.Errorf("%+v: %d bytes, told are %d", o, i.Size, want)
		}
		ipctest.NoErr(t, p.Close())
	}
}
