//go:build linux || windows

package cell_test

import (
	"context"
	"fmt"
	"os"

	"samepage/cell"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The latest value, whole, however fast it changes.
func ExampleReader() {
	ctx := context.Background()
	w, err := cell.NewWriter("example-status", 100, nil)
	must(err)
	defer w.Close()
	r, err := cell.NewReader("example-status", nil) // most often in another process
	must(err)
	defer r.Close()
	must(w.Set(ctx, []byte("starting")))
	must(w.Set(ctx, []byte("running")))
	v, ok, err := r.Load()
	must(err)
	fmt.Printf("%v %d: %s\n", ok, v.Generation(), v.Bytes())
	// Output: true 2: running
}

type Config struct {
	Rate  float64
	Limit uint64
}

// A value of a Go type, which several writers change in turn.
func ExampleWriterOf() {
	ctx := context.Background()
	w, err := cell.NewWriterOf[Config]("example-config", nil)
	must(err)
	defer w.Close()
	r, err := cell.NewReaderOf[Config]("example-config", nil)
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
