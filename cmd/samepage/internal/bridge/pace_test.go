package bridge

import (
	"fmt"
	"io"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"samepage/internal/ipctest"
)

// With the policy newest, a bridge sends no more than its window while the other side does not get
// on, and the publisher is not slowed. What was not sent is missed, and counted.
func TestNewestStops(t *testing.T) {
	const n, size = 400, 100_000
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := newServer(t, server.Options{})
	far, near := start(t, s, "subscribe", Newest, "t"), start(t, s, "publish", Newest, "t")
	p := ipctest.Start(t, "publisher", "t", fmt.Sprint(size), "0")
	p.Line()
	p.Want("done <nil>", "1")
	sub := await(t, "far.t")
	want(t, sub, 1, 1, size)
	for range n { // the subscriber there takes nothing
		p.Want("done <nil>", "1")
		near.counts()
	}
	// The far topic has room for 64 messages, and the window for 1 MiB; some are between them.
	if c := near.counts(); c.Messages > n/2 {
		t.Errorf("the bridge sends more than the other side takes: %+v", c)
	}
	done := make(chan error)
	got, missed, last := uint64(0), uint64(0), uint64(1)
	go func() {
		for {
			m, err := sub.Take(t.Context())
			if err != nil {
				done <- err
				return
			}
			got, missed, last = got+1, missed+m.Missed(), m.Seq()
			if err := ipctest.Check(m.Bytes(), last); err != nil {
				t.Error(err)
			}
		}
	}()
	for sent := uint64(n + 1); ; sent++ { // until a message gets through
		p.Want("done <nil>", "1")
		if c := far.counts(); c.Messages+c.Lost > sent {
			break
		}
	}
	p.Want("done <nil>", "end")
	if err := <-done; err != io.EOF {
		t.Fatal(err)
	}
	if c := far.counts(); missed == 0 || got+missed+1 != last || got+1 != c.Messages || missed > c.Lost {
		t.Errorf("%d arrived, %d missed, the last is %d; the bridge: %+v", got, missed, last, c)
	}
}
