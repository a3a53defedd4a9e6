package main

import (
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/cmd/samepage/internal/record"
)

// What record says at its end, and what info and play say of damaged chunks.
func TestRecordTexts(t *testing.T) {
	var b strings.Builder
	r := recorded{[]string{"a-1.mcap", "a-3.mcap"}, []record.Total{
		{Name: "t", Kind: samepage.KindTopic, Messages: 6, Bytes: 2048, Missed: 1, Lost: 3, Damaged: 2},
		{Name: "c", Kind: samepage.KindCell, Messages: 1, Bytes: 3},
	}}
	if err := r.text(&b); err != nil {
		t.Error(err)
	}
	want := "recorded topic t: 6 messages, 2 KiB, 1 missed, 3 lost, 2 damaged\nrecorded cell c: 1 message, 3 B\nwrote 2 files, a-1.mcap to a-3.mcap\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}

	begin := time.Unix(1700000000, 0)
	all := []record.Damage{
		{Offset: 99, Size: 2048, Why: "why", Begin: begin.Add(time.Second), End: begin.Add(2 * time.Second), Lost: map[string]uint64{"b": 1, "a": 3}, Messages: 4},
		{Offset: 5000, Size: 10, Why: "why", Lost: map[string]uint64{"a": 2}, Messages: 2, Unknown: true},
		{Offset: 6000, Size: 10, Why: "why", Unknown: true},
	}
	want = "the chunk at byte 99, 2 KiB, of the time 1s to 2s: 4 messages lost (3 of a, 1 of b); why\n" +
		"the chunk at byte 5000, 10 B: at least 2 messages lost (2 of a); why\n" +
		"the chunk at byte 6000, 10 B: it is not known which messages are lost; why"
	if got := strings.Join(damageTexts(all, begin), "\n"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := damageError(all).Error(), "3 chunks damaged, at least 6 messages lost: damaged recording"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if damageError(nil) != nil || exitCode(damageError(all)) != exitFailed {
		t.Errorf("exit code %d", exitCode(damageError(all)))
	}
	many := make([]record.Damage, mostDamages+3)
	if got := damageTexts(many, begin); len(got) != mostDamages+1 || got[mostDamages] != "and 3 chunks more" {
		t.Errorf("%q", got)
	}
}
