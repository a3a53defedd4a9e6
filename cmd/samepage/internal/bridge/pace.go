package bridge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace keeps a source with the policy newest from sending more than the way to the other side
// carries. It counts the bytes of the envelopes that no bridge has acknowledged. If there are too
// many, the source does not read its topic, and misses the messages that a queue in front of a slow
// line would only make old. The fastest bridge decides. Nothing is sent again: what was lost is
// acknowledged together with the tick that follows.
type pace struct {
	room    int           // bytes that may be on their way
	silence time.Duration // after which nobody is waited for
	asked   *atomic.Bool  // of the source: a bridge has asked, which ends the wait

	mu      sync.Mutex
	changed chan struct{} // closed, and made again, when there may be room
	sent    []sent        // in the order of their numbers
	bytes   int           // of sent
	heard   time.Time     // when a bridge was last heard
}

// sent is an envelope that is on its way.
type sent struct {
	number uint64
	size   int
}

// ackBytes is after how many bytes a sink acknowledges what comes with the policy newest.
const ackBytes = 256 << 10

func newPace(s *source) *pace {
	return &pace{room: max(s.b.o.Window, 2*ackBytes), silence: s.b.o.Silence, asked: &s.asked, changed: make(chan struct{})}
}

// add notes an envelope that was sent.
func (p *pace) add(number uint64, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.heard) > p.silence {
		p.sent, p.bytes = p.sent[:0], 0
		return
	}
	p.sent = append(p.sent, sent{number, size})
	p.bytes += size
}

// hear notes what a bridge has said: that all envelopes up to a number have come, or are lost. It
// knows the numbers if it knows the session.
func (p *pace) hear(a *back, knows bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
	n := 0
	for knows && n < len(p.sent) && p.sent[n].number <= a.number {
		p.bytes -= p.sent[n].size
		n++
	}
	if n > 0 {
		p.sent = append(p.sent[:0], p.sent[n:]...)
		p.wake()
	}
}

// wake makes await look again. The caller has mu.
func (p *pace) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// interrupt ends await, because a bridge has asked.
func (p *pace) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake()
}

// await waits until there is room for the next envelope, a bridge has asked, none is heard any more,
// or ctx ends.
func (p *pace) await(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.bytes >= p.room && !p.asked.Load() && ctx.Err() == nil {
		left := p.silence - time.Since(p.heard)
		if left <= 0 {
			return
		}
		changed := p.changed
		p.mu.Unlock()
		t := time.NewTimer(left)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		p.mu.Lock()
	}
}
