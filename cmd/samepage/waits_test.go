package main

import (
	"slices"
	"testing"
	"time"

	lib "samepage"
	"samepage/inspect"
	"samepage/ipcsync"
)

// Members that wait for the same members are in one sentence, and long lists are cut.
func TestWaitLines(t *testing.T) {
	d := &inspect.Detail{Members: []inspect.Member{{Stopped: true}}}
	d.Members[0].Member = ipcsync.Member{Member: lib.Member{PID: 1, Name: "sub"}}
	for pid := 2; pid < 8; pid++ {
		d.Members = append(d.Members, inspect.Member{Member: ipcsync.Member{Member: lib.Member{PID: pid, Name: "p"}}})
	}
	for i := 1; i < 7; i++ {
		d.Waits = append(d.Waits, inspect.Wait{Member: i, For: inspect.ForSpace, On: []int{0}})
	}
	d.Waits = append(d.Waits, inspect.Wait{Member: 1, For: inspect.ForLock, On: []int{2, 3}}, inspect.Wait{Member: 2, For: inspect.ForMessage})
	at := time.Unix(1e9, 0)
	d.Waits[0].Since, d.Waits[1].Since = at.Add(-3*time.Second), at.Add(-time.Minute)
	want := []string{
		"process 2 (p), process 3 (p), process 4 (p), process 5 (p) and 2 more wait until process 1 (sub), which is stopped, lets go of messages, for at least 1m0s",
		"process 2 (p) waits until each of process 3 (p), process 4 (p) unlocks it",
	}
	if got := waitLines(d, at); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
