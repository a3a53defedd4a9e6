package bridge

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Event is something that a bridge tells.
type Event struct {
	What  string `json:"event"`
	Topic string `json:"topic,omitempty"` // the local name
	Text  string `json:"text,omitempty"`
	Lost  uint64 `json:"lost,omitempty"` // messages
}

// Counts are the counts of one topic since the bridge has started.
type Counts struct {
	Topic      string `json:"topic"`      // the local name
	Far        string `json:"far"`        // the name on the way
	Messages   uint64 `json:"messages"`   // messages that were sent, or published here
	Bytes      uint64 `json:"bytes"`      // of these messages
	Lost       uint64 `json:"lost"`       // messages that are known to be lost
	Duplicates uint64 `json:"duplicates"` // messages that came again, and were dropped
	Envelopes  uint64 `json:"envelopes"`  // messages of NATS that were sent or received
	Resent     uint64 `json:"resent"`     // envelopes that were sent again
}

// counter counts one topic. Its words are atomic, so that others can look at any time.
type counter struct {
	topic, far                                           string
	messages, bytes, lost, duplicates, envelopes, resent atomic.Uint64
}

func (c *counter) counts() Counts {
	return Counts{
		c.topic, c.far, c.messages.Load(), c.bytes.Load(), c.lost.Load(), c.duplicates.Load(), c.envelopes.Load(), c.resent.Load(),
	}
}

// counters are those of all topics of a bridge, in the order of their begin.
type counters struct {
	mu   sync.Mutex
	all  []*counter
	gone []*counter // of names that are gone, the oldest first
}

// maxGone is of how many names that are gone the counts are kept.
const maxGone = 1000

// release says that the name of a counter is gone. If it comes again, it goes on with its counts,
// unless many others have gone since.
func (s *counters) release(c *counter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone = append(s.gone, c); len(s.gone) > maxGone {
		oldest := s.gone[0]
		s.gone = slices.Delete(s.gone, 0, 1)
		s.all = slices.DeleteFunc(s.all, func(x *counter) bool { return x == oldest })
	}
}

// add returns the counter of a topic. It makes one if there is none.
func (s *counters) add(topic, far string) *counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		if c.topic == topic && c.far == far {
			s.gone = slices.DeleteFunc(s.gone, func(x *counter) bool { return x == c })
			return c
		}
	}
	c := &counter{topic: topic, far: far}
	s.all = append(s.all, c)
	return c
}

func (s *counters) list() (all []Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.all {
		all = append(all, c.counts())
	}
	return all
}
