package bridge

import (
	"encoding/json"
	"fmt"
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
// places, and replaces one that is too small when nobody looks at that one any more.
func TestShiftsCell(t *testing.T) {
	for n := 1; n <= layout.MaxLanes; n++ {
		for _, largest := range []shift{{Lane: layout.MaxLanes - 1, Add: math.MinInt64}, {Lane: -1, Next: math.MaxUint64}} {
			x := shifts{Places: map[int]shift{}}
			for i := range n {
				x.Places[i] = largest
			}
			if text, err := json.Marshal(&x); err != nil || len(text) > shiftsSize(n) {
				t.Fatalf("%d places: %d bytes, there is room for %d; %v", n, len(text), shiftsSize(n), err)
			}
		}
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	name := bridgeNames + "far.t"
	w, err := cell.CreateWriter(name, 10, &cell.Options{Lifetime: samepage.Persist})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, w.Close())
	looks, err := cell.OpenReader(name, nil)
	ipctest.NoErr(t, err)
	s := newServer(t, server.Options{})
	far, _ := startBoth(t, s, Newest, "t")
	p, err := pubsub.CreatePublisher("t", &pubsub.Options{Publishers: 2})
	ipctest.NoErr(t, err)
	defer p.Close()
	ipctest.NoErr(t, p.WaitSubscribers(t.Context(), 1))
	ipctest.NoErr(t, p.Send(t.Context(), []byte("a")))
	if e := far.event("error"); e.Topic != "far.t" {
		t.Errorf("%+v", e)
	}
	ipctest.NoErr(t, looks.Close())
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

// A subscribing bridge is started again and again, and only one of two publishers goes on. What the
// other one has published does not come twice.
func TestShiftsOfQuietPlaces(t *testing.T) {
	ipctest.NeedNames(t)
	for _, policy := range []Policy{Newest, Wait} {
		for _, talks := range []int{0, 1} {
			t.Run(fmt.Sprint(policy, talks), func(t *testing.T) {
				ipctest.Store(t)
				t.Setenv("TICK", "1ms")
				s := newServer(t, server.Options{})
				far, near := startBoth(t, s, policy, "t")
				var all [2]*ipctest.Child
				for i := range all {
					all[i] = ipctest.Start(t, "publisher", "t", "100", "0")
					all[i].Line()
				}
				near.event("attached")
				for _, p := range all {
					p.Want("done <nil>", "5")
				}
				sub := await(t, "far.t")
				for range 10 {
					next(t, sub)
				}
				// In the end the other one goes on, too.
				for _, x := range []struct {
					who int
					n   uint64
				}{{talks, 6}, {talks, 7}, {talks, 8}, {1 - talks, 6}, {talks, 9}} {
					far.Kill()
					far = start(t, s, "subscribe", policy, "t")
					far.event("attached")
					all[x.who].Want("done <nil>", "1")
					if m := next(t, sub); string(m.Bytes()) != string(content(x.n, 100)) || m.Missed() != 0 {
						t.Errorf("message %d of %d bytes, %d missed; want what was message %d", m.Seq(), len(m.Bytes()), m.Missed(), x.n)
					}
					c := far.counts()
					for c.Messages == 0 { // it counts after it has sent
						c = far.counts()
					}
					if c.Messages != 1 || c.Lost != 0 {
						t.Errorf("%+v, want 1 message", c)
					}
				}
			})
		}
	}
}
