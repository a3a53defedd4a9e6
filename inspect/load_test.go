package inspect_test

import (
	"fmt"
	"runtime"
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
