package bridge

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// BenchmarkCross compares a bridge with plain NATS: from a publisher in one process to a subscriber
// in another, over a server that is in the process of the subscriber. The bridges are processes of
// their own.
//
//	go test ./cmd/samepage/internal/bridge -run '^$' -bench Cross
func BenchmarkCross(b *testing.B) {
	for _, size := range []int{64, 1 << 20} {
		b.Run(fmt.Sprint("plain-", size), func(b *testing.B) { plain(b, size) })
		for _, c := range []struct {
			policy Policy
			pack   int
		}{{Wait, 0}, {Wait, 64 << 10}, {Newest, 0}} {
			if c.pack == 0 || size < c.pack {
				b.Run(fmt.Sprintf("%s-%d-pack-%d", c.policy, size, c.pack), func(b *testing.B) { bridged(b, c.policy, size, c.pack) })
			}
		}
	}
}

func plain(b *testing.B, size int) {
	s := newServer(b, server.Options{MaxPending: 1 << 30})
	nc, err := nats.Connect(s.url())
	ipctest.NoErr(b, err)
	defer nc.Close()
	left, done := b.N, make(chan bool) // SubscribeSync has room for 65536 messages
	sub, err := nc.Subscribe("bench", func(*nats.Msg) {
		if left--; left == 0 {
			close(done)
		}
	})
	ipctest.NoErr(b, err)
	ipctest.NoErr(b, sub.SetPendingLimits(-1, -1))
	ipctest.NoErr(b, nc.Flush())
	c := ipctest.Start(b, "plain", s.url(), fmt.Sprint(size))
	c.Line()
	b.SetBytes(int64(size))
	b.ResetTimer()
	c.Send("%d", b.N)
	<-done
}

// plainProcess publishes as many messages as its input says.
func plainProcess(args []string) {
	nc, err := nats.Connect(args[0])
	fmt.Println("ready", err)
	size, _ := strconv.Atoi(args[1])
	msg := make([]byte, size)
	for {
		var n int
		if _, err := fmt.Scanln(&n); err != nil {
			return
		}
		for range n {
			if err := nc.Publish("bench", msg); err != nil {
				fmt.Println(err)
			}
		}
		fmt.Println("done", nc.Flush())
	}
}

func bridged(b *testing.B, policy Policy, size, pack int) {
	ipctest.NeedNames(b)
	ipctest.Store(b)
	s := newServer(b, server.Options{})
	far := start(b, s, "subscribe", policy, "t")
	start(b, s, "publish", policy, "t")
	p := ipctest.Start(b, "fast", fmt.Sprint(size), fmt.Sprint(pack))
	p.Line()
	p.Want("done", "1")
	sub, err := pubsub.AwaitSubscriber(b.Context(), "far.t", nil)
	ipctest.NoErr(b, err)
	defer sub.Close()
	_, err = sub.Take(b.Context())
	ipctest.NoErr(b, err)
	b.SetBytes(int64(size))
	b.ResetTimer()
	p.Send("%d", b.N)
	p.Send("0")
	got := 0
	for {
		m, err := sub.TakeAll(b.Context())
		if err == io.EOF {
			break
		}
		ipctest.NoErr(b, err)
		got += m.Len()
	}
	b.StopTimer()
	if n := got + int(sub.Missed()); n != b.N {
		b.Errorf("%d arrived, %d are missed, and %d were published", got, sub.Missed(), b.N)
	}
	if c := far.counts(); policy == Wait && c.Lost > 0 {
		b.Errorf("%+v", c)
	}
	b.ReportMetric(float64(got)/float64(b.N), "arrived")
}

// fastProcess publishes as many messages as its input says, as fast as it can. 0 ends the stream.
func fastProcess(args []string) {
	size, _ := strconv.Atoi(args[0])
	pack, _ := strconv.Atoi(args[1])
	o := &pubsub.Options{MaxSize: size, Pack: pack, Depth: max(3, min(4<<20/max(size, pack), 1024))}
	p, err := pubsub.CreatePublisher("t", o)
	fmt.Println("ready", err)
	all := make([][]byte, max(1, pack/size))
	for i := range all {
		all[i] = make([]byte, size)
	}
	ctx := context.Background()
	for {
		var n int
		if _, err := fmt.Scanln(&n); err != nil {
			return
		}
		if n == 0 {
			err = p.Close()
		}
		for err == nil && n > 0 {
			if pack > 0 {
				var k int
				k, err = p.SendAll(ctx, all[:min(n, len(all))])
				n -= k
			} else {
				err = p.Send(ctx, all[0])
				n--
			}
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("done")
	}
}

// BenchmarkPublisher shows what a bridge costs the local publisher: it publishes alone, and with a
// bridge.
func BenchmarkPublisher(b *testing.B) {
	for _, policy := range []Policy{"alone", Newest, Wait} {
		for _, size := range []int{64, 64 << 10} {
			b.Run(fmt.Sprint(policy, "-", size), func(b *testing.B) {
				ipctest.NeedNames(b)
				ipctest.Store(b)
				s := newServer(b, server.Options{})
				if policy != "alone" {
					far := start(b, s, "subscribe", policy, "t")
					start(b, s, "publish", policy, "t")
					defer func() { _ = far }()
				}
				p := ipctest.Start(b, "fast", fmt.Sprint(size), "0")
				p.Line()
				p.Want("done", "1")
				if policy != "alone" {
					sub, err := pubsub.AwaitSubscriber(b.Context(), "far.t", nil)
					ipctest.NoErr(b, err)
					ipctest.NoErr(b, sub.Close())
				}
				b.ResetTimer()
				p.Want("done", "%d", b.N)
			})
		}
	}
}
