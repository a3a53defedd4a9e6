package inspect

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"samepage"
	"samepage/ipcsync"
)

func named(pid int, name string) Member {
	return Member{Member: ipcsync.Member{Member: samepage.Member{PID: pid, Name: name}}}
}

// Members that wait for the same members are in one sentence, and long lists are cut.
func TestSentences(t *testing.T) {
	d := &Detail{Members: []Member{named(1, "sub")}}
	d.Members[0].Stopped = true
	for pid := 2; pid < 8; pid++ {
		d.Members = append(d.Members, named(pid, "p"))
	}
	for i := 1; i < 7; i++ {
		d.Waits = append(d.Waits, Wait{Member: i, For: ForSpace, On: []int{0}})
	}
	d.Waits = append(d.Waits, Wait{Member: 1, For: ForLock, On: []int{2, 3}}, Wait{Member: 2, For: ForMessage, Exact: true})
	at := time.Unix(1e9, 0)
	d.Waits[0].Since, d.Waits[1].Since, d.Waits[7].Since = at.Add(-3*time.Second), at.Add(-time.Minute), at.Add(-3200*time.Millisecond)
	d.Waits[0].Exact = true
	want := []Sentence{
		{
			Text:  "process 2 (p), process 3 (p), process 4 (p), process 5 (p) and 2 more wait until process 1 (sub), which is stopped, lets go of messages",
			Lasts: "for at least 60 s", On: true, Stopped: true,
		},
		{Text: "process 2 (p) waits until each of process 3 (p), process 4 (p) unlocks it", On: true},
		{Text: "process 3 (p) waits until somebody publishes a message", Lasts: "for 3.2 s"},
	}
	if got := d.Sentences(at); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if s := want[2].String(); s != "process 3 (p) waits until somebody publishes a message, for 3.2 s" {
		t.Error(s)
	}
}

// There is a sentence for each reason.
func TestEachReason(t *testing.T) {
	others := []Reason{ForLock, ForSpace, ForTurn, ForAnswer, ForAccept}
	any := []Reason{ForEvent, ForUnit, ForSubscriber, ForMessage, ForValue, ForCall, ForWorker, ForData}
	if len(ends) != len(others)+len(any) {
		t.Errorf("%d reasons have words", len(ends))
	}
	for _, r := range slices.Concat(others, any) {
		if ends[r].any == "" || (ends[r].others != "") != slices.Contains(others, r) {
			t.Errorf("%s: %q", r, ends[r])
		}
	}
}

// A circle is a sentence.
func TestCircles(t *testing.T) {
	s := &State{
		Objects: []Object{
			{Info: samepage.Info{Name: "a", Kind: samepage.KindMutex}},
			{Info: samepage.Info{Name: "b c", Kind: samepage.KindTopic, Scope: samepage.Global}},
		},
		Cycles: [][]Step{{{1, "x", 0}, {2, "y", 1}}},
	}
	want := `process 1 (x) waits at mutex a, for process 2 (y) waits at topic Global\"b c", for process 1`
	if got := s.Circles(); fmt.Sprint(got) != "["+want+"]" {
		t.Errorf("%q, want %q", got, want)
	}
}
