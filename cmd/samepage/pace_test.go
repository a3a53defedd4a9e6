package main

import (
	"math"
	"testing"
	"time"
)

// A pacer keeps the rate even with timers that are late by up to grain.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		grain time.Duration
	}{
		{10, time.Millisecond},
		{1_000, 16 * time.Millisecond},
		{1_700, time.Millisecond},
		{60_000, time.Millisecond},
		{1e6 / 3, 16 * time.Millisecond},
		{0.5, time.Nanosecond},
	} {
		begun := time.Unix(1e9, 0)
		now := begun
		var p pacer
		n := 0
		for ; ; n++ {
			if wait := p.next(now, c.rate); wait > 0 {
				now = now.Add(wait).Truncate(c.grain).Add(c.grain)
			}
			if now.Sub(begun) > 10*time.Second {
				break
			}
		}
		want := 10 * c.rate
		if slack := c.rate*c.grain.Seconds() + 1; math.Abs(float64(n)-want) > slack {
			t.Errorf("%v a second with timers of %v: %d messages in 10 s, want %v", c.rate, c.grain, n, want)
		}
	}
}

// Of a long delay it makes up for only a part.
func TestPaceBound(t *testing.T) {
	var p pacer
	now := time.Unix(1e9, 0)
	p.next(now, 1000)
	now = now.Add(time.Hour)
	n := 0
	for p.next(now, 1000) <= 0 {
		n++
	}
	if most := int(paceBound.Seconds()*1000) + 1; n != most {
		t.Errorf("%d messages at once after an hour, want %d", n, most)
	}
	if wait := new(pacer).next(now, 1e-300); wait != 0 {
		t.Errorf("the first message waits for %v", wait)
	}
}
