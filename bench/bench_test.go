package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		main()
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // no process here leaves goroutines to wait for
	os.Exit(m.Run())
}

func newTestBench(t *testing.T) *bench {
	t.Helper()
	b, err := newBench(0.01)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func wantFigure(t *testing.T, m measurer, b *bench, seconds float64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*ipctest.Patience) // many processes, one after another
	defer cancel()
	s, err := m.measure(ctx, b, seconds)
	if errors.Is(err, errMissing) || err != nil && strings.Contains(err.Error(), errMissing.Error()) {
		t.Skip(err)
	}
	if err != nil || s.Mean <= 0 || s.P50 < 0 || s.P99 < s.P50 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Each subject runs and returns a figure. The test does not judge the figure.
func TestSubjectsRun(t *testing.T) {
	b := newTestBench(t)
	seen := map[pair]bool{}
	for _, s := range ours {
		if p, ok := s.measurer.(pair); ok && runtime.GOOS != "linux" {
			// Where no process is bound, these are the same. One size of each is enough there.
			if p.bind, p.procs, p.size = unbound, 0, 0; seen[p] {
				continue
			}
			seen[p] = true
		}
		t.Run(s.id(), func(t *testing.T) { wantFigure(t, s, b, 0.01) })
	}
}

func TestLimitsRun(t *testing.T) {
	b := newTestBench(t)
	if err := b.compileLimits(t.Context()); errors.Is(err, errMissing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, s := range ofC {
		t.Run(s.id(), func(t *testing.T) { wantFigure(t, s, b, 0.01) })
	}
	seen := map[string]bool{}
	for _, g := range groups {
		if p, ok := g.limit.(program); ok && !seen[p.String()] {
			seen[p.String()] = true
			t.Run(p.String(), func(t *testing.T) { wantFigure(t, p, b, 0.01) })
		}
	}
}

func TestPeersRun(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector judges peers, too, and they are not ours")
	}
	b := newTestBench(t)
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			if err := p.prepare(t.Context(), b); errors.Is(err, errMissing) {
				t.Skip(whyMissing(err))
			} else if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, s := range p.subjects {
				if seen[s.String()] || s.group == message8M { // one measurement, against two limits; a long one
					continue
				}
				seen[s.String()] = true
				t.Run(s.group.name, func(t *testing.T) { wantFigure(t, s, b, 0.002) })
			}
		})
	}
}

// A process that ends early, or is told to end, ends a measurement at once.
func TestCancelledMeasurementsEnd(t *testing.T) {
	b := newTestBench(t)
	for _, m := range []measurer{alone("mutex"), crowd{"rlock", 1}} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if s, err := m.measure(ctx, b, 10*ipctest.Patience.Seconds()); err == nil {
			t.Errorf("%v: %v", m, s)
		}
		if took := time.Since(begun); took > ipctest.Patience {
			t.Errorf("%v took %v", m, took)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range subjects() {
		if seen[s.id()] {
			t.Errorf("two subjects are %s", s.id())
		}
		seen[s.id()] = true
		if p, ok := s.measurer.(pair); ok && roles[p.role] == nil {
			t.Errorf("%s: no role %s", s.id(), p.role)
		}
		if !slices.Contains(groups, s.group) {
			t.Errorf("%s: a group that is not in groups", s.id())
		}
	}
}

func TestCommandLine(t *testing.T) {
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"-list", "-run", "^mutex"}, &out, &progress); err != nil || !strings.Contains(out.String(), "mutex, uncontended/mutex") {
		t.Errorf("%v: %s", err, &out)
	}
	for _, args := range [][]string{{"-run", "no such subject"}, {"-run", "("}, {"-rounds", "0"}, {"-seconds", "0"}, {"more"}} {
		if err := run(t.Context(), args, &out, &progress); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
