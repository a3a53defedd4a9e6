//go:build linux || windows

package cell_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"samepage"
	"samepage/cell"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A reader gets the latest value, and always a whole one, even if it changes very fast.
func ExampleReader() {
	ctx := context.Background()
	w, existed, err := cell.OpenOrCreateWriter("example-status", 100, nil)
	must(err)
	defer w.Close()
	fmt.Println("the cell existed:", existed)
	r, err := cell.OpenReader("example-status", nil) // most often in another process
	must(err)
	defer r.Close()
	must(w.Set(ctx, []byte("starting")))
	must(w.Set(ctx, []byte("running")))
	v, ok, err := r.Load()
	must(err)
	fmt.Printf("%v %d: %s\n", ok, v.Generation(), v.Bytes())
	// Output:
	// the cell existed: false
	// true 2: running
}

// A value is written in place: nobody sees it before it is committed.
func ExampleWriter() {
	ctx := context.Background()
	w, err := cell.CreateWriter("example-frame", 100, nil)
	must(err)
	defer w.Close()
	r, err := cell.AwaitReader(ctx, "example-frame", nil)
	must(err)
	defer r.Close()

	loan, err := w.Loan(ctx, 5)
	must(err)
	copy(loan.Bytes(), "hello")
	_, ok, err := r.Load()
	must(err)
	fmt.Println("there is a value:", ok)
	must(loan.Commit())
	must(r.Changed(ctx))
	v, _, err := r.Load()
	must(err)
	fmt.Printf("%s\n", v.Bytes())
	// Output:
	// there is a value: false
	// hello
}

// A held value does not change while the cell gets new values.
func ExampleValue_Hold() {
	ctx := context.Background()
	w, err := cell.CreateWriter("example-held", 100, &cell.Options{Holds: 1})
	must(err)
	defer w.Close()
	r, err := cell.OpenReader("example-held", nil)
	must(err)
	defer r.Close()
	must(w.Set(ctx, []byte("the first one")))
	v, _, err := r.Load()
	must(err)
	first, err := v.Hold()
	must(err)
	defer first.Release()
	for range 1000 {
		must(w.Set(ctx, []byte("another one")))
	}
	v, _, err = r.Load()
	must(err)
	fmt.Printf("%s, still: %s\n", v.Bytes(), first.Bytes())
	// Output: another one, still: the first one
}

type Config struct {
	Rate  float64
	Limit uint64
}

// Several writers change a value of a Go type in turn.
func ExampleWriterOf() {
	ctx := context.Background()
	w, err := cell.CreateWriterOf[Config]("example-config", nil)
	must(err)
	defer w.Close()
	r, err := cell.OpenReaderOf[Config]("example-config", nil)
	must(err)
	defer r.Close()
	must(w.Set(ctx, &Config{Rate: 25}))
	must(w.Update(ctx, func(c *Config) error { c.Limit++; return nil }))
	must(r.Changed(ctx)) // there is a value
	c, _, err := r.Get()
	must(err)
	fmt.Println(c)
	// Output: {25 1}
}

// A reader gets values of a Go type, in place, each time that the cell changes.
func ExampleReaderOf() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := cell.CreateWriterOf[Config]("example-limits", nil)
	must(err)
	defer w.Close()
	r, err := cell.AwaitReaderOf[Config](ctx, "example-limits", nil)
	must(err)
	defer r.Close()
	must(w.Set(ctx, &Config{Limit: 1}))
	for v, err := range r.Values(ctx) {
		must(err)
		c := v.Value()
		fmt.Println(v.Generation(), c.Limit)
		if c.Limit == 3 {
			break
		}
		must(w.Set(ctx, &Config{Limit: c.Limit + 1}))
	}
	// Output:
	// 1 1
	// 2 2
	// 3 3
}

// A reader that must not go on with an old value: it sees how old the value is, and that its writer
// is gone.
func ExampleReaderOptions() {
	ctx := context.Background()
	w, err := cell.CreateWriterOf[Config]("example-watched", &cell.Options{Times: true})
	must(err)
	must(w.Set(ctx, &Config{Rate: 25}))
	r, err := cell.OpenReaderOf[Config]("example-watched", &cell.ReaderOptions{NeedsWriter: true})
	must(err)
	defer r.Close()
	must(w.Close())
	for v, err := range r.Values(ctx) {
		if errors.Is(err, samepage.ErrPeerNotStarted) {
			fmt.Println("the writer is gone")
			break
		}
		must(err)
		fmt.Println(v.Value().Rate, v.Generation(), v.Age() < time.Minute)
	}
	// Output:
	// 25 1 true
	// the writer is gone
}
