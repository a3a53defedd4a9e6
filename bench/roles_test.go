package main

import (
	"context"
	"testing"
	"time"

	"samepage/internal/ipctest"
)

func init() {
	roles["test: slow"] = func(o order, ready func() error) (sample, error) {
		if err := ready(); err != nil {
			return sample{}, err
		}
		if !o.First {
			time.Sleep(ipctest.Patience) // as one that waits for an exchange that does not come
		}
		return trips(o, func() error {
			time.Sleep(time.Millisecond)
			return nil
		})
	}
}

// A count that is much too large, because the run before was fast, does not make a run long.
func TestExchangesThatGotSlowAreCut(t *testing.T) {
	b := newTestBench(t)
	slow := pair{role: "test: slow"}
	b.count[slow] = 1 << 18 // more than four minutes
	ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
	defer cancel()
	s, err := slow.measure(ctx, b, 0.001)
	if err != nil || s.Mean < 5e5 || s.Cut || b.count[slow] > few {
		t.Errorf("%+v, %v, and then %d", s, err, b.count[slow])
	}
}
