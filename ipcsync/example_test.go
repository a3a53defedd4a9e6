//go:build linux || windows

package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"samepage/ipcsync"
)

func ExampleEvent() {
	e, err := ipcsync.CreateEvent("example", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	_ = e.Set() // stays pending; a second Set before the Wait would change nothing
	fmt.Println(e.Wait(context.Background()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(errors.Is(e.Wait(ctx), os.ErrDeadlineExceeded))
	// Output:
	// <nil>
	// true
}

func ExampleEventOptions() {
	// Manual-reset, as a gate: open for all until it is closed.
	gate, err := ipcsync.CreateEvent("gate", &ipcsync.EventOptions{Manual: true})
	if err != nil {
		log.Fatal(err)
	}
	defer gate.Close()
	_ = gate.Set()
	a, _ := gate.TryWait()
	b, _ := gate.TryWait()
	_ = gate.Reset()
	c, _ := gate.TryWait()
	fmt.Println(a, b, c)
	// Output: true true false
}
