package inspect_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/pubsub"
)

// Many objects: SAMEPAGE_OBJECTS says how many. It logs how long a snapshot takes, and how much
// memory.
func TestSnapshotOfMany(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	n := ipctest.Repeat(t, 100, 20, "SAMEPAGE_OBJECTS")
	for i := range n {
		name := fmt.Sprint("object ", i)
		switch i % 4 {
		case 0:
			ipctest.NoErr(t, must(pubsub.CreatePublisher(name, &pubsub.Options{MaxSize: 64, Depth: 4, Lifetime: samepage.Persist})).Close())
		case 1:
			ipctest.NoErr(t, must(cell.CreateWriter(name, 64, &cell.Options{Lifetime: samepage.Persist})).Close())
		case 2:
			m := must(ipcsync.CreateMutex(name, nil))
			t.Cleanup(func() { ipctest.NoErr(t, m.Close()) })
		default:
			ipctest.NoErr(t, must(samepage.Create(name, 4096, &samepage.Options{Lifetime: samepage.Persist})).Close())
		}
	}
	for range 3 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		s := must(inspect.Snapshot(nil))
		took := time.Since(begun)
		runtime.ReadMemStats(&after)
		if len(s.Objects) != n {
			t.Fatalf("%d objects, want %d", len(s.Objects), n)
		}
		t.Logf("%d objects: %v, %d KiB allocated, of which %d KiB stay; the process has %d MiB of the system", n, took,
			(after.TotalAlloc-before.TotalAlloc)>>10, (after.HeapAlloc-before.HeapAlloc)>>10, after.Sys>>20)
	}
}

// A publisher at full speed is as fast with a snapshot and a copy of the newest message each
// second as without. SAMEPAGE_ROUNDS is the number of pairs of two seconds each; without it this
// is only tried once, for a moment, and nothing is compared. It logs the ratios. Nothing else may
// run at the same time.
func TestSnapshotSlowsNobody(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	rounds, each := 1, 20*time.Millisecond
	if s := os.Getenv("SAMEPAGE_ROUNDS"); s != "" {
		rounds, each = must(strconv.Atoi(s)), 2*time.Second
	}
	o := &pubsub.Options{MaxSize: 64, Depth: 1024, Lifetime: samepage.Persist}
	ipctest.NoErr(t, must(pubsub.CreatePublisher("t", o)).Close())
	child := ipctest.Start(t, "floods", "t", "64")
	child.Line()
	w := watch(t, samepage.KindTopic, "t", nil)
	count := func() uint64 { return must(pubsub.Inspect("t", nil)).Lanes[0].Messages }
	rate := func(look bool) float64 {
		first, begun := count(), time.Now()
		for k := range 2 {
			if look {
				s := must(inspect.Snapshot(nil))
				if len(s.Objects) != 1 {
					t.Error("no object")
				}
				_, _, err := w.Newest(nil)
				ipctest.NoErr(t, err)
			}
			time.Sleep(time.Until(begun.Add(each * time.Duration(k+1) / 2)))
		}
		return float64(count()-first) / time.Since(begun).Seconds()
	}
	var ratios []float64
	for i := range rounds {
		with, without := 0.0, 0.0
		if i%2 == 0 {
			without, with = rate(false), rate(true)
		} else {
			with, without = rate(true), rate(false)
		}
		ratios = append(ratios, with/without)
	}
	slices.Sort(ratios)
	t.Logf("with / without, %d rounds: median %.4f, quartiles %.4f and %.4f", rounds, ratios[rounds/2], ratios[rounds/4], ratios[rounds*3/4])
}
