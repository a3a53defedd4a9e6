package main

import "time"

// paceBound is how much lost time a pacer makes up for. It is longer than the delay of a
// timer, which is up to about 16 ms on Windows. It is short enough that receivers get the
// rate they expect and not a burst.
const paceBound = 100 * time.Millisecond

const forever = 100 * 365 * 24 * time.Hour

// pacer spaces messages out to a rate. It follows its own schedule, and not the times at
// which it was woken, so that the delays of timers do not add up.
type pacer struct {
	due time.Time // of the next message
	off float64   // due is early by this part of a nanosecond
}

// next is how long to wait until the next message is due; 0 or less: it is due now.
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
