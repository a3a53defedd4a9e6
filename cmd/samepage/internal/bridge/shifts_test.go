package bridge

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// The cell with what a bridge has added to the numbers of a topic is small, has room for all
// places, and replaces one that is too small.
func TestShiftsCell(t *testing.T) {
	for n := 1; n <= layout.MaxLanes; n++ {
		x := shifts{Places: map[int]shift{}}
		for i := range n {
			x.Places[i] = shift{layout.MaxLanes - 1, math.MinInt64}
		}
		if text, err := json.Marshal(&x); err != nil || len(text) > shiftsSize(n) {
			t.Fatalf("%d places: %d bytes, there is room for %d; %v", n, len(text), shiftsSize(n), err)
		}
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	name := bridgeNames + "far.t"
	w, err := cell.CreateWriter(name, 10, &cell.Options{Lifetime: samepage.Persist})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, w.Close())
	s := newServer(t, server.Options{})
	startBoth(t, s, Newest, "t")
	p, err := pubsub.CreatePublisher("t", &pubsub.Options{Publishers: 2})
	ipctest.NoErr(t, err)
	defer p.Close()
	ipctest.NoErr(t, p.WaitSubscribers(t.Context(), 1))
	ipctest.NoErr(t, p.Send(t.Context(), []byte("a")))
	for {
		r, err := cell.AwaitReader(t.Context(), name, nil)
		ipctest.NoErr(t, err)
		text, ok, err := r.Get()
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, r.Close())
		var x shifts
		if ok && json.Unmarshal(text, &x) == nil && x.Origin == p.ID() && len(x.Places) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	i, err := samepage.Stat(name, &samepage.Options{Kind: samepage.KindCell})
	if ipctest.NoErr(t, err); i.Size > 128<<10 || i.Allocated > 128<<10 {
		t.Errorf("%+v", i)
	}
}
