package main

import (
	"context"
	"fmt"
	"time"

	"samepage/cell"
)

// The roles of cells.

// playCell reads a value that nobody changes, and copies it.
func playCell(o order, ready func() error) (sample, error) {
	w, _, err := cell.OpenOrCreateWriter(o.Name, 64, nil)
	if err != nil {
		return sample{}, err
	}
	defer w.Close()
	if err := w.Set(context.Background(), make([]byte, 64)); err != nil {
		return sample{}, err
	}
	r, err := cell.OpenReader(o.Name, nil)
	if err != nil {
		return sample{}, err
	}
	defer r.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	buf := make([]byte, 64)
	wall, _, err := repeat(o.Seconds, func() error {
		for range 1000 {
			if _, _, _, err := r.ReadInto(buf); err != nil {
				return err
			}
		}
		return nil
	})
	return sample{Mean: wall}, err
}

// playBusyCell reads and copies a value again and again, while the second process changes it as
// fast as it can. Its figure is the time for each new value that it found, as that of
// limits/copyout.c: a read that finds the value of the read before costs almost nothing, and how
// many of these there are depends on the writer.
func playBusyCell(o order, ready func() error) (sample, error) {
	ctx := context.Background()
	if !o.First {
		return sample{}, changeCell(o, ready)
	}
	w, _, err := cell.OpenOrCreateWriter(o.Name, o.Size, nil) // makes it
	if err != nil {
		return sample{}, err
	}
	defer w.Close()
	stop, _, err := cell.OpenOrCreateWriter(o.Name+".stop", 1, nil)
	if err != nil {
		return sample{}, err
	}
	defer stop.Close()
	r, err := cell.OpenReader(o.Name, nil)
	if err != nil {
		return sample{}, err
	}
	defer r.Close()
	if err := ready(); err != nil {
		return sample{}, err
	}
	if err := r.Changed(ctx); err != nil {
		return sample{}, err
	}
	buf := make([]byte, o.Size)
	var last uint64
	var reads, fresh int
	length := time.Duration(o.Seconds * float64(time.Second))
	var t time.Duration
	for _, length := range []time.Duration{length / 10, length} { // warms up
		reads, fresh = 0, 0
		begun := time.Now()
		for t = 0; t < length; t = time.Since(begun) {
			for range 1000 {
				_, g, _, err := r.ReadInto(buf)
				if err != nil {
					return sample{}, err
				}
				if g != last {
					last = g
					fresh++
				}
			}
			reads += 1000
		}
	}
	if err := stop.Set(ctx, []byte{1}); err != nil {
		return sample{}, err
	}
	if fresh < 2 {
		return sample{Mean: each(t, 1), Dropped: "there was no second value"}, nil
	}
	return freshValues(each(t, fresh), float64(fresh)/float64(reads), leastFresh), nil
}

// leastFresh is the least share of reads with a new value. If fewer are new, the writer hardly
// ran, and the figure says nothing about the reader. The program in C reads ten times as often in
// the same time, because its copy costs 1 ns.
const (
	leastFresh    = 0.01
	leastFreshInC = leastFresh / 10
)

// freshValues is the sample of a reader of new values, from the time for each of them and from
// their share of all reads.
func freshValues(mean, share, least float64) sample {
	s := sample{Mean: mean, Fresh: share}
	if share < least {
		s.Dropped = fmt.Sprintf("fewer than %g %% of the reads found a new value", 100*least)
	}
	return s
}

func changeCell(o order, ready func() error) error {
	w, _, err := cell.OpenOrCreateWriter(o.Name, o.Size, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	stop, err := cell.OpenReader(o.Name+".stop", nil)
	if err != nil {
		return err
	}
	defer stop.Close()
	if err := ready(); err != nil {
		return err
	}
	buf := make([]byte, o.Size)
	for {
		for range 100 {
			if err := w.Set(context.Background(), buf); err != nil {
				return err
			}
		}
		if _, ok, err := stop.Load(); ok || err != nil {
			return err
		}
	}
}
