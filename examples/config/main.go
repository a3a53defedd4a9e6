// Config is a setting that an operator changes while another process uses it. It is a cell,
// which has one latest value. The worker always gets a complete value, and never waits for the
// operator. It does not matter how often the value changed between two reads.
//
//	go run ./examples/config
//
// It ends by itself after a second, or with Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"samepage/cell"
)

// Config has a fixed size and no pointers, so it can lie in shared memory.
type Config struct {
	Exposure float64 // milliseconds
	Rate     uint32  // frames a second
	Changes  uint32
}

func main() {
	run := operator
	if len(os.Args) == 2 { // started by the operator
		run = func() error { return worker(os.Args[1]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func operator() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	name := fmt.Sprintf("config-%d", os.Getpid())
	w, err := cell.CreateWriterOf[Config](name, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Set(ctx, &Config{Exposure: 20, Rate: 25}); err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(exe, name)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	work, err := child.StdinPipe() // the worker runs until this is closed
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		return err
	}
	for _, exposure := range []float64{10, 5, 2.5} {
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
		// Update reads and writes in one turn: no other operator can write in between.
		err := w.Update(ctx, func(c *Config) error {
			c.Exposure, c.Rate = exposure, c.Rate*2
			c.Changes++
			return nil
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return errors.Join(work.Close(), child.Wait())
}

func worker(name string) error {
	// The worker ignores Ctrl-C: it ends when the operator ends.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	r, err := cell.OpenReaderOf[Config](name, nil)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Changed(ctx) == nil { // sleeps until there is a new value
		c, _, err := r.Get()
		if err != nil {
			return err
		}
		fmt.Printf("worker: %.1f ms at %d frames a second\n", c.Exposure, c.Rate)
	}
	c, _, err := r.Get()
	fmt.Printf("worker: ended after %d changes\n", c.Changes)
	return err
}
