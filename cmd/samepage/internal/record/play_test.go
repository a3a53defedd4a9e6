package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// made writes a recording with a message each 10 ms in the topic "t", whose history has 4, and a
// value each 100 ms in the cell "c". It has n messages.
func made(t *testing.T, n int, how Compression) (path string) {
	t.Helper()
	path = filepath.Join(ipctest.Dir(t), "made.mcap")
	out, err := os.Create(path)
	ipctest.NoErr(t, err)
	f, err := newFile(out, how, "test")
	ipctest.NoErr(t, err)
	topic := &channel{id: 1, topic: "t", encoding: encodingBytes, source: &Source{Kind: samepage.KindTopic, Options: pubsub.Options{MaxSize: 16, Depth: 4, Times: true}}}
	value := &channel{id: 2, topic: "c", encoding: encodingBytes, source: &Source{Kind: samepage.KindCell, Options: pubsub.Options{MaxSize: 16}}}
	const begin = 1_700_000_000_000_000_000
	for i := 0; i < n; {
		c := &chunk{ready: make(chan struct{})}
		for k := 0; k < 7 && i < n; k++ {
			at := begin + int64(i)*int64(10*time.Millisecond)
			c.add(topic, uint64(i+1), at, at-5, fmt.Append(nil, i))
			if i%10 == 0 {
				c.add(value, uint64(i/10+1), at, at, fmt.Append(nil, i))
			}
			i++
		}
		c.seal(how)
		ipctest.NoErr(t, f.put(c))
	}
	ipctest.NoErr(t, errors.Join(f.end(), out.Close()))
	return path
}

// playing opens a player of a file with 100 messages, with subscribers.
func playing(t *testing.T, o PlayOptions) (*Player, *pubsub.Subscriber, *cell.Reader) {
	t.Helper()
	f, err := Open(made(t, 100, mcap.CompressionLZ4))
	ipctest.NoErr(t, err)
	p, err := NewPlayer(f, o)
	ipctest.NoErr(t, err)
	s, err := pubsub.OpenSubscriber("t", nil)
	ipctest.NoErr(t, err)
	c, err := cell.OpenReader("c", nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, errors.Join(s.Close(), c.Close(), f.Close())) })
	return p, s, c
}

// rest takes all messages until the end of the stream.
func rest(t *testing.T, s *pubsub.Subscriber) (all []string) {
	t.Helper()
	for {
		m, err := s.Take(t.Context())
		if err == io.EOF {
			return all
		}
		ipctest.NoErr(t, err)
		all = append(all, string(m.Bytes()))
	}
}

// A part of a recording begins with what a late subscriber would have got at that moment.
func TestPlayPart(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, s, c := playing(t, PlayOptions{Rate: 1e6, From: 555 * time.Millisecond, To: 591 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- errors.Join(p.Play(t.Context()), p.Close()) }()
	got := rest(t, s)
	ipctest.NoErr(t, <-done)
	// 52 to 55 are the history; 56 to 59 are the part.
	if want := []string{"52", "53", "54", "55", "56", "57", "58", "59"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if b, ok, err := c.Get(); err != nil || !ok || string(b) != "50" {
		t.Errorf("the cell has %q, %v, %v", b, ok, err)
	}
}

// A pause, steps, and a seek, forward and back.
func TestPlaySteps(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, s, c := playing(t, PlayOptions{Rate: 1e6, Paused: true, Want: func(name string) bool { return true }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- errors.Join(p.Play(ctx), p.Close()) }()
	take := func(want ...string) {
		t.Helper()
		for _, w := range want {
			m, err := s.Take(t.Context())
			if err != nil || string(m.Bytes()) != w {
				t.Fatalf("%q, %v, want %s", m.Bytes(), err, w)
			}
		}
	}
	p.Step(ctx)
	p.Step(ctx) // the first message of the topic and of the cell have the same time
	p.Step(ctx)
	take("0", "1")
	p.Seek(ctx, 800*time.Millisecond) // from 10 ms
	take("77", "78", "79", "80")
	p.Seek(ctx, -500*time.Millisecond)
	take("27", "28", "29", "30")
	for b := []byte(nil); string(b) != "30"; {
		ipctest.NoErr(t, c.Changed(t.Context()))
		var err error
		b, _, err = c.Get()
		ipctest.NoErr(t, err)
	}
	p.Faster(ctx, 2)
	p.Pause(ctx)
	var want []string
	for i := 31; i < 100; i++ {
		want = append(want, fmt.Sprint(i))
	}
	if got := rest(t, s); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	ipctest.NoErr(t, <-done)
	cancel()
}

// Messages are played in their rhythm, also after each command, and in the middle between two
// messages. The clock is that of a bubble of synctest.
func TestPlayRhythm(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	f, err := Open(made(t, 100, mcap.CompressionNone))
	ipctest.NoErr(t, err)
	var played []string // when, and where
	var begin time.Time
	last := uint64(0)
	p, err := NewPlayer(f, PlayOptions{Rate: 0.5, Want: func(name string) bool { return name == "t" }, Progress: func(at Position) {
		if at.Messages > last {
			last = at.Messages
			played = append(played, fmt.Sprint(time.Since(begin).Milliseconds(), ":", at.At.Milliseconds()))
		}
	}})
	ipctest.NoErr(t, err)
	synctest.Test(t, func(t *testing.T) {
		p.commands = make(chan func()) // of the bubble
		begin = time.Now()
		go func() {
			at := func(ms int, do func()) {
				time.Sleep(time.Until(begin.Add(time.Duration(ms) * time.Millisecond)))
				do()
			}
			ctx := t.Context()
			at(45, func() { p.Faster(ctx, 2) })                   // at 22.5, rate 1
			at(60, func() { p.Pause(ctx) })                       // at 37.5
			at(100, func() { p.Pause(ctx) })                      // goes on
			at(110, func() { p.Step(ctx) })                       // at 47.5, so 50
			at(120, func() { p.Faster(ctx, 4) })                  // in the pause
			at(130, func() { p.Pause(ctx) })                      // goes on, rate 4
			at(131, func() { p.Seek(ctx, 900*time.Millisecond) }) // from 54 to 954; 92 to 95 are the history
		}()
		if err := p.Play(t.Context()); err != nil {
			t.Error(err)
		}
	})
	ipctest.NoErr(t, errors.Join(p.Close(), f.Close()))
	want := "0:0 20:10 40:20 52:30 102:40 110:50 132:960 135:970 137:980 140:990"
	if got := strings.Join(played, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A loop begins again, until it is ended.
func TestPlayLoop(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, s, _ := playing(t, PlayOptions{Rate: 1e6, Loop: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Play(ctx) }()
	for i := range 250 {
		m, err := s.Take(t.Context())
		if err != nil || string(m.Bytes()) != fmt.Sprint(i%100) {
			t.Fatalf("%d: %q, %v", i, m.Bytes(), err)
		}
		if i == 0 && !m.Time().Equal(time.Unix(0, 1_700_000_000_000_000_000-5)) {
			t.Errorf("published at %v", m.Time())
		}
	}
	cancel()
	for s.Publishers() > 0 {
		if _, ok, err := s.TryTake(); !ok && err == nil {
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				ipctest.NoErr(t, p.Close())
			case <-time.After(time.Millisecond):
			}
		}
	}
}
