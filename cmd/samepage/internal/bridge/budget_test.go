package bridge

import (
	"math"
	"testing"
	"time"
)

// A bridge reads what is published, and rests as long as it has a debt: it gets all of a topic that
// it can afford, costs no more than its part otherwise, and knows a topic that is too fast.
func TestBudget(t *testing.T) {
	const length = 4 * time.Second
	begin := time.Unix(1_000_000, 0)
	for _, test := range []struct {
		name    string
		percent float64
		n       int           // bytes of a message
		each    time.Duration // how often one is published
		wakes   bool          // each one wakes the bridge
		all     bool          // all are read
		fast    bool
	}{
		{"a wake each millisecond", DefaultBudget, 64, 1020 * time.Microsecond, true, true, false},
		{"more wakes", DefaultBudget, 64, 100 * time.Microsecond, true, false, false},
		{"small messages", DefaultBudget, 64, 6 * time.Microsecond, false, true, false},
		{"small messages as fast as possible", DefaultBudget, 64, 200 * time.Nanosecond, false, false, true},
		{"a camera", DefaultBudget, 1920 * 1080 * 3, time.Second / 60, true, true, false},
		{"a large camera", DefaultBudget, 33 << 20, time.Second / 30, true, false, true},
		{"a large camera, and 3 %", 3, 33 << 20, time.Second / 30, true, true, false},
		{"large messages as fast as possible", 10, 1 << 20, 20 * time.Microsecond, false, false, true},
		{"all is allowed", 100, 1 << 20, 40 * time.Microsecond, true, true, false},
	} {
		b := newBudget(test.percent)
		got, missed := 0, 0
		for now := begin; now.Before(begin.Add(length)); now = now.Add(test.each) {
			if b.debt(now) > 0 {
				missed++
				continue
			}
			if test.wakes {
				b.wake(now)
			}
			b.read(now, test.n, 1+float64(missed))
			b.send(now)
			got, missed = got+1, 0
		}
		if all := got == int((length+test.each-1)/test.each); all != test.all || b.fast != test.fast {
			t.Errorf("%s: it reads all: %v, it is fast: %v", test.name, all, b.fast)
		}
		if spent := b.debt(begin) / b.one; !test.all && (spent < length/b.one || spent > length/b.one+2*(credit+20*time.Millisecond)) {
			t.Errorf("%s: %v are spent in %v", test.name, spent, length)
		}
	}
}

// A burst of pictures does not make a topic fast.
func TestBudgetOfBurst(t *testing.T) {
	b := newBudget(DefaultBudget)
	now := time.Unix(1_000_000, 0)
	for range 10 {
		for range 3 {
			now = now.Add(5 * time.Millisecond)
			if b.read(now, 33<<20, 1); b.fast {
				t.Fatal("it is fast")
			}
		}
		now = now.Add(time.Second)
	}
}

// A topic is fast no longer than it is.
func TestBudgetEndsToBeFast(t *testing.T) {
	b := newBudget(DefaultBudget)
	now := time.Unix(1_000_000, 0)
	b.read(now, 64, 1)
	b.read(now, 64, math.MaxUint64) // also if a publisher lies
	if !b.fast || b.restFor(3) != mostRest {
		t.Error("it is not fast")
	}
	b.read(now.Add(2*span), 64, 1)
	if b.fast {
		t.Error("it is still fast")
	}
}

// The rest is long enough for an envelope, and short enough for the topic's depth. A bridge is woken
// only for as many messages as it can afford.
func TestRestFor(t *testing.T) {
	const us, ms = time.Microsecond, time.Millisecond
	for _, test := range []struct {
		percent float64
		depth   int
		want    time.Duration
		wakes   int // in a rest
	}{
		{1, 3, 100 * us, 1},
		{1, 100, 500 * us, 1},
		{1, 500, 2500 * us, 2},
		{1, 1024, 4 * ms, 4},
		{0.1, 1024, 4 * ms, 1},
		{10, 1024, 400 * us, 4},
		{100, 1024, 100 * us, 10},
	} {
		b := newBudget(test.percent)
		if got := b.restFor(test.depth); got != test.want {
			t.Errorf("%v %%, depth %d: it rests %v, want %v", test.percent, test.depth, got, test.want)
		}
		if b.many(test.wakes, test.depth) || !b.many(test.wakes+1, test.depth) {
			t.Errorf("%v %%, depth %d: want %d wakes", test.percent, test.depth, test.wakes)
		}
	}
}
