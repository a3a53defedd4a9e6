package pubsub_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

func init() { roles["counter"] = counter }

// Slow subscribers are evicted while they look at a message, and this message does not change.
// Listeners check each message twice, with a pause between.
func TestEvictedNeverTorn(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := topicOptions(50 * time.Microsecond)
	o.Depth = 2
	p := newPub(t, "t", o)
	var cs []*ipctest.Child
	for range 3 {
		c := ipctest.Start(t, "listener", "t", o.EvictAfter.String(), "reliable sleepy", "0")
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		cs = append(cs, c)
	}
	want := ipctest.Repeat(t, 300, 30, "")
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	for p.Evicted() < want && ctx.Err() == nil {
		l, err := p.Loan(talkSize)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, l.Truncate(talk(l.Bytes(), p.Next(), 3)))
		if err := l.Publish(ctx); err != nil {
			l.Discard()
			if ctx.Err() == nil { // else this machine evicts them too seldom
				t.Fatal(err)
			}
		}
	}
	for _, c := range cs {
		c.Send("end")
		if l := c.Line(); !strings.HasPrefix(l, "had ") {
			t.Error(l)
		}
	}
	t.Logf("%d evicted, %d messages", p.Evicted(), p.Next()-1)
}

// counter takes messages until the end, checks number and content, and prints how many were bad.
func counter(args []string) {
	s, err := pubsub.AwaitSubscriber(bg, args[0], &pubsub.SubscriberOptions{BestEffort: args[1] == "best-effort"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	var last, bad uint64
	for {
		m, err := s.Take(bg)
		if err == io.EOF {
			break
		}
		if err != nil || m.Seq() != last+1+m.Missed() || m.Missed() > 0 && args[1] == "reliable" || ipctest.Check(m.Bytes(), m.Seq()) != nil {
			bad++
		}
		if err == nil {
			last = m.Seq()
		}
	}
	fmt.Println("last", last, "bad", bad)
}

// A reliable and a best-effort subscriber take SAMEPAGE_MESSAGES messages (make soak: 1e8) with
// checksums, and none is bad. 002-29.
func TestSoakMessages(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	messages := uint64(1e6)
	if testing.Short() {
		messages = 1e5
	}
	if n, err := strconv.ParseFloat(os.Getenv("SAMEPAGE_MESSAGES"), 64); err == nil {
		messages = uint64(n)
	}
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Depth: 1024, Checksums: true})
	kinds := []string{"reliable", "best-effort"}
	var cs []*ipctest.Child
	for _, kind := range kinds {
		c := ipctest.Start(t, "counter", "t", kind)
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		cs = append(cs, c)
	}
	const batch = 256
	buf := make([]byte, 64*batch)
	all := make([][]byte, batch)
	begun := time.Now()
	for p.Next() <= messages {
		n := min(batch, messages+1-p.Next())
		for i := range n {
			q := p.Next() + i
			all[i] = buf[64*i:][:8+q%8*8]
			ipctest.Fill(all[i], q)
		}
		_, err := p.SendAll(bg, all[:n])
		ipctest.NoErr(t, err)
	}
	took := time.Since(begun)
	ipctest.NoErr(t, p.Close())
	for i, c := range cs {
		if l := c.Line(); l != fmt.Sprintf("last %d bad 0", messages) {
			t.Errorf("%s subscriber: %s, want %d", kinds[i], l, messages)
		}
	}
	t.Logf("%d messages in %v: %.1f million a second", messages, took, float64(messages)/1e6/took.Seconds())
}
