package main

import (
	"math"
	"time"
)

// rates are what hz has measured over a time.
type rates struct {
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

// meter counts the messages of a topic over a time. It is for one goroutine.
type meter struct {
	begun            time.Time
	messages, missed uint64 // received, and not received
	bytes            uint64

	// These are about the intervals, by Welford's method.
	n         uint64
	mean, m2  float64
	min, max_ float64
}

// message counts one message, and the messages that were missed before it.
func (m *meter) message(size int, missed uint64) {
	m.messages++
	m.missed += missed
	m.bytes += uint64(size)
}

// interval counts one interval between two messages, in seconds.
func (m *meter) interval(s float64) {
	if m.n == 0 {
		m.min, m.max_ = s, s
	}
	m.n++
	d := s - m.mean
	m.mean += d / float64(m.n)
	m.m2 += d * (s - m.mean)
	m.min, m.max_ = min(m.min, s), max(m.max_, s)
}

// rates are the rates from begun to now.
func (m *meter) rates(topic string, now time.Time) rates {
	r := rates{Topic: topic, Seconds: now.Sub(m.begun).Seconds(), Messages: m.messages, Missed: m.missed}
	if all := float64(m.messages + m.missed); m.messages > 0 && r.Seconds > 0 {
		r.Rate = all / r.Seconds
		r.Bandwidth = float64(m.bytes) / float64(m.messages) * r.Rate
	}
	if m.n > 0 {
		r.Min, r.Mean, r.Max, r.Jitter = m.min, m.mean, m.max_, math.Sqrt(m.m2/float64(m.n))
	}
	return r
}
