package stream_test

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/stream"
)

// Another process writes nonsense into all words of a listener while connections run. Each call
// returns, and nothing panics. Afterwards everything can be closed.
func TestHostileWords(t *testing.T) {
	store(t)
	const conns = 8
	l := listen(t, &stream.Options{Connections: conns, Buffer: 8192, Members: 4})
	m, err := samepage.Open("s", &samepage.Options{Kind: samepage.KindListener})
	ipctest.NoErr(t, err)
	defer m.Close()
	v, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer v.Close()
	ctx, cancel := context.WithCancel(bg)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				continue
			}
			wg.Go(func() { use(c) })
		}
	})
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				soon, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
				if c, err := stream.Dial(soon, "s", nil); err == nil {
					use(c)
				}
				cancel()
			}
		})
	}
	// The live words and the table of members.
	live := v.Bytes()[layout.SegmentHeaderSize:][:layout.ListenerLive(conns)+4*layout.MemberSize]
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for range ipctest.Repeat(t, 30_000, 3000, "SAMEPAGE_ROUNDS") {
		at := 8 * r.IntN(len(live)/8)
		w := word(live, at)
		switch r.IntN(4) {
		case 0:
			w.Store(r.Uint64())
		case 1:
			w.Add(r.Uint64N(5) - 2)
		case 2:
			w.Store(w.Load() ^ 1<<r.IntN(64))
		case 3: // a state that is possible
			w.Store(uint64(layout.ConnState(r.Uint64()).With(layout.ConnPhase(r.IntN(5)), layout.OwnerOf(r.IntN(5), uint32(r.IntN(4))))))
		}
		if r.IntN(20) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	cancel()
	done := make(chan struct{})
	go func() { _ = l.Close(); wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(ipctest.Patience):
		t.Fatal("a call does not return")
	}
}

// use uses a connection for a short time.
func use(c io.ReadWriteCloser) {
	defer c.Close()
	if s, ok := c.(*stream.Conn); ok {
		_ = s.SetDeadline(time.Now().Add(5 * time.Millisecond))
		s.Peer()
	}
	b := make([]byte, 5000)
	for range 5 {
		if _, err := c.Write(b); err != nil {
			return
		}
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}
