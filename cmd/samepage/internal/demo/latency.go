package demo

import (
	"math/bits"
	"time"
)

// latencies counts durations in buckets, each at most a sixteenth wide. So a run of any
// length needs the same small memory.
type latencies struct {
	buckets [64 * 16]uint64
	n       uint64
	max     time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.buckets[bucket(uint64(max(d, 0)))]++
	l.n++
	l.max = max(l.max, d)
}

// bucket is the number of the bucket of v: 16 for each power of two.
func bucket(v uint64) int {
	if v < 16 {
		return int(v)
	}
	shift := bits.Len64(v) - 5
	return shift*16 + int(v>>shift)
}

// top is the largest value in a bucket.
func top(b int) uint64 {
	if b < 32 {
		return uint64(b)
	}
	shift := b/16 - 1
	return uint64(b%16+16+1)<<shift - 1
}

// quantile is the smallest duration that the part q of all durations does not exceed.
func (l *latencies) quantile(q float64) time.Duration {
	rank := uint64(q * float64(l.n))
	var seen uint64
	for b, n := range l.buckets {
		if seen += n; seen > rank {
			return min(time.Duration(top(b)), l.max)
		}
	}
	return l.max
}
