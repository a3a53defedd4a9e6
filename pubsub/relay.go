package pubsub

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"time"

	"samepage/internal/option"
	"samepage/layout"
)

// maxSkip keeps the numbers of messages far from their end.
const maxSkip = layout.MaxNumber / 2

// Relay prepares messages that come from elsewhere: from a topic of another machine, or from a
// recording. The next message gets the number seq. Subscribers, also reliable ones, miss the
// numbers from Next to seq - 1: they count in Message.Missed of this message. If the stream ends
// before it, they count in Subscriber.Missed. What is left out before the first message of a new
// topic counts only after the first Relay: this says where the numbers begin. If the topic has
// Options.Times, the next messages, until the next Relay, have the time at; the zero time is that
// of their publication.
//
// Only topics with Options.Pack can leave out numbers.
//
// Errors: fs.ErrInvalid (seq is less than Next, or more than 1 << 61), errors.ErrUnsupported (seq
// is more than Next, and the topic has no Options.Pack), samepage.ErrClosed.
func (p *publisher) Relay(seq uint64, at time.Time) error {
	next := p.w.Next()
	switch {
	case p.h.Closed(): // another publisher may have the place
		return p.wrap("relay to", fs.ErrClosed)
	case seq < next || seq > maxSkip:
		return p.wrap("relay to", option.Bad("seq", seq, fmt.Sprintf("%d to %d", next, uint64(maxSkip))))
	case seq > next && !p.w.Packs():
		return p.wrap("relay to", fmt.Errorf("numbers %d to %d cannot be left out, because Options.Pack of the topic is 0: %w", next, seq-1, errors.ErrUnsupported))
	}
	if p.w.Packs() {
		p.w.Skip(seq - next)
	}
	p.w.SetTime(at)
	runtime.KeepAlive(p)
	return nil
}
