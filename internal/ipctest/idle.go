package ipctest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// WantIdle fails the test unless processes that wait are idle: the death watch of each looks
// 20 times a second, and it does nothing else. The next line of each child, which has begun just
// now, is "ok" and what RestCost returns there.
//
// It is decided by counting how often the process gives up the processor of its own
// accord, against a process at the same time that wakes 20 times a second and does
// nothing, for what one wake counts for depends on Go's scheduler and the machine: 4
// to 6 there, and 5 to 9 for a look, which also asks the system about members. So a
// process with the watch counts 1 to 1.8 times the other, with a poller every
// 15 ms beside the watch 4 times, and with a poller alone 3.3 times. The median of
// twenty windows counts, so it does not matter when one of the two stood still.
//
// Where the system does not count, CPU time decides, against a process at the same time that wakes
// each millisecond and does nothing: what a wake costs depends on the machine and its load.
func WantIdle(t testing.TB, children ...*Child) {
	t.Helper()
	every := clockEvery
	if used().switches < 0 {
		every = pollEvery
	}
	wakes := Start(t, "clock", every.String()).cost()
	for _, child := range children {
		wantIdle(t, child.cost(), wakes, every)
	}
}

func wantIdle(t testing.TB, waits, wakes cost, every time.Duration) {
	t.Helper()
	t.Logf("in 10 s a process that waits uses %v; one that wakes %d times a second %v", waits, time.Second/every, wakes)
	if waits.switches >= 0 {
		if 2*waits.switches > 5*wakes.switches {
			t.Errorf("a process that waits gives up the processor %d times in 10 s, want at most 2.5 times the %d of one that wakes %d times a second",
				waits.switches, wakes.switches, time.Second/every)
		}
	} else if 4*waits.cpu > 3*wakes.cpu {
		t.Errorf("a process that waits uses %v of CPU in 10 s, want at most three quarters of the %v of one that wakes %d times a second", waits.cpu, wakes.cpu, time.Second/every)
	}
}

const (
	clockEvery = 50 * time.Millisecond // as the death watch
	pollEvery  = time.Millisecond
)

// cost is what a process has used.
type cost struct {
	cpu      time.Duration
	switches int64 // how often it gave up the processor; -1 where nobody counts
}

func (c cost) String() string { return fmt.Sprintf("%v of CPU, %d switches", c.cpu, c.switches) }

func (c *Child) cost() cost {
	c.t.Helper()
	var ms float64
	var switches int64
	if l := c.Line(); l == "" {
		c.t.Fatal("child says nothing")
	} else if _, err := fmt.Sscanf(l, "ok %g %d", &ms, &switches); err != nil {
		c.t.Fatalf("child says %q", l)
	}
	return cost{time.Duration(ms * float64(time.Millisecond)), switches}
}

// RestCost is what this process uses in ten seconds while wait waits, which ends
// with its context: milliseconds of CPU and switches, for WantIdle. The switches are
// twenty times the median of twenty windows.
func RestCost(wait func(context.Context)) string { return RestCostIn(10*time.Second, wait) }

// RestCostIn is RestCost for another time than ten seconds.
func RestCostIn(d time.Duration, wait func(context.Context)) string {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		wait(ctx)
		close(done)
	}()
	time.Sleep(500 * time.Millisecond) // it has begun, and the process is at rest
	const windows = 20
	before := used()
	after := before
	var switches []int64
	for range windows {
		last := after.switches
		time.Sleep(d / windows)
		after = used()
		switches = append(switches, after.switches-last)
	}
	cancel()
	<-done
	if after.switches >= 0 {
		slices.Sort(switches)
		after.switches = windows * switches[windows/2]
	}
	return fmt.Sprintf("%.3f %d", float64(after.cpu-before.cpu)/float64(time.Millisecond), after.switches)
}

// clock is the helper that wakes as often as it is told, and does nothing.
func clock(args []string) {
	every, err := time.ParseDuration(args[0])
	if err != nil {
		panic(err)
	}
	fmt.Println("ok", RestCost(func(ctx context.Context) {
		for tick := time.NewTicker(every); ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}))
}
