//go:build linux || windows

package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"samepage"
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

// The lock outlives its owner.
func ExampleMutex() {
	m, err := ipcsync.CreateMutex("example", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	switch err := m.Lock(context.Background()); {
	case errors.Is(err, samepage.ErrOwnerDied):
		// The lock is held. Repair what it guards, then:
		_ = m.Consistent()
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println("locked")
	fmt.Println(m.Unlock())
	// Output:
	// locked
	// <nil>
}

func ExampleRWMutex() {
	m, err := ipcsync.CreateRWMutex("example", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	_ = m.RLock(context.Background())
	again, _ := m.TryRLock()
	write, _ := m.TryLock()
	fmt.Println(again, write)
	_, _ = m.RUnlock(), m.RUnlock()
	// Output: true false
}

func ExampleSemaphore() {
	s, err := ipcsync.CreateSemaphore("example", 2, 10, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	_ = s.Acquire(context.Background())
	_ = s.Acquire(context.Background())
	ok, _ := s.TryAcquire()
	fmt.Println(ok, s.Release(3), s.Count())
	// Output: false <nil> 3
}

func ExampleWaitAny() {
	a, err := ipcsync.CreateEvent("a", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	b, err := ipcsync.CreateEvent("b", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	_ = b.Set()
	fmt.Println(ipcsync.WaitAny(context.Background(), a, b))
	// Output: 1 <nil>
}

func ExampleInspectMutex() {
	m, err := ipcsync.CreateMutex("example", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	_ = m.Lock(context.Background())
	st, err := ipcsync.InspectMutex("example", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(st.Members), st.Members[0].Owner, st.Members[0].PID == os.Getpid())
	_ = m.Unlock()
	// Output: 1 true true
}
