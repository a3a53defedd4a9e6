package bridge

import "time"

// budget limits what a bridge costs the publishers of a topic with the policy Newest, and the
// writers of a cell, to a part of their time. They lose time when they wake the bridge, when they
// write memory again that the bridge has just read, and because all processors share the memory. If
// all is spent, the bridge rests, and then looks without having been woken. It is a token bucket,
// kept as the time at which all that was spent is earned (GCRA, ITU-T I.371).
type budget struct {
	one     time.Duration // so much time earns one of the publisher's: 100 at 1 %
	earned  time.Time
	since   time.Time     // the begin of the span in which offered is counted
	offered time.Duration // what it would cost to read all that was published since then
	fast    bool          // that is more than the bridge may cost: not all can cross
}

// What a bridge costs them, measured with BenchmarkPublisher.
const (
	wakeCost     = 10 * time.Microsecond
	packCost     = 50 * time.Nanosecond // of a message, or of a pack
	bytesPerNano = 50
	// An envelope costs much more than a message, on its way through all processes: a bridge that
	// looks seldom sends few.
	sendCost = 40 * time.Microsecond
	mostRest = 4 * time.Millisecond

	// On some machines, and in some hours of others, all costs much more, because the caches of the
	// processors are far apart, or processors are virtual. With such prices a bridge could not read
	// all pictures of a camera, which has time left. But of a topic that is too fast it cannot read
	// all anyway: there it pays them, and sends what it gets in few envelopes, for each of which it
	// pays, too.
	fastPackCost     = 2 * packCost
	fastBytesPerNano = 2
	fastSendCost     = 100 * time.Microsecond

	// span is how long a topic must be too fast, or else it has a burst that takes so long to earn.
	span  = 100 * time.Millisecond
	burst = time.Second
	// credit is how much can be spent at once after a while.
	credit = 10 * wakeCost
)

// DefaultBudget is how many percent a bridge may cost if Options say nothing. It is half of what is
// promised: the rest is for what processors cost each other that have nothing in common.
const DefaultBudget = 1

// newBudget returns the budget of a bridge that may cost so many percent.
func newBudget(percent float64) budget {
	return budget{one: time.Duration(100 / percent)}
}

// read notes that a pack, or a value, of n bytes was read, and that so many times as much was
// published since the one before.
func (b *budget) read(now time.Time, n int, times float64) {
	cost := packCost + time.Duration(n/bytesPerNano)
	b.offered += time.Duration(min(times, 1e6) * float64(cost)) // a publisher that lies must not overflow it
	if past, needs := now.Sub(b.since), b.one*b.offered; past > span || needs > burst {
		b.fast = needs > past
		b.since, b.offered = now, 0
	}
	if b.fast {
		cost = fastPackCost + time.Duration(n/fastBytesPerNano)
	}
	b.spend(now, cost)
}

// send notes that an envelope with messages is sent.
func (b *budget) send(now time.Time) {
	if b.fast {
		b.spend(now, fastSendCost)
	}
}

// wake notes that a publisher has woken the bridge.
func (b *budget) wake(now time.Time) { b.spend(now, wakeCost) }

func (b *budget) spend(now time.Time, cost time.Duration) {
	if least := now.Add(-credit * b.one); b.earned.Before(least) {
		b.earned = least
	}
	b.earned = b.earned.Add(b.one * cost)
}

// debt returns how long it takes to earn what was spent.
func (b *budget) debt(now time.Time) time.Duration { return b.earned.Sub(now) }

// restFor is how long a source rests: until an envelope is earned, but the topic must keep what is
// published meanwhile, as far as the budget allows to read it.
func (b *budget) restFor(depth int) time.Duration {
	if b.fast {
		return mostRest
	}
	return max(100*time.Microsecond, min(b.one*min(sendCost, time.Duration(depth)*packCost), mostRest))
}

// many says whether so many packs came in a rest for that depth that the publisher may not wake the
// bridge for each.
func (b *budget) many(packs, depth int) bool {
	return packs > max(1, int(b.restFor(depth)/(b.one*wakeCost)))
}
