package facts

import (
	"math"
	"time"
)

// Rates are what was measured over a time.
type Rates struct {
	Topic     string  `json:"topic"`
	Total     bool    `json:"total,omitempty"` // over the whole time
	Seconds   float64 `json:"seconds"`
	Messages  uint64  `json:"messages"` // messages that were received
	Missed    uint64  `json:"missed"`
	Rate      float64 `json:"rate"`             // messages per second, including the missed ones
	Bandwidth float64 `json:"bytes_per_second"` // bytes per second, including the missed messages
	Min       float64 `json:"min"`              // seconds between two messages
	Mean      float64 `json:"mean"`
	Max       float64 `json:"max"`
	Jitter    float64 `json:"jitter"`
}

// Meter counts the messages of a topic over a time. It is for one goroutine.
type Meter struct {
	Begun            time.Time
	Messages, Missed uint64 // received, and not received
	bytes            uint64

	// These are about the intervals, by Welford's method.
	n         uint64
	mean, m2  float64
	min, max_ float64
}

// Message counts one message, and the messages that were missed before it.
func (m *Meter) Message(size int, missed uint64) {
	m.Messages++
	m.Missed += missed
	m.bytes += uint64(size)
}

// Interval counts one interval between two messages, in seconds.
func (m *Meter) Interval(s float64) {
	if m.n == 0 {
		m.min, m.max_ = s, s
	}
	m.n++
	d := s - m.mean
	m.mean += d / float64(m.n)
	m.m2 += d * (s - m.mean)
	m.min, m.max_ = min(m.min, s), max(m.max_, s)
}

// Rates are the rates from Begun to now.
func (m *Meter) Rates(topic string, now time.Time) Rates {
	r := Rates{Topic: topic, Seconds: now.Sub(m.Begun).Seconds(), Messages: m.Messages, Missed: m.Missed}
	if all := float64(m.Messages + m.Missed); m.Messages > 0 && r.Seconds > 0 {
		r.Rate = all / r.Seconds
		r.Bandwidth = float64(m.bytes) / float64(m.Messages) * r.Rate
	}
	if m.n > 0 {
		r.Min, r.Mean, r.Max, r.Jitter = m.min, m.mean, m.max_, math.Sqrt(m.m2/float64(m.n))
	}
	return r
}
