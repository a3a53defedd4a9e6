package rpc_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"samepage/internal/fault"
	"samepage/internal/ipctest"
)

// logTimes tells how long the survivors took after deaths, and decides nothing.
func logTimes(t *testing.T, all []time.Duration) {
	slices.Sort(all)
	t.Logf("%d deaths; until each survivor had further calls: p50 %v, p99 %v, worst %v",
		len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
}

// A client or a worker dies at each crash point of services. The others go on: each call ends with
// its answer or one error, a call that is not idempotent is executed once at most, no slot is lost,
// and nothing is left.
func TestFaultEveryPoint(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	points := fault.Calls()
	for _, p := range fault.Locks() {
		if p <= fault.RingHalf { // those of all segments
			points = append(points, p)
		}
	}
	var all []time.Duration
	for _, p := range points {
		t.Run(p.String(), func(t *testing.T) {
			c := newCrowd(t)
			passes := 10
			if p == fault.CallReaped || p == fault.CallAdopted || p >= fault.RepairTaken && p <= fault.RepairUnrung {
				passes = 1 // others come through these points, too
			}
			var victims []*ipctest.Child
			for _, spec := range []string{"caller cancels streams", "caller", "server"} {
				victims = append(victims, c.start(spec, 20, fmt.Sprintf("%v:%d", p, rand.IntN(passes))))
			}
			begun := time.Now()
			for n := 0; !slices.ContainsFunc(victims, func(v *ipctest.Child) bool { return v.EndsWithin(5 * time.Millisecond) }); n++ {
				if time.Since(begun) > ipctest.Patience {
					t.Fatalf("nobody has come to %v", p)
				}
				// Others die with a slot, or with a call, so that there is something to repair.
				at := []fault.Point{fault.CallWritten, fault.CallBegun, fault.CallAsked, fault.CallTaken}[n%4]
				spec := []string{"caller", "server"}[n%2]
				if o := c.start(spec, 0, fmt.Sprintf("%v:%d", at, rand.IntN(10))); !o.EndsWithin(ipctest.Patience) {
					t.Fatalf("nobody has come to %v", at)
				}
			}
			all = append(all, c.goOn())
			for _, v := range victims {
				v.Kill()
				all = append(all, c.goOn())
			}
			c.finish()
		})
	}
	if len(all) > 0 {
		logTimes(t, all)
	}
}

// SAMEPAGE_KILLS clients and workers (make soak: 10000) are killed at random moments, while the
// survivors make at least SAMEPAGE_CALLS calls (10,000, a few under Wine).
func TestSoakRandomKills(t *testing.T) {
	kills, calls := ipctest.Repeat(t, 60, 12, "SAMEPAGE_KILLS"), uint64(ipctest.Repeat(t, 10000, 500, "SAMEPAGE_CALLS"))
	specs := []string{"caller", "server", "caller cancels streams", "server", "caller streams"}
	c := newCrowd(t)
	victims := make([]*ipctest.Child, len(specs))
	start := func(i int) {
		span := 1 + rand.IntN(50)
		if rand.IntN(3) == 0 {
			span = 0
		}
		victims[i] = c.start(specs[i], span, "")
		c.ready(victims[i])
	}
	for i := range specs {
		start(i)
	}
	var all []time.Duration
	for k := 0; k < kills || c.count(1)+c.count(2) < calls; k++ {
		i := k % len(specs)
		time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
		for _, l := range victims[i].KillAndRead() {
			if _, err := strconv.Atoi(l); err != nil {
				t.Fatal(l)
			}
		}
		all = append(all, c.goOn())
		start(i)
	}
	n := c.count(1) + c.count(2)
	for _, v := range victims {
		v.Kill()
	}
	all = append(all, c.goOn())
	c.finish()
	logTimes(t, all)
	t.Logf("%d calls of survivors", n)
}
