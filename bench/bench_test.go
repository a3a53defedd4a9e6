package main

import (
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Each subject runs, and tells a figure. What it is decides nothing.
func TestSubjectsRun(t *testing.T) {
	b := &bench{seconds: 0.01, length: map[string]float64{}}
	t.Cleanup(b.close)
	if err := b.makeDirs(); err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		t.Run(s.name, func(t *testing.T) {
			if ns, err := s.measure(b); err != nil || ns <= 0 {
				t.Errorf("%v ns, %v", ns, err)
			}
		})
	}
}

func TestRoundsThatDisagreeAreDropped(t *testing.T) {
	r := result{Name: "x", Unit: "ns", Rounds: []round{
		newRound(100, 150, 119), newRound(100, 900, 121), newRound(121, 900, 100), newRound(0, 1, 0),
		newRound(100, 110, 100), newRound(100, 130, 100),
	}}
	r.sum()
	if want := (spread{1.3, 1.1, 150 / 109.5}); r.Ratio != want {
		t.Errorf("ratio %v, want %v", r.Ratio, want)
	}
	if line := r.line(); !strings.Contains(line, "3/6") || !strings.Contains(line, "1.30 (1.10 1.37)") {
		t.Errorf("%s", line)
	}
}

func TestMood(t *testing.T) {
	for want, ns := range map[string][2]float64{
		"near": {55, 60}, "far": {250, 240}, "resonant": {25, 40}, "near, then far": {55, 250},
	} {
		if got := moodOf(ns); got != want {
			t.Errorf("%v: %s, want %s", ns, got, want)
		}
	}
}
