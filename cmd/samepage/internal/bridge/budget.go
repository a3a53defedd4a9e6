package bridge

import "time"

// budget limits what a bridge costs the publishers of a topic with the policy Newest, and the
// writers of a cell, to one part in share of their time. They lose time when they wake the bridge,
// and when they write memory again that the bridge has just read. If all is spent, the bridge
// rests, and then looks without having been woken. It is a token bucket, kept as the time at which
// all that was spent is earned (GCRA, ITU-T I.371).
type budget struct {
	earned time.Time
}

// What a bridge costs them, measured with BenchmarkPublisher.
const (
	share        = 50 // 2 %
	wakeCost     = 8 * time.Microsecond
	packCost     = 40 * time.Nanosecond // of a message, or of a pack
	bytesPerNano = 50
	// On some machines a byte costs more, because the caches of the processors are far apart. Then
	// a bridge that reads all pictures of a camera costs more than its share. But one that misses
	// messages does not read all anyway: for it a byte has this price, and a pack costs twice as much.
	bytesPerNanoMissed = 7
)

// credit is how much can be spent at once after a while: ten wakes.
const credit = 10 * share * wakeCost

// readCost is the cost of a pack, or a value, of n bytes. missed says that messages before it were
// missed.
func readCost(n int, missed bool) time.Duration {
	if missed {
		return 2*packCost + time.Duration(n/bytesPerNanoMissed)
	}
	return packCost + time.Duration(n/bytesPerNano)
}

// spend notes a cost.
func (b *budget) spend(now time.Time, cost time.Duration) {
	if least := now.Add(-credit); b.earned.Before(least) {
		b.earned = least
	}
	b.earned = b.earned.Add(share * cost)
}

// debt returns how long it takes to earn what was spent.
func (b *budget) debt(now time.Time) time.Duration { return b.earned.Sub(now) }

// restFor is how long a source rests: the longer, the less it costs, but the topic must keep what
// is published meanwhile, as far as the budget allows to read it.
func restFor(depth int) time.Duration {
	return min(max(100*time.Microsecond, time.Duration(depth)*share*packCost), time.Millisecond)
}
