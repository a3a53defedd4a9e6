package bridge

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	const length = 2 * time.Second
	begin := time.Unix(1_000_000, 0)
	for _, test := range []struct {
		name string
		cost time.Duration
		each time.Duration // how often there is something to spend it on
		want time.Duration // what is spent
	}{
		{"each wake is allowed", wakeCost, time.Millisecond, 2_000 * wakeCost},
		{"too many wakes", wakeCost, 10 * time.Microsecond, length / 50},
		{"small messages as fast as possible", readCost(64, false), 200 * time.Nanosecond, length / 50},
		{"large messages as fast as possible", readCost(33<<20, false), 50 * time.Microsecond, length / 50},
		{"large messages, and some are missed", readCost(1<<20, true), 40 * time.Microsecond, length / 50},
		{"few large messages", readCost(33<<20, false), 50 * time.Millisecond, 40 * readCost(33<<20, false)},
	} {
		var b budget
		spent := time.Duration(0)
		for now := begin; now.Before(begin.Add(length)); now = now.Add(test.each) {
			if b.debt(now) <= 0 {
				b.spend(now, test.cost)
				spent += test.cost
			}
		}
		if most := test.want + credit/share + test.cost; spent < test.want-test.cost || spent > most {
			t.Errorf("%s: %v, want %v to %v", test.name, spent, test.want, most)
		}
	}
}

func TestRestFor(t *testing.T) {
	for depth, want := range map[int]time.Duration{3: 100 * time.Microsecond, 100: 200 * time.Microsecond, 1024: time.Millisecond} {
		if got := restFor(depth); got != want {
			t.Errorf("depth %d: %v, want %v", depth, got, want)
		}
	}
}
