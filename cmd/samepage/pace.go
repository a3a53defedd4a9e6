package main

import "time"

// paceBound is how much lost time a pacer makes up for. It is more than the longest that a
// timer is late by, which is some 16 ms on Windows, and little enough that nobody gets a
// burst who expects a rate.
const paceBound = 100 * time.Millisecond

const forever = 100 * 365 * 24 * time.Hour

// pacer spaces messages out to a rate. It keeps to its own schedule and not to when it was
// woken, so that timers that are late do not add up.
type pacer struct {
	due time.Time // of the next message
	off float64   // the part of a nanosecond that due is early by
}

// next is how long to wait until the next message is due; 0 and less: it is.
func (p *pacer) next(now time.Time, rate float64) time.Duration {
	if least := now.Add(-paceBound); p.due.IsZero() {
		p.due = now
	} else if p.due.Before(least) {
		p.due = least
	}
	wait := p.due.Sub(now)
	step := min(float64(time.Second)/rate, float64(forever)) + p.off
	whole := time.Duration(step)
	p.off = step - float64(whole)
	p.due = p.due.Add(whole)
	return wait
}
