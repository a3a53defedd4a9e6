package record

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// recordUntilKilled is the process that TestKilled kills.
func recordUntilKilled(args []string) {
	how, err := ParseCompression(args[1])
	if err == nil {
		var r *Recorder
		if r, err = New(Options{Path: args[0], Compression: how, Buffer: 64 << 20}); err == nil {
			go func() { panic(r.Topic(context.Background(), samepage.Local, "large", false)) }()
			err = r.Topic(context.Background(), samepage.Local, "small", false)
		}
	}
	panic(err)
}

// A recorder is killed at a random moment. What is whole in its file has no gap, and ends at most
// a second before: this is checked only with SAMEPAGE_KILLS, because a recorder that does not run
// for a second writes nothing. SAMEPAGE_KILLS is the number of kills.
func TestKilled(t *testing.T) {
	ipctest.NeedNames(t)
	n := ipctest.Repeat(t, 4, 1, "SAMEPAGE_KILLS")
	worst := time.Duration(0)
	for i := range n {
		how := []string{"none", "lz4", "zstd"}[i%3]
		if lost := killed(t, how, time.Duration(rand.Int64N(int64(1500*time.Millisecond)))); lost > worst {
			worst = lost
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, the oldest message that was lost was published %v before", n, worst)
	if os.Getenv("SAMEPAGE_KILLS") != "" && worst > time.Second {
		t.Errorf("more than a second is lost")
	}
}

// killed kills a recorder after this time, and returns how long before that the first message was
// published that is not in the file.
func killed(t *testing.T, how string, after time.Duration) (lost time.Duration) {
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	path := filepath.Join(dir, "cut.mcap")
	// Nobody waits for a dead recorder longer than until its death is noticed.
	small, err := pubsub.CreatePublisher("small", &pubsub.Options{MaxSize: 64, Pack: 4096})
	ipctest.NoErr(t, err)
	large, err := pubsub.CreatePublisher("large", &pubsub.Options{MaxSize: 1 << 20})
	ipctest.NoErr(t, err)
	child := ipctest.Start(t, "record", path, how)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ipctest.NoErr(t, small.WaitReliableSubscribers(ctx, 1))
	ipctest.NoErr(t, large.WaitReliableSubscribers(ctx, 1))
	times := map[string][]time.Time{}
	type sent struct {
		topic string
		times []time.Time
	}
	done := make(chan sent, 2)
	publish := func(p *pubsub.Publisher, size int, pause time.Duration) {
		var times []time.Time
		b := make([]byte, size)
		for n := uint64(1); ctx.Err() == nil; n++ {
			binary.LittleEndian.PutUint64(b, n)
			times = append(times, time.Now())
			if p.Send(ctx, b) != nil {
				break
			}
			time.Sleep(pause)
		}
		done <- sent{p.Name(), times}
	}
	go publish(small, 64, 50*time.Microsecond)
	go publish(large, 1<<20, 10*time.Millisecond)
	time.Sleep(after)
	at := time.Now()
	child.Kill()
	cancel()
	for range 2 {
		s := <-done
		times[s.topic] = s.times
	}
	ipctest.NoErr(t, small.Close())
	ipctest.NoErr(t, large.Close())

	f, err := Open(path)
	ipctest.NoErr(t, err)
	next, err := f.Messages(0, math.MaxInt64, Forward, func(c *mcap.Channel) bool { return c.Topic != eventTopic })
	ipctest.NoErr(t, err)
	last, count := map[string]uint64{}, 0
	for {
		m, err := next()
		if err == io.EOF {
			break
		}
		ipctest.NoErr(t, err)
		topic := m.Channel.Topic
		last[topic]++
		count++
		if got := binary.LittleEndian.Uint64(m.Data); got != last[topic] || m.Sequence != uint32(got) {
			t.Fatalf("%s: message %d (number %d), want %d", topic, got, m.Sequence, last[topic])
		}
	}
	for topic, all := range times {
		if n := last[topic]; n < uint64(len(all)) {
			lost = max(lost, at.Sub(all[n]))
		}
	}
	repaired := filepath.Join(dir, "whole.mcap")
	repair(t, f, repaired)
	ipctest.NoErr(t, f.Close())
	events := 0
	g, err := Open(repaired)
	ipctest.NoErr(t, err)
	for id, c := range g.info.Channels {
		if c.Topic == eventTopic {
			events = int(g.info.Statistics.ChannelMessageCounts[id])
		}
	}
	if g.Lost != nil {
		t.Errorf("after the repair: %v", g.Lost)
	}
	ipctest.NoErr(t, g.Close())
	if got := messages(t, repaired); got != count+events {
		t.Errorf("%d messages after the repair, want %d", got, count+events)
	}
	return lost
}
