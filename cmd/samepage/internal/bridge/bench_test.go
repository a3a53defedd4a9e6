package bridge

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

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
				b.Run(fmt.Sprintf("%s-%d-pack-%d", c.policy, size, c.pack), func(b *testing.B) {
					s := newServer(b, server.Options{MaxPending: 1 << 30, MaxPayload: maxPayload})
					bridged(b, s.url(), c.policy, size, c.pack)
				})
			}
		}
		b.Run(fmt.Sprintf("%s-%d-serve", Wait, size), func(b *testing.B) { bridged(b, serve, Wait, size, 0) })
	}
}

func plain(b *testing.B, size int) {
	s := newServer(b, server.Options{MaxPending: 1 << 30, MaxPayload: maxPayload})
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

func bridged(b *testing.B, url string, policy Policy, size, pack int) {
	ipctest.NeedNames(b)
	ipctest.Store(b)
	window := 8 << 20 // as the command
	if policy == Newest {
		window = 4 << 20
	}
	b.Setenv("WINDOW", fmt.Sprint(window))
	near := startAt(b, url, "publish", policy, "t")
	if url == serve {
		url = "nats://" + near.event("serving").Text
	}
	far := startAt(b, url, "subscribe", policy, "t")
	p := ipctest.Start(b, "fast", fmt.Sprint(size), fmt.Sprint(pack), "0")
	p.Line()
	p.Ask("1")
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

// fastProcess publishes as many messages as its input says, as fast as it can, or after so many
// microseconds of work each. 0 ends the stream. It answers with the time that it took.
func fastProcess(args []string) {
	size, _ := strconv.Atoi(args[0])
	pack, _ := strconv.Atoi(args[1])
	work, _ := strconv.Atoi(args[2])
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
		begin := time.Now()
		for err == nil && n > 0 {
			for busy := time.Now(); work > 0 && time.Since(busy) < time.Duration(work)*time.Microsecond; {
			}
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
		fmt.Println("done", time.Since(begin).Nanoseconds())
	}
}

// BenchmarkPublisher compares a publisher that has a bridge with the policy newest with the same
// publisher alone, and with one that has a best-effort subscriber on this machine instead. The
// publisher sends as fast as it can, or computes for 10 µs before each message. The last way is a
// neighbour: two processes that use the server as the two bridges did, and know nothing of the
// topic. What it costs is the price of any program that uses the other processors. In each round all
// have their turn, with the publisher alone before and after each. The figures are medians of the
// rounds, in percent of the mean time of the two runs alone. again-% is the publisher alone as a
// way of its own: how far it is from 100 is how exact the others can be.
//
// The publisher has processor 0 for itself if this runs on the others:
//
//	taskset -c 1 go test ./cmd/samepage/internal/bridge -run '^$' -bench Publisher -benchtime 15x
func BenchmarkPublisher(b *testing.B) {
	for _, size := range []int{64, 64 << 10, 1 << 20} {
		for _, work := range []int{0, 10} {
			b.Run(fmt.Sprintf("%d-work-%dus", size, work), func(b *testing.B) { publishers(b, size, work) })
		}
	}
}

func publishers(b *testing.B, size, work int) {
	ipctest.NeedNames(b)
	ipctest.Store(b)
	s := newServer(b, server.Options{MaxPending: 256 << 20})
	c := ipctest.Command(b, "fast", fmt.Sprint(size), "0", fmt.Sprint(work))
	ipctest.Pin(c, 0)
	p := ipctest.StartCmd(b, c)
	p.Line()
	n := 1
	publish := func() time.Duration {
		var ns int64
		if line := p.Ask("%d", n); line == "" {
			b.Fatal("no time")
		} else if _, err := fmt.Sscanf(line, "done %d", &ns); err != nil {
			b.Fatal(line, err)
		}
		return time.Duration(ns)
	}
	for publish() < 2*time.Second {
		n *= 2
	}
	var sent, sentBytes int64 // by bridges in the last run with them, which the neighbour repeats
	var within time.Duration
	names := []string{"subscriber-%", "bridge-%", "neighbour-%", "again-%"}
	ways := []func() time.Duration{func() time.Duration {
		r := ipctest.Start(b, "reader")
		defer r.Kill()
		r.Line()
		return publish()
	}, func() time.Duration {
		far, near := start(b, s, "subscribe", Newest, "t"), start(b, s, "publish", Newest, "t")
		defer far.Kill()
		defer near.Kill()
		sub, err := pubsub.AwaitSubscriber(b.Context(), "far.t", &pubsub.SubscriberOptions{BestEffort: true})
		ipctest.NoErr(b, err)
		_, err = sub.Take(b.Context()) // of the history
		ipctest.NoErr(b, errors.Join(err, sub.Close()))
		before := s.in(b)
		within = publish()
		after := s.in(b)
		sent, sentBytes = after.InMsgs-before.InMsgs, after.InBytes-before.InBytes
		return within
	}, func() time.Duration {
		l := ipctest.Start(b, "listener", s.url())
		defer l.Kill()
		l.Line()
		nb := ipctest.Start(b, "neighbour", s.url(), fmt.Sprint(sentBytes/sent), (within / time.Duration(sent)).String())
		defer nb.Kill()
		nb.Line()
		return publish()
	}, publish}
	with := make([][]float64, len(ways))
	alone := publish()
	for round := 0; b.Loop(); round++ {
		for i := range ways {
			k := (round + i) % len(ways)
			took, before := ways[k](), alone
			alone = publish()
			with[k] = append(with[k], 200*float64(took)/float64(before+alone))
		}
	}
	b.ReportMetric(float64(alone)/float64(n), "ns/message")
	b.ReportMetric(float64(sent)/within.Seconds(), "envelopes/s")
	for k, name := range names {
		slices.Sort(with[k])
		b.ReportMetric(with[k][len(with[k])/2], name)
	}
	b.ReportMetric(0, "ns/op")
}

// in returns what the server has got.
func (s *testServer) in(t testing.TB) *server.Varz {
	v, err := s.s.Varz(nil)
	ipctest.NoErr(t, err)
	return v
}

// listenerProcess takes what a neighbour sends.
func listenerProcess(args []string) {
	nc, err := nats.Connect(args[0])
	if err == nil {
		_, err = nc.Subscribe("bench", func(m *nats.Msg) { _ = crc32.Checksum(m.Data, castagnoli) })
	}
	if err == nil {
		err = nc.Flush()
	}
	fmt.Println("ready", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// neighbourProcess sends a message of so many bytes each time that so much time has passed.
func neighbourProcess(args []string) {
	nc, err := nats.Connect(args[0])
	size, _ := strconv.Atoi(args[1])
	each, _ := time.ParseDuration(args[2])
	fmt.Println("ready", err)
	msg := make([]byte, size)
	for next := time.Now(); err == nil; next = next.Add(each) {
		time.Sleep(time.Until(next))
		err = nc.Publish("bench", msg)
	}
	fmt.Println(err)
}

// readerProcess is a best-effort subscriber that reads all that it gets.
func readerProcess([]string) {
	sub, err := pubsub.AwaitSubscriber(context.Background(), "t", &pubsub.SubscriberOptions{BestEffort: true})
	fmt.Println("ready", err)
	sum := uint32(0)
	for err == nil {
		var p pubsub.Pack
		p, err = sub.TakeAll(context.Background())
		for _, m := range p.All() {
			sum = crc32.Update(sum, castagnoli, m)
		}
	}
	fmt.Println(sum, err)
}
